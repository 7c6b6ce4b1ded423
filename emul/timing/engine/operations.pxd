"""The operations that transfers are of, and which of them failed, as the scheduler uses them."""

from libc.stdint cimport INT64_MAX, int32_t, int64_t


cdef class Operations:
    cdef readonly dict arrays     # those of the columns that are kept, by name
    cdef int32_t[::1] of          # of each transfer: its operation, -1 for those between operations
    # Of a transfer with which a rank is done with its operation: the one with which it starts; else
    # -1. Empty where there is one operation that nobody waits for.
    cdef int32_t[::1] start_of
    # Of each operation: when it failed, INT64_MAX if it has not; by which changing path; since when
    # nothing came through; when the path is up again, or EVER_DRY; and which transfer was lost.
    cdef readonly int64_t[::1] failed_at
    cdef readonly int64_t[::1] path
    cdef readonly int64_t[::1] lost_at
    cdef readonly int64_t[::1] up_at
    cdef readonly int32_t[::1] lost
    cdef readonly bint any_failed
    cdef int32_t latest           # one that has failed and whose ranks do not know yet, or -1

    cdef inline bint has_failed(self, int64_t t) noexcept nogil:
        """Say whether the operation of a transfer has failed."""
        return self.any_failed and self.of[t] >= 0 and self.failed_at[self.of[t]] < INT64_MAX

    cdef inline bint is_end(self, int64_t t) noexcept nogil:
        """Say whether a transfer is that with which a rank is done with its operation."""
        return self.start_of.shape[0] > 0 and self.start_of[t] >= 0

    cdef inline bint never_begins(self, int64_t t) noexcept nogil:
        """Say whether a transfer that has not begun does so no more."""
        return self.has_failed(t) and not self.is_end(t)

    cdef void fail(self, int64_t time, int32_t t, int64_t path, int64_t lost_at,
                   int64_t up_at) noexcept nogil
