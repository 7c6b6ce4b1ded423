"""The wall clock of a World: when results are handed over, and how late they may be.

Modelled moments are counted from when nothing was under way.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from emul.arrays import Array, Int64Array
from emul.errors import ArgumentError, LagError, TimeLimitError, shown
from emul.ops import Ops, TimedOps
from emul.ops.arrays import HOST
from emul.ops.buffers import Buffers
from emul.ops.shapes import NoArithmetic
from emul.ops.wire_steps import perform_in_float32
from emul.plans import Program
from emul.reading.checks import finite
from emul.timing import Timeline
from emul.units import PS_PER_S, format_time
from emul.wall.lag import (
    CallTimes,
    Lag,
    LagRecord,
    round_up,
)
from emul.wall.pacer import (
    margin_ns,
    may_be_realtime,
    now_ns,
    wait_until,
)
from emul.wall.step_deadlines import step_deadlines_ps
from emul.wall.worker import Pending, Worker

__all__ = ["AUTO_DILATION", "REHEARSALS", "Result", "WallClock", "Work", "checked_dilation"]

AUTO_DILATION = "auto"

REHEARSALS = 3
"""How often the first call is carried out to find a dilation; of each call the quickest counts, for
the first one compiles, allocates and fills caches."""

HEADROOM = 1.25
"""By how much a dilation that was found is larger than the rehearsal needed: no call is as
quick as the quickest. An assumption."""

STRICT_S = 1e-4
"""The bound of strict=True: waits on a quiet core end within 60 us (bench/results/waits.json)."""


MOST_DILATION = 1e12
"""A microsecond becomes 12 days."""

LATEST_NS = float(1 << 60)
"""So far ahead a device can be told to wait: 36 years."""


class Work(NamedTuple):
    """The arithmetic of one call: its backend, its arrays and its program.

    ``is_timed``: whether the program is the one that is timed, so that a device can wait for each
    step; not where the arrays are smaller than the size that is.
    """

    ops: Ops
    program: Program
    buffers: Buffers
    reduction: str
    root: int
    is_timed: bool = True

    @property
    def is_for_worker(self) -> bool:
        """Whether there is arithmetic that a thread of the host does."""
        return self.ops.arrays is HOST and not isinstance(self.ops, NoArithmetic)

    def perform(self) -> Any:
        """Carry it out at once, and return the output."""
        return self.ops.perform(self.program, self.buffers, self.reduction, self.root)

    def perform_in_float32(self) -> Array:
        """Carry it out on the same input without the wire format, and return the output."""
        return perform_in_float32(
            self.ops.perform, self.program, self.buffers, self.reduction, self.root
        )


class Result(NamedTuple):
    """The output of a call, and when it was ready.

    ``step_lag_s`` (steps,): by how much each step was late, where a device waits for each.
    """

    output: Any
    call_times: CallTimes
    step_lag_s: npt.NDArray[np.float64] | None = None


class WallClock:
    """Hands results over when they are due, and keeps how late that was.

    Safe to use from several threads, and in children that are forked.
    """

    def __init__(self, dilation: float | None, strict: bool | float, *, realtime: bool) -> None:
        """Take a dilation, None for one that is yet to be found, and the most lag in seconds.

        Raises ArgumentError for a bound below 0.
        """
        self.strict_s = _strict_s(strict)
        self.realtime = realtime and may_be_realtime()
        self._dilation = dilation
        self._record = LagRecord()
        self._worker = Worker()
        self._rehearsed: dict[Hashable, float] | None = None
        self._from_ns = self._from_ps = 0

    @property
    def dilation(self) -> float:
        """By how much modelled time is stretched; 1 until it has been found."""
        return 1.0 if self._dilation is None else self._dilation

    @property
    def undecided(self) -> bool:
        """Whether the dilation is yet to be found, and no rehearsal is on."""
        return self._dilation is None and self._rehearsed is None

    @property
    def waits(self) -> bool:
        """Whether calls wait, being in no rehearsal."""
        return self._rehearsed is None

    @property
    def lag(self) -> Lag:
        """The lag of all calls so far, rehearsals apart."""
        return self._record.summary(self.dilation)

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Let calls take their time, and find the dilation with which they would be on time.

        It is at least 1. A rehearsal that fails, or in which nothing was called, finds none.
        """
        rehearsed: dict[Hashable, float] = {}
        self._rehearsed = rehearsed
        try:
            yield
        finally:
            self._rehearsed = None
        if rehearsed:
            self._dilation = max(1.0, round_up(HEADROOM * max(rehearsed.values())))

    def begin(self) -> int:
        """Return the time at which a call begins, after the margin of waits is known."""
        margin_ns()  # unknown at first, and in a process that was forked
        return now_ns()

    def start(self, started_ns: int, moment_ps: int) -> None:
        """Count from a modelled moment that has come at ``started_ns`` of the monotonic clock."""
        self._from_ns, self._from_ps = started_ns, moment_ps

    def due_ns(self, moment_ps: int) -> int:
        """Return when a modelled moment is due on the monotonic clock."""
        after_ns = (moment_ps - self._from_ps) * self.dilation / 1000
        if not after_ns < LATEST_NS:
            raise TimeLimitError(
                f"{format_time((moment_ps - self._from_ps) / PS_PER_S)} with a dilation of "
                f"{self.dilation:g}: nobody waits for more than {format_time(LATEST_NS / 1e9)}: "
                "needed a smaller one"
            )
        return self._from_ns + math.ceil(after_ns)

    def has_come(self, moment_ps: int) -> bool:
        """Say whether a modelled moment is due by now."""
        return not self.waits or now_ns() >= self.due_ns(moment_ps)

    def wait(self, moment_ps: int) -> None:
        """Return when a modelled moment has come; at once in a rehearsal."""
        if self.waits:
            wait_until(self.due_ns(moment_ps), realtime=self.realtime)

    def carry_out(
        self, work: Work, timeline: Timeline, started_ns: int, *, in_steps: bool = True
    ) -> Result:
        """Do the ``work`` of a call as early as can be, without the GIL; ``hand_over`` waits.

        With ``in_steps``, a device that waits for each step does so here. In a rehearsal, nobody
        waits.
        """
        if in_steps and work.is_timed and isinstance(work.ops, TimedOps):
            output, ready_ns, late_ns = self._in_steps(work.ops, work, timeline, started_ns)
        else:
            output, late_ns = work.perform(), None
            ready_ns = now_ns()
        modelled_ps, rehearsed = timeline.total_ps, self._rehearsed
        if rehearsed is not None:
            needed = _needed_dilation(ready_ns - started_ns, modelled_ps)
            rehearsed[work.program] = min(needed, rehearsed.get(work.program, math.inf))
        times = CallTimes.at_once(started_ns, ready_ns, modelled_ps / PS_PER_S)
        return Result(output, times, None if late_ns is None else late_ns / 1e9)

    def set_about(self, work: Work, timeline: Timeline, started_ns: int) -> Pending[Result]:
        """Begin with the work of a call, and return at once; a worker does it in order of issue.

        Its input is left as it was if that fails. When this returns, only the work of a device,
        which goes its own way anyway, of a rehearsal, which takes its time, and of a call without
        data, which is none, is done.
        """

        def task() -> Result:
            try:
                return self.carry_out(work, timeline, started_ns, in_steps=False)
            except BaseException:
                work.buffers.restore()
                raise

        if self.waits and work.is_for_worker:
            return self._worker.begin(task)
        return Pending(None, task())

    def rehearse(self, work: Work, timeline: Timeline) -> None:
        """Find the dilation with which ``work`` is on time; inputs are left as they were."""
        buffers = work.buffers
        with self.rehearsal():
            for _ in range(REHEARSALS):
                if buffers.in_place:
                    buffers.keep()
                try:
                    self.carry_out(work, timeline, now_ns())
                finally:
                    buffers.restore()

    def _in_steps(
        self, ops: TimedOps, work: Work, timeline: Timeline, started_ns: int
    ) -> tuple[Any, int, Int64Array]:
        """Return output, when it was ready, and by how much each step was late."""
        deadlines_ps = step_deadlines_ps(work.program, timeline)
        due_ns = np.minimum(np.ceil(deadlines_ps * self.dilation / 1000), LATEST_NS)
        due_ns = (due_ns if self._rehearsed is None else np.zeros(len(due_ns))).astype(np.int64)
        output, late_ns = ops.perform_on_time(
            work.program,
            work.buffers,
            work.reduction,
            work.root,
            due_ns=due_ns,
            started_ns=started_ns,
        )
        if not len(due_ns):
            return output, now_ns(), late_ns
        return output, started_ns + int(due_ns[-1] + late_ns[-1]), late_ns

    def hand_over(self, name: str, times: CallTimes, moment_ps: int) -> None:
        """Return when a modelled moment has come, the due moment of ``times``, and set their end.

        ``name``: of the call, for the error. Raises LagError when it is later than is allowed. In a
        rehearsal it is due at once.
        """
        if not self.waits:
            return
        self._record.tidy()
        times.due_ns = self.due_ns(moment_ps)
        times.modelled_s = (times.due_ns - times.started_ns) / self.dilation / 1e9
        latest_ns = times.due_ns + self.strict_s * 1e9
        times.asked_ns = now_ns()
        times.ended_ns = wait_until(times.due_ns, realtime=self.realtime)
        self._record.add(times)
        if times.ended_ns > latest_ns:
            raise too_late(name, times, self.strict_s, self.dilation)


def _needed_dilation(busy_ns: int, modelled_ps: int) -> float:
    """Return the least dilation with which a call is ready when due; 1 if that takes no time."""
    return busy_ns * 1000 / modelled_ps if modelled_ps else 1.0


def too_late(name: str, times: CallTimes, strict_s: float, dilation: float) -> LagError:
    """Return the error for a result that came later than ``strict_s`` after its moment."""
    busy_s = (times.ready_ns - times.started_ns) / 1e9
    enough = times.enough_dilation(strict_s)
    if times.arithmetic_ns + times.program_ns <= strict_s * 1e9:
        why = "the wait ended late, as others had the core or the GIL: use a quieter machine"
    elif times.program_ns > times.arithmetic_ns:
        why = (
            f"nobody asked for it for {format_time(times.program_ns / 1e9)}, as the program, or "
            "emul itself, was at something else: do less between calls, use a larger dilation"
        )
    elif enough > 0:
        why = (
            f"it was ready after {format_time(busy_s)}: a dilation of {round_up(enough):g} would "
            "have been enough; use it, a smaller size"
        )
    else:
        why = f"it was ready after {format_time(busy_s)}: use a smaller size"
    return LagError(
        f"{name}: {format_time(times.lag_ns / 1e9)} behind its modelled moment, "
        f"{format_time(times.modelled_s)} with a dilation of {dilation:g}: needed at most "
        f"{format_time(strict_s)} (strict); {why}, or a larger bound"
    )


def checked_dilation(given: float | str) -> float | None:
    """Return the dilation ``given``, None for ``auto``; raises ArgumentError for others."""
    if isinstance(given, str) and given == AUTO_DILATION:
        return None
    needed = f"a finite number above 0, or {AUTO_DILATION!r}"
    if isinstance(given, str):
        raise ArgumentError(f"dilation {shown(given)[1:-1]}: needed {needed}")
    dilation = finite(given, "dilation", needed, least=0)
    if not dilation:
        raise ArgumentError(f"dilation {shown(given)}: needed {needed}")
    if dilation > MOST_DILATION:
        raise ArgumentError(f"dilation {shown(given)}: needed at most {MOST_DILATION:g}")
    return given if isinstance(given, int | float) else dilation


def _strict_s(given: bool | float) -> float:
    """Return the most lag in seconds; infinite without a bound."""
    if isinstance(given, bool | np.bool_):
        return STRICT_S if given else math.inf
    return finite(given, "strict", "True, False, or seconds, 0 or more", least=0)
