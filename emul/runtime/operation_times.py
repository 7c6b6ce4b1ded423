"""When the ranks of one operation issued it, started it and were done, and its transfers."""

from __future__ import annotations

import numpy as np

from emul.arrays import Int32Array, Int64Array
from emul.runtime.history import SentTransfers
from emul.runtime.operation import Operation
from emul.timing import Moments, OperationPath, path_to_end

__all__ = ["OperationTimes"]


class OperationTimes:
    """The times of one operation, by its ``ranks``, rising.

    ``issued_ps``, ``started_ps``, ``done_ps`` (ranks,) count from ``base_ps`` after the birth of
    the World. ``sent``: its transfers, among those of others; None when they are forgotten.
    ``number``: of its row in the history, if it has passed. ``is_alone``: whether it met no other.
    """

    __slots__ = (
        "base_ps",
        "done_ps",
        "is_alone",
        "issued_ps",
        "number",
        "operation",
        "ranks",
        "sent",
        "started_ps",
    )

    def __init__(
        self,
        operation: Operation,
        base_ps: int,
        ranks: Int32Array,
        issued_ps: Int64Array,
        started_ps: Int64Array,
        done_ps: Int64Array,
        sent: SentTransfers | None,
        *,
        is_alone: bool,
    ) -> None:
        """Take the times of ``operation``, and its transfers."""
        self.operation, self.base_ps, self.ranks = operation, base_ps, ranks
        self.issued_ps, self.started_ps, self.done_ps = issued_ps, started_ps, done_ps
        self.sent: SentTransfers | None = sent
        self.is_alone = is_alone
        self.number: int | None = None

    @classmethod
    def of(
        cls, operation: Operation, moments: Moments, sent: SentTransfers | None, base_ps: int = 0
    ) -> OperationTimes:
        """Return the times by the moments of an operation that may have met others."""
        times_ps = moments.issued_ps, moments.started_ps, moments.done_ps
        return cls(operation, base_ps, moments.ranks, *times_ps, sent, is_alone=False)

    def issued(self, rank: int) -> int:
        """Return when ``rank`` issued it."""
        return self._of(self.issued_ps, rank)

    def started(self, rank: int) -> int:
        """Return when ``rank`` started it."""
        return self._of(self.started_ps, rank)

    def done(self, rank: int) -> int:
        """Return when ``rank`` was done with it."""
        return self._of(self.done_ps, rank)

    def after_wait(self, ranks: Int32Array, clocks_ps: Int64Array) -> None:
        """Let ``ranks`` wait for it: their ``clocks_ps``, (n,), go on to when they are done."""
        done_ps = self.done_ps[np.searchsorted(self.ranks, ranks)] + self.base_ps
        clocks_ps[ranks] = np.maximum(clocks_ps[ranks], done_ps)

    def path_to_end(self, rank: int) -> OperationPath | None:
        """Return why ``rank`` was done when it was; None when the transfers are forgotten."""
        sent = self.sent
        if sent is None:
            return None
        call_ps = self.operation.prediction.timeline.transfers.call_ps
        later_ps = self.base_ps - sent.since_ps
        ready_ps = self.started_ps + (later_ps + call_ps)
        return path_to_end(
            sent.timeline,
            sent.lines,
            rank,
            done_ps=self.done(rank) - sent.since_ps,
            ready_ps=dict(zip(self.ranks.tolist(), ready_ps.tolist(), strict=True)),
            call_ps=call_ps,
            release=self.operation.member.release,
            is_alone=self.is_alone,
        )

    def _of(self, moments_ps: Int64Array, rank: int) -> int:
        return self.base_ps + int(moments_ps[np.searchsorted(self.ranks, rank)])
