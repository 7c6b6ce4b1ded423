"""Launching one call: its arithmetic, and its time on the modelled clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from emul.memory import ALWAYS_THERE_BYTES
from emul.ops import Ops
from emul.ops.buffers import Buffers
from emul.ops.shapes import ShapeOnly
from emul.plans import Plan
from emul.runtime.engine import Engine
from emul.runtime.handle import Handle
from emul.runtime.messages import Envelope, Message, Parcel
from emul.runtime.operation import Issuer, Operation
from emul.runtime.planner import Planner
from emul.runtime.prepared import Prepared
from emul.runtime.request import Request
from emul.runtime.run import Reduced, Run
from emul.wall import now_ns
from emul.wall.clock import Result, Work
from emul.wall.lag import CallTimes
from emul.wall.worker import Pending

__all__ = ["Member", "issue", "receive", "run", "send"]


class Member(Issuer, Protocol):
    """Ranks that carry out collectives together, with their engine and their planner."""

    @property
    def engine(self) -> Engine:
        """The engine of their world."""

    @property
    def company(self) -> int:
        """How many groups that are alike operate at once, itself among them."""

    @property
    def planner(self) -> Planner:
        """The planner for the places where they live."""


class _Call(NamedTuple):
    """A request whose plan is proven and whose arrays are checked; nothing is touched."""

    member: Member
    work: Work
    prepared: Prepared
    started_ns: int

    def run_of(self, result: Result, operation: Operation) -> Run:
        """Return the run with this result."""
        buffers = self.work.buffers
        reduced: Reduced | None = None
        encoded = self.prepared.program.encoding.wire is not None
        has_data = not isinstance(buffers, ShapeOnly)
        if has_data and (buffers.collective.reduces or encoded):
            reduced = buffers.x, result.output, self.work.reduction, buffers.arrays
        return Run(
            buffers.returned(result.output),
            self.prepared,
            result.call_times,
            reduced,
            result.step_lag_s,
            self.member.engine.dilation,
            operation,
            in_float32=self.work.perform_in_float32 if has_data and encoded else None,
        )

    def begun_ns(self) -> int:
        """Return the start of the call on the wall clock; before it, find a dilation if asked."""
        wall = self.member.engine.wall
        if not wall.undecided:
            return self.started_ns
        wall.rehearse(self.work, self.prepared.prediction.timeline)
        return now_ns()


def run(request: Request, member: Member, ops: Ops, buffers: Buffers, started_ns: int) -> Run:
    """Carry a request out, and return its run; on the wall clock, when its moment has come.

    The call began at ``started_ns`` of the monotonic clock. Raises all faults of the request before
    anything is touched; a call that fails, or is interrupted, leaves its input as it was. Devices
    that wait by themselves do so step by step if no other collective is in flight. Raises LagError
    when the end is later than a strict World allows.
    """
    call = _prepared(request, member, ops, buffers, started_ns)
    clocks, waits = member.engine.clocks, member.engine.waits
    early = _failing(call) if member.planner.changes and not waits else None
    try:
        if waits:
            return _on_time(call)
        output = call.work.perform()
    except BaseException:
        buffers.restore()
        raise
    times = CallTimes.at_once(call.started_ns, now_ns(), 0.0)
    operation = early or clocks.issue(member, call.prepared)
    clocks.wait(operation)
    return call.run_of(Result(output, times), operation)


def _failing(call: _Call) -> Operation:
    """Return the operation of a call that may fail, waited for before any arithmetic.

    Raises OutageError where it has failed.
    """
    clocks = call.member.engine.clocks
    operation = clocks.issue(call.member, call.prepared)
    clocks.wait(operation)
    clocks.check(operation)
    return operation


def issue(request: Request, member: Member, ops: Ops, buffers: Buffers, started_ns: int) -> Handle:
    """Begin a request, and return its handle at once; otherwise as ``run``."""
    call = _prepared(request, member, ops, buffers, started_ns)
    engine, work = member.engine, call.work
    try:
        if engine.waits:
            begun_ns, timeline = call.begun_ns(), call.prepared.prediction.timeline
            with engine.awaiting(begun_ns):
                pending = engine.wall.set_about(work, timeline, begun_ns)
                operation = engine.clocks.issue(member, call.prepared)
        else:
            output = work.perform()
            times = CallTimes.at_once(call.started_ns, now_ns(), 0.0)
            pending = Pending(None, Result(output, times))
            operation = engine.clocks.issue(member, call.prepared)
    except BaseException:
        buffers.restore()
        raise
    name = str(call.prepared.plan)
    undo = buffers.restore
    return Handle(engine, lambda: operation, pending, call.run_of, name=name, undo=undo)


def _prepared(
    request: Request, member: Member, ops: Ops, buffers: Buffers, started_ns: int
) -> _Call:
    """Return the call of a request that can be carried out."""
    planner, made, clocks = member.planner, member.planner.made, member.engine.clocks
    at_ps = clocks.earliest_ps(member.ranks) if planner.changes else 0
    prepared = planner.prepare(request, at_ps, member.company)
    program = prepared.program
    if buffers.shape != request.shape:  # fewer elements are there than are timed
        assert isinstance(prepared.plan, Plan)
        program = planner.program(request._replace(shape=buffers.shape), prepared.plan)
    new_bytes = ops.new_bytes(program, buffers, request.op, request.root)
    if new_bytes >= ALWAYS_THERE_BYTES:  # asked here too: small calls need no words
        ranks = f"{request.collective} over {request.shape.world_size} ranks"
        buffers.arrays.check_fits(new_bytes, ranks)
    clocks.admit(member, prepared)
    if planner.made != made:  # the making of a plan is no part of the call
        started_ns = now_ns()
    is_timed = program is prepared.program
    work = Work(ops, program, buffers, request.op, request.root, is_timed)
    return _Call(member, work, prepared, started_ns)


def _on_time(call: _Call) -> Run:
    engine, member, begun_ns = call.member.engine, call.member, call.begun_ns()
    clocks, timeline = engine.clocks, call.prepared.prediction.timeline
    with engine.awaiting(begun_ns):
        in_steps = not member.number and clocks.at_rest()
        result = engine.wall.carry_out(call.work, timeline, begun_ns, in_steps=in_steps)
        operation = clocks.issue(member, call.prepared)
        clocks.wait(operation)
        done = call.run_of(result, operation)
        engine.wall.hand_over(operation.name, result.call_times, clocks.moment_ps(member.ranks))
    clocks.check(operation)
    return done


def send(engine: Engine, envelope: Envelope, x: object, started_ns: int, *, waits: bool) -> Handle:
    """Let a rank issue a message, and return its handle. Raises the faults of ``x``.

    ``waits``: whether the caller will wait for it at once.
    """
    parcel = Parcel.of(x, lambda x: engine.ops_taking(x).arrays)
    with engine.awaiting(started_ns):
        message = engine.messages.send(envelope, parcel, waits=waits)
    return _handle_of(engine, message, envelope.src, started_ns, lambda: None)


def receive(
    engine: Engine, envelope: Envelope, out: object, started_ns: int, *, waits: bool
) -> Handle:
    """Let a rank wait for a message, and return its handle; otherwise as ``send``."""

    def check(parcel: Parcel) -> None:
        if out is not None:
            parcel.fitting(out)

    with engine.awaiting(started_ns):
        message = engine.messages.receive(envelope, check, waits=waits)

    def received() -> object:
        assert message.parcel is not None
        return message.parcel.received(out)

    return _handle_of(engine, message, envelope.dst, started_ns, received)


def _handle_of(
    engine: Engine, message: Message, rank: int, started_ns: int, output: Callable[[], object]
) -> Handle:
    """Return the handle of one of the two ranks of a message."""
    times = CallTimes.at_once(started_ns, now_ns(), 0.0)

    def run_of(result: Result, operation: Operation) -> Run:
        prepared, dilation = operation.prepared, engine.dilation
        return Run(output(), prepared, result.call_times, dilation=dilation, operation=operation)

    name = f"{'send' if rank == message.envelope.src else 'recv'} {message.envelope}"
    part = np.array([rank], dtype=np.int32)
    pending = Pending(None, Result(None, times))
    return Handle(
        engine, lambda: message.known_operation(rank), pending, run_of, part=part, name=name
    )
