"""Why a collective took as long as it did: the chain of causes from its end to its start."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

from emul.reading.brief import brief, one_line
from emul.timing.engine.causes import CAUSES
from emul.timing.terms import TERMS
from emul.timing.transfer_times import TransferTimes
from emul.topology.network import NIC, PORTS_PER_RANK
from emul.units import PS_PER_S, format_time

__all__ = ["CriticalPath", "Segment", "Walk", "critical_path"]

DONE, SLOT, ISSUE = range(len(CAUSES))
PORT, CONNECTION, RECEIVER = range(3)
BEGAN, GONE = range(2)

RUN_TERMS = ("window", "loss", "out", "into", "outage")
"""The causes that hold a stream up, as columns of a Timeline's ``runs_ps``: ``out`` and ``into``
are shared NICs, of its sender and of its receiver."""

RUN_PORTS = {"out": PORT, "into": RECEIVER}

HOST = "the hosts"
"""The place of the software's time per call, before anything is sent."""

ALSO_LATENCY = ("overhead", "jitter")
"""Terms of segments that count as latency where one word is asked for."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the critical path.

    ``place`` is the part of the network, ``term`` one of emul.timing.terms.TERMS, ``overhead`` or
    ``jitter``; within a program also ``others``: in front of a link that another operation uses.
    ``share`` is bytes at the rate of a link, one's own or those waited for; ``window``
    and ``loss`` the time at a rate to which windows or losses held a connection, the round trip
    after which a sender without a free slot has one again, and packets sent a second time.
    ``transfer``: whose stretch it is, by its number in the timeline; -1 for none.
    """

    place: str
    term: str
    duration_ps: int
    transfer: int = field(default=-1, compare=False)

    __repr__ = brief


@dataclass(frozen=True, slots=True)
class CriticalPath:
    """The segments that follow one another without a gap from the end back to the start."""

    segments: tuple[Segment, ...]

    @property
    def total_ps(self) -> int:
        """The sum of all segments, which is the modelled time."""
        return sum(segment.duration_ps for segment in self.segments)

    @property
    def binding(self) -> str:
        """The term that takes longest, one of terms.TERMS; overhead and jitter count as latency."""
        if not self.segments:
            return "none"
        spent = dict.fromkeys(TERMS, 0)
        for each in self.segments:
            spent["latency" if each.term in ALSO_LATENCY else each.term] += each.duration_ps
        return max(spent, key=lambda term: spent[term])

    @property
    def binding_place(self) -> str:
        """The part of the network on which most of the path is spent."""
        return max(self._by_place(), key=lambda place: self.spent_s(place), default="none")

    def __repr__(self) -> str:
        """Say in one line how long it is, where it is longest, and which term rules it."""
        spent, place = format_time(self.total_ps / PS_PER_S), self.binding_place
        longest = f"{format_time(self.spent_s(place))} at {place}, binding {self.binding}"
        return one_line(f"<CriticalPath: {len(self.segments)} segments, {spent}; {longest}>")

    def spent_s(self, place: str, term: str | None = None) -> float:
        """Return the seconds spent at ``place``, by ``term`` or in all."""
        spent = (
            each.duration_ps
            for each in self.segments
            if each.place == place and term in (None, each.term)
        )
        return sum(spent) / PS_PER_S

    def by_place_s(self) -> dict[str, dict[str, float]]:
        """Return the seconds spent at each place by term, the place with most of them first.

        They add up to the modelled time.
        """
        spent_ps: dict[str, dict[str, int]] = {}
        for each in self.segments:
            terms = spent_ps.setdefault(each.place, {})
            terms[each.term] = terms.get(each.term, 0) + each.duration_ps
        most_first = sorted(spent_ps.items(), key=lambda item: -sum(item[1].values()))
        return {
            place: {term: ps / PS_PER_S for term, ps in terms.items() if ps}
            for place, terms in most_first
        }

    def _by_place(self) -> dict[str, None]:
        return {each.place: None for each in self.segments}


def critical_path(timeline: TransferTimes) -> CriticalPath:
    """Return why ``timeline`` ends when it does. The segments sum to its total exactly."""
    if not len(timeline):
        return CriticalPath(())
    return CriticalPath(tuple(Walk(timeline).segments()))


class Walk:
    """Walks from the last transfer back through the transfers that held each one up."""

    def __init__(self, timeline: TransferTimes) -> None:
        """Take the times of all transfers, and why each was when it was."""
        self.timeline = timeline
        self.network = timeline.network
        self.table = timeline.connection_table

    def segments(self) -> Iterator[Segment]:
        """Yield the stretches from the end back to the start."""
        transfer, cause = int(self.timeline.done_ps.argmax()), DONE
        while transfer >= 0:
            after = int(self.timeline.ordered_after[transfer])
            if cause == DONE and after >= 0:
                transfer, cause = after, int(self.timeline.done_cause[transfer])
                continue
            if cause != ISSUE:
                transfer = yield from self._crossing(transfer, slot_alone=cause == SLOT)
            elif self.table.multi_window.size and self.table.multi_window[transfer]:
                transfer = yield from self._sending_to_nic(transfer)
            cause = int(self.timeline.start_cause[transfer])
            if cause == SLOT:
                back = self.network.latency_ps(*reversed(self._ends(transfer)))
                back += self._word_ps(int(self.timeline.waited_for[transfer]))
                yield self._part(transfer, self._main_place(transfer), "window", back)
            transfer = int(self.timeline.waited_for[transfer])
        if self.timeline.transfers.call_ps:
            yield Segment(HOST, "host", self.timeline.transfers.call_ps)

    def _word_ps(self, transfer: int) -> int:
        """Return how much later than one trip back word of an arrival is there."""
        return int(self.table.word_ps[transfer]) if len(self.table.word_ps) else 0

    def _crossing(self, transfer: int, *, slot_alone: bool) -> Generator[Segment, None, int]:
        """Yield the parts of the path of ``transfer``, of which perhaps the slot alone matters.

        Returns the transfer that was first on the busy links, with whose being issued it began.
        """
        if not self._hops(transfer):
            return transfer
        while (held_by := self._held_by(transfer)) >= 0:
            transfer = held_by
        yield from self._late(transfer)
        hop = self._last_hop(transfer)
        if hop != RECEIVER:
            delay = self._came_ps(transfer) - self._sent_ps(transfer)
            yield from self._under_way(transfer, delay, slot_alone=slot_alone)
        first = yield from self._stay(transfer, hop)
        alone = slot_alone and first == transfer
        return (yield from self._back(first, hop, slot_alone=alone))

    def _held_by(self, transfer: int) -> int:
        """Return the transfer before which ``transfer`` could not arrive, -1 for none."""
        return int(self.timeline.held_by[transfer]) if self.timeline.held_by.size else -1

    def _sending_to_nic(self, transfer: int) -> Generator[Segment, None, int]:
        """Yield the time until the last window of ``transfer`` began; return as _crossing."""
        sent_to_nic = int(self.timeline.sent_to_nic_ps[transfer]) - self._taken_ps(
            transfer, CONNECTION
        )
        yield self._part(transfer, self._main_place(transfer), "window", sent_to_nic)
        return (yield from self._back(transfer, CONNECTION))

    def _back(
        self, transfer: int, hop: int, *, slot_alone: bool = False
    ) -> Generator[Segment, None, int]:
        """Yield the causes that kept ``transfer`` from taking ``hop``, to the start of the queue.

        With ``slot_alone``, of its way to the receiver the slot alone matters.
        """
        asked = transfer
        while True:
            if hop == PORT:
                overhead = self._overhead_ps(transfer)
                term = "host" if self._of_library(transfer) else "overhead"
                yield self._part(transfer, self._main_place(transfer), term, overhead)
            first = yield from self._wait_for(transfer, hop)
            if first >= 0:
                transfer = first
            elif hop == PORT:
                return transfer
            else:
                before = self._hops(transfer)[self._hops(transfer).index(hop) - 1]
                if hop == RECEIVER:
                    delay = self._head_delay_ps(transfer, before)
                    alone = slot_alone and transfer == asked
                    yield from self._under_way(transfer, delay, slot_alone=alone)
                hop = before

    def _head_delay_ps(self, transfer: int, before: int) -> int:
        """Return for how long the head of ``transfer`` was under way after the hop ``before``."""
        return self._taken_ps(transfer, RECEIVER) - self._bytes_from_ps(transfer, before)

    def _wait_for(self, transfer: int, hop: int) -> Generator[Segment, None, int]:
        """Yield the waits of ``transfer`` after its head had come to ``hop``.

        Returns the transfer with whose taking ``hop`` that began, -1 where it did not wait.
        """
        blocker = int(self.timeline.behind[transfer, hop])
        if blocker < 0:
            return blocker
        streams = hop == CONNECTION and self._over_streams(transfer)
        if streams and int(self.timeline.runs_from[transfer, BEGAN]) >= 0:
            return (yield from self._run(transfer, BEGAN))
        taken = self._taken_ps(transfer, hop)
        if streams or (hop == CONNECTION and taken > self._freed_ps(blocker, hop)):
            spacing = taken - self._taken_ps(blocker, CONNECTION)
            yield self._part(transfer, self._main_place(transfer), "gap", spacing)
            return blocker
        return (yield from self._stay(blocker, hop))

    def _under_way(self, transfer: int, delay_ps: int, *, slot_alone: bool) -> Iterator[Segment]:
        """Yield the parts of ``delay_ps``, from the sender's side to the receiver's port.

        Where there is jitter, a head may also wait for the heads before it on its connection.
        """
        place, path = self._main_place(transfer), self.network.path(*self._ends(transfer))
        queue = int(self.network.path_queue_ps[path])
        host = self.network.completion_ps(*self._ends(transfer))
        travel = int(self.network.path_latency_ps[path]) - queue - host
        if not self.table.jitter_ps.size:
            travel = delay_ps - queue - host
        parts = ("window" if slot_alone else "latency", travel), ("queue", queue), ("host", host)
        jitter = delay_ps - travel - queue - host
        yield from self._parts(transfer, place, *parts, ("jitter", jitter))

    def _late(self, transfer: int) -> Iterator[Segment]:
        """Yield the delays of the arrival of ``transfer`` after its last byte."""
        columns = self.table.tail_ps, self.timeline.transfers.completion_ps
        tail, software = (int(each[transfer]) if each.size else 0 for each in columns)
        place = self._main_place(transfer)
        yield from self._parts(transfer, place, ("loss", tail), ("host", software))

    def _parts(self, transfer: int, place: str, *parts: tuple[str, int]) -> Iterator[Segment]:
        for term, duration in parts:
            if duration:
                yield self._part(transfer, place, term, duration)

    def _stay(self, transfer: int, hop: int) -> Generator[Segment, None, int]:
        """Yield the uses of a transfer's time on a port or a connection, until it was free again.

        Returns the transfer with whose taking ``hop`` that began: over streams, perhaps another.
        """
        if hop == CONNECTION and self._over_streams(transfer):
            return (yield from self._run(transfer, GONE))
        spent = self._freed_ps(transfer, hop) - self._bytes_from_ps(transfer, hop)
        term, cwnd_held = "share", 0
        if hop == PORT and self._is_shared(self._port(transfer, hop)):
            yield self._part(transfer, self._place(transfer, hop), "host", spent)
            return transfer
        if hop == CONNECTION:
            term = TERMS[int(self.table.term[self.table.connection[transfer]])]
            cwnd_held = int(self.timeline.cwnd_ps[transfer])
        place, copied = self._place(transfer, hop), self._copied_ps(transfer, hop, spent)
        yield self._part(transfer, place, term, spent - cwnd_held - copied)
        yield from self._parts(transfer, place, ("window", cwnd_held), ("host", copied))
        return transfer

    def _run(self, transfer: int, moment: int) -> Generator[Segment, None, int]:
        """Yield the stream's acts that led to a moment of ``transfer``, since it was idle.

        That is BEGAN, when the transfer took the connection, or GONE, when the last of its parts
        had left. A stream goes on with its part of the next transfer as soon as it can, apart from
        the other streams of its connection. Returns the transfer by whose taking the connection it
        began.
        """
        first = int(self.timeline.runs_from[transfer, moment])
        end = (
            self._freed_ps(transfer, CONNECTION)
            if moment == GONE
            else self._taken_ps(transfer, CONNECTION)
        )
        held = self.timeline.runs_ps[transfer, moment].tolist()
        share = end - self._taken_ps(first, CONNECTION) - sum(held)
        yield self._part(transfer, self._main_place(transfer), "share", share)
        yield from self._held(transfer, held)
        return first

    def _held(self, transfer: int, held_ps: list[int]) -> Iterator[Segment]:
        """Yield for how long each of RUN_TERMS held a stream of ``transfer``."""
        for term, held in zip(RUN_TERMS, held_ps, strict=True):
            if term not in RUN_PORTS:
                yield from self._parts(transfer, self._main_place(transfer), (term, held))
                continue
            hop = RUN_PORTS[term]
            copied = self._copied_ps(transfer, hop, held)
            parts = ("share", held - copied), ("host", copied)
            yield from self._parts(transfer, self._place(transfer, hop), *parts)

    def _part(self, transfer: int, place: str, term: str, duration_ps: int) -> Segment:
        """Return a stretch of ``transfer``, and of the rounds that it stands for."""
        multiplicity = self.timeline.transfers.multiplicity
        rounds = 1 if multiplicity is None else int(multiplicity.rounds[transfer])
        place = HOST if term == "host" else place
        return Segment(place, term, duration_ps * rounds, transfer)

    def _over_streams(self, transfer: int) -> bool:
        connection = int(self.table.connection[transfer])
        return bool(self.table.first_stream[connection + 1] > self.table.first_stream[connection])

    def _is_shared(self, port: int) -> bool:
        """Say whether messages share ``port``, so that its host alone keeps them from it."""
        return self.network.shares_ports and port % PORTS_PER_RANK >= NIC

    def _copied_ps(self, transfer: int, hop: int, spent: int) -> int:
        """Return for how much of a stay at a port its host copies longer than its wire sends."""
        if hop == CONNECTION or not self.network.wire_rate.size:
            return 0
        port = self._port(transfer, hop)
        rank, kind = divmod(port, PORTS_PER_RANK)
        if kind < NIC:
            return 0
        part = float(self.network.link_rate[port]) / float(self.network.wire_rate[rank])
        return spent - int(spent * part)

    def _of_library(self, transfer: int) -> bool:
        """Say whether the overhead of a transfer is the cost of its library."""
        host = self.timeline.transfers.host_ps
        own = bool(host[transfer]) if host.size else False
        return own or self.network.host_takes_ps(*self._ends(transfer)) > 0

    def _hops(self, transfer: int) -> list[int]:
        """Return a transfer's hops: none, or ports and perhaps a connection between them."""
        if self.timeline.src[transfer] == self.timeline.dst[transfer]:
            return []
        if self.table.connection[transfer] >= 0:
            return [PORT, CONNECTION, RECEIVER]
        return [PORT, RECEIVER]

    def _last_hop(self, transfer: int) -> int:
        """Return the hop on which the last byte of ``transfer`` was held up longest."""
        came, sent = self._came_ps(transfer), self._sent_ps(transfer)
        delay = self.network.latency_ps(*self._ends(transfer))
        if self.table.jitter_ps.size:
            delay += int(self.table.jitter_ps[transfer])
        if self._freed_ps(transfer, RECEIVER) == came != sent + delay:
            return RECEIVER
        return next(hop for hop in self._hops(transfer) if self._freed_ps(transfer, hop) == sent)

    def _came_ps(self, transfer: int) -> int:
        """Return when the last byte of ``transfer`` came through the receiver's port."""
        columns = self.table.tail_ps, self.timeline.transfers.completion_ps
        multi_window = sum(int(each[transfer]) for each in columns if each.size)
        return int(self.timeline.arrival_ps[transfer]) - multi_window

    def _sent_ps(self, transfer: int) -> int:
        """Return when the last byte of ``transfer`` left the sender's side."""
        *hops, _ = self._hops(transfer)
        return max(self._freed_ps(transfer, hop) for hop in hops)

    def _freed_ps(self, transfer: int, hop: int) -> int:
        if hop == CONNECTION:
            return int(self.timeline.left_ps[transfer])
        rate = float(self.network.queue_rate[self._port(transfer, hop)])
        occupancy = int(int(self.timeline.nbytes[transfer]) * 1e12 / rate + 0.5)
        return self._bytes_from_ps(transfer, hop) + occupancy

    def _bytes_from_ps(self, transfer: int, hop: int) -> int:
        taken = self._taken_ps(transfer, hop)
        return taken + (self._overhead_ps(transfer) if hop == PORT else 0)

    def _taken_ps(self, transfer: int, hop: int) -> int:
        return int(self.timeline.on_link_ps[transfer, hop])

    def _port(self, transfer: int, hop: int) -> int:
        return self.network.route(*self._ends(transfer))[0 if hop == PORT else -1]

    def _place(self, transfer: int, hop: int) -> str:
        if hop == CONNECTION:
            return self._main_place(transfer)
        return self.network.place(self._port(transfer, hop))

    def _overhead_ps(self, transfer: int) -> int:
        host = self.timeline.transfers.host_ps
        software = int(host[transfer]) if host.size else 0
        if not self.timeline.begins[transfer]:
            return software
        return software + self.network.overhead_ps(*self._ends(transfer))

    def _ends(self, transfer: int) -> tuple[int, int]:
        return int(self.timeline.src[transfer]), int(self.timeline.dst[transfer])

    def _main_place(self, transfer: int) -> str:
        """Return the trunk or path between sites, else the ports by which it leaves."""
        path = self.network.path(*self._ends(transfer))
        if path >= self.network.first_trunk_path:
            return self.network.path_place(path)
        return self.network.place(self._port(transfer, PORT))
