"""What nccl-tests calls things, and what its columns must agree with (src/common.cu, src/*.cu)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from emul.errors import MeasurementError
from emul.measured.measurement import Hints
from emul.measured.refusals import Place
from emul.plans import collective_named

__all__ = [
    "PROGRAM",
    "Row",
    "check_busbw",
    "collective_of",
    "no_rows",
    "program_named",
    "ranks_of_hosts",
    "world_size_of",
]

PROGRAMS: Mapping[str, str] = MappingProxyType(
    {
        "all_reduce": "all_reduce",
        "all_gather": "all_gather",
        "reduce_scatter": "reduce_scatter",
        "broadcast": "broadcast",
        "reduce": "reduce",
        "alltoall": "all_to_all",
        "gather": "gather",
        "scatter": "scatter",
        "sendrecv": "send_recv",
    }
)
"""The collectives by the names of their programs, without ``_perf``."""

PROGRAM = re.compile(r"\b(all_reduce|all_gather|reduce_scatter|broadcast|reduce|alltoallv?|gather"
                     r"|scatter|sendrecv|hypercube)_perf(?:_mpi)?\b")  # fmt: skip

ITEM_BYTES: Mapping[str, int] = MappingProxyType(
    {
        **dict.fromkeys(("int8", "uint8", "char", "f8e4m3", "f8e5m2"), 1),
        **dict.fromkeys(("half", "bfloat16"), 2),
        **dict.fromkeys(("int32", "uint32", "int", "float"), 4),
        **dict.fromkeys(("int64", "uint64", "double"), 8),
    }
)

ROOT = re.compile(r"\d+", re.ASCII)
"""A rank; where there is no root, -1 stands in its place."""
ROUNDING_GB_PER_S = 0.005
"""Of the two digits after the point with which bandwidths are printed."""
MOST_LEGIBLE_GB_PER_S = 1e5
"""Above this, bandwidths are printed with two digits."""
ALIKE = 0.01


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table; bandwidths in 10^9 bytes per second, those of the first time.

    ``experiment`` is the name that JSON gives to a line; its ``place`` is sought only when needed.
    """

    place: Callable[[], Place]
    size_bytes: int
    count: int
    dtype: str
    redop: str
    root: str
    times_s: tuple[float, ...]
    algbw_gb_per_s: float
    busbw_gb_per_s: float
    experiment: str = ""


def program_named(name: str, place: Place) -> str:
    """Return the collective of the program ``name``, which comes without ``_perf``."""
    if name not in PROGRAMS:
        known = ", ".join(f"{each}_perf" for each in PROGRAMS)
        raise place.refusal(f"{name}_perf", f"the output of {known}")
    return PROGRAMS[name]


def collective_of(rows: Sequence[Row], hints: Hints, place: Place) -> str:
    """Return the collective that a log without the name of its program is of.

    Operator, root and what ``count`` counts tell all of them but all_gather from all_to_all and
    gather from scatter, which have to be asked for.
    """
    if hints.collective:
        return hints.collective
    row = max(rows, key=lambda row: row.size_bytes)
    reduces, rooted = row.redop not in ("none", ""), ROOT.fullmatch(row.root)
    whole = row.count * ITEM_BYTES.get(row.dtype, 0) == row.size_bytes
    if reduces and (whole or not rooted):
        return "reduce" if rooted else ("all_reduce" if whole else "reduce_scatter")
    if whole and not reduces:
        return "broadcast" if rooted else "send_recv"
    raise place.complaint("the log does not say of which collective it is: needed --collective")


def check_busbw(rows: Sequence[Row], collective: str, world_size: int) -> None:
    """Refuse a log whose busbw is not that of ``collective`` over ``world_size`` ranks."""
    legible = [row for row in rows if row.busbw_gb_per_s < MOST_LEGIBLE_GB_PER_S]
    if not legible:
        return
    row = max(legible, key=lambda row: row.algbw_gb_per_s)
    factor = collective_named(collective).bus_factor(world_size)
    expected, came = row.algbw_gb_per_s * factor, row.busbw_gb_per_s
    rounding = ROUNDING_GB_PER_S * (1 + factor)
    if abs(came - expected) > expected * ALIKE + rounding:
        raise row.place().complaint(
            f"busbw {came:g} is not {factor:.4g} x algbw {row.algbw_gb_per_s:g}, as of "
            f"{collective} over {world_size} ranks: needed the right --collective and --world-size"
        )


def ranks_of_hosts(hosts: Sequence[tuple[int, str]], place: Place) -> tuple[int, ...]:
    """Return the ranks of each host of the first group, from the group and host of each rank.

    Groups (NCCL_TESTS_SPLIT) run side by side, each a world of its own; they must be of one size.
    """
    groups: dict[int, dict[str, int]] = {}
    for group, host in hosts:
        members = groups.setdefault(group, {})
        members[host] = members.get(host, 0) + 1
    sizes = {sum(members.values()) for members in groups.values()}
    if len(sizes) > 1:
        raise place.complaint(f"groups of {sorted(sizes)} ranks: needed groups of one size")
    return tuple(next(iter(groups.values())).values()) if groups else ()


def world_size_of(hosts: Sequence[int], processes: int, hints: Hints, place: Place) -> int:
    """Return the number of ranks: those listed, or as the user says, or those of one process."""
    found = sum(hosts) or hints.world_size or processes
    if found < 2:
        raise place.complaint(f"{found} ranks: needed a log of 2 ranks or more, or --world-size")
    return found


def no_rows(place: Place) -> MeasurementError:
    """Return the error for a log without a line that can be used."""
    return place.complaint("no line of results: needed at least one with a size above 0")
