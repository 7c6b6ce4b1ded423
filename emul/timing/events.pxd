"""A heap of events: the earliest first, ties by number, then by kind."""

from libc.stdint cimport int32_t, int64_t


cdef struct Event:
    int64_t time
    int32_t number
    int32_t kind


cdef struct Heap:
    Event* events
    int64_t size


cdef inline bint before(Event a, Event b) noexcept nogil:
    if a.time != b.time:
        return a.time < b.time
    return a.number < b.number or (a.number == b.number and a.kind < b.kind)


cdef inline void push(Heap* heap, int64_t time, int64_t number, int32_t kind) noexcept nogil:
    """Add an event; whoever made the heap has made room for all that can be in it at once."""
    cdef int64_t at = heap.size, parent
    cdef Event event
    event.time, event.number, event.kind = time, <int32_t>number, kind
    heap.size += 1
    while at > 0:
        parent = (at - 1) >> 1
        if not before(event, heap.events[parent]):
            break
        heap.events[at] = heap.events[parent]
        at = parent
    heap.events[at] = event


cdef inline Event pop(Heap* heap) noexcept nogil:
    cdef Event first = heap.events[0], last
    cdef int64_t at = 0, child
    heap.size -= 1
    last = heap.events[heap.size]
    while True:
        child = 2 * at + 1
        if child >= heap.size:
            break
        if child + 1 < heap.size and before(heap.events[child + 1], heap.events[child]):
            child += 1
        if not before(heap.events[child], last):
            break
        heap.events[at] = heap.events[child]
        at = child
    heap.events[at] = last
    return first
