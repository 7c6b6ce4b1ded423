"""A program as the scheduler sees it: transfers, whole or cut into slices, and their places.

With slices, a rank sends a chunk on as soon as its first slice is there, as NCCL does. A
connection (a sender, a receiver and a channel) has a buffer of a number of slots of one slice each.
Every message takes credit from it, whether or not it was cut: its own bytes, from the moment when
it is handed to the connection until word of its arrival is back (NCCL 2.30.7: NCCL_BUFFSIZE 4 MiB
in NCCL_STEPS 8 slots; NCCL itself counts slots, see Slicing). A message is handed over when half of
it fits into the rest of the credit, and a remainder of less than half a slice goes with the
slice before it. So about whole slices a few bytes more cost a few bytes more, and not a round trip.
Slices are a matter of time only; the arithmetic does not know them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np

from emul.arrays import Int32Array, Int64Array, UInt8Array
from emul.errors import ArgumentError, shown
from emul.memory import check_fits
from emul.plans import Multiplicity, Order, Program, Waits
from emul.plans.runs import expand
from emul.reading.brief import brief
from emul.reading.checks import whole
from emul.stacks import IDEAL, Stack
from emul.units import MOST_BYTES, PS_PER_S, format_bytes

__all__ = [
    "MOST_SLICES",
    "NCCL_SLICING",
    "UNLIMITED",
    "Origin",
    "Slicing",
    "Traffic",
    "Transfers",
    "connections_of",
    "most_in_flight",
    "not_before_ps",
    "transfers_in",
]

NOBODY = -1

BYTES_PER_SLICE = 200
"""Of traffic, dependencies and timeline (measured: a ring of 32 ranks in 10^6 slices)."""


MOST_SLICES = 10**6
"""Transfers that a program may come to in slices; with more of them, slices grow. Some 1 s to time,
and 200 MB."""

SLICES_PER_MESSAGE = 16
"""So many on average are not too many, for with fewer a pipeline fills in another time (measured:
with 10, up to 29 % off)."""

MOST_IN_ANY_CASE = 1 << 24
"""As many as ``auto`` takes on; some 10 s, and 3 GB."""


@dataclass(frozen=True, slots=True)
class Slicing:
    """Slices of at most ``slice_bytes``, and ``slots`` times as many bytes of credit.

    The credit is that of a connection, which each message holds for its bytes. A library that
    ``counts_slots`` gives every slice a whole slot, however short it is: then many small messages
    use up the credit as soon as so many large ones do.
    """

    slice_bytes: int = 512 << 10
    slots: int = 8
    counts_slots: bool = False

    def __post_init__(self) -> None:
        """Refuse slices without bytes and connections without slots."""
        for name in ("slice_bytes", "slots"):
            number = whole(getattr(self, name), name)
            if number < 1:
                raise ArgumentError(f"{name} {shown(number)}: needed at least 1")
            object.__setattr__(self, name, min(number, MOST_BYTES))

    @classmethod
    def of(cls, stack: Stack, otherwise: Slicing | None) -> Slicing | None:
        """Return the slices of ``stack``: its own, none of whole messages, else ``otherwise``.

        Over sockets a slot is free again when the kernel has the bytes, so windows hold them alone.
        """
        if stack.slice_bytes:
            slots = UNLIMITED if stack.over_sockets else stack.slots
            return cls(stack.slice_bytes, slots, counts_slots=True)
        return otherwise if stack is IDEAL else None

    @property
    def credit(self) -> int:
        """The credit of a connection: bytes, or slots where slots are counted; 0: no limit."""
        if self.slots >= UNLIMITED:
            return 0
        nbytes = min(self.slots * self.slice_bytes, MOST_BYTES)
        return self.slots if self.counts_slots else nbytes

    def growth(self, program: Program) -> int:
        """Return of how many slices each of ``program`` is one: a power of two, mostly 1.

        It doubles until no more are left than MOST_SLICES, or than SLICES_PER_MESSAGE of each
        message, at most MOST_IN_ANY_CASE; or until no message is cut any more.
        """
        growth, largest = 1, int(program.nbytes.max(initial=0))
        most = max(MOST_SLICES, min(SLICES_PER_MESSAGE * len(program), MOST_IN_ANY_CASE))
        while growth * self.slice_bytes < largest and transfers_in(program, self, growth) > most:
            growth *= 2
        return growth

    def grown(self, growth: int) -> Slicing:
        """Return slices ``growth`` times as large."""
        return replace(self, slice_bytes=growth * self.slice_bytes)

    def taken_by(self, nbytes: Int64Array) -> Int64Array:
        """Return the credit that slices take, (slices,)."""
        return np.ones_like(nbytes) if self.counts_slots else nbytes

    def remainders(self, nbytes: Int64Array, begins: UInt8Array) -> UInt8Array:
        """Return which are less than half of one, at the end of a message of several: (slices,)."""
        ends = np.append(begins[1:], 1)
        short = 2 * nbytes < self.slice_bytes
        left_over: UInt8Array = (ends & (begins == 0) & short).astype(np.uint8)
        return left_over * np.uint8(not self.counts_slots)


UNLIMITED = 1 << 30
"""Slots: more than any plan has slices on a connection."""

NCCL_SLICING = Slicing()
"""NCCL's defaults for the Simple protocol."""


_NOTHING: Int64Array = np.zeros(0, dtype=np.int64)
_NO_HOSTS: Any = {"host_ps": _NOTHING, "completion_ps": _NOTHING, "call_ps": 0}
_NO_CREDIT: Any = {"takes": _NOTHING, "remainder": np.zeros(0, dtype=np.uint8), "credit": 0}
_NO_GROWTH: Any = {"growth": _NOTHING}


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """The ``program`` that transfers come from, and the ``message`` there of each: (transfers,).

    -1 for the question and the answer of a handshake.
    """

    program: Program
    message: Int64Array

    __repr__ = brief

    @classmethod
    def of(cls, program: Program) -> Origin:
        """Return that of the messages of ``program`` themselves."""
        return cls(program, np.arange(len(program)))

    def steps(self) -> Int64Array:
        """Return the step of each transfer, (transfers,), among those that send; -1 for none."""
        first = self.program.first_of_step
        found: Int64Array = np.searchsorted(first, self.message, side="right") - 1
        found[self.message < 0] = NOBODY
        return found

    def chunks(self) -> tuple[Int64Array, Int64Array]:
        """Return the first place that each message reads, and the number of places; -1 and 0."""
        program, there = self.program, self.message >= 0
        row = program.first_row[np.where(there, self.message, 0)]
        places = np.add.reduceat(program.nplaces, program.first_row[:-1], dtype=np.int64)
        number = places[np.where(there, self.message, 0)]
        return np.where(there, program.src_place[row], NOBODY), np.where(there, number, 0)


@dataclass(frozen=True, slots=True, eq=False)
class Transfers:
    """Transfers in plan order, as the scheduler takes them: flat arrays, (transfers,).

    A transfer pays the overhead if it ``begins`` a message. It ``takes`` so much of the ``credit``
    of its connection, bytes or slots; a ``remainder`` goes with the slice before it. Without a
    limit both are empty and the credit is 0.
    ``host_ps``: its sender's software time before it; ``completion_ps``: its receiver's software
    time after it; both may be empty. Nothing starts before ``call_ps``.
    ``growth``: of how many slices each is one, where there are too many; empty where of one.
    ``multiplicity``: of how many each is one, where that is not one. ``origin``: the messages that
    they are of, where those are at hand.
    """

    src: Int32Array
    dst: Int32Array
    channel: Int32Array
    nbytes: Int64Array
    begins: UInt8Array
    takes: Int64Array
    remainder: UInt8Array
    credit: int
    host_ps: Int64Array
    completion_ps: Int64Array
    call_ps: int
    multiplicity: Multiplicity | None
    origin: Origin | None
    growth: Int64Array

    __repr__ = brief


@dataclass(frozen=True, slots=True, eq=False)
class Traffic(Transfers):
    """Transfers, and the places that they read and write.

    Rows move ``nplaces`` places from ``src_place`` on; a place is a chunk of a rank or a slice of
    one, and the ``n_places`` of all ranks are numbered together. Transfer t is the rows from
    ``first_row[t]`` on. ``order``, ``under_way``, ``drains`` and ``waits`` are the program's.
    """

    n_places: int
    src_place: Int64Array
    dst_place: Int64Array
    nplaces: Int32Array
    reduce: UInt8Array
    first_row: Int64Array
    first_of_step: Int64Array
    order: Order
    under_way: int
    drains: Int64Array
    waits: Waits | None

    __repr__ = brief

    @classmethod
    def of(cls, program: Program, slicing: Slicing | None, stack: Stack = IDEAL) -> Traffic:
        """Return the traffic of ``program``, in slices where a transfer is larger than one.

        Of ``stack``, the times per call and message and the bytes on the wire count.
        """
        growth = 1 if slicing is None else slicing.growth(program)
        if slicing is None or not (program.nbytes > slicing.slice_bytes).any():
            traffic = cls._whole(program)
        else:
            traffic = cls._sliced(program, slicing.grown(growth))
        if growth > 1:
            traffic = replace(traffic, growth=np.full(len(traffic.src), growth))
        if slicing is not None and slicing.credit:
            each = -(-traffic.nbytes // growth)
            traffic = replace(
                traffic,
                takes=slicing.taken_by(each),
                remainder=slicing.remainders(each, traffic.begins),
                credit=slicing.credit,
            )
        if stack is IDEAL:
            return traffic
        return replace(
            traffic,
            nbytes=np.ceil(traffic.nbytes * stack.wire_factor).astype(np.int64),
            host_ps=(traffic.begins & (traffic.src != traffic.dst))
            * np.int64(round(stack.host_constants.message_s * PS_PER_S)),
            call_ps=round(stack.constants.call_s * PS_PER_S),
        )

    @classmethod
    def _whole(cls, program: Program) -> Traffic:
        places = program.n_places
        return cls(
            n_places=program.layout.shape.world_size * places,
            src_place=program.row_src.astype(np.int64) * places + program.src_place,
            dst_place=program.row_dst.astype(np.int64) * places + program.dst_place,
            nplaces=program.nplaces,
            reduce=program.reduce.view(np.uint8),
            first_row=program.first_row,
            first_of_step=program.first_of_step,
            src=program.src,
            dst=program.dst,
            channel=program.channel,
            nbytes=program.nbytes,
            begins=np.ones(len(program), dtype=np.uint8),
            **_NO_CREDIT,
            **_NO_GROWTH,
            **_NO_HOSTS,
            multiplicity=program.multiplicity,
            origin=Origin.of(program),
            order=program.order,
            under_way=program.under_way,
            drains=program.drains,
            waits=program.waits,
        )

    @classmethod
    def _sliced(cls, program: Program, slicing: Slicing) -> Traffic:
        place_bytes = program.encoding.nbytes_of_each(np.diff(program.layout.edges))
        slices = np.maximum(1, -(-place_bytes.max(axis=0) // slicing.slice_bytes))
        row, sent, written, part, nbytes = _pieces(program, place_bytes, slices, slicing)
        message = np.repeat(np.arange(len(program)), np.diff(program.first_row))[row]
        number = _slice_number(message, nbytes, slicing.slice_bytes)
        starts = np.ones(len(row), dtype=bool)
        starts[1:] = (np.diff(message) != 0) | (np.diff(number) != 0)
        first = np.flatnonzero(starts)
        of = message[first]
        src, dst, channel = program.src[of], program.dst[of], program.channel[of]
        first_place, per_rank = np.cumsum(slices) - slices, int(slices.sum())
        sender, receiver = program.row_src[row].astype(np.int64), program.row_dst[row]
        return cls(
            n_places=program.layout.shape.world_size * per_rank,
            src_place=sender * per_rank + first_place[sent] + part,
            dst_place=receiver.astype(np.int64) * per_rank + first_place[written] + part,
            nplaces=np.ones(len(row), dtype=np.int32),
            reduce=program.reduce[row].view(np.uint8),
            first_row=np.append(first, len(row)),
            first_of_step=np.searchsorted(of, program.first_of_step),
            src=src,
            dst=dst,
            channel=channel,
            nbytes=np.add.reduceat(nbytes, first),
            begins=(number[first] == 0).astype(np.uint8),
            **_NO_CREDIT,
            **_NO_GROWTH,
            **_NO_HOSTS,
            multiplicity=None if program.multiplicity is None else program.multiplicity.of(of),
            origin=Origin(program, of),
            order=program.order,
            under_way=program.under_way,
            drains=program.drains,
            waits=None if program.waits is None else _between_slices(program.waits, of),
        )


def connections_of(transfers: Transfers | Program) -> Int64Array:
    """Return for how many connections each transfer stands: (transfers,)."""
    if transfers.multiplicity is None:
        return np.ones(len(transfers.src), dtype=np.int64)
    return transfers.multiplicity.connections


def most_in_flight(transfers: Transfers) -> float:
    """Return the bytes that credit lets a connection have in flight at most; infinity for any.

    A slice is handed over when half of it fits, with the remainder behind it. So half a slice and
    a remainder may come on top; slices of one size are in flight in a whole number.
    """
    if not transfers.credit:
        return inf
    counted = (transfers.src != transfers.dst) & (transfers.takes > 0)
    if not counted.any():
        return inf
    takes = transfers.takes[counted]
    beyond = transfers.takes // 2
    ends = np.flatnonzero(transfers.remainder)
    beyond[ends - 1] += transfers.takes[ends]
    taken, size = transfers.credit + int(beyond[counted].max()), int(takes[0])
    if (takes == size).all() and not len(ends):
        taken = ((transfers.credit - (size + 1) // 2) // size + 1) * size
    return float(taken * (transfers.nbytes[counted] / takes).max())


def not_before_ps(transfers: Transfers) -> Int64Array:
    """Return before when each transfer does not start, (transfers,), or nothing."""
    given = transfers.multiplicity
    return _NOTHING if given is None else given.not_before_ps


def transfers_in(program: Program, slicing: Slicing | None, growth: int = 1) -> int:
    """Return about how many transfers, whole or in slices, ``program`` comes to.

    ``growth``: of how many slices each is one.
    """
    if slicing is None:
        return len(program)
    return int((-(-program.nbytes // (growth * slicing.slice_bytes))).sum())


def _pieces(
    program: Program, place_bytes: Int64Array, slices: Int64Array, slicing: Slicing
) -> tuple[Int64Array, Int64Array, Int64Array, Int64Array, Int64Array]:
    """Return row, place sent, place written, slice and bytes of every slice of every row."""
    row, within = expand(program.nplaces)
    sent, written = program.src_place[row] + within, program.dst_place[row] + within
    length = place_bytes[program.row_src[row] if len(place_bytes) > 1 else 0, sent]
    number = np.minimum(slices[sent], -(-length // slicing.slice_bytes))
    pieces = int(number.sum())
    check_fits(
        pieces * BYTES_PER_SLICE,
        f"timing {pieces} slices of {format_bytes(slicing.slice_bytes)} (larger slices are fewer)",
    )
    piece, part = expand(number)
    nbytes = np.minimum(slicing.slice_bytes, length[piece] - part * slicing.slice_bytes)
    return row[piece], sent[piece], written[piece], part, nbytes


def _slice_number(message: Int64Array, nbytes: Int64Array, slice_bytes: int) -> Int64Array:
    """Return which slice of its message each piece belongs to, by the bytes before it."""
    before = np.cumsum(nbytes) - nbytes
    begins = np.ones(len(message), dtype=bool)
    begins[1:] = np.diff(message) != 0
    start = before[np.flatnonzero(begins)][np.cumsum(begins) - 1]
    number: Int64Array = (before - start) // slice_bytes
    return number


def _between_slices(waits: Waits, message: Int64Array) -> Waits:
    """Return the waits of messages as waits of their slices.

    A message is issued, and done, with its last slice; all slices of a later one wait for that.
    """
    first = np.searchsorted(message, waits.later)
    number = np.searchsorted(message, waits.later, side="right") - first
    of, within = expand(number)
    last = np.searchsorted(message, waits.earlier, side="right") - 1
    return Waits(last[of], first[of] + within, waits.upon_issue[of], waits.starts[of])
