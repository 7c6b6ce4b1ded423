"""The names that nccl-tests uses, and the checks of its columns (src/common.cu, src/*.cu)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from emul.errors import EmulError
from emul.measured.forms import COLLECTIVES
from emul.measured.measurement import IN_PLACE, Hints, Measurement
from emul.plans import collective_named
from emul.reading.place import Place

__all__ = [
    "PROGRAM",
    "Half",
    "NcclRow",
    "algorithm_named",
    "check_bandwidths",
    "check_columns",
    "check_errors",
    "collective_of",
    "measurements_of",
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
NOT_IN_PLACE = ("all_to_all", "send_recv")
"""Programs that do not check the result in place (alltoall.cu and sendrecv.cu, reportErrors)."""
ERROR_ALLOWED: Mapping[str, float] = MappingProxyType(
    {"half": 1e-2, "bfloat16": 1e-2, "float": 1e-5, "double": 1e-12}
)
"""Relative errors for each rank but one that versions before 2.13 allow (DeltaMaxValue)."""
ALIKE = 0.01


@dataclass(frozen=True, slots=True)
class Half:
    """The numbers of a row out of place or in place; bandwidths in 10^9 bytes per second.

    ``checked``: whether the result was compared; ``error``: the largest relative error, of old
    versions. ``rounding`` is that of the time as printed, relative, ``rounding_gb_per_s`` that of
    the bandwidths.
    """

    place: str
    time_s: float
    algbw_gb_per_s: float
    busbw_gb_per_s: float
    checked: bool = True
    error: float = 0.0
    rounding: float = 0.0
    rounding_gb_per_s: float = 0.005


@dataclass(frozen=True, slots=True)
class NcclRow:
    """A line of the table, with its halves.

    ``experiment`` is the name that JSON gives to a line; its ``here`` is sought only when needed.
    """

    here: Callable[[], Place]
    size_bytes: int
    count: int
    dtype: str
    redop: str
    root: str
    halves: tuple[Half, ...]
    experiment: str = ""


def program_named(name: str, place: Place) -> str:
    """Return the collective of the program ``name``, which comes without ``_perf``."""
    if name not in PROGRAMS:
        known = ", ".join(f"{each}_perf" for each in PROGRAMS)
        raise place.refusal(f"{name}_perf", f"the output of {known}")
    return PROGRAMS[name]


def collective_of(rows: Sequence[NcclRow], world_size: int, hints: Hints, place: Place) -> str:
    """Return the collective that a log without the name of its program is of.

    Operator, root, the elements that ``count`` counts, busbw and the checks in place leave one
    collective, or several, for which the user has to say it.
    """
    by_columns = _of_columns(rows)
    if hints.collective:
        _check_columns(hints.collective, by_columns, "--collective", place)
        return hints.collective
    left = [each for each in by_columns if _busbw_misfit(rows, each, world_size) is None]
    inside = [half for row in rows for half in row.halves if half.place == IN_PLACE]
    if _unchecked_in_place(rows):
        left = [each for each in left if each in NOT_IN_PLACE]
    elif inside and all(half.checked for half in inside):
        left = [each for each in left if each != "send_recv"] or left
    if len(left) != 1:
        known = f" (it may be {' or '.join(left)})" if left else ""
        raise place.complaint(
            f"the log does not say of which collective it is{known}: needed --collective"
        )
    return left[0]


def check_columns(rows: Sequence[NcclRow], collective: str, place: Place) -> None:
    """Refuse a log whose operator, root and counts do not fit its program."""
    _check_columns(collective, _of_columns(rows), "the program", place)


def _check_columns(collective: str, known: Sequence[str], said_by: str, place: Place) -> None:
    if known and collective not in known:
        raise place.complaint(
            f"{collective} by {said_by}, and redop, root and count are those of "
            f"{' or '.join(known)}: needed a log of one program, and the right --collective"
        )


def _of_columns(rows: Sequence[NcclRow]) -> list[str]:
    """Return the collectives that operator, root and the unit of ``count`` allow.

    All rows have elements, so the first tells as much as any other.
    """
    row = rows[0]
    reduces, rooted = row.redop not in ("none", ""), bool(ROOT.fullmatch(row.root))
    item_bytes = ITEM_BYTES.get(row.dtype, 0)
    in_blocks = row.count * item_bytes != row.size_bytes if item_bytes else None
    return [
        name
        for name in PROGRAMS.values()
        for kind in [collective_named(name)]
        # sendrecv prints the operator that it was given, and none in versions before 2.13.
        if name == "send_recv" or kind.reduces == reduces
        if kind.rooted == rooted
        if in_blocks is None or kind.in_blocks == in_blocks
    ]


def _unchecked_in_place(rows: Sequence[NcclRow]) -> bool:
    """Say whether results were checked out of place, and none in place."""
    both = [row.halves for row in rows if len(row.halves) == 2]
    return bool(both) and all(out.checked and not inside.checked for out, inside in both)


def check_bandwidths(rows: Sequence[NcclRow], collective: str, world_size: int) -> None:
    """Refuse a log whose algbw is not size over time, or whose busbw does not fit
    ``collective``."""
    for row in rows:
        for half in row.halves:
            expected = row.size_bytes / half.time_s / 1e9
            slack = expected * (half.rounding + ALIKE) + half.rounding_gb_per_s
            if abs(half.algbw_gb_per_s - expected) > slack:
                raise row.here().complaint(
                    f"algbw {half.algbw_gb_per_s:g} {half.place} is not {row.size_bytes} B / "
                    f"{half.time_s * 1e6:g} us, which is {expected:.4g} GB/s: needed the line as "
                    "it was printed"
                )
    misfit = _busbw_misfit(rows, collective, world_size)
    if misfit:
        raise misfit


def _busbw_misfit(rows: Sequence[NcclRow], collective: str, world_size: int) -> EmulError | None:
    """Return the error for the first busbw that is not of ``collective``, if there is one."""
    factor = collective_named(collective).bus_factor(world_size)
    for row in rows:
        for half in row.halves:
            expected, came = half.algbw_gb_per_s * factor, half.busbw_gb_per_s
            slack = expected * ALIKE + half.rounding_gb_per_s * (1 + factor)
            if abs(came - expected) > slack:
                return row.here().complaint(
                    f"busbw {came:g} is not {factor:.4g} x algbw {half.algbw_gb_per_s:g}, as of "
                    f"{collective} over {world_size} ranks: needed the right --collective and "
                    "--world-size"
                )
    return None


def check_errors(rows: Sequence[NcclRow], world_size: int) -> None:
    """Refuse relative errors that old versions do not allow, where no closing line tells."""
    for row in rows:
        allowed = ERROR_ALLOWED.get(row.dtype, 0.0) * (world_size - 1)
        for half in row.halves:
            if half.error > allowed:
                raise row.here().complaint(
                    f"error {half.error:g} {half.place} of {row.dtype}: needed at most "
                    f"{allowed:g}, for only what is right counts"
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
    """Return the number of ranks: as listed, or as the user says, or of one process."""
    found = sum(hosts) or hints.world_size or processes
    if found < 2:
        raise place.complaint(
            f"{found} ranks: needed a log of 2 ranks or more, or --world-size (each process of "
            "nccl-tests built without MPI=1 is rank 0 of a world of its own)"
        )
    return found


def measurements_of(
    rows: Sequence[NcclRow], collective: str, world_size: int, source: str
) -> tuple[Measurement, ...]:
    """Return a measurement for each half of each row."""
    return tuple(
        Measurement(
            collective,
            half.time_s,
            source,
            row.size_bytes,
            world_size,
            algorithm_named(row.experiment)[1],
            place=half.place,
        )
        for row in rows
        for half in row.halves
    )


def algorithm_named(experiment: str) -> tuple[str, str]:
    """Return the collective and the algorithm in the name that emul gives to a result."""
    words = experiment.split()
    if len(words) > 2 and words[0] in COLLECTIVES:
        return words[0], words[-1]
    return "", ""


def no_rows(place: Place) -> EmulError:
    """Return the error for a log without a line that can be used."""
    return place.complaint("no line of results: needed at least one with a size above 0")
