"""The names of libraries' algorithms: ``openmpi:ring``, ``gloo:ring,segments=6``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from emul.errors import ArgumentError, unknown_name
from emul.plans.libraries import gloo, openmpi
from emul.plans.places import Places
from emul.plans.plan import Plan

__all__ = ["LIBRARY_ALGORITHMS", "build_library_plan", "library_algorithms"]

MOST_SEGMENTS = 1 << 16
_NAME = re.compile(r"(?P<base>[a-z]+:[a-z_]+)(?:,segments=(?P<segments>\d+))?")


@dataclass(frozen=True, slots=True)
class LibraryAlgorithm:
    """Builds plans from a collective, the plan's name, places, a root and segments (0: default)."""

    build: Callable[[str, str, Places, int, int], Plan]
    collectives: tuple[str, ...]
    in_segments: bool = False


LIBRARY_ALGORITHMS: Mapping[str, LibraryAlgorithm] = MappingProxyType(
    {
        "gloo:ring": LibraryAlgorithm(gloo.build_ring, gloo.RING_COLLECTIVES, in_segments=True),
        "gloo:binomial": LibraryAlgorithm(gloo.build_binomial, gloo.BINOMIAL_COLLECTIVES),
        **{
            f"openmpi:{name}": LibraryAlgorithm(
                build, openmpi.COLLECTIVES[name], in_segments=name in ("ring", "chain")
            )
            for name, build in openmpi.BUILDERS.items()
        },
    }
)


def library_algorithms(collective: str) -> tuple[str, ...]:
    """Return the libraries' algorithms that do ``collective``."""
    return tuple(
        name for name, each in LIBRARY_ALGORITHMS.items() if collective in each.collectives
    )


def build_library_plan(collective: str, name: str, places: Places, root: int) -> Plan:
    """Return the plan called ``name``, not proven yet.

    Raises ArgumentError for a name that is none, for segments where there are none, and for an
    algorithm that does not do the collective.
    """
    match = _NAME.fullmatch(name)
    if match is None or match["base"] not in LIBRARY_ALGORITHMS:
        raise unknown_name("algorithm", name, library_algorithms(collective))
    algorithm = LIBRARY_ALGORITHMS[match["base"]]
    segments = int(match["segments"] or 0)
    if match["segments"] and not (algorithm.in_segments and 1 <= segments <= MOST_SEGMENTS):
        raise ArgumentError(
            f"algorithm {name!r}: needed 1 to {MOST_SEGMENTS} segments, of one that has any"
        )
    if collective not in algorithm.collectives:
        raise ArgumentError(
            f"algorithm {name!r} does not do {collective}: needed one of "
            f"{', '.join(library_algorithms(collective))}"
        )
    return algorithm.build(collective, name, places, root, segments)
