"""Who waits for whom, as the scheduler reads it."""

from libc.stdint cimport int32_t, int64_t, uint8_t


cdef enum:
    # Kinds of edges: the waiter cannot start (else it cannot be done) ...
    STARTS = 1
    # ... before the transfer is issued (else before it is done).
    UPON_ISSUE = 2
    # The waiter's receiver cannot ask for it (only on the way to a protocol's own transfers).
    POSTS = 4
    # ... before the transfer has arrived, also if its reduction is not done.
    UPON_ARRIVAL = 8
    # ... before its last byte has left its sender's side.
    UPON_SENT = 16


cdef class Edges:
    cdef readonly dict arrays  # those of the columns that are kept, by name
    # The waiters of transfer t are waiter[first[t]] up to waiter[first[t + 1]].
    cdef int64_t[::1] first
    cdef int32_t[::1] waiter
    cdef uint8_t[::1] kind
    # How much each transfer waits for; its own arrival counts among the waits of its end.
    cdef readonly int32_t[::1] before_start
    cdef readonly int32_t[::1] before_done
    cdef bint upon_arrival  # whether any edge is of that kind
    cdef bint upon_sent     # likewise
    cdef bint gated         # whether a transfer waits for itself: for one that is yet to come
