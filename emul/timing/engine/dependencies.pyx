"""Who waits for whom: the dependencies that follow from the reads and writes of a plan's rows."""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t

import numpy as np

from emul.timing.engine.columns import StateColumns

__all__ = [
    "POSTS_KIND",
    "STARTS_KIND",
    "UPON_ARRIVAL_KIND",
    "UPON_ISSUE_KIND",
    "UPON_SENT_KIND",
    "Edges",
    "dependencies",
    "edges_between",
]

STARTS_KIND, UPON_ISSUE_KIND, POSTS_KIND, UPON_ARRIVAL_KIND, UPON_SENT_KIND = (
    STARTS, UPON_ISSUE, POSTS, UPON_ARRIVAL, UPON_SENT
)


@cython.final
@cython.auto_pickle(False)
cdef class Edges:
    """For each transfer, its waiters, and the kinds of their waits."""

    # All attributes, by what they are columns of, as in emul.timing.engine.columns.
    STATE = {
        "transfer": "before_start before_done",
        "made anew": "arrays",
        "given": "first waiter kind upon_arrival upon_sent gated",
    }

    def __init__(self, int64_t transfers, int64_t most):
        self.arrays = {}
        self.first = np.zeros(transfers + 1, dtype=np.int64)
        self.waiter = np.empty(most, dtype=np.int32)
        self.kind = np.empty(most, dtype=np.uint8)
        self.before_start = self.arrays["before_start"] = np.zeros(transfers, dtype=np.int32)
        self.arrays["before_done"] = np.ones(transfers, dtype=np.int32)  # its own arrival
        self.before_done = self.arrays["before_done"]

    def save(self, which, number):
        """Return the state of those transfers in ``which``, by the new ``number`` of each."""
        return StateColumns(self, "transfer").save(number, which)

    def restore(self, saved, int64_t kept):
        """Take over what was saved, of the first ``kept`` transfers."""
        StateColumns(self, "transfer").restore(saved, slice(0, kept))

    def table(self):
        """Return the earlier and the later transfer and the kind of each edge."""
        first = np.asarray(self.first)
        earlier = np.repeat(np.arange(len(first) - 1, dtype=np.int32), np.diff(first))
        return earlier, np.asarray(self.waiter), np.asarray(self.kind)


def dependencies(traffic, int64_t ranks, bint posts=False):
    """Return who waits for whom in ``traffic``, an emul.timing.Traffic between ``ranks``.

    The edges that follow from the data of a verified plan's rows come first; then those of the
    plan's order; then its own waits. The result is an argument of ``schedule``. With ``posts`` it
    also says, in edges of the kind POSTS, the transfers that a receiver must have finished before
    it asks for a transfer; the scheduler does not take those (see emul.timing.protocol).
    """
    cdef _Collector found = _Collector(traffic, ranks, posts)
    cdef int64_t[::1] src_place = traffic.src_place, dst_place = traffic.dst_place
    cdef int32_t[::1] nplaces = traffic.nplaces
    cdef uint8_t[::1] reduce = traffic.reduce
    cdef int64_t[::1] first_row = traffic.first_row, first_of_step = traffic.first_of_step
    cdef int64_t step, t, row
    with nogil:
        for step in range(first_of_step.shape[0] - 1):
            # All rows of a step read the values before it: first every read, then every write.
            for t in range(first_of_step[step], first_of_step[step + 1]):
                for row in range(first_row[t], first_row[t + 1]):
                    found.read(t, src_place[row], dst_place[row], nplaces[row], reduce[row])
                found.post(t, step)
            for t in range(first_of_step[step], first_of_step[step + 1]):
                found.follow(t, step)
            for t in range(first_of_step[step], first_of_step[step + 1]):
                for row in range(first_row[t], first_row[t + 1]):
                    found.write(t, dst_place[row], nplaces[row])
                found.arrive(t, step)
    found.take_waits(traffic.waits)
    return found.edges_by_transfer()


@cython.final
@cython.auto_pickle(False)
cdef class _Collector:
    """Collects who waits for whom while the rows of a plan go by.

    A lane is a sequence in order: a rank and a channel by issue; in lockstep a rank and, where it
    has several steps under way, every so many of its steps.
    """

    cdef int32_t[::1] writer     # of each place: the transfer that wrote it last, or -1
    cdef int32_t[::1] from_lane  # of each transfer: the lane that sends it
    cdef int32_t[::1] to_lane    # and the lane that it comes to
    cdef int32_t[::1] last       # on each lane: the last transfer, or -1
    cdef int64_t[::1] step_of    # on each lane: its step
    cdef int32_t[::1] sent       # in lockstep, by each lane: the last transfer, or -1
    cdef bint by_issue
    cdef bint lockstep
    cdef bint posts
    cdef int64_t lanes           # in lockstep, of each rank
    cdef uint8_t[::1] drained    # in lockstep, of each step: whether it waits for all lanes
    cdef int32_t[::1] earlier
    cdef int32_t[::1] later
    cdef uint8_t[::1] kind
    cdef int64_t edges
    cdef int64_t transfers

    def __init__(self, traffic, int64_t ranks, bint posts):
        self.transfers, self.posts = traffic.src.shape[0], posts
        self.by_issue = traffic.order == "issue"
        self.lockstep = traffic.order == "lockstep"
        channels = 1 + int(traffic.channel.max(initial=0)) if self.by_issue else 1
        self.from_lane = self.to_lane = traffic.src
        self.lanes = traffic.under_way if self.lockstep else 1
        if self.by_issue:
            self.from_lane = traffic.src * np.int32(channels) + traffic.channel
        if self.lockstep:
            self._take_lanes(traffic)
        # Each place read or reduced into, each transfer for its lanes and those it is posted on,
        # once more for the step that it comes in, and each wait.
        most = 2 * np.sum(traffic.nplaces, dtype=np.int64) + (4 * self.lanes + 1) * self.transfers
        most += 0 if traffic.waits is None else len(traffic.waits)
        channels = max(channels, self.lanes)
        self.writer = np.full(traffic.n_places, -1, dtype=np.int32)
        self.last = np.full(ranks * channels, -1, dtype=np.int32)
        self.step_of = np.full(ranks * channels, -1, dtype=np.int64)
        self.sent = np.full(ranks * channels, -1, dtype=np.int32)
        self.earlier = np.empty(most, dtype=np.int32)
        self.later = np.empty(most, dtype=np.int32)
        self.kind = np.empty(most, dtype=np.uint8)

    def _take_lanes(self, traffic):
        steps = len(traffic.first_of_step) - 1
        step = np.repeat(np.arange(steps), np.diff(traffic.first_of_step))
        lane = (step % traffic.under_way).astype(np.int32)
        self.from_lane = traffic.src * np.int32(traffic.under_way) + lane
        self.to_lane = traffic.dst * np.int32(traffic.under_way) + lane
        drained = np.zeros(steps + 1, dtype=np.uint8)
        drained[traffic.drains] = 1
        self.drained = drained

    cdef void wait(self, int64_t later, int32_t earlier, uint8_t kind) noexcept nogil:
        if earlier >= 0:
            self.earlier[self.edges] = earlier
            self.later[self.edges] = <int32_t>later
            self.kind[self.edges] = kind
            self.edges += 1

    cdef void read(self, int64_t t, int64_t source, int64_t target, int64_t n,
                   bint reduce) noexcept nogil:
        cdef int64_t i
        for i in range(n):
            self.wait(t, self.writer[source + i], STARTS)
            if reduce:
                self.wait(t, self.writer[target + i], 0)

    cdef void write(self, int64_t t, int64_t target, int64_t n) noexcept nogil:
        cdef int64_t i
        for i in range(n):
            self.writer[target + i] = <int32_t>t

    cdef void follow(self, int64_t t, int64_t step) noexcept nogil:
        """Let ``t`` start after the last issue and arrival of its lane, as its order says."""
        if self.by_issue:
            self.wait(t, self.last[self.from_lane[t]], STARTS | UPON_ISSUE)
            self.last[self.from_lane[t]] = <int32_t>t
        elif self.lockstep:
            self._after_lanes(t, self.from_lane[t], step, STARTS)
            self.sent[self.from_lane[t]] = <int32_t>t

    cdef void post(self, int64_t t, int64_t step) noexcept nogil:
        """Let ``t`` be asked for when its receiver is at its step."""
        if self.posts and self.lockstep:
            self._after_lanes(t, self.to_lane[t], step, STARTS | POSTS)

    cdef void _after_lanes(self, int64_t t, int32_t lane, int64_t step,
                           uint8_t kind) noexcept nogil:
        """Let ``t`` wait for a lane's last send and arrival, in some steps for all lanes'."""
        cdef int64_t first = lane, end = lane + 1, at
        if self.drained[step]:
            first = lane - lane % self.lanes
            end = first + self.lanes
        for at in range(first, end):
            self.wait(t, self.last[at], kind)
            self.wait(t, self.sent[at], kind | UPON_ISSUE)

    cdef void arrive(self, int64_t t, int64_t step) noexcept nogil:
        """In lockstep, note that ``step`` brings ``t``, to be done after the others it brings."""
        cdef int32_t lane = self.to_lane[t]
        if not self.lockstep:
            return
        if self.step_of[lane] == step:
            self.wait(t, self.last[lane], 0)
        self.step_of[lane] = step
        self.last[lane] = <int32_t>t

    def take_waits(self, waits):
        if waits is None or len(waits) == 0:
            return
        more = slice(self.edges, self.edges + len(waits))
        np.asarray(self.earlier)[more] = waits.earlier
        np.asarray(self.later)[more] = waits.later
        np.asarray(self.kind)[more] = STARTS * waits.starts + UPON_ISSUE * waits.upon_issue
        self.edges += len(waits)

    def edges_by_transfer(self):
        return _sorted(self.earlier, self.later, self.kind, self.edges, self.transfers)


def edges_between(earlier, later, kind, int64_t transfers):
    """Return edges of the given kinds between ``transfers``: arrays of int32, int32 and uint8.

    A transfer that waits for itself never starts, and who waits for it neither.
    """
    return _sorted(earlier, later, kind, len(earlier), transfers)


cdef Edges _sorted(int32_t[::1] earlier, int32_t[::1] later, uint8_t[::1] kind, int64_t edges,
                   int64_t transfers):
    """Return the edges in the order of the transfers that are waited for."""
    cdef int64_t at, t
    cdef Edges result
    result = Edges(transfers, edges)
    with nogil:
        for at in range(edges):
            result.first[earlier[at] + 1] += 1
            if kind[at] & STARTS:
                result.before_start[later[at]] += 1
            else:
                result.before_done[later[at]] += 1
            if kind[at] & UPON_ARRIVAL:
                result.upon_arrival = True
            if kind[at] & UPON_SENT:
                result.upon_sent = True
            if earlier[at] == later[at]:
                result.gated = True
        for t in range(transfers):
            result.first[t + 1] += result.first[t]
        # Filled from behind, so that each first[] ends where it began: at its transfer's edges.
        for at in range(edges - 1, -1, -1):
            t = earlier[at]
            result.first[t + 1] -= 1
            result.waiter[result.first[t + 1]] = later[at]
            result.kind[result.first[t + 1]] = kind[at]
        for t in range(transfers):
            result.first[t] = result.first[t + 1]
        result.first[transfers] = edges
    return result
