"""The credit of connections, as the scheduler uses it."""

from libc.stdint cimport int32_t, int64_t, uint8_t


cdef enum:
    # Where a transfer stands with its credit: it has not asked, waits, or was given it.
    UNASKED = 0
    WAITING = 1
    GRANTED = 2


cdef class Credit:
    cdef readonly dict arrays             # those of the columns that are kept, by name
    cdef readonly int32_t[::1] of         # of each transfer: its connection, or -1; or empty
    cdef readonly uint8_t[::1] stands     # of each transfer
    cdef readonly int32_t[::1] following  # of each that waits: the next one in its queue, or -1
    cdef int64_t[::1] takes
    cdef uint8_t[::1] remainder
    cdef readonly int32_t[::1] latest     # of each connection: the last transfer handed over, or -1
    cdef readonly int64_t[::1] left       # of each connection
    cdef readonly int32_t[::1] first      # in its queue, or -1
    cdef readonly int32_t[::1] last

    cdef inline bint counts(self, int64_t t) noexcept nogil:
        """Say whether a transfer takes credit from its connection."""
        return self.of.shape[0] > 0 and self.of[t] >= 0

    cdef bint take(self, int64_t t) noexcept nogil
    cdef void give_back(self, int64_t t) noexcept nogil
    cdef int32_t grant(self, int32_t connection) noexcept nogil
    cdef bint _may_go(self, int32_t connection, int64_t t) noexcept nogil
    cdef void _hand_over(self, int32_t connection, int64_t t) noexcept nogil
