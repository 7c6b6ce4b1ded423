"""Messages from one rank to another: sends and receives, matched in order.

A message is an operation of two ranks that moves one buffer. It has the connection of its pair of
ranks, its communicator and its direction to itself. It is laid out when its sender issues it; where
the library shakes hands, when both have come. A receive finds the sends of its sender, in their
order, and of its tag.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from threading import RLock
from typing import Any

import numpy as np

from emul.arrays import Array, Int32Array
from emul.errors import ArgumentError, DTypeError, ShapeError
from emul.ops.arrays import HOST, Arrays, in_kind_of
from emul.ops.dtypes import dtype_of
from emul.ops.shapes import given_shape
from emul.plans import Shape, collective_named
from emul.runtime.alone_period import NOBODY, Arrival
from emul.runtime.clocks import RankClocks
from emul.runtime.operation import Operation
from emul.runtime.planner import Planner
from emul.runtime.prepared import Prepared
from emul.runtime.request import Request
from emul.stacks import Stack
from emul.timing import Release
from emul.topology import Topology

__all__ = ["Envelope", "Message", "Messages", "Parcel"]

MOVES = "broadcast"
"""The collective whose plan between two ranks is one transfer."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sends to whom in a communicator, ranks of the world, and the tag."""

    communicator: int
    src: int
    dst: int
    tag: int

    def __str__(self) -> str:
        """Name the message as error messages do."""
        group = f" of communicator {self.communicator}" if self.communicator else ""
        return f"from rank {self.src} to rank {self.dst}{group}, tag {self.tag}"


@dataclass(frozen=True, slots=True)
class Parcel:
    """The elements that are sent: their number, their type and, if there are data, a copy of them.

    ``given``: the array of the caller, whose library that of the receiver will be.
    """

    count: int
    dtype: np.dtype[Any]
    data: Array | None = None
    arrays: Arrays = HOST
    given: Any = None

    @classmethod
    def of(cls, x: Any, arrays_taking: Callable[[object], Arrays]) -> Parcel:
        """Return the parcel of an array (count,), or of a shape in its place.

        Raises ShapeError, DTypeError and BackendError.
        """
        shape = given_shape(x)
        if shape is not None:
            sizes = (shape.row_count,) if shape.shape is None else shape.shape
            return cls(_one_dimension(sizes), shape.dtype)
        arrays = arrays_taking(x)
        taken = arrays.taken(x, "input")
        dtype_of(taken)
        return cls(_one_dimension(taken.shape), taken.dtype, arrays.copy(taken), arrays, x)

    def received(self, out: Any) -> Any:
        """Return the data as the receiver gets them: in ``out`` (count,), or in a new array.

        Raises ShapeError, DTypeError and ArgumentError for an ``out`` that cannot take them.
        """
        if self.data is None:
            if out is not None:
                raise ArgumentError("recv: out for a message without data: needed no out")
            return None
        if out is None:
            data = self.arrays.copy(self.data)
            return data if type(self.given) is np.ndarray else in_kind_of(self.given, data)
        self.arrays.assign(self.fitting(out), self.data)
        return out

    def fitting(self, out: Any) -> Array:
        """Return ``out`` as an array into which the data fit."""
        target = self.arrays.taken(out, "out")
        if target.shape != (self.count,):
            raise ShapeError(f"recv: out of shape {target.shape}: needed ({self.count},)")
        if target.dtype != self.dtype:
            raise DTypeError(f"out of {target.dtype}: needed {self.dtype}, as was sent")
        if not self.arrays.writeable(target):
            raise ArgumentError("out that is read-only: needed one that can be written")
        return target


def _one_dimension(shape: tuple[int, ...]) -> int:
    if len(shape) != 1:
        raise ShapeError(
            f"send: input of shape {shape}: needed one dimension, the buffer of a rank"
        )
    return shape[0]


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """The two ranks of messages, rising, and the number of their connection.

    ``ordered``: the sender, whose messages leave one after the other.
    """

    ranks: Int32Array
    number: int
    communicator: int
    ordered: Int32Array
    release: Release


class Message:
    """A message that is sent, or waited for by a receive; one ``operation`` when it is laid out."""

    __slots__ = ("arrival", "envelope", "is_received", "operation", "pair", "parcel", "prepared")

    def __init__(self, envelope: Envelope) -> None:
        """Take who sends to whom; neither has come."""
        self.envelope = envelope
        self.parcel: Parcel | None = None
        self.prepared: Prepared | None = None
        self.pair: _Pair | None = None
        self.operation: Operation | None = None
        self.arrival: Arrival | None = None  # of the one who waits for the other to come
        self.is_received = False

    def known_operation(self, rank: int) -> Operation:
        """Return the operation. Raises ArgumentError where the other rank has not come yet."""
        if self.operation is None:
            raise _nobody_there("send" if rank == self.envelope.src else "recv", self.envelope)
        return self.operation


def _nobody_there(what: str, envelope: Envelope) -> ArgumentError:
    """Return the error for a wait for a message to which the other rank has not come."""
    other = "recv" if what == "send" else "send"
    return ArgumentError(
        f"{what} {envelope}: waited for before the other rank has come, so neither would go on: "
        f"needed the {other} of the same ranks and tag before, or async_op=True"
    )


class Messages:
    """The messages of a World that are yet to be matched. Safe to be used from several threads."""

    def __init__(
        self,
        topology: Topology,
        clocks: RankClocks,
        planner_of: Callable[[Topology], Planner],
        numbers: count[int],
    ) -> None:
        """Take the places and the clocks of the ranks, and the numbers of connections to come."""
        self.topology, self.clocks = topology, clocks
        self.planner_of, self._numbers = planner_of, numbers
        self._lock = RLock()
        self._pairs: dict[tuple[int, int, int, Release], _Pair] = {}
        self._planners: dict[tuple[int, int], Planner] = {}
        self._sent: dict[Envelope, deque[Message]] = {}
        self._posted: dict[Envelope, deque[Message]] = {}

    def restarted(self) -> Messages:
        """Return those of a new line of time: none sent, and each connection with its number."""
        made = Messages(self.topology, self.clocks, self.planner_of, self._numbers)
        made._pairs, made._planners = self._pairs, self._planners
        return made

    def send(self, envelope: Envelope, parcel: Parcel, *, waits: bool) -> Message:
        """Let the sender issue a message. Raises the faults of its size.

        ``waits``: whether it then waits, which is refused where it would be for ever.
        """
        with self._lock:
            prepared = self._prepare(envelope, parcel)
            posted = self._posted.get(envelope)
            if waits and not posted and _shakes_hands(prepared.stack, prepared.nbytes):
                raise _nobody_there("send", envelope)
            message = posted[0] if posted else Message(envelope)
            message.parcel, message.prepared = parcel, prepared
            message.pair = self._pair(envelope, _release(prepared.stack, prepared.nbytes))
            if posted:
                self._lay_out(message)
                posted.popleft()
                return message
            if _shakes_hands(prepared.stack, prepared.nbytes):
                message.arrival = self.clocks.arrive(np.array([envelope.src], np.int32))
            else:
                self._lay_out(message, np.array([envelope.dst], np.int32))
            self._sent.setdefault(envelope, deque()).append(message)
            return message

    def receive(
        self, envelope: Envelope, check: Callable[[Parcel], object], *, waits: bool
    ) -> Message:
        """Let the receiver issue its part; ``check`` raises where the message does not fit.

        ``waits``: as in ``send``.
        """
        with self._lock:
            ranks = np.array([envelope.dst], np.int32)
            sent = self._sent.get(envelope)
            if waits and not sent:
                raise _nobody_there("recv", envelope)
            if not sent:
                message = Message(envelope)
                message.arrival = self.clocks.arrive(ranks)
                message.is_received = True
                self._posted.setdefault(envelope, deque()).append(message)
                return message
            message = sent[0]
            assert message.parcel is not None
            check(message.parcel)
            if message.operation is None:
                self._lay_out(message)
            else:
                self.clocks.attach(message.operation, ranks)
            sent.popleft()
            message.is_received = True
            return message

    def _lay_out(self, message: Message, missing: Int32Array = NOBODY) -> None:
        """Issue a message, to which one rank came before or is ``missing``, and the other now."""
        assert message.pair is not None
        assert message.prepared is not None
        arrivals = () if message.arrival is None else (message.arrival,)
        message.operation = self.clocks.issue(
            message.pair, message.prepared, arrivals, missing, "send"
        )
        message.arrival = None

    def _prepare(self, envelope: Envelope, parcel: Parcel) -> Prepared:
        ends = min(envelope.src, envelope.dst), max(envelope.src, envelope.dst)
        planner = self._planners.get(ends)
        if planner is None:
            planner = self.planner_of(self.topology.of_ranks(ends))
            self._planners[ends] = planner
        shape = Shape.of(collective_named(MOVES), 2, parcel.count)
        root = int(envelope.src > envelope.dst)
        request = Request(shape, parcel.dtype.itemsize, "sum", "direct", root)
        at_ps = self.clocks.earliest_ps(np.array(ends)) if planner.changes else 0
        return planner.prepare(request, at_ps)

    def _pair(self, envelope: Envelope, release: Release) -> _Pair:
        key = envelope.communicator, envelope.src, envelope.dst, release
        if key not in self._pairs:
            ranks = np.array(sorted(key[1:3]), dtype=np.int32)
            sender, number = np.array([envelope.src], dtype=np.int32), next(self._numbers)
            self._pairs[key] = _Pair(ranks, number, envelope.communicator, sender, release)
        return self._pairs[key]


def _shakes_hands(stack: Stack, nbytes: int) -> bool:
    """Say whether the receiver has to come before a message of so many bytes is sent."""
    if not stack.sends_whole_messages or stack.handshake == "none":
        return False
    return stack.handshake == "notice" or nbytes > stack.eager_bytes


def _release(stack: Stack, nbytes: int) -> Release:
    """Say when the sender of a message is free: an eager one is copied when it is handed over."""
    eager = stack.sends_whole_messages and nbytes <= stack.eager_bytes < float("inf")
    return "issue" if eager and not _shakes_hands(stack, nbytes) else "sent"
