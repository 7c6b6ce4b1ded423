"""When the steps of a plan must have come, as a clock that waits step by step needs it."""

from __future__ import annotations

import numpy as np

from emul.arrays import Int64Array
from emul.plans import Program
from emul.timing.timeline import Timeline
from emul.timing.traffic import Traffic

__all__ = ["step_deadlines_ps"]


def step_deadlines_ps(program: Program, timeline: Timeline) -> Int64Array:
    """Return when all that each step of ``program`` sends has come: (steps,), picoseconds.

    ``timeline`` is that of ``program``. Steps may overlap in the timeline; carried out one after
    the other, none ends before the one before it, so the times never fall, and the last is
    ``timeline.total_ps``.
    """
    done, first = timeline.done_ps, program.first_of_step
    if isinstance(timeline.transfers, Traffic):  # whole messages or slices
        first = timeline.transfers.first_of_step
    else:  # handshakes stand between the messages, and do not begin one
        done = done[np.flatnonzero(timeline.begins)]
    if len(done) == 0:
        return np.zeros(len(program.first_of_step) - 1, dtype=np.int64)
    ends: Int64Array = np.maximum.accumulate(np.maximum.reduceat(done, first[:-1]))
    ends[-1] = timeline.total_ps
    return ends
