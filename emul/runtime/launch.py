"""One call of a collective: its arithmetic, and its time on the modelled clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from emul.memory import ALWAYS_THERE_BYTES
from emul.ops import REDUCTIONS
from emul.ops.buffers import Buffers
from emul.plans import Counts, collective_named
from emul.reading.checks import flag, one_of, rank
from emul.runtime.busy_period import Flight
from emul.runtime.handle import Handle
from emul.runtime.planner import Algorithm
from emul.runtime.run import Prediction, Reduced, Run
from emul.wall.clock import Result, Work
from emul.wall.lag import Arrival
from emul.wall.pacer import now_ns
from emul.wall.worker import Pending

if TYPE_CHECKING:
    from emul.communicator import Communicator
    from emul.world import World

__all__ = ["carry_out"]


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
    """Carry out a collective ``between`` ranks, or issue it.

    Raises what is wrong with the arguments before anything is touched; a call that fails, or is
    interrupted, leaves its input as it was.
    """
    world, collective = between.world, collective_named(name)
    on_wall, n, made = world.clock == "wall", between.size, between.plans_made
    started_ns = world.wall.begin() if on_wall else now_ns()
    op, async_op = one_of(op, "op", REDUCTIONS), flag(async_op, "async_op")
    root = rank(root, "root", n)
    ops = world.ops if type(x) is np.ndarray else world.ops_taking(x)
    revocable, arrays = on_wall and not async_op, ops.arrays
    buffers = Buffers(collective, n, x, out, counts, revocable=revocable, arrays=arrays)
    itemsize = buffers.x.dtype.itemsize
    program, prediction = between.prepare(buffers.shape, algorithm, root, itemsize)
    new_bytes = ops.new_bytes(program, buffers, op, root)
    if new_bytes >= ALWAYS_THERE_BYTES:  # asked here too: small calls need no words
        arrays.check_fits(new_bytes, f"{name} over {n} ranks")
    alone = world.progress.admit(between, program, prediction, waits=not async_op)
    if between.plans_made != made:  # a plan that was not there yet is no part of the call
        started_ns = now_ns()
    try:
        if on_wall or async_op:
            work = Work(ops, program, buffers, op, root)
            call = _Call(world, between, work, prediction, started_ns)
            return call.issued() if async_op else call.on_time(alone=alone)
        output = ops.perform(program, buffers, op, root)
    except BaseException:
        buffers.restore()
        raise
    flight = world.progress.call(between, program, prediction)
    arrival = Arrival.at_once(started_ns, now_ns(), prediction.time_s)
    reduced = _reduced(buffers, output, op)
    return Run(buffers.returned(output), prediction, arrival, reduced, None, None, flight)


def _reduced(buffers: Buffers, output: Any, reduction: str) -> Reduced | None:
    """Return what the rounding error of a call is worked out from, if it reduces."""
    if not buffers.collective.reduces:
        return None
    return buffers.x, output, reduction, buffers.arrays


class _Call(NamedTuple):
    """A call that waits on the wall clock, or is waited for."""

    world: World
    between: Communicator
    work: Work
    prediction: Prediction
    started_ns: int

    def on_time(self, *, alone: bool) -> Run:
        """Return the run on the wall clock, when its moment has come; all is ready by then.

        Devices that wait by themselves do so step by step if the ranks are ``alone``. Raises
        LagError when it is later than is allowed.
        """
        world, started_ns = self.world, self._set_out()
        timeline = self.prediction.timeline
        result = world.wall.carry_out(self.work, timeline, started_ns, in_steps=alone)
        flight = world.progress.call(self.between, self.work.program, self.prediction)
        run = self._run(result, flight)
        moment_ps = world.progress.moment_ps(self.between.ranks)
        world.wall.hand_over(self.work.buffers.collective.name, result.arrival, moment_ps)
        return run

    def issued(self) -> Handle:
        """Return the handle of a collective that is under way from now on."""
        world = self.world
        if world.clock == "wall":
            timeline = self.prediction.timeline
            pending = world.wall.set_about(self.work, timeline, self._set_out())
        else:
            output, modelled_s = self.work.perform(), self.prediction.time_s
            arrival = Arrival.at_once(self.started_ns, now_ns(), modelled_s)
            pending = Pending(None, Result(output, arrival))
        flight = world.progress.issue(self.between, self.work.program, self.prediction)
        return Handle(world, flight, pending, self._run)

    def _set_out(self) -> int:
        """Return when the call began on the wall clock; before that, find a dilation if asked."""
        world, started_ns = self.world, self.started_ns
        if world.wall.undecided:
            world.wall.rehearse(self.work, self.prediction.timeline)
            started_ns = now_ns()
        world.set_out(started_ns)
        return started_ns

    def _run(self, result: Result, flight: Flight) -> Run:
        world, buffers = self.world, self.work.buffers
        return Run(
            buffers.returned(result.output),
            self.prediction,
            result.arrival,
            _reduced(buffers, result.output, self.work.reduction),
            result.step_lag_s,
            world.dilation if world.clock == "wall" and world.wall.waits else None,
            flight,
        )
