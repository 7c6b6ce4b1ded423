"""Why a collective took as long as it did: the chain of causes from its end to its start."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

from emul.timing.scheduler import CAUSES
from emul.timing.timeline import Timeline
from emul.units import PS_PER_S

__all__ = ["CriticalPath", "Segment", "critical_path"]

DONE, SLOT, ISSUE = range(len(CAUSES))


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the critical path.

    ``place`` is the part of the network, ``term`` one of ``share`` (bytes at the rate of a
    link, one's own or those waited for), ``latency``, ``overhead`` and ``window`` (the round
    trip after which a sender without a free slot has one again).
    """

    place: str
    term: str
    duration_ps: int


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
        """What takes longest: ``share``, ``window``, or ``latency`` (with overhead, as alpha)."""
        if not self.segments:
            return "none"
        spent = dict.fromkeys(("share", "window", "latency"), 0)
        for each in self.segments:
            spent["latency" if each.term == "overhead" else each.term] += each.duration_ps
        return max(spent, key=lambda term: spent[term])

    @property
    def binding_place(self) -> str:
        """The part of the network on which most of the path is spent."""
        return max(self._by_place(), key=lambda place: self.spent_s(place), default="none")

    def spent_s(self, place: str, term: str | None = None) -> float:
        """Return the seconds spent at ``place``, by ``term`` or in all."""
        spent = (
            each.duration_ps
            for each in self.segments
            if each.place == place and term in (None, each.term)
        )
        return sum(spent) / PS_PER_S

    def _by_place(self) -> dict[str, None]:
        return {each.place: None for each in self.segments}


def critical_path(timeline: Timeline) -> CriticalPath:
    """Return why ``timeline`` ends when it does. The segments sum to its total exactly."""
    if not len(timeline):
        return CriticalPath(())
    return CriticalPath(tuple(_Walk(timeline).segments()))


class _Walk:
    """Walks from the last transfer back through whatever held each one up."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self.network = timeline.network

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
            cause = int(self.timeline.start_cause[transfer])
            if cause == SLOT:
                back = self.network.latency_ps(*reversed(self._ends(transfer)))
                yield Segment(self._main_place(transfer), "window", back)
            transfer = int(self.timeline.waited_for[transfer])

    def _crossing(self, transfer: int, *, slot_alone: bool) -> Generator[Segment, None, int]:
        """Yield what made up the way of ``transfer``, of which perhaps the slot alone matters.

        Returns the transfer that was first on the busy links, with whose being issued it began.
        """
        if not self._route(transfer):
            return transfer
        term = "window" if slot_alone else "latency"
        yield Segment(self._main_place(transfer), term, self._latency_ps(transfer))
        hop = self._last_hop(transfer)
        yield self._share(transfer, hop)
        while True:
            if hop == 0:
                overhead = self._overhead_ps(transfer)
                yield Segment(self._main_place(transfer), "overhead", overhead)
            blocker = int(self.timeline.behind[transfer, hop])
            if blocker >= 0:
                link = self._route(transfer)[hop]
                transfer, hop = blocker, self._route(blocker).index(link)
                yield self._share(transfer, hop)
            elif hop == 0:
                return transfer
            else:
                hop -= 1

    def _last_hop(self, transfer: int) -> int:
        """Return the link on which the last byte of ``transfer`` was held up longest."""
        finish = int(self.timeline.arrival_ps[transfer]) - self._latency_ps(transfer)
        hops = range(len(self._route(transfer)))
        return next(hop for hop in hops if self._freed_ps(transfer, hop) == finish)

    def _freed_ps(self, transfer: int, hop: int) -> int:
        return self._bytes_from_ps(transfer, hop) + self._occupancy_ps(transfer, hop)

    def _bytes_from_ps(self, transfer: int, hop: int) -> int:
        taken = int(self.timeline.on_link_ps[transfer, hop])
        return taken + (self._overhead_ps(transfer) if hop == 0 else 0)

    def _share(self, transfer: int, hop: int) -> Segment:
        place = self.network.place(self._route(transfer)[hop])
        return Segment(place, "share", self._occupancy_ps(transfer, hop))

    def _occupancy_ps(self, transfer: int, hop: int) -> int:
        rate = float(self.network.link_rate[self._route(transfer)[hop]])
        return int(int(self.timeline.nbytes[transfer]) * 1e12 / rate + 0.5)

    def _route(self, transfer: int) -> tuple[int, ...]:
        return self.network.route(*self._ends(transfer))

    def _latency_ps(self, transfer: int) -> int:
        return self.network.latency_ps(*self._ends(transfer))

    def _overhead_ps(self, transfer: int) -> int:
        if not self.timeline.begins[transfer]:
            return 0
        return self.network.overhead_ps(*self._ends(transfer))

    def _ends(self, transfer: int) -> tuple[int, int]:
        return int(self.timeline.src[transfer]), int(self.timeline.dst[transfer])

    def _main_place(self, transfer: int) -> str:
        """Return the trunk of a route between sites, else the ports it leaves by."""
        route = self._route(transfer)
        return self.network.place(route[1] if len(route) > 2 else route[0])
