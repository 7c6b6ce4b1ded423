"""The credit of connections: the limit of its transfers in flight.

A transfer takes its credit when it is handed to its connection and gives it back one trip back
after its arrival. It is handed over if at least half of it fits into the rest, or if it is the
remainder of the transfer handed over just before it. Else it waits in a queue: first come, first
served.
"""

cimport cython
from libc.stdint cimport int32_t, int64_t

import numpy as np

from emul.timing.engine.columns import StateColumns

__all__ = ["Credit"]


@cython.final
@cython.auto_pickle(False)
cdef class Credit:
    """The credit of all connections of an emul.timing.effects.connection_table.ConnectionTable."""

    # All attributes, by what they are columns of, as in emul.timing.engine.columns.
    STATE = {
        "transfer": "stands following*",
        "given": "of takes remainder",
        "made anew": "arrays latest left first last",
    }

    def __init__(self, table):
        self.arrays = {}
        self.of, self.takes = table.credited, table.takes
        self.remainder = table.remainder
        transfers, connections = len(self.of), 1 + np.max(self.of, initial=-1)
        self.left = np.full(connections, table.credit, dtype=np.int64)
        self.first, self.last, self.latest = (
            np.full(connections, -1, dtype=np.int32) for _ in range(3)
        )
        self.following = self.arrays["following"] = np.full(transfers, -1, dtype=np.int32)
        self.stands = self.arrays["stands"] = np.zeros(transfers, dtype=np.uint8)

    def save(self, which, number):
        """Return the state of those transfers in ``which``, by the new ``number`` of each."""
        return StateColumns(self, "transfer").save(number, which)

    cdef bint take(self, int64_t t) noexcept nogil:
        """Give a transfer its credit if it may go; else put it in the queue. Say which."""
        cdef int32_t of = self.of[t]
        if self.stands[t] == GRANTED:
            return True
        if self.first[of] < 0 and self._may_go(of, t):
            self._hand_over(of, t)
            return True
        self.stands[t] = WAITING
        if self.first[of] < 0:
            self.first[of] = <int32_t>t
        else:
            self.following[self.last[of]] = <int32_t>t
        self.last[of] = <int32_t>t
        return False

    cdef void give_back(self, int64_t t) noexcept nogil:
        """Take note that word of a transfer's arrival is back."""
        self.left[self.of[t]] += self.takes[t]

    cdef int32_t grant(self, int32_t of) noexcept nogil:
        """Hand over the first of a queue if it may go now, and return it; else -1."""
        cdef int32_t t = self.first[of]
        if t < 0 or not self._may_go(of, t):
            return -1
        self._hand_over(of, t)
        self.first[of], self.following[t] = self.following[t], -1
        return t

    cdef bint _may_go(self, int32_t of, int64_t t) noexcept nogil:
        if 2 * self.left[of] >= self.takes[t]:
            return True
        return self.remainder[t] and self.latest[of] == t - 1

    cdef void _hand_over(self, int32_t of, int64_t t) noexcept nogil:
        self.left[of] -= self.takes[t]
        self.stands[t], self.latest[of] = GRANTED, <int32_t>t

    def restore(self, saved, holds, starts):
        """Take over what was saved of the first transfers; ``holds`` (kept,) says who has credit.

        ``starts``: when each of them took its port, -1 where it has not; the last one of a
        connection was handed over last. Who waits, and behind whom, is read from ``stands`` and
        ``following``.
        """
        kept = len(holds)
        StateColumns(self, "transfer").restore(saved, slice(0, kept))
        of, takes = np.asarray(self.of)[:kept], np.asarray(self.takes)[:kept]
        np.subtract.at(np.asarray(self.left), of[holds], takes[holds])
        handed = np.flatnonzero((of >= 0) & (starts >= 0))
        handed = handed[np.argsort(starts[handed], kind="stable")]
        np.asarray(self.latest)[of[handed]] = handed
        stands, following = np.asarray(self.stands)[:kept], np.asarray(self.following)[:kept]
        waiting = np.flatnonzero(stands == WAITING)
        behind = following[waiting]
        first = np.setdiff1d(waiting, behind[behind >= 0])
        last = waiting[behind < 0]
        np.asarray(self.first)[of[first]] = first
        np.asarray(self.last)[of[last]] = last
