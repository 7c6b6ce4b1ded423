"""Launching one call: its arithmetic, and its time on the modelled clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from emul.memory import ALWAYS_THERE_BYTES
from emul.ops.buffers import Buffers
from emul.plans import Counts, Program, collective_named
from emul.runtime.engine import Engine
from emul.runtime.handle import Handle
from emul.runtime.operation import Member, Operation
from emul.runtime.planner import Planner
from emul.runtime.prediction import Prediction
from emul.runtime.request import Algorithm, Request
from emul.runtime.run import Reduced, Run
from emul.wall import now_ns
from emul.wall.clock import Result, Work
from emul.wall.lag import CallTimes
from emul.wall.worker import Pending

__all__ = ["Call", "issue", "run"]


@dataclass(frozen=True, slots=True)
class Call:
    """A request whose plan is proven and timed and whose arrays are checked; nothing is touched.

    ``alone``: no other collective is in flight, and all ranks start together and wait for the end.
    """

    engine: Engine
    member: Member
    work: Work
    prediction: Prediction
    started_ns: int
    alone: bool

    @classmethod
    def of(
        cls,
        engine: Engine,
        member: Member,
        planner: Planner,
        collective: str,
        x: Any,
        out: Any,
        *,
        op: str,
        counts: Counts | None,
        algorithm: Algorithm,
        root: int,
        waits: bool,
    ) -> Call:
        """Bind arrays to a request; raises all that is wrong with either.

        ``waits``: whether the caller waits for the end.
        """
        started_ns, made = engine.begin(), planner.made
        ops = engine.ops if type(x) is np.ndarray else engine.ops_taking(x)
        n, arrays = planner.topology.world_size, ops.arrays
        buffers = Buffers(
            collective_named(collective),
            n,
            x,
            out,
            counts,
            revocable=engine.waits and waits,
            arrays=arrays,
        )
        request = Request(buffers.shape, buffers.x.dtype.itemsize, op, algorithm, root)
        program, prediction = planner.prepare(request)
        new_bytes = ops.new_bytes(program, buffers, op, root)
        if new_bytes >= ALWAYS_THERE_BYTES:  # asked here too: small calls need no words
            arrays.check_fits(new_bytes, f"{collective} over {n} ranks")
        alone = engine.clocks.admit(member, program, prediction, waits=waits)
        if planner.made != made:  # the making of a plan is no part of the call
            started_ns = now_ns()
        work = Work(ops, program, buffers, op, root)
        return cls(engine, member, work, prediction, started_ns, alone)

    @property
    def program(self) -> Program:
        """The program that the arithmetic carries out."""
        return self.work.program

    def run_of(self, result: Result, operation: Operation) -> Run:
        """Return the run with this result."""
        buffers = self.work.buffers
        reduced: Reduced | None = None
        if buffers.collective.reduces:
            reduced = buffers.x, result.output, self.work.reduction, buffers.arrays
        return Run(
            buffers.returned(result.output),
            self.prediction,
            result.call_times,
            reduced,
            result.step_lag_s,
            self.engine.dilation,
            operation,
        )

    def set_out(self) -> int:
        """Return the start of the call on the wall clock; before it, find a dilation if asked."""
        engine, started_ns = self.engine, self.started_ns
        if engine.wall.undecided:
            engine.wall.rehearse(self.work, self.prediction.timeline)
            started_ns = now_ns()
        engine.set_out(started_ns)
        return started_ns


def run(call: Call) -> Run:
    """Carry the call out, and return its run; on the wall clock, when its moment has come.

    A call that fails, or is interrupted, leaves its input as it was. Devices that wait by
    themselves do so step by step if the call is alone. Raises LagError when the end is later than
    a strict World allows.
    """
    engine, work = call.engine, call.work
    try:
        if engine.waits:
            return _on_time(call)
        output = work.perform()
    except BaseException:
        work.buffers.restore()
        raise
    operation = engine.clocks.call(call.member, call.program, call.prediction)
    times = CallTimes.at_once(call.started_ns, now_ns(), call.prediction.time_s)
    return call.run_of(Result(output, times), operation)


def _on_time(call: Call) -> Run:
    engine, started_ns = call.engine, call.set_out()
    timeline = call.prediction.timeline
    result = engine.wall.carry_out(call.work, timeline, started_ns, in_steps=call.alone)
    operation = engine.clocks.call(call.member, call.program, call.prediction)
    done = call.run_of(result, operation)
    moment_ps = engine.clocks.moment_ps(call.member.ranks)
    engine.wall.hand_over(operation.name, result.call_times, moment_ps)
    return done


def issue(call: Call) -> Handle:
    """Begin the call, and return its handle at once; a failure leaves its input as it was."""
    engine, work = call.engine, call.work
    try:
        if engine.waits:
            timeline = call.prediction.timeline
            pending = engine.wall.set_about(work, timeline, call.set_out())
        else:
            output = work.perform()
            times = CallTimes.at_once(call.started_ns, now_ns(), call.prediction.time_s)
            pending = Pending(None, Result(output, times))
        operation = engine.clocks.issue(call.member, call.program, call.prediction)
    except BaseException:
        work.buffers.restore()
        raise
    return Handle(engine, operation, pending, call.run_of)
