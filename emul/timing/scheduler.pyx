"""Says when: a plan's transfers and the links they cross in, start and arrival of each out.

Discrete events in C, without the GIL. A transfer is issued when the transfers that last wrote
what it reads are done, and with them whatever else its plan makes it wait for. It then crosses its
links in order, cut-through: on each it waits until the link is free, keeps it for its bytes at the
rate of that link (on the first also for the overhead), and its head goes on at once. Latency
delays the arrival and occupies nothing. A transfer that is reduced into a chunk is done when it
has arrived and the transfers reduced into that chunk before it are done.

Links serve in the order in which heads come; events at the same time are handled in the order
of the plan. So there is one answer, on every machine.
"""

cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.math cimport floor
from libc.stdint cimport int32_t, int64_t, uint8_t

from emul.timing.dependencies cimport STARTS, UPON_ISSUE, Edges

import numpy as np

from emul.errors import TimeLimitError

__all__ = ["CAUSES", "MAX_LINKS", "schedule"]

cdef enum:
    LINKS = 3  # most links on a route

cdef enum:
    # Events of a transfer: at link 0, 1, 2 of its route, then these three.
    ARRIVED = 3
    DONE = 4
    FREED = 5  # its slot is free again: word of its arrival has come back

cdef enum:
    # What a transfer waited for last: that another was done, its slot, that another was issued.
    UPON_DONE_CAUSE = 0
    SLOT_CAUSE = 1
    ISSUE_CAUSE = 2

MAX_LINKS = LINKS
CAUSES = ("done", "slot", "issue")

# Half of what int64 holds, so that one addition past the limit cannot wrap.
cdef double TIME_LIMIT_PS = 2.0 ** 62
cdef double PS_PER_S = 1e12


cdef struct Event:
    int64_t time
    int32_t transfer
    int32_t kind


cdef struct Heap:
    Event* events
    int64_t size


cdef struct Route:
    int32_t links
    int64_t link[LINKS]
    int64_t latency
    int64_t overhead


cdef inline bint _before(Event a, Event b) noexcept nogil:
    if a.time != b.time:
        return a.time < b.time
    return a.transfer < b.transfer or (a.transfer == b.transfer and a.kind < b.kind)


cdef void _push(Heap* heap, int64_t time, int64_t transfer, int32_t kind) noexcept nogil:
    """Add an event; a transfer has at most two at once, so the heap never outgrows its room."""
    cdef int64_t at = heap.size, parent
    cdef Event event
    event.time, event.transfer, event.kind = time, <int32_t>transfer, kind
    heap.size += 1
    while at > 0:
        parent = (at - 1) >> 1
        if not _before(event, heap.events[parent]):
            break
        heap.events[at] = heap.events[parent]
        at = parent
    heap.events[at] = event


cdef Event _pop(Heap* heap) noexcept nogil:
    cdef Event first = heap.events[0], last
    cdef int64_t at = 0, child
    heap.size -= 1
    last = heap.events[heap.size]
    while True:
        child = 2 * at + 1
        if child >= heap.size:
            break
        if child + 1 < heap.size and _before(heap.events[child + 1], heap.events[child]):
            child += 1
        if not _before(heap.events[child], last):
            break
        heap.events[at] = heap.events[child]
        at = child
    heap.events[at] = last
    return first


@cython.final
@cython.auto_pickle(False)
cdef class _Links:
    """The network's arrays (see emul.topology.Network) as the event loop reads them."""

    cdef int32_t[::1] site_of
    cdef int32_t[::1] node_of
    cdef double[::1] rate
    cdef int64_t[::1] node_latency
    cdef int64_t[::1] node_overhead
    cdef int64_t[::1] site_latency
    cdef int64_t[::1] site_overhead
    cdef int64_t[::1] trunk_latency
    cdef int64_t[::1] trunk_overhead
    cdef int64_t sites
    cdef int64_t[::1] free
    cdef int32_t[::1] user

    def __init__(self, network):
        self.site_of = network.site_of
        self.node_of = network.node_of
        self.rate = network.link_rate
        self.node_latency = network.node_latency_ps
        self.node_overhead = network.node_overhead_ps
        self.site_latency = network.site_latency_ps
        self.site_overhead = network.site_overhead_ps
        self.trunk_latency = network.trunk_latency_ps
        self.trunk_overhead = network.trunk_overhead_ps
        self.sites = network.n_sites
        self.free = np.zeros(len(network.link_rate), dtype=np.int64)
        self.user = np.full(len(network.link_rate), -1, dtype=np.int32)

    cdef Route route(self, int64_t src, int64_t dst) noexcept nogil:
        """Return what lies between two ranks, numbered as in emul.topology.Network."""
        cdef Route route
        cdef int64_t a = self.site_of[src], b = self.site_of[dst]
        route.links = 2
        if src == dst:
            route.links = 0
            route.latency = route.overhead = 0
        elif self.node_of[src] == self.node_of[dst]:
            route.link[0], route.link[1] = 4 * src, 4 * dst + 1
            route.latency = self.node_latency[self.node_of[src]]
            route.overhead = self.node_overhead[self.node_of[src]]
        elif a == b:
            route.link[0], route.link[1] = 4 * src + 2, 4 * dst + 3
            route.latency, route.overhead = self.site_latency[a], self.site_overhead[a]
        else:
            route.links = 3
            route.link[0], route.link[2] = 4 * src + 2, 4 * dst + 3
            route.link[1] = 4 * self.site_of.shape[0] + a * self.sites + b
            route.latency = self.trunk_latency[a * self.sites + b]
            route.overhead = self.trunk_overhead[a * self.sites + b]
        return route


cdef inline int64_t _occupancy(int64_t nbytes, double rate) noexcept nogil:
    """Return the picoseconds that ``nbytes`` take, to the nearest; -1 beyond the limit."""
    cdef double ps = floor(nbytes * PS_PER_S / rate + 0.5)
    return <int64_t>ps if ps < TIME_LIMIT_PS else -1


@cython.final
@cython.auto_pickle(False)
cdef class _Simulation:
    """One pass over the events of a plan."""

    cdef int32_t[::1] src
    cdef int32_t[::1] dst
    cdef int64_t[::1] nbytes
    cdef uint8_t[::1] begins
    cdef int32_t[::1] frees
    cdef Edges edges
    cdef _Links links
    cdef int64_t[:, ::1] on_link
    cdef int32_t[:, ::1] behind
    cdef int64_t[::1] finish
    cdef int64_t[::1] arrival
    cdef int64_t[::1] done
    cdef int32_t[::1] waited_for
    cdef int32_t[::1] ordered_after
    cdef uint8_t[::1] start_cause
    cdef uint8_t[::1] done_cause
    cdef int64_t handled
    cdef bint too_late
    cdef Heap heap

    def __cinit__(self, int32_t[::1] src, *_):
        self.heap.events = <Event*>PyMem_Malloc(max(1, 2 * src.shape[0]) * sizeof(Event))
        if self.heap.events == NULL:
            raise MemoryError

    def __dealloc__(self):
        PyMem_Free(self.heap.events)

    def __init__(self, int32_t[::1] src, int32_t[::1] dst, int64_t[::1] nbytes,
                 uint8_t[::1] begins, int32_t[::1] frees, Edges edges, _Links links):
        cdef int64_t transfers = src.shape[0]
        self.src, self.dst, self.nbytes = src, dst, nbytes
        self.begins, self.frees = begins, frees
        self.edges, self.links = edges, links
        self.on_link = np.full((transfers, LINKS), -1, dtype=np.int64)
        self.behind = np.full((transfers, LINKS), -1, dtype=np.int32)
        self.finish = np.zeros(transfers, dtype=np.int64)
        self.arrival = np.zeros(transfers, dtype=np.int64)
        self.done = np.zeros(transfers, dtype=np.int64)
        self.waited_for = np.full(transfers, -1, dtype=np.int32)
        self.ordered_after = np.full(transfers, -1, dtype=np.int32)
        self.start_cause = np.zeros(transfers, dtype=np.uint8)
        self.done_cause = np.zeros(transfers, dtype=np.uint8)

    cdef void run(self) noexcept nogil:
        cdef Event event
        cdef int64_t t
        for t in range(self.src.shape[0]):
            if self.frees[t] >= 0:
                self.edges.before_start[self.frees[t]] += 1
        for t in range(self.src.shape[0]):
            if self.edges.before_start[t] == 0:
                _push(&self.heap, 0, t, 0)
        while self.heap.size > 0 and not self.too_late:
            event = _pop(&self.heap)
            if event.kind < ARRIVED:
                self.cross(event.time, event.transfer, event.kind)
            elif event.kind == ARRIVED:
                self.arrived(event.time, event.transfer)
            elif event.kind == DONE:
                self.finished(event.time, event.transfer)
            else:
                self.let_start(event.time, self.frees[event.transfer], event.transfer, SLOT_CAUSE)

    cdef void cross(self, int64_t time, int64_t t, int32_t hop) noexcept nogil:
        """Put the transfer on link ``hop`` of its route, and its head on to what comes next."""
        cdef Route route = self.links.route(self.src[t], self.dst[t])
        cdef int64_t link, start, head, occupancy
        if hop == 0:
            self.tell(time, t, UPON_ISSUE)
        if route.links == 0:
            _push(&self.heap, time, t, ARRIVED)
            return
        link = route.link[hop]
        start = time
        if self.links.free[link] > time:
            start = self.links.free[link]
            self.behind[t, hop] = self.links.user[link]
        head = start + (route.overhead if hop == 0 and self.begins[t] else 0)
        occupancy = _occupancy(self.nbytes[t], self.links.rate[link])
        if occupancy < 0 or head + occupancy + <double>route.latency > TIME_LIMIT_PS:
            self.too_late = True
            return
        self.on_link[t, hop] = start
        self.links.free[link] = head + occupancy
        self.links.user[link] = <int32_t>t
        self.finish[t] = max(self.finish[t], head + occupancy)
        if hop + 1 < route.links:
            _push(&self.heap, head, t, hop + 1)
        else:
            _push(&self.heap, self.finish[t] + route.latency, t, ARRIVED)

    cdef void arrived(self, int64_t time, int64_t t) noexcept nogil:
        self.arrival[t] = time
        if self.frees[t] >= 0:
            _push(&self.heap, time + self.links.route(self.dst[t], self.src[t]).latency, t, FREED)
        self.release(time, t, -1, UPON_DONE_CAUSE)

    cdef void release(self, int64_t time, int64_t t, int32_t after, uint8_t cause) noexcept nogil:
        """Take away one thing that keeps the transfer from being done."""
        self.edges.before_done[t] -= 1
        if self.edges.before_done[t] == 0:
            self.ordered_after[t], self.done_cause[t] = after, cause
            _push(&self.heap, time, t, DONE)

    cdef void let_start(self, int64_t time, int64_t t, int32_t after,
                        uint8_t cause) noexcept nogil:
        """Take away one thing that keeps the transfer from starting."""
        self.edges.before_start[t] -= 1
        if self.edges.before_start[t] == 0:
            self.waited_for[t], self.start_cause[t] = after, cause
            _push(&self.heap, time, t, 0)

    cdef void finished(self, int64_t time, int64_t t) noexcept nogil:
        self.done[t] = time
        self.handled += 1
        self.tell(time, t, 0)

    cdef void tell(self, int64_t time, int64_t t, uint8_t upon) noexcept nogil:
        """Tell those who wait for the transfer to be issued, or done, that it is."""
        cdef int64_t at
        cdef int32_t waiter
        cdef uint8_t cause = ISSUE_CAUSE if upon else UPON_DONE_CAUSE
        for at in range(self.edges.first[t], self.edges.first[t + 1]):
            waiter = self.edges.waiter[at]
            if self.edges.kind[at] & UPON_ISSUE != upon:
                continue
            if self.edges.kind[at] & STARTS:
                self.let_start(time, waiter, <int32_t>t, cause)
            else:
                self.release(time, waiter, <int32_t>t, cause)


def schedule(int32_t[::1] src, int32_t[::1] dst, int64_t[::1] nbytes, uint8_t[::1] begins,
             int32_t[::1] frees, Edges edges, network):
    """Return when each transfer is on its links, arrives and is done, and what it waited for.

    ``src``, ``dst``: ranks; ``nbytes``: bytes; ``begins``: whether the overhead is paid;
    ``frees``: the transfer that gets the slot when word of the arrival is back, or -1; all of
    shape (transfers,), a slot going to a later transfer, once. ``edges`` comes from
    ``dependencies`` and is used up. ``network`` is an emul.topology.Network.

    The result is the tuple (on_link, behind, arrival, done, waited_for, start_cause,
    ordered_after, done_cause).
    on_link (transfers, 3) int64: time in picoseconds at which each link of the route was taken,
    -1 where the route has no such link. behind (transfers, 3) int32: the transfer that kept that
    link before, where it had to be waited for, else -1. arrival, done (transfers,) int64:
    picoseconds. waited_for (transfers,) int32: the transfer that made this one ready, and
    start_cause (transfers,) uint8 how, as in ``CAUSES``: by being done, by freeing its slot, or by
    being issued; ordered_after and done_cause: the same of this one's being done. -1 where there
    is none.

    Raises TimeLimitError when a time passes what int64 picoseconds hold.
    """
    cdef _Simulation simulation = _Simulation(src, dst, nbytes, begins, frees, edges,
                                              _Links(network))
    with nogil:
        simulation.run()
    if simulation.too_late:
        raise TimeLimitError(
            "the modelled time passes 53 days: needed a smaller size, a higher rate or fewer "
            "steps, so that picoseconds fit in 64 bits"
        )
    assert simulation.handled == src.shape[0], "a transfer waits for itself"
    return (
        np.asarray(simulation.on_link), np.asarray(simulation.behind),
        np.asarray(simulation.arrival), np.asarray(simulation.done),
        np.asarray(simulation.waited_for), np.asarray(simulation.start_cause),
        np.asarray(simulation.ordered_after), np.asarray(simulation.done_cause),
    )
