"""The algorithms by name, and which collectives each of them does.

A name may have a variant behind a colon, as in ``ring:interleaved``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from emul.errors import ArgumentError, unknown_name
from emul.plans.algorithms import (
    bruck,
    direct,
    doubling,
    hierarchical,
    loops,
    packed,
    pat,
    ring,
    routed,
    trees,
)
from emul.plans.algorithms.group_tree import Groups
from emul.plans.collectives import collective_meant
from emul.plans.libraries import LIBRARY_ALGORITHMS, build_library_plan
from emul.plans.places import Places
from emul.plans.plan import Plan
from emul.plans.proof.verify import verify

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "algorithms_for",
    "build_hierarchy",
    "build_plan",
    "packs",
    "unproven_plan",
]


@dataclass(frozen=True, slots=True)
class NamedSpec:
    """The arguments of ``build_plan``, with the places of all ranks."""

    collective: str
    algorithm: str
    places: Places
    root: int

    def build(self) -> Plan:
        """Return the plan, not proven again."""
        plan = _built(self.collective, self.algorithm, self.places, self.root)
        return plan.built_from(self)


@dataclass(frozen=True, slots=True)
class HierarchySpec:
    """The arguments of ``build_hierarchy``."""

    collective: str
    groups: Groups
    algorithms: tuple[str, ...]
    root: int
    pieces: int

    def build(self) -> Plan:
        """Return the plan, not proven again."""
        plan = hierarchical.hierarchical_plan(
            self.collective,
            self.groups,
            self.algorithms,
            root=self.root,
            pieces=self.pieces,
            build_level=_build_level,
        )
        return plan.built_from(self)


@dataclass(frozen=True, slots=True)
class Algorithm:
    """Builds plans from a collective, the places of the ranks and a root.

    ``even_only``: of its ``collectives``, those for which all blocks must be of equal length.
    """

    build: Callable[[str, Places, int], Plan]
    collectives: tuple[str, ...]
    even_only: tuple[str, ...] = ()


def _variant(name: str, collectives: tuple[str, ...]) -> Algorithm:
    def build(collective: str, places: Places, root: int) -> Plan:
        """Return the hierarchical plan called ``name``."""
        return hierarchical.build_spec(name, collective, places, root, _build_level)

    return Algorithm(build, collectives)


def _build_packed(collective: str, places: Places, root: int) -> Plan:
    """Return the plan of trees or routes that are best where all trunks are alike."""
    return _packed_alike(packed.NAME, collective, places, root)


def _packed_alike(name: str, collective: str, places: Places, root: int) -> Plan:
    pipeline, sites = packed.Pipeline(**packed.asked_pipeline(name)), len(places.sites)
    if collective in routed.ROUTE_COLLECTIVES:
        routes = routed.direct_routes(sites)
        return routed.RoutedSpec(collective, name, places, root, routes).build()
    stars = packed.stars(sites, collective, places.site_of(root))
    return packed.PackedSpec(collective, name, places, root, stars, pipeline).build()


ALGORITHMS: Mapping[str, Algorithm] = MappingProxyType(
    {
        **{name: Algorithm(build, ring.COLLECTIVES) for name, build in ring.BUILDERS.items()},
        "direct": Algorithm(direct.build_direct, direct.DIRECT_COLLECTIVES),
        "direct:one_shot": Algorithm(direct.build_one_shot, direct.ONE_SHOT_COLLECTIVES),
        "hierarchical": Algorithm(hierarchical.build, hierarchical.COLLECTIVES),
        "hierarchical:nodes": _variant("hierarchical:nodes", hierarchical.COLLECTIVES),
        "hierarchical:pieces": _variant("hierarchical:pieces", hierarchical.COLLECTIVES),
        "hierarchical:one_shot": _variant("hierarchical:one_shot", direct.ONE_SHOT_COLLECTIVES),
        "halving_doubling": Algorithm(
            doubling.build_halving_doubling, doubling.HALVING_COLLECTIVES
        ),
        "halving_doubling:far_first": Algorithm(
            doubling.build_far_first, doubling.HALVING_COLLECTIVES
        ),
        "recursive_doubling": Algorithm(
            doubling.build_recursive_doubling, doubling.DOUBLING_COLLECTIVES
        ),
        "double_binary_tree": Algorithm(trees.build, trees.COLLECTIVES),
        "bruck": Algorithm(bruck.build, bruck.COLLECTIVES, even_only=("all_to_all",)),
        "pairwise": Algorithm(direct.build_pairwise, direct.PAIRWISE_COLLECTIVES),
        "pat": Algorithm(pat.build, pat.COLLECTIVES),
        packed.NAME: Algorithm(
            _build_packed,
            (*packed.TREE_COLLECTIVES, *routed.ROUTE_COLLECTIVES),
            even_only=("all_to_all",),
        ),
    }
)


LIBRARIES = frozenset(name.partition(":")[0] for name in LIBRARY_ALGORITHMS)


def algorithms_for(collective: str, *, uneven: bool = False) -> tuple[str, ...]:
    """Return the algorithms that do ``collective``, or with ``uneven`` its vector form."""
    return tuple(
        name
        for name, each in ALGORITHMS.items()
        if collective in each.collectives and not (uneven and collective in each.even_only)
    )


def build_plan(
    collective: str, algorithm: str, sites: Sequence[int | Sequence[int]], *, root: int = 0
) -> Plan:
    """Return the verified plan of ``algorithm`` for ``collective``.

    ``sites`` gives the number of ranks of each site, or of each of its nodes, in rank order. Raises
    ArgumentError for an unknown name, an algorithm that does not do the collective, or a root
    that is no rank.
    """
    plan = unproven_plan(collective, algorithm, sites, root=root)
    verify(plan)
    return plan


def unproven_plan(
    collective: str, algorithm: str, sites: Sequence[int | Sequence[int]], *, root: int = 0
) -> Plan:
    """Return the plan of ``build_plan`` without its proof, which takes most of the time."""
    collective = collective_meant(collective).name
    places = Places.of(sites)
    n = places.world_size
    if not 0 <= root < n:
        raise ArgumentError(f"root {root}: needed a rank from 0 to {n - 1}")
    return NamedSpec(collective, algorithm, places, root).build()


def build_hierarchy(
    collective: str,
    groups: Groups,
    algorithms: Sequence[str],
    *,
    root: int = 0,
    pieces: int = 1,
) -> Plan:
    """Return the verified hierarchical plan over nested groups of any depth.

    ``groups``: the ranks of the innermost groups, in tuples of groups; ``algorithms``: one for each
    level, innermost first; ``pieces``: in how many the vector is cut, so that the levels overlap.
    Raises ArgumentError when something does not fit.

    >>> plan = build_hierarchy("all_reduce", ((4, 4), (4, 4)), ("ring", "ring", "direct"))
    >>> plan.world_size
    16
    """
    plan = HierarchySpec(collective, _nested(groups), tuple(algorithms), root, pieces).build()
    verify(plan)
    return plan


def _nested(groups: Groups) -> Groups:
    """Return ``groups`` in tuples."""
    return tuple(map(_nested, groups)) if isinstance(groups, list | tuple) else groups


def packs(collective: str, algorithm: object) -> bool:
    """Say whether this is the name of ``packed`` for a collective that it does."""
    return packed.is_packed(algorithm) and collective in ALGORITHMS[packed.NAME].collectives


def _built(collective: str, algorithm: str, places: Places, root: int) -> Plan:
    """Return the plan, not proven yet; raises ArgumentError as build_plan does."""
    if algorithm.partition(":")[0] in LIBRARIES:
        return build_library_plan(collective, algorithm, places, root)
    if packs(collective, algorithm):
        return _packed_alike(algorithm, collective, places, root)
    if loops.loops_of(algorithm):
        return loops.build(collective, algorithm, places, root)
    if "=" in algorithm:
        return hierarchical.build_spec(algorithm, collective, places, root, _build_level)
    if algorithm not in ALGORITHMS:
        raise unknown_name("algorithm", algorithm, ("auto", *ALGORITHMS))
    if collective not in ALGORITHMS[algorithm].collectives:
        raise ArgumentError(
            f"algorithm {algorithm!r} does not do {collective}: needed one of "
            f"{', '.join(algorithms_for(collective))}"
        )
    return ALGORITHMS[algorithm].build(collective, places, root)


def _build_level(collective: str, algorithm: str, k: int, root: int) -> Plan:
    """Return the plan of one level of a hierarchical plan, between ``k`` positions."""
    return _built(collective, algorithm, Places.of([k]), root)
