"""Why a rank was done with an operation when it was: the chain of causes back to a rank's start.

The chain stays inside the operation. Where one of its transfers stood in front of a link that
another operation used, the wait counts as ``others`` at that link.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from emul.reading.brief import brief
from emul.timing.critical import (
    BEGAN,
    CONNECTION,
    DONE,
    GONE,
    HOST,
    ISSUE,
    PORT,
    RECEIVER,
    SLOT,
    Segment,
    Walk,
)
from emul.timing.joint.rank_ops import Release
from emul.timing.transfer_times import TransferTimes

__all__ = ["OTHERS", "OperationPath", "path_to_end"]

OTHERS = "others"
"""The term of a wait in front of a link that another operation uses."""


@dataclass(frozen=True, slots=True, eq=False)
class OperationPath:
    """The ``segments`` from the end at one rank back to the start of the rank ``from_rank``."""

    segments: tuple[Segment, ...]
    from_rank: int

    __repr__ = brief


def path_to_end(
    timeline: TransferTimes,
    lines: slice,
    rank: int,
    *,
    done_ps: int,
    ready_ps: Mapping[int, int],
    call_ps: int,
    release: Release,
    is_alone: bool,
) -> OperationPath:
    """Return why ``rank`` was done at ``done_ps`` with the operation of some ``lines``.

    Moments are those of the timeline, in picoseconds. ``ready_ps``: by rank, the start and then the
    ``call_ps`` of its software. ``release``: when a sender was done. ``is_alone``: whether the
    operation met no other. The segments sum to ``done_ps`` less the start of the rank with which
    the chain ends.
    """
    walk = _OperationWalk(timeline, lines, ready_ps, is_alone=is_alone)
    segments = [each for each in walk.back_from(rank, done_ps, release) if each.duration_ps]
    from_rank = walk.from_rank
    if from_rank < 0:  # only its own software kept it
        from_rank, call_ps = rank, done_ps - ready_ps[rank] + call_ps
        assert done_ps <= ready_ps[rank], "a transfer of the rank was the last"
    if call_ps:
        segments.append(Segment(HOST, "host", call_ps))
    return OperationPath(tuple(segments), from_rank)


class _OperationWalk(Walk):
    """Walks back through the transfers of one operation among several."""

    def __init__(
        self,
        timeline: TransferTimes,
        lines: slice,
        ready_ps: Mapping[int, int],
        *,
        is_alone: bool,
    ) -> None:
        super().__init__(timeline)
        self.first, self.stop, _ = lines.indices(len(timeline))
        self.ready_ps = ready_ps
        self.is_alone = is_alone
        self.from_rank = -1

    def back_from(self, rank: int, done_ps: int, release: Release) -> Iterator[Segment]:
        """Yield the stretches from the end of ``rank`` back to the start of ``from_rank``."""
        transfer, is_done = self._last(rank, done_ps, release)
        cause = DONE
        while self._is_own(transfer):
            self.from_rank = int(self.timeline.src[transfer])
            after = int(self.timeline.ordered_after[transfer])
            if cause == DONE and is_done and after >= 0:
                transfer, cause = after, int(self.timeline.done_cause[transfer])
                continue
            transfer = yield from self._before_start(transfer, cause, done_ps, is_done=is_done)
            self.from_rank, is_done = int(self.timeline.src[transfer]), True
            cause = int(self.timeline.start_cause[transfer])
            waited_for = int(self.timeline.waited_for[transfer])
            if cause == SLOT and self._is_own(waited_for):
                back = self.network.latency_ps(*reversed(self._ends(transfer)))
                yield self._part(transfer, self._main_place(transfer), "window", back)
            transfer = waited_for

    def _before_start(
        self, transfer: int, cause: int, done_ps: int, *, is_done: bool
    ) -> Generator[Segment, None, int]:
        """Yield the stretches until ``transfer`` was ready; return the one ready instead of it."""
        if cause == ISSUE:
            if self.table.multi_window.size and self.table.multi_window[transfer]:
                return (yield from self._sending_to_nic(transfer))
            return transfer
        if not is_done and int(self.timeline.arrival_ps[transfer]) != done_ps:
            hop = next(
                hop for hop in self._hops(transfer) if self._freed_ps(transfer, hop) == done_ps
            )
            first = yield from self._stay(transfer, hop)
            return (yield from self._back(first, hop))
        return (yield from self._crossing(transfer, slot_alone=cause == SLOT))

    def _last(self, rank: int, done_ps: int, release: Release) -> tuple[int, bool]:
        """Return the transfer with which ``rank`` was done or -1, and whether it was to it.

        One that could not arrive before a transfer of another operation is none: the rank was done
        with that operation, which is of the same communicator, before it started this one.
        """
        timeline, lines = self.timeline, slice(self.first, self.stop)
        (came,) = np.nonzero((timeline.dst[lines] == rank) & (timeline.done_ps[lines] == done_ps))
        for transfer in (self.first + came).tolist():
            held_by = self._held_by(transfer)
            if held_by < 0 or self._is_own(held_by):
                return transfer, True
        (out,) = np.nonzero((timeline.src[lines] == rank) & (timeline.dst[lines] != rank))
        for transfer in (self.first + out).tolist():
            sent = release == "sent"
            ended = self._sent_ps(transfer) if sent else int(timeline.arrival_ps[transfer])
            if ended == done_ps:
                return transfer, False
        return -1, False

    def _is_own(self, transfer: int) -> bool:
        return self.first <= transfer < self.stop

    def _wait_for(self, transfer: int, hop: int) -> Generator[Segment, None, int]:
        """Yield the waits for transfers of the operation, or else the wait for those of others."""
        if self._is_own(int(self.timeline.behind[transfer, hop])):
            return (yield from super()._wait_for(transfer, hop))
        wait = self._term_of_wait(transfer, hop), self._others_ps(transfer, hop)
        yield from self._parts(transfer, self._place(transfer, hop), wait)
        return -1

    def _term_of_wait(self, transfer: int, hop: int) -> str:
        """Return why ``transfer`` waits at ``hop`` for another operation: its use, or a gap."""
        connection = int(self.table.connection[transfer])
        if hop != CONNECTION or not self.table.spacing_ps[connection]:
            return OTHERS
        blocker = int(self.timeline.behind[transfer, hop])
        if blocker < 0:  # one that is over, and so has left
            return "gap"
        if self._over_streams(transfer):
            in_use = int(self.timeline.runs_from[transfer, BEGAN]) >= 0
        else:
            in_use = self._taken_ps(transfer, hop) <= self._freed_ps(blocker, hop)
        return OTHERS if in_use else "gap"

    def _others_ps(self, transfer: int, hop: int) -> int:
        """Return for how long ``transfer`` waits at ``hop`` for transfers of other operations."""
        if self.is_alone:
            return 0
        taken = self._taken_ps(transfer, hop)
        if hop == PORT:
            return taken - self._ready_ps(transfer)
        if hop == CONNECTION:
            return taken - self._bytes_from_ps(transfer, PORT)
        return max(0, taken - self._head_came_ps(transfer))

    def _ready_ps(self, transfer: int) -> int:
        """Return when ``transfer`` waited for no other one, nor for its rank, any more."""
        while True:
            before = int(self.timeline.waited_for[transfer])
            if not self._is_own(before):
                return self.ready_ps[int(self.timeline.src[transfer])]
            cause = int(self.timeline.start_cause[transfer])
            if cause == DONE:
                return int(self.timeline.done_ps[before])
            if cause == SLOT:
                back = self.network.latency_ps(*reversed(self._ends(transfer)))
                return int(self.timeline.arrival_ps[before]) + back
            if self.table.multi_window.size and self.table.multi_window[before]:
                return int(self.timeline.sent_to_nic_ps[before])
            transfer = before

    def _head_came_ps(self, transfer: int) -> int:
        """Return when the head of ``transfer`` came to its receiver, behind earlier heads."""
        hop = self._hops(transfer)[-2]
        came = self._bytes_from_ps(transfer, hop) + self._travel_ps(transfer, hop)
        if hop != CONNECTION or not self.table.jitter_ps.size:
            return came
        lines, timeline = slice(self.first, self.stop), self.timeline
        (before,) = np.nonzero(
            (self.table.connection[lines] == self.table.connection[transfer])
            & (timeline.on_link_ps[lines, CONNECTION] < self._taken_ps(transfer, CONNECTION))
        )
        heads = (
            self._bytes_from_ps(each, CONNECTION) + self._travel_ps(each, CONNECTION)
            for each in (self.first + before).tolist()
        )
        return max([came, *heads])

    def _travel_ps(self, transfer: int, hop: int) -> int:
        """Return for how long a byte of ``transfer`` is under way that leaves ``hop`` first."""
        travel = self.network.latency_ps(*self._ends(transfer))
        if self.table.jitter_ps.size:
            travel += int(self.table.jitter_ps[transfer])
        return travel + self._extra_ps(transfer, self._bytes_from_ps(transfer, hop))

    def _extra_ps(self, transfer: int, left_ps: int) -> int:
        """Return the delay that a changing trunk adds to a byte that comes to it then."""
        states, connection = self.table.states, int(self.table.connection[transfer])
        if connection < 0 or int(self.table.changing[connection]) < 0:
            return 0
        number = int(self.table.changing[connection])
        some = slice(int(states.first_state[number]), int(states.first_state[number + 1]))
        at = int(np.searchsorted(states.from_ps[some], left_ps, side="right")) - 1
        return int(states.extra_ps[some][max(0, at)])

    def _head_delay_ps(self, transfer: int, before: int) -> int:
        delay = super()._head_delay_ps(transfer, before)
        return delay - self._others_ps(transfer, RECEIVER)

    def _run(self, transfer: int, moment: int) -> Generator[Segment, None, int]:
        """Yield as Walk does; of a run that another operation began, the own part alone.

        For how long windows, losses and outages held it there is the growth of these times between
        its two moments. With several streams these are of different ones, which may have been held
        for different times: then no more than all of the part, and no less than nothing.
        """
        if self._is_own(int(self.timeline.runs_from[transfer, moment])):
            return (yield from super()._run(transfer, moment))
        left = self._freed_ps(transfer, CONNECTION) - self._taken_ps(transfer, CONNECTION)
        began, gone = self.timeline.runs_ps[transfer, BEGAN], self.timeline.runs_ps[transfer, GONE]
        held_ps = []
        for held in (gone - began).tolist():
            held_ps.append(min(max(held, 0), left))
            left -= held_ps[-1]
        yield from self._parts(transfer, self._main_place(transfer), ("share", left))
        yield from self._held(transfer, held_ps)
        return transfer
