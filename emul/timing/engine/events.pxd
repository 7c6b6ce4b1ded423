"""A heap of events: the earliest first, ties by number, then by kind.

Most events are made in the order in which they come: simultaneous starts arrive at once. Such ones
go into queues, in which nothing has to be sorted; only those that fit behind none of them go into
the heap proper. The next event is the earliest of all firsts, so the order is that of a heap.
"""

from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport INT64_MAX, int32_t, int64_t


cdef enum:
    CHILDREN = 4   # of a place in the heap: those of one place are a line of cache
    KIND_BITS = 4
    QUEUES = 4
    QUEUE_ROOM = 4096   # events of a queue at most, a power of two; later ones are sorted


cdef struct Event:
    int64_t time
    int64_t key   # its number, then its kind, so that one comparison sorts by both


cdef struct Heap:
    Event* events
    int64_t size
    Event apart      # one that is kept out of all: the next is often the one pushed last
    bint is_apart
    # Queue k has ``waiting[k]`` events, from ``queued[k * QUEUE_ROOM + front[k]]`` on, round and
    # round. Its first is ``first[k]`` too, later than all events if there is none.
    Event* queued
    int64_t front[QUEUES]
    int64_t waiting[QUEUES]
    Event first[QUEUES]
    Event last[QUEUES]


cdef inline int64_t number_of(Event event) noexcept nogil:
    return event.key >> KIND_BITS


cdef inline int32_t kind_of(Event event) noexcept nogil:
    return <int32_t>(event.key & ((1 << KIND_BITS) - 1))


cdef inline bint before(Event a, Event b) noexcept nogil:
    # Without a branch, which a processor could but guess.
    return (a.time < b.time) | ((a.time == b.time) & (a.key < b.key))


cdef inline int set_up(Heap* heap, Py_ssize_t most) except -1:
    """Begin without events, with room for the ``most`` that can be there at once."""
    heap.queued = <Event*>PyMem_Malloc((QUEUES * QUEUE_ROOM + most) * sizeof(Event))
    if heap.queued == NULL:
        raise MemoryError
    heap.events = heap.queued + QUEUES * QUEUE_ROOM
    clear(heap)
    return 0


cdef inline void clear(Heap* heap) noexcept nogil:
    """Take out all events."""
    cdef int32_t k
    heap.size, heap.is_apart = 0, False
    for k in range(QUEUES):
        heap.front[k], heap.waiting[k] = 0, 0
        heap.first[k].time, heap.first[k].key = INT64_MAX, INT64_MAX


cdef inline void tear_down(Heap* heap) noexcept:
    PyMem_Free(heap.queued)


cdef inline int64_t size_of(const Heap* heap) noexcept nogil:
    """Return how many events there are."""
    cdef int64_t size = heap.size + heap.is_apart
    cdef int32_t k
    for k in range(QUEUES):
        size += heap.waiting[k]
    return size


cdef inline Event any_of(const Heap* heap, int64_t at) noexcept nogil:
    """Return the event with that number, below ``size_of``; they are numbered in no order."""
    cdef int32_t k
    if at < heap.size:
        return heap.events[at]
    at -= heap.size
    for k in range(QUEUES):
        if at < heap.waiting[k]:
            return heap.queued[k * QUEUE_ROOM + (heap.front[k] + at) % QUEUE_ROOM]
        at -= heap.waiting[k]
    return heap.apart


cdef inline Event* earliest(Heap* heap) noexcept nogil:
    """Return where the event is that comes next; one later than all where there is none."""
    cdef int32_t k
    cdef Event* found = &heap.first[0]
    for k in range(1, QUEUES):
        found = &heap.first[k] if before(heap.first[k], found[0]) else found
    if heap.size and before(heap.events[0], found[0]):
        found = &heap.events[0]
    return &heap.apart if heap.is_apart and before(heap.apart, found[0]) else found


cdef inline void push(Heap* heap, int64_t time, int64_t number, int32_t kind) noexcept nogil:
    """Add an event; ``set_up`` has made room for all that can be in it at once."""
    cdef Event event
    event.time, event.key = time, number * (1 << KIND_BITS) + kind
    if not heap.is_apart:
        heap.apart, heap.is_apart = event, True
    elif before(event, heap.apart):
        line_up(heap, heap.apart)
        heap.apart = event
    else:
        line_up(heap, event)


cdef inline void line_up(Heap* heap, Event event) noexcept nogil:
    """Put an event at the end of the first queue in which all are before it; or sort it in."""
    cdef int32_t k
    for k in range(QUEUES):
        if heap.waiting[k] == 0:
            heap.first[k] = event
        elif before(event, heap.last[k]) or heap.waiting[k] == QUEUE_ROOM:
            continue
        heap.queued[k * QUEUE_ROOM + (heap.front[k] + heap.waiting[k]) % QUEUE_ROOM] = event
        heap.last[k] = event
        heap.waiting[k] += 1
        return
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


cdef inline Event pop(Heap* heap, Event* earliest) noexcept nogil:
    """Take out the event that is ``earliest``; there must be one."""
    cdef Event event = earliest[0]
    if earliest == &heap.apart:
        heap.is_apart = False
    elif earliest == heap.events:
        heap.size -= 1
        if heap.size > 0:
            sift_down(heap, heap.events[heap.size])
    else:
        # Not a difference of pointers, which Cython takes in bytes where it checks for overflow.
        move_up(heap, <int32_t>((<size_t>earliest - <size_t>heap.first) // sizeof(Event)))
    return event


cdef inline void move_up(Heap* heap, int32_t k) noexcept nogil:
    """Take the first one out of a queue."""
    heap.front[k] = (heap.front[k] + 1) % QUEUE_ROOM
    heap.waiting[k] -= 1
    if heap.waiting[k] > 0:
        heap.first[k] = heap.queued[k * QUEUE_ROOM + heap.front[k]]
    else:
        heap.first[k].time, heap.first[k].key = INT64_MAX, INT64_MAX


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
