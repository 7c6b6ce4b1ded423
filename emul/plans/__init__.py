"""Plans: who sends which chunk to whom. No time, no array values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from emul.errors import ArgumentError, unknown_name
from emul.plans import direct, hierarchical, ring
from emul.plans.collectives import COLLECTIVES, Collective, collective_named
from emul.plans.plan import Partition, Plan, Step
from emul.plans.program import Program
from emul.plans.verify import verify

__all__ = [
    "ALGORITHMS",
    "COLLECTIVES",
    "Collective",
    "Partition",
    "Plan",
    "Program",
    "Step",
    "build_plan",
    "collective_named",
    "verify",
]

ALGORITHMS: Mapping[str, Callable[[str, tuple[int, ...], int], Plan]] = MappingProxyType(
    {"ring": ring.build, "direct": direct.build, "hierarchical": hierarchical.build}
)


def build_plan(
    collective: str, algorithm: str, ranks_per_site: tuple[int, ...], *, root: int = 0
) -> Plan:
    """Return the verified plan of ``algorithm`` for ``collective``.

    ``ranks_per_site`` gives the number of ranks of each site, in rank order. Raises
    ArgumentError for an unknown name or a root that is no rank.
    """
    collective_named(collective)
    if algorithm not in ALGORITHMS:
        raise unknown_name("algorithm", algorithm, ALGORITHMS)
    n = sum(ranks_per_site)
    if not 0 <= root < n:
        raise ArgumentError(f"root {root}: needed a rank from 0 to {n - 1}")
    plan = ALGORITHMS[algorithm](collective, ranks_per_site, root)
    verify(plan)
    return plan
