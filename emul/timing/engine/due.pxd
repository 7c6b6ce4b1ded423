"""What is due next of some items, as emul.timing.engine.fluid asks for it."""

cimport cython
from libc.math cimport floor
from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint8_t

cdef extern from *:
    """
    static const double LIMIT_PS = 4611686018427387904.0;  /* 2^62 */
    """
    const double LIMIT_PS


@cython.final
cdef class DueQueue:
    cdef readonly dict arrays          # those of the columns that are kept, by name
    cdef readonly int64_t[::1] due     # of each item, at the nearest picosecond
    cdef readonly double[::1] part     # and the part of a picosecond after that
    cdef readonly uint8_t[::1] empties
    cdef readonly int32_t[::1] queue   # a heap of the items, by when they are due
    cdef readonly int32_t[::1] place   # of each item in it

    cdef inline int64_t earliest_ps(self) noexcept nogil:
        """Return when the first item is due; INT64_MAX when none ever is."""
        return self.due[self.queue[0]] if self.queue.shape[0] else INT64_MAX

    cdef inline int32_t first(self) noexcept nogil:
        """Return the item that is due first."""
        return self.queue[0]

    cdef inline void note(self, int32_t item, int64_t since, double ps,
                          bint exact) noexcept nogil:
        """Note that an item is due ``ps`` after ``since``, at the nearest picosecond."""
        cdef double whole = floor(ps + 0.5)
        self.due[item], self.part[item] = INT64_MAX, 0.0
        if whole < LIMIT_PS:
            self.due[item] = since + <int64_t>whole
            if exact:
                self.part[item] = ps - whole
        self._move(item)

    cdef inline bint _sooner(self, int32_t a, int32_t b) noexcept nogil:
        if self.due[a] != self.due[b]:
            return self.due[a] < self.due[b]
        if self.part[a] != self.part[b]:
            return self.part[a] < self.part[b]
        return a < b

    cdef inline void _move(self, int32_t item) noexcept nogil:
        """Put an item where it belongs in the queue."""
        cdef int64_t at = self.place[item], n = self.queue.shape[0], child
        cdef int32_t other
        while at > 0 and self._sooner(item, self.queue[(at - 1) >> 1]):
            other = self.queue[(at - 1) >> 1]
            self.queue[at] = other
            self.place[other] = <int32_t>at
            at = (at - 1) >> 1
        while 2 * at + 1 < n:
            child = 2 * at + 1
            if child + 1 < n and self._sooner(self.queue[child + 1], self.queue[child]):
                child += 1
            other = self.queue[child]
            if not self._sooner(other, item):
                break
            self.queue[at] = other
            self.place[other] = <int32_t>at
            at = child
        self.queue[at] = item
        self.place[item] = <int32_t>at
