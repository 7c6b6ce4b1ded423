"""Heads that leave the ports of senders."""

from libc.stdint cimport int32_t, int64_t, uint8_t

from emul.timing.engine.events cimport Heap


cdef class Egress:
    cdef readonly dict arrays             # those of the columns that are kept, by name
    cdef readonly int32_t[::1] first       # of each port: the first that is queued, or -1
    cdef readonly int32_t[::1] last
    cdef readonly int32_t[::1] following  # of each queued transfer: the next one of its port, or -1
    cdef readonly int64_t[::1] head        # of each queued transfer: when its head leaves
    cdef readonly int32_t[::1] kind        # and what event that is
    cdef readonly int32_t[::1] out         # of each port: how many of its events are in the heap,
    cdef readonly int64_t[::1] time        # all of them at this time

    cdef void add(self, Heap* heap, int64_t port, int64_t head, int32_t t,
                  int32_t kind) noexcept nogil
    cdef void gone(self, Heap* heap, int64_t port) noexcept nogil
    cdef void strike_out(self, uint8_t[::1] found) noexcept nogil
