"""The table of ``emul perf``, in the manner of nccl-tests: one line per size, as it is ready."""

from __future__ import annotations

from emul.ops import NCCL_NAMES
from emul.report.perf_row import PerfRow
from emul.stacks import IDEAL
from emul.timing import UNLIMITED
from emul.units import format_bytes, format_rate
from emul.wall.lag import Lag
from emul.world import World

__all__ = ["PerfTable"]

# Heading, unit, width. Widths of the first five columns and of algbw, busbw and #wrong are
# those of nccl-tests, so that a script which splits its lines finds them where it expects.
ASKED = (("size", "(B)", 12), ("count", "(elements)", 12), ("type", "", 8), ("redop", "", 6),
         ("root", "", 6))  # fmt: skip
MODELLED = (("time", "(us)", 9), ("algbw", "(GB/s)", 7), ("busbw", "(GB/s)", 7),
            ("crossing", "(B)", 12), ("trunk", "(GB/s)", 7), ("bound", "(us)", 9),
            ("binding", "", 8), ("algorithm", "", 26))  # fmt: skip
MEASURED = (("time", "(us)", 9), ("lag", "(us)", 8), ("#wrong", "", 6))
COUNTED = ("overflowed", "", 10)
"""Behind all others, where whole numbers are added up or multiplied."""


class PerfTable:
    """Formats head, lines and foot. Nothing here computes."""

    def __init__(
        self, world: World, collective: str, algorithm: str, *, counts_overflow: bool = False
    ) -> None:
        """Prepare the table of one sweep; ``counts_overflow``: with a column for that."""
        self.world = world
        self.collective = collective
        self.algorithm = algorithm
        self.measured = (*MEASURED, COUNTED) if counts_overflow else MEASURED

    def head(self, version: str, how: str) -> list[str]:
        """Return the lines above the first size; ``how``: how often each is run."""
        world = self.world
        sites = ", ".join(f"{site.name} {site.ranks}" for site in world.topology.sites)
        dilation = f"  dilation {world.dilation:g}" if world.dilation != 1 else ""
        lines = [
            f"# emul {version}  {self.collective}  algorithm {self.algorithm}  {how}",
            f"# topology {world.topology.name}: {world.size} ranks ({sites})",
            f"# backend {world.ops.name}  clock {world.clock}{dilation}  seed {world.seed}  "
            f"{_slicing(world)}",
        ]
        trunk = world.topology.slowest_trunk
        if trunk is not None:
            rate = format_rate(trunk.link.available_bytes_per_s)
            lines.append(f"# slowest trunk {' - '.join(trunk.sites)}: {rate} each way")
        return [*lines, "#", *_headings(self.measured)]

    def line(self, row: PerfRow) -> str:
        """Return the line of one size."""
        asked = (row.size_bytes, row.count, _type_name(row.dtype), row.redop, row.root)
        modelled = (
            _micro(row.modelled_s, 9),
            _figure(row.algbw_GBps, 7, digits=4),
            _figure(row.busbw_GBps, 7, digits=4),
            row.cross_site_bytes,
            _figure(row.slowest_trunk_GBps, 7, digits=4),
            _micro(row.bound_s, 9),
            row.binding,
            row.algorithm,
        )
        wrong = "N/A" if row.wrong is None else f"{row.wrong:g}"
        measured = (_micro(row.wall_s, 9), _micro(row.lag_s, 8), wrong, row.overflowed)
        return "  ".join(
            f"{value!s:>{width}}"
            for values, columns in (
                (asked, ASKED),
                (modelled, MODELLED),
                (measured[: len(self.measured)], self.measured),
            )
            for value, (_, _, width) in zip(values, columns, strict=True)
        )

    def foot(self, rows: list[PerfRow], lag: Lag) -> list[str]:
        """Return the two summary lines of nccl-tests, and by how much timed calls came late.

        With a dilation, also how the columns of times belong together.
        """
        wrong = sum(row.wrong or 0 for row in rows)
        busbws = [row.busbw_GBps for row in rows if row.busbw_GBps is not None]
        average = sum(busbws) / len(busbws) if busbws else 0.0
        verdict = "OK" if wrong == 0 else "FAILED"
        lines = [
            f"# {'Out of bounds values':<20} : {wrong} {verdict}",
            f"# {'Avg bus bandwidth':<20} : {average:g}",
        ]
        below = sum(row.below_bound for row in rows)
        if below:
            said = f"{below} of {len(rows)} sizes, a defect of emul"
            lines.append(f"# {'Below the bound':<20} : {said}")
        if lag.arrivals:
            lines.append(f"# {'Lag of timed calls':<20} : {lag}")
        if lag.arrivals and lag.dilation != 1:
            lines.append(f"# {'Measured time':<20} : {lag.dilation:g} x modelled time + lag")
        return lines


def _slicing(world: World) -> str:
    slicing = world.slicing
    if world.stack is not IDEAL:
        return f"stack {world.stack.name}"
    if slicing is None:
        return "whole chunks"
    number = "any number" if slicing.slots >= UNLIMITED else slicing.slots
    return f"slices of {format_bytes(slicing.slice_bytes)}, {number} in flight"


def _headings(measured: tuple[tuple[str, str, int], ...]) -> list[str]:
    groups = (("", ASKED), ("modelled", MODELLED), ("measured", measured))
    titles = "  ".join(
        f" {title} ".center(sum(column[2] + 2 for column in columns) - 2, "-" if title else " ")
        for title, columns in groups
    )
    columns = (*ASKED, *MODELLED, *measured)
    lines = [titles]
    for part in (0, 1):
        lines.append("  ".join(f"{column[part]!s:>{column[2]}}" for column in columns))
    return ["#" + line[1:].rstrip() for line in lines]


def _type_name(dtype: str) -> str:
    return NCCL_NAMES.get(dtype, dtype)


def _micro(seconds: float | None, width: int) -> str:
    return _figure(None if seconds is None else seconds * 1e6, width)


def _figure(value: float | None, width: int, *, digits: int = 2) -> str:
    """Return ``value`` with as many of ``digits`` after the point as fit; ``-`` for None."""
    if value is None:
        return "-"
    for after_point in range(digits, -1, -1):
        text = f"{value:.{after_point}f}"
        if len(text) <= width:
            return text
    return f"{value:.1e}"
