"""The input of a pass in plan order, laid out for few reads in sequence."""

from libc.stdint cimport int32_t, int64_t, uint8_t


cdef enum:
    # A row of ``cost``: picoseconds of overhead before the head goes on, at the sender's port, in
    # the connection, until the connection may begin its next transfer, at the receiver's port, of
    # latency, and of latency on the way back. The rows of transfers that go nowhere are all zero.
    OVERHEAD = 0
    OUT = 1
    THROUGH = 2
    HOLD = 3
    INTO = 4
    LATENCY = 5
    BACK = 6
    COSTS = 8  # numbers of a row, so that one is a line of cache

cdef enum:
    # Of a link, a port or a connection: when its last head came (of a connection: when its last
    # transfer arrived), and when it is free. Little, for it is read again and again.
    HEAD = 0
    FREE = 1
    KEPT = 2

cdef enum:
    # Kinds of moments of a transfer, in the order in which events at the same time are handled.
    ISSUED = 0
    DONE = 1
    FREED = 2
    MOMENT_BITS = 2


cdef packed struct Row:
    # Of a transfer: KEPT times its ports (-1: it stays with its rank), COSTS times its row of
    # costs, where its waits begin.
    int32_t out
    int32_t into
    int32_t cost
    int32_t waits


cdef class Tables:
    cdef readonly bint fits          # whether a pass in plan order can be made of them at all
    cdef int64_t transfers
    cdef int64_t call
    cdef int64_t ports
    cdef int64_t connections
    cdef int64_t places              # KEPT of each port and connection
    cdef Row[::1] rows               # of each transfer, and two more
    # KEPT times (ports + its connection), or -1; empty without connections.
    cdef int32_t[::1] connection
    cdef int64_t[::1] cost
    # The delays of each beyond its row: before its head goes on, on the way to the
    # receiver's port, and after its last byte; or empty.
    cdef int64_t[::1] more_before
    cdef int64_t[::1] more_on_path
    cdef int64_t[::1] more_after
    cdef bint host_before
    cdef bint extra_on_path
    cdef bint extra_after
    # The waits of transfer t before it starts: ``start`` from rows[t].waits up to
    # rows[t + 1].waits; before it is done likewise, or empty. Each is a moment of an earlier
    # transfer e: e itself, its being done, where nothing else is waited for; else
    # (e << MOMENT_BITS) + its kind, ``bits`` being MOMENT_BITS then and else 0.
    cdef int32_t[::1] start
    cdef int32_t[::1] done_from
    cdef int32_t[::1] done
    cdef int64_t bits
    cdef bint upon_issue             # whether anything waits for another to be issued
    cdef bint upon_credit            # or for credit, which is there when another's is back:
    cdef int32_t[::1] credited       # of each: the connection whose credit it takes, or -1
    cdef int32_t[::1] frees_it       # and the earlier one that its own comes from, or -1
    cdef int64_t credited_connections  # that have credit
    cdef int64_t window              # moments that a pass must remember: a power of two
