"""The measured lag of results behind their modelled moments, and its causes."""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from emul.reading.brief import brief
from emul.units import format_time

__all__ = ["CallTimes", "Lag", "LagRecord", "round_up"]

EXACT_BITS = 8
"""Of the lags that a record counts: they are rounded down by 0.8 % at most, so that it stays small
however many there are."""

GOOD_TO_KNOW = 0.01
"""A dilation is named in words when the machine was behind for so large a part of the time."""

PENDING_AT_MOST = 64
"""Of arrivals that are yet to be counted in."""

SHARES = (0.5, 0.99, 1.0)

_LOCK = threading.RLock()
"""Of all records; held while a process is forked, so that a child never finds it taken."""

os.register_at_fork(
    before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release
)


@dataclass(slots=True)
class CallTimes:
    """When a call began, when its result was there, was due and was handed over, in nanoseconds.

    All of the monotonic clock. ``asked_ns``: when the wait for it began. ``modelled_s``: from its
    start until it was due, before dilation. ``ended_ns`` is set at last: little is left to do then,
    for code that runs after a long sleep is slow.
    """

    started_ns: int
    ready_ns: int
    due_ns: int
    asked_ns: int
    ended_ns: int
    modelled_s: float

    __repr__ = brief

    @classmethod
    def at_once(cls, started_ns: int, ready_ns: int, modelled_s: float) -> CallTimes:
        """Return one that is handed over when it is ready: nobody waits, or not yet."""
        return cls(started_ns, ready_ns, ready_ns, ready_ns, ready_ns, modelled_s)

    @property
    def lag_ns(self) -> int:
        """How far behind its modelled moment the result was handed over."""
        return self.ended_ns - self.due_ns

    @property
    def arithmetic_ns(self) -> int:
        """How much of that the result was not there yet."""
        return max(0, self.ready_ns - self.due_ns)

    @property
    def program_ns(self) -> int:
        """How much of that it was there, and nobody asked; the rest is that a wait ended late."""
        return max(0, self.asked_ns - max(self.ready_ns, self.due_ns))

    def enough_dilation(self, allowed_s: float = 0.0) -> float:
        """Return the least dilation with which the result would have been ready when due.

        ``allowed_s``: so much later is early enough. 0 where no time is modelled.
        """
        busy_s = (self.ready_ns - self.started_ns) / 1e9 - allowed_s
        return busy_s / self.modelled_s if self.modelled_s else 0.0


@dataclass(frozen=True, slots=True)
class Lag:
    """By how much ``arrivals`` came behind their due time: median, 99th percentile and most.

    ``behind_share``: which part of the measured time of the calls their results were overdue.
    ``arithmetic_s``, ``program_s`` and ``waiting_s``: how long, summed up, results were overdue
    because they were not there, because nobody asked for them (the program, or emul itself, was at
    something else), and because waits ended late. ``dilation``: with which this was.
    ``enough_dilation``: the least with which every result would have been there in time; below
    ``dilation`` if the machine had time to spare. Calls that are modelled to take no time are
    passed over.
    """

    arrivals: int
    median_s: float
    p99_s: float
    max_s: float
    behind_share: float
    arithmetic_s: float
    program_s: float
    waiting_s: float
    dilation: float
    enough_dilation: float

    __repr__ = brief

    @classmethod
    def of(
        cls,
        arrivals: Sequence[CallTimes],
        dilation: float,
        step_lag_s: npt.NDArray[np.float64] | None = None,
    ) -> Lag:
        """Return the lag of calls: of their results, or of the steps (steps,) of one if given."""
        lags_s = np.array([arrival.lag_ns / 1e9 for arrival in arrivals])
        if step_lag_s is not None and len(step_lag_s):
            lags_s = step_lag_s
        behind_ns = sum(arrival.lag_ns for arrival in arrivals)
        arithmetic_ns = sum(arrival.arithmetic_ns for arrival in arrivals)
        program_ns = sum(arrival.program_ns for arrival in arrivals)
        taken_ns = sum(arrival.ended_ns - arrival.started_ns for arrival in arrivals)
        median_s, p99_s, max_s = np.quantile(lags_s, SHARES, method="inverted_cdf").tolist()
        return cls(
            arrivals=len(lags_s),
            median_s=median_s,
            p99_s=p99_s,
            max_s=max_s,
            behind_share=behind_ns / taken_ns if taken_ns else 0.0,
            arithmetic_s=arithmetic_ns / 1e9,
            program_s=program_ns / 1e9,
            waiting_s=(behind_ns - arithmetic_ns - program_ns) / 1e9,
            dilation=dilation,
            enough_dilation=max(arrival.enough_dilation() for arrival in arrivals),
        )

    @property
    def blame(self) -> str:
        """The cause of most of the lag: ``arithmetic``, ``program``, ``waiting``, or ``none``."""
        causes = {name: getattr(self, f"{name}_s") for name in ("waiting", "program", "arithmetic")}
        return max(causes, key=causes.__getitem__) if any(causes.values()) else "none"

    def __str__(self) -> str:
        """Say it in words; with the dilation that would have been enough, where one would be."""
        said = (
            f"median {format_time(self.median_s)}, 99 % within {format_time(self.p99_s)}, "
            f"at most {format_time(self.max_s)}; behind for {self.behind_share:.2g} of the time, "
            f"by {self.blame}"
        )
        if self.behind_share < GOOD_TO_KNOW or self.enough_dilation <= self.dilation:
            return said
        return f"{said}; a dilation of {round_up(self.enough_dilation):g} would have been enough"


class LagRecord:
    """Collects arrivals, any number of them in little memory; safe to use from several threads."""

    def __init__(self) -> None:
        """Begin with none."""
        self._pending: deque[CallTimes] = deque()
        self._counts: dict[int, int] = {}
        self._most_ns = self._behind_ns = self._taken_ns = 0
        self._arithmetic_ns = self._program_ns = 0
        self._enough_dilation = 0.0

    def add(self, arrival: CallTimes) -> None:
        """Take one, to be counted in later."""
        self._pending.append(arrival)

    def tidy(self) -> None:
        """Count the pending ones in, if they have become many."""
        if len(self._pending) >= PENDING_AT_MOST:
            with _LOCK:
                self._count_in()

    def _count_in(self) -> None:
        """Count the pending ones in; the lock is held."""
        while self._pending:
            arrival = self._pending.popleft()
            lag_ns = arrival.lag_ns
            shift = max(0, lag_ns.bit_length() - EXACT_BITS)
            about_ns = lag_ns >> shift << shift
            self._counts[about_ns] = self._counts.get(about_ns, 0) + 1
            self._most_ns = max(self._most_ns, lag_ns)
            self._behind_ns += lag_ns
            self._arithmetic_ns += arrival.arithmetic_ns
            self._program_ns += arrival.program_ns
            self._taken_ns += arrival.ended_ns - arrival.started_ns
            self._enough_dilation = max(self._enough_dilation, arrival.enough_dilation())

    def summary(self, dilation: float) -> Lag:
        """Return the distribution of all that were added; 0 without any."""
        with _LOCK:
            self._count_in()
            lags_ns = np.array(sorted(self._counts), dtype=np.int64)
            counts = np.array([self._counts[each] for each in lags_ns.tolist()], dtype=np.int64)
            median_s, p99_s = (_quantile(lags_ns, counts, q) / 1e9 for q in (0.5, 0.99))
            return Lag(
                int(counts.sum()),
                median_s,
                p99_s,
                self._most_ns / 1e9,
                self._behind_ns / self._taken_ns if self._taken_ns else 0.0,
                self._arithmetic_ns / 1e9,
                self._program_ns / 1e9,
                (self._behind_ns - self._arithmetic_ns - self._program_ns) / 1e9,
                dilation,
                self._enough_dilation,
            )


def _quantile(values: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], share: float) -> int:
    """Return the least of the rising ``values`` that ``share`` of all do not exceed; 0 of none."""
    if not len(values):
        return 0
    reached = np.cumsum(counts)
    return int(values[np.searchsorted(reached, math.ceil(share * int(reached[-1])))])


def round_up(dilation: float) -> float:
    """Return ``dilation`` rounded up to two digits."""
    if dilation <= 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(dilation)) - 1)
    return float(f"{math.ceil(dilation / unit - 1e-9) * unit:.2g}")
