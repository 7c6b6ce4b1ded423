"""What a pass in plan order reads, laid out so that it reads little of it and that in sequence."""

from libc.stdint cimport int32_t, int64_t, uint8_t


cdef enum:
    # A row of ``cost``: picoseconds of overhead before the head goes on, at the sender's port,
    # in the pipe, until the pipe may begin its next transfer, at the receiver's port, of latency,
    # and of latency on the way back. The rows of transfers that go nowhere are all zero.
    OVERHEAD = 0
    OUT = 1
    THROUGH = 2
    HOLD = 3
    INTO = 4
    LATENCY = 5
    BACK = 6
    COSTS = 8  # numbers of a row, so that one is a line of cache

cdef enum:
    # What is kept of a port or of a pipe: when its last head came, when it is free, who had it
    # last; of a pipe, in place of the first, when its last transfer arrived.
    HEAD = 0
    FREE = 1
    USER = 2
    KEPT = 4


cdef class Tables:
    cdef readonly bint fits          # whether a pass in plan order can be made of them at all
    cdef int64_t transfers
    cdef int64_t call
    cdef int64_t ports
    cdef int64_t pipes
    # Of each transfer: KEPT times its ports (-1: it stays with its rank) and its pipe (-1: none;
    # empty if there are none), COSTS times its row of costs.
    cdef int32_t[::1] out
    cdef int32_t[::1] into
    cdef int32_t[::1] pipe
    cdef int32_t[::1] cost_of
    cdef int64_t[::1] cost
    cdef uint8_t[::1] term           # of each pipe
    # What each is late by more than its row says, before its head goes on and after its last
    # byte; or empty.
    cdef int64_t[::1] more_before
    cdef int64_t[::1] more_after
    cdef bint late_before
    cdef bint late_after
    # What transfer t waits for before it starts: ``start`` from start_from[t] up to
    # start_from[t + 1]; before it is done likewise, or empty. Each is a moment of another
    # transfer e: e itself stands for its being done, issued_at + e for its being issued, and
    # freed_at + e for its slot being free again; moments that nobody waits for have no numbers.
    cdef int32_t[::1] start_from
    cdef int32_t[::1] start
    cdef int32_t[::1] done_from
    cdef int32_t[::1] done
    cdef int64_t issued_at
    cdef int64_t freed_at
    cdef int64_t moments
