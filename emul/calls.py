"""One call of a collective: its arithmetic, and its time on the modelled clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from emul.errors import unknown_name
from emul.flights import Flight
from emul.handles import Handle
from emul.memory import ALWAYS_THERE_BYTES
from emul.ops import REDUCTIONS, Ops, TimedOps
from emul.ops.buffers import Buffers
from emul.planning import Algorithm
from emul.plans import Counts, Program, collective_named
from emul.run import Prediction, Run
from emul.timing import now_ns, step_deadlines_ps

if TYPE_CHECKING:
    from emul.communicator import Communicator
    from emul.world import World

__all__ = ["carry_out"]

LATEST_NS = float(1 << 60)
"""So far ahead a device can be told to wait: 36 years."""

Int64Array = npt.NDArray[np.int64]


def carry_out(
    between: Communicator,
    name: str,
    x: Any,
    out: Any,
    *,
    op: str = "sum",
    counts: Counts | None = None,
    algorithm: Algorithm,
    root: int = 0,
    async_op: bool,
) -> Run | Handle:
    """Carry out a collective ``between`` ranks, or issue it; its arithmetic is done either way.

    Raises what is wrong with the arguments before anything is touched; a call that fails, or is
    interrupted, leaves its input as it was.
    """
    started_ns = now_ns()
    if op not in REDUCTIONS:
        raise unknown_name("op", op, REDUCTIONS)
    world, collective = between.world, collective_named(name)
    ops = world.ops if type(x) is np.ndarray else world.ops_taking(x)
    on_wall, n = world.clock == "wall", between.size
    revocable, arrays = on_wall and not async_op, ops.arrays
    buffers = Buffers(collective, n, x, out, counts, revocable=revocable, arrays=arrays)
    itemsize = buffers.x.dtype.itemsize
    program, prediction = between.prepare(buffers.shape, algorithm, root, itemsize)
    new_bytes = ops.new_bytes(program, buffers, op, root)
    if new_bytes >= ALWAYS_THERE_BYTES:
        arrays.check_fits(new_bytes, f"{name} over {n} ranks")
    alone = world.progress.admit(between, program, prediction, waits=not async_op)
    try:
        if on_wall or async_op:
            call = _Call(world, between, ops, buffers, program, prediction, op, root, started_ns)
            return call.issued() if async_op else call.on_time(alone=alone)
        output = ops.perform(program, buffers, op, root)
    except BaseException:
        buffers.restore()
        raise
    flight = world.progress.call(between, program, prediction)
    reduced = (buffers.x, output, op, arrays) if collective.reduces else None
    wall_s = (now_ns() - started_ns) / 1e9
    return Run(buffers.returned(output), prediction, wall_s, None, reduced, None, flight)


class _Call(NamedTuple):
    """A call that waits on the wall clock, or is waited for."""

    world: World
    between: Communicator
    ops: Ops
    buffers: Buffers
    program: Program
    prediction: Prediction
    op: str
    root: int
    started_ns: int

    def on_time(self, *, alone: bool) -> Run:
        """Return the run on the wall clock, when its moment has come.

        Devices that wait by themselves do so step by step if the ranks are ``alone``.
        """
        world = self.world
        world.set_out(self.started_ns)
        step_lag_s = None
        if alone and isinstance(self.ops, TimedOps):
            output, late_ns = self.ops.perform_on_time(
                self.program,
                self.buffers,
                self.op,
                self.root,
                due_ns=_steps_due_ns(self.program, self.prediction, world.dilation),
                started_ns=self.started_ns,
            )
            step_lag_s = late_ns / 1e9
        else:
            output = self.ops.perform(self.program, self.buffers, self.op, self.root)
        flight = world.progress.call(self.between, self.program, self.prediction)
        ended_ns, lag_s = world.pace.wait(world.progress.moment_ps(self.between.ranks))
        wall_s = (ended_ns - self.started_ns) / 1e9
        return self._run(output, flight, wall_s, lag_s, step_lag_s)

    def issued(self) -> Handle:
        """Return the handle of a collective that is under way from now on."""
        world = self.world
        if world.clock == "wall":
            world.set_out(self.started_ns)
        output = self.ops.perform(self.program, self.buffers, self.op, self.root)
        flight = world.progress.issue(self.between, self.program, self.prediction)
        return Handle(world, flight, self._run(output, flight, 0.0), self.started_ns)

    def _run(
        self,
        output: Any,
        flight: Flight,
        wall_s: float,
        lag_s: float | None = None,
        step_lag_s: Any = None,
    ) -> Run:
        buffers = self.buffers
        reduces = buffers.collective.reduces
        reduced = (buffers.x, output, self.op, self.ops.arrays) if reduces else None
        returned = buffers.returned(output)
        return Run(returned, self.prediction, wall_s, lag_s, reduced, step_lag_s, flight)


def _steps_due_ns(program: Program, prediction: Prediction, dilation: float) -> Int64Array:
    """Return when each step is due on the wall clock, in nanoseconds from the start."""
    deadlines_ps = step_deadlines_ps(program, prediction.timeline)
    due_ns = np.ceil(deadlines_ps * dilation / 1000)
    return np.minimum(due_ns, LATEST_NS).astype(np.int64)
