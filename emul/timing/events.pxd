"""A heap of events: the earliest first, ties by number, then by kind."""

from libc.stdint cimport int32_t, int64_t


cdef enum:
    CHILDREN = 4   # of a place in the heap: those of one place are a line of cache
    KIND_BITS = 4


cdef struct Event:
    int64_t time
    int64_t key   # its number, then its kind, so that one comparison sorts by both


cdef struct Heap:
    Event* events
    int64_t size
    Event apart   # one that is kept out of the heap: what comes next is often what was pushed last
    bint is_apart


cdef inline int64_t number_of(Event event) noexcept nogil:
    return event.key >> KIND_BITS


cdef inline int32_t kind_of(Event event) noexcept nogil:
    return <int32_t>(event.key & ((1 << KIND_BITS) - 1))


cdef inline bint before(Event a, Event b) noexcept nogil:
    # Without a branch, which a processor could but guess.
    return (a.time < b.time) | ((a.time == b.time) & (a.key < b.key))


cdef inline bint is_empty(const Heap* heap) noexcept nogil:
    return heap.size == 0 and not heap.is_apart


cdef inline bint apart_first(const Heap* heap) noexcept nogil:
    """Say whether the event that is kept apart is the earliest."""
    return heap.is_apart and (heap.size == 0 or before(heap.apart, heap.events[0]))


cdef inline int64_t first_time(const Heap* heap) noexcept nogil:
    """Return the time of the earliest event; there must be one."""
    return heap.apart.time if apart_first(heap) else heap.events[0].time


cdef inline void push(Heap* heap, int64_t time, int64_t number, int32_t kind) noexcept nogil:
    """Add an event; whoever made the heap has made room for all that can be in it at once."""
    cdef Event event
    event.time, event.key = time, number * (1 << KIND_BITS) + kind
    if not heap.is_apart:
        heap.apart, heap.is_apart = event, True
    elif before(event, heap.apart):
        sift_in(heap, heap.apart)
        heap.apart = event
    else:
        sift_in(heap, event)


cdef inline void sift_in(Heap* heap, Event event) noexcept nogil:
    cdef int64_t at = heap.size, parent
    heap.size += 1
    while at > 0:
        parent = (at - 1) // CHILDREN
        if not before(event, heap.events[parent]):
            break
        heap.events[at] = heap.events[parent]
        at = parent
    heap.events[at] = event


cdef inline Event pop(Heap* heap) noexcept nogil:
    """Take the earliest event out; there must be one."""
    cdef Event first
    if apart_first(heap):
        heap.is_apart = False
        return heap.apart
    first = heap.events[0]
    heap.size -= 1
    if heap.size > 0:
        sift_down(heap, heap.events[heap.size])
    return first


cdef inline int64_t sooner(const Event* events, int64_t a, int64_t b) noexcept nogil:
    return a + (b - a) * before(events[b], events[a])


cdef inline int64_t first_child(const Heap* heap, int64_t child) noexcept nogil:
    """Return the earliest of the children of a place, of which the first is given."""
    cdef int64_t other, least = child
    if child + CHILDREN <= heap.size:
        return sooner(heap.events, sooner(heap.events, child, child + 1),
                      sooner(heap.events, child + 2, child + 3))
    for other in range(child + 1, heap.size):
        least = sooner(heap.events, least, other)
    return least


cdef inline void sift_down(Heap* heap, Event event) noexcept nogil:
    """Put an event where it belongs in a heap whose first place is free."""
    cdef int64_t at = 0, child
    while CHILDREN * at + 1 < heap.size:
        child = first_child(heap, CHILDREN * at + 1)
        if not before(heap.events[child], event):
            break
        heap.events[at] = heap.events[child]
        at = child
    heap.events[at] = event
