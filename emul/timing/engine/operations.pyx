"""Which operation each transfer is of, and which operations have failed.

An operation fails when a connection gives up one of its transfers. What has not begun of it by then
never begins; what is under way goes on, and its connections serve other operations. Its ranks learn
at that moment, as when a communicator is aborted: each rank that is not done with it is done then,
or when it starts its part, if that is later.
"""

cimport cython
from libc.stdint cimport INT64_MAX, int32_t, int64_t

import numpy as np

from emul.timing.engine.columns import StateColumns

__all__ = ["EVER_DRY", "Operations"]

EVER_DRY = -1
"""In the place of the moment at which a path is up again: it is up, and never has any rate more."""


@cython.final
@cython.auto_pickle(False)
cdef class Operations:
    """The operations of one simulation.

    ``of``: of each transfer its operation, -1 for none, (transfers,) int32. ``start_of``: of
    transfers with which a rank is done with its operation, the one with which it starts, else -1.
    """

    # All attributes, by what they are columns of, as in emul.timing.engine.columns.
    STATE = {
        "operation": "failed_at path lost_at up_at lost*",
        "given": "of start_of",
        "made anew": "arrays any_failed latest",
    }

    def __init__(self, of, start_of, int64_t number):
        self.arrays = {}
        self.of, self.start_of = of, start_of
        self.failed_at = self.arrays["failed_at"] = np.full(number, INT64_MAX, dtype=np.int64)
        self.path = self.arrays["path"] = np.zeros(number, dtype=np.int64)
        self.lost_at = self.arrays["lost_at"] = np.zeros(number, dtype=np.int64)
        self.up_at = self.arrays["up_at"] = np.zeros(number, dtype=np.int64)
        self.lost = self.arrays["lost"] = np.full(number, -1, dtype=np.int32)
        self.latest = -1

    @staticmethod
    def one(int64_t transfers):
        """Return the one operation of all ``transfers``."""
        return Operations(np.zeros(transfers, dtype=np.int32), np.zeros(0, dtype=np.int32), 1)

    def save(self, which, number):
        """Return the state of those operations in ``which``; ``number``: the new ones of transfers.
        """
        return StateColumns(self, "operation").save(number, which)

    def restore(self, saved):
        """Take over what was saved, of the first operations."""
        StateColumns(self, "operation").restore(saved, slice(0, len(saved[0])))
        self.any_failed = np.min(self.failed_at, initial=INT64_MAX) < INT64_MAX

    cdef void fail(self, int64_t time, int32_t t, int64_t path, int64_t lost_at,
                   int64_t up_at) noexcept nogil:
        """Let the operation of a transfer fail, unless it has."""
        cdef int32_t of = self.of[t]
        if self.failed_at[of] < INT64_MAX:
            return
        self.failed_at[of], self.path[of] = time, path
        self.lost_at[of], self.up_at[of], self.lost[of] = lost_at, up_at, t
        self.any_failed, self.latest = True, of
