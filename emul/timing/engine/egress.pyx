"""Heads that leave the ports of senders: of each port, only the next one need be in the heap.

A port lets heads go on one after the other, so their events are in order as they are made. In
the heap are those that leave a port next, at the same time if it is more than one; the others
are queued behind them. So the heap stays as small as there are ports, however many transfers
wait, and gives out the same events in the same order.
"""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t

from emul.timing.engine.events cimport Heap, push

import numpy as np

from emul.timing.engine.columns import StateColumns

__all__ = ["Egress"]


@cython.final
@cython.auto_pickle(False)
cdef class Egress:
    """The queues of all ports."""

    # All attributes, by what they are columns of, as in emul.timing.engine.columns.
    STATE = {
        "transfer": "following* head kind",
        "port": "first* last* out time",
        "made anew": "arrays",
    }

    def __init__(self, int64_t transfers, int64_t ports):
        self.arrays = {}
        self.first = self.arrays["first"] = np.full(ports, -1, dtype=np.int32)
        self.last = self.arrays["last"] = np.full(ports, -1, dtype=np.int32)
        self.following = self.arrays["following"] = np.full(transfers, -1, dtype=np.int32)
        self.head = self.arrays["head"] = np.empty(transfers, dtype=np.int64)
        self.kind = self.arrays["kind"] = np.empty(transfers, dtype=np.int32)
        self.out = self.arrays["out"] = np.zeros(ports, dtype=np.int32)
        self.time = self.arrays["time"] = np.zeros(ports, dtype=np.int64)

    def save(self, which, number):
        """Return the state of those transfers in ``which``, by the new ``number`` of each."""
        of_transfers = StateColumns(self, "transfer").save(number, which)
        return of_transfers, StateColumns(self, "port").save(number)

    def restore(self, saved, int64_t kept):
        """Take over what was saved, of the first ``kept`` transfers."""
        of_transfers, of_ports = saved
        StateColumns(self, "transfer").restore(of_transfers, slice(0, kept))
        StateColumns(self, "port").restore(of_ports)

    cdef void add(self, Heap* heap, int64_t port, int64_t head, int32_t t,
                  int32_t kind) noexcept nogil:
        """Let the head of a transfer leave its port, no earlier than those before it."""
        if self.out[port] == 0 or head == self.time[port]:
            self.out[port] += 1
            self.time[port] = head
            push(heap, head, t, kind)
            return
        self.head[t], self.kind[t], self.following[t] = head, kind, -1
        if self.first[port] < 0:
            self.first[port] = t
        else:
            self.following[self.last[port]] = t
        self.last[port] = t

    cdef void gone(self, Heap* heap, int64_t port) noexcept nogil:
        """Take note that a head has left; after the last at its time come those of the next."""
        cdef int32_t t
        self.out[port] -= 1
        if self.out[port]:
            return
        t = self.first[port]
        if t >= 0:
            self.time[port] = self.head[t]
        while t >= 0 and self.head[t] == self.time[port]:
            push(heap, self.head[t], t, self.kind[t])
            self.out[port] += 1
            t = self.following[t]
        self.first[port] = t

    def queued(self):
        """Return port and transfer of each head that is queued, port by port: (2, heads)."""
        cdef int64_t port, at = 0
        cdef int32_t t
        cdef int32_t[:, ::1] found = np.empty((2, self.following.shape[0]), dtype=np.int32)
        for port in range(self.first.shape[0]):
            t = self.first[port]
            while t >= 0:
                found[0, at], found[1, at] = <int32_t>port, t
                at += 1
                t = self.following[t]
        return np.asarray(found)[:, :at].copy()

    cdef void strike_out(self, uint8_t[::1] found) noexcept nogil:
        """Strike out of ``found`` (transfers,) those that are queued."""
        cdef int32_t t
        cdef int64_t port
        for port in range(self.first.shape[0]):
            t = self.first[port]
            while t >= 0:
                found[t] = False
                t = self.following[t]
