"""Who waits for whom, as the scheduler reads it."""

from libc.stdint cimport int32_t, int64_t, uint8_t


cdef class Edges:
    # The waiters of transfer t are waiter[first[t]] up to waiter[first[t + 1]].
    cdef int64_t[::1] first
    cdef int32_t[::1] waiter
    # Whether the waiter cannot start (it reads what the transfer writes); otherwise it only
    # cannot be done (it is reduced on top of what the transfer writes).
    cdef uint8_t[::1] starts
    # How much each transfer waits for; its own arrival counts among what it is done after.
    cdef int32_t[::1] before_start
    cdef int32_t[::1] before_done
