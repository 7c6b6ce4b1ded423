"""The tables of ``emul perf``: one line per size, as it is ready; here with nccl-tests' columns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from decimal import Decimal

from emul.ops import NCCL_NAMES
from emul.report.perf_row import PerfRow
from emul.stacks import IDEAL
from emul.timing import UNLIMITED, Slicing
from emul.units import format_bytes, format_rate
from emul.wall.lag import Lag
from emul.world import World

__all__ = ["PerfTable", "WideTable", "figure", "micro", "pieces", "times_us", "wrong_of"]

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

TIME_WIDTH, LAG_WIDTH = 9, 8

SHORTEST, SHORT = len("1e+05"), len("1.2e+05")
"""Widths of a number that is too long for its column otherwise."""


class PerfTable(ABC):
    """Formats head, lines and foot. Nothing here computes."""

    def __init__(
        self, world: World, collective: str, algorithm: str, *, counts_overflow: bool = False
    ) -> None:
        """Prepare the table of one sweep; ``counts_overflow``: with a column for that."""
        self.world = world
        self.collective = collective
        self.algorithm = algorithm
        self.counts_overflow = counts_overflow

    def head(self, version: str, how: str) -> list[str]:
        """Return the lines above the first size; ``how``: how often each is run."""
        world = self.world
        sites = ", ".join(f"{site.name} {site.ranks}" for site in world.topology.sites)
        dilation = f"  dilation {world.dilation:g}" if world.dilation != 1 else ""
        lines = [
            f"# emul {version}  {self.collective}  algorithm {self.algorithm}  {how}",
            f"# topology {world.topology.name}: {world.size} ranks ({sites})",
            f"# backend {world.ops.name}  clock {world.clock}{dilation}  seed {world.seed}  "
            f"{pieces(world.slicing) if world.stack is IDEAL else f'stack {world.stack.told}'}  "
            "each call at rest",
        ]
        trunk = world.topology.slowest_trunk
        if trunk is not None:
            rate = format_rate(trunk.link.available_bytes_per_s)
            lines.append(f"# slowest trunk {' - '.join(trunk.sites)}: {rate} each way")
        return [*lines, *self.headings()]

    @abstractmethod
    def headings(self) -> list[str]:
        """Return the lines with the headings of the columns."""

    @abstractmethod
    def line(self, row: PerfRow) -> str:
        """Return the line of one size."""

    def foot(self, rows: Sequence[PerfRow], lag: Lag) -> list[str]:
        """Return the two summary lines of nccl-tests, and by how much timed calls came late.

        With a dilation, and on the virtual clock, also how the columns of times belong together.
        """
        wrong = sum(row.wrong or 0 for row in rows)
        busbws = [row.busbw_GBps for row in rows if row.busbw_GBps is not None]
        average = sum(busbws) / len(busbws) if busbws else 0.0
        verdict = f"{wrong} {'OK' if wrong == 0 else 'FAILED'}"
        for wire in {row.wire for row in rows if row.wire}:
            verdict = f"N/A, for values are rounded to {wire} on the wire"
        said = {"Out of bounds values": verdict, "Avg bus bandwidth": f"{average:g}"}
        below = sum(row.below_bound for row in rows)
        if below:
            said["Below the bound"] = f"{below} of {len(rows)} sizes, a defect of emul"
        if lag.arrivals:
            said["Lag of timed calls"] = str(lag)
        if lag.arrivals and lag.dilation != 1:
            said["Measured time"] = f"{lag.dilation:g} x modelled time + lag, but for rounding"
        if self.shows_measured and not lag.arrivals and any(row.wall_s for row in rows):
            said["Measured time"] = "computing alone, for nobody waits on the virtual clock"
        return [f"# {name:<20} : {each}" for name, each in (said | self.key()).items()]

    shows_measured = True
    """Whether there is a column of measured times."""

    def key(self) -> dict[str, str]:
        """Return the full names of cells that are shortened."""
        return {}


class WideTable(PerfTable):
    """The columns of nccl-tests, each where a script expects it."""

    def headings(self) -> list[str]:
        """Return the titles of the groups of columns, their names and their units."""
        return ["#", *_headings(self._measured())]

    def _measured(self) -> tuple[tuple[str, str, int], ...]:
        return (*MEASURED, COUNTED) if self.counts_overflow else MEASURED

    def line(self, row: PerfRow) -> str:
        """Return the line of one size."""
        columns = self._measured()
        asked = (row.size_bytes, row.count, _type_name(row.dtype), row.redop, row.root)
        modelled_us, measured_us, lag_us = times_us(row, TIME_WIDTH, LAG_WIDTH)
        modelled = (
            modelled_us,
            figure(row.algbw_GBps, 7, digits=4),
            figure(row.busbw_GBps, 7, digits=4),
            row.cross_site_bytes,
            figure(row.slowest_trunk_GBps, 7, digits=4),
            micro(row.bound_s, TIME_WIDTH),
            row.binding,
            row.algorithm,
        )
        measured = (measured_us, lag_us, wrong_of(row), row.overflowed)
        return "  ".join(
            f"{value!s:>{width}}"
            for values, headed in (
                (asked, ASKED),
                (modelled, MODELLED),
                (measured[: len(columns)], columns),
            )
            for value, (_, _, width) in zip(values, headed, strict=True)
        )


def pieces(slicing: Slicing | None) -> str:
    """Return in words the pieces in which chunks are sent on."""
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


def wrong_of(row: PerfRow) -> str:
    """Return the number of wrong elements; N/A where nothing was checked."""
    return "N/A" if row.wrong is None else f"{row.wrong:g}"


def times_us(row: PerfRow, width: int, lag_width: int) -> tuple[str, str, str]:
    """Return the modelled and the measured time and the lag, in microseconds.

    The times have equally many digits after the point, so that they can be compared; without a
    dilation, the lag is their difference as they are printed, digit by digit.
    """
    if row.wall_s is None:
        return micro(row.modelled_s, width), "-", "-"
    both_us = (row.modelled_s * 1e6, row.wall_s * 1e6)
    for after_point in range(2, -1, -1):
        modelled, measured = (f"{each:.{after_point}f}" for each in both_us)
        if not width or max(len(modelled), len(measured)) <= width:
            break
    else:
        return micro(row.modelled_s, width), micro(row.wall_s, width), micro(row.lag_s, lag_width)
    lag = micro(row.lag_s, lag_width)
    if row.lag_s is not None and row.dilation == 1:
        exact = str(Decimal(measured) - Decimal(modelled))
        lag = exact if not lag_width or len(exact) <= lag_width else lag
    return modelled, measured, lag


def micro(seconds: float | None, width: int) -> str:
    """Return ``seconds`` in microseconds, in at most ``width`` characters."""
    return figure(None if seconds is None else seconds * 1e6, width)


def figure(value: float | None, width: int, *, digits: int = 2) -> str:
    """Return ``value`` with as many of ``digits`` after the point as fit; ``-`` for None.

    A width of 0 is room for all of them.
    """
    if value is None:
        return "-"
    for after_point in range(digits, -1, -1):
        text = f"{value:.{after_point}f}"
        if len(text) <= width or not width:
            return text
    return f"{value:.0e}" if SHORTEST <= width < SHORT else f"{value:.1e}"
