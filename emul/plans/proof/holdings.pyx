"""Follows the contents of every place through the steps of a plan: the inner loop of the proof."""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

import numpy as np

__all__ = ["FAULTS", "Holdings"]

cdef enum:
    NONE = 0
    WRITTEN_TWICE = 1
    SENT_EMPTY = 2
    REDUCED_INTO_EMPTY = 3
    MIXED = 4
    COUNTED_TWICE = 5
    MOVED = 6
    OUT_OF_RANGE = 7

FAULTS = ("none", "written twice", "sent empty", "reduced into empty", "mixed", "counted twice",
          "moved", "out of range")


@cython.final
@cython.auto_pickle(False)
cdef class Holdings:
    """Of each place: the ranks whose contributions it holds, and the chunk they belong to.

    A place is a chunk of a rank. All ranks' places for a chunk stand side by side, because a chunk
    mostly keeps its number on its way: so sender and receiver are near each other in memory.
    ``first`` is the number of the first chunk and ``chunks`` how many there are, so that a plan
    which moves no chunk to another place can be followed for some of its chunks at a time.
    """

    cdef readonly object ranks
    cdef readonly object origin
    cdef uint64_t[:, ::1] held
    cdef int64_t[::1] belongs
    cdef int32_t[::1] written
    cdef int64_t first
    cdef int64_t chunks
    cdef int64_t n
    cdef int64_t places
    cdef int64_t channels
    cdef bint part
    cdef int64_t row
    cdef int64_t source
    cdef int64_t target

    def __init__(self, ranks, origin, int64_t first, bint part, int64_t places, int64_t channels):
        """Take sets of ranks, (chunks, n, words), and chunks, (chunks, n), to be changed here.

        With ``part``, they are not all the chunks that there are. Rows must stay within ``places``
        places of a rank and ``channels`` channels.
        """
        self.places, self.channels = places, channels
        self.ranks, self.origin = ranks, origin
        self.chunks, self.n = origin.shape
        self.held, self.belongs = ranks.reshape(self.chunks * self.n, -1), origin.reshape(-1)
        self.written = np.full(self.chunks * self.n, -1, dtype=np.int32)
        self.first, self.part = first, part

    def take(self, int32_t number, int32_t[::1] src, int32_t[::1] dst, int32_t[::1] src_chunk,
             int32_t[::1] dst_chunk, int32_t[::1] nchunks, int32_t[::1] channel, reduce):
        """Carry out step ``number``; return (fault, row, source, target), the first that is wrong.

        Faults are numbers in FAULTS; source and target are places. After a fault, their contents
        before the step are still there.
        """
        cdef uint8_t[::1] reduces = np.ascontiguousarray(reduce).view(np.uint8)
        cdef int64_t moves = 0
        cdef int32_t fault
        cdef bint exchanging = False
        with nogil:
            if self.within(src, dst, src_chunk, dst_chunk, nchunks, channel):
                fault = self.mark(number, dst, src_chunk, dst_chunk, nchunks, &moves)
            else:
                fault = OUT_OF_RANGE
            if fault == NONE:
                exchanging = self.reads_what_it_writes(number, src, src_chunk, nchunks)
        if fault == NONE and exchanging:
            # All rows read the state before the step, so the sent values are set aside first.
            fault = self.exchange(moves, src, dst, src_chunk, dst_chunk, nchunks, reduces)
        elif fault == NONE:
            with nogil:
                fault = self.pass_on(src, dst, src_chunk, dst_chunk, nchunks, reduces)
        return fault, self.row, self.source, self.target

    cdef bint within(self, int32_t[::1] src, int32_t[::1] dst, int32_t[::1] src_chunk,
                     int32_t[::1] dst_chunk, int32_t[::1] nchunks,
                     int32_t[::1] channel) noexcept nogil:
        """Say whether all rows name ranks, places and channels that there are."""
        cdef int64_t row, last
        for row in range(src.shape[0]):
            last = self.places - nchunks[row]
            if not (0 <= src[row] < self.n and 0 <= dst[row] < self.n and nchunks[row] >= 1
                    and 0 <= src_chunk[row] <= last and 0 <= dst_chunk[row] <= last
                    and 0 <= channel[row] < self.channels):
                return False
        return True

    cdef int64_t begins(self, int32_t chunk) noexcept nogil:
        """Return how many chunks of a run from ``chunk`` on come before the first one here."""
        return max(<int64_t>0, self.first - chunk)

    cdef int64_t ends(self, int32_t chunk, int32_t n) noexcept nogil:
        return min(<int64_t>n, self.first + self.chunks - chunk)

    cdef int64_t place(self, int32_t rank, int32_t chunk, int64_t within) noexcept nogil:
        return (chunk + within - self.first) * self.n + rank

    cdef int32_t mark(self, int32_t number, int32_t[::1] dst, int32_t[::1] src_chunk,
                      int32_t[::1] dst_chunk, int32_t[::1] nchunks, int64_t* moves) noexcept nogil:
        """Note every place that is written; refuse those that are written twice."""
        cdef int64_t row, i, target
        for row in range(dst.shape[0]):
            if self.part and src_chunk[row] != dst_chunk[row]:
                self.row = row
                return MOVED
            for i in range(self.begins(dst_chunk[row]), self.ends(dst_chunk[row], nchunks[row])):
                target = self.place(dst[row], dst_chunk[row], i)
                if self.written[target] == number:
                    self.row, self.target, self.source = row, target, -1
                    return WRITTEN_TWICE
                self.written[target] = number
                moves[0] += 1
        return NONE

    cdef bint reads_what_it_writes(self, int32_t number, int32_t[::1] src, int32_t[::1] src_chunk,
                                   int32_t[::1] nchunks) noexcept nogil:
        cdef int64_t row, i
        for row in range(src.shape[0]):
            for i in range(self.begins(src_chunk[row]), self.ends(src_chunk[row], nchunks[row])):
                if self.written[self.place(src[row], src_chunk[row], i)] == number:
                    return True
        return False

    cdef int32_t check(self, int64_t row, int64_t source, int64_t target,
                       bint reduce) noexcept nogil:
        """Return the fault in sending ``source`` to ``target``, or NONE."""
        cdef int64_t word
        cdef uint64_t sent = 0, stood = 0, both = 0
        cdef int32_t fault = NONE
        for word in range(self.held.shape[1]):
            sent |= self.held[source, word]
            if reduce:
                stood |= self.held[target, word]
                both |= self.held[source, word] & self.held[target, word]
        if sent == 0:
            fault = SENT_EMPTY
        elif reduce and stood == 0:
            fault = REDUCED_INTO_EMPTY
        elif reduce and self.belongs[source] != self.belongs[target]:
            fault = MIXED
        elif both != 0:
            fault = COUNTED_TWICE
        if fault != NONE:
            self.row, self.source, self.target = row, source, target
        return fault

    cdef int32_t pass_on(self, int32_t[::1] src, int32_t[::1] dst, int32_t[::1] src_chunk,
                         int32_t[::1] dst_chunk, int32_t[::1] nchunks,
                         uint8_t[::1] reduce) noexcept nogil:
        cdef int64_t row, i, word, source, target
        cdef int32_t fault
        for row in range(src.shape[0]):
            for i in range(self.begins(src_chunk[row]), self.ends(src_chunk[row], nchunks[row])):
                source = self.place(src[row], src_chunk[row], i)
                target = self.place(dst[row], dst_chunk[row], i)
                fault = self.check(row, source, target, reduce[row])
                if fault != NONE:
                    return fault
                for word in range(self.held.shape[1]):
                    if not reduce[row]:
                        self.held[target, word] = 0
                    self.held[target, word] |= self.held[source, word]
                self.belongs[target] = self.belongs[source]
        return NONE

    cdef int32_t exchange(self, int64_t moves, int32_t[::1] src, int32_t[::1] dst,
                          int32_t[::1] src_chunk, int32_t[::1] dst_chunk, int32_t[::1] nchunks,
                          uint8_t[::1] reduce) except -1:
        cdef uint64_t[:, ::1] aside = np.empty((moves, self.held.shape[1]), dtype=np.uint64)
        cdef int64_t[::1] belonged = np.empty(moves, dtype=np.int64)
        cdef int64_t row, i, word, source, target, at = 0
        cdef int32_t fault
        with nogil:
            for row in range(src.shape[0]):
                for i in range(self.begins(src_chunk[row]),
                               self.ends(src_chunk[row], nchunks[row])):
                    source = self.place(src[row], src_chunk[row], i)
                    target = self.place(dst[row], dst_chunk[row], i)
                    fault = self.check(row, source, target, reduce[row])
                    if fault != NONE:
                        return fault
                    aside[at, :] = self.held[source, :]
                    belonged[at] = self.belongs[source]
                    at += 1
            at = 0
            for row in range(src.shape[0]):
                for i in range(self.begins(src_chunk[row]),
                               self.ends(src_chunk[row], nchunks[row])):
                    target = self.place(dst[row], dst_chunk[row], i)
                    for word in range(self.held.shape[1]):
                        if not reduce[row]:
                            self.held[target, word] = 0
                        self.held[target, word] |= aside[at, word]
                    self.belongs[target] = belonged[at]
                    at += 1
        return NONE
