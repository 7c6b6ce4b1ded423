"""Who waits for whom: the dependencies that follow from what a plan's rows read and write."""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t

import numpy as np

__all__ = ["Edges", "dependencies"]


@cython.final
@cython.auto_pickle(False)
cdef class Edges:
    """For each transfer, its waiters, and whether it keeps them from starting or being done."""

    def __init__(self, int64_t transfers, int64_t most):
        self.first = np.zeros(transfers + 1, dtype=np.int64)
        self.waiter = np.empty(most, dtype=np.int32)
        self.starts = np.empty(most, dtype=np.uint8)
        self.before_start = np.zeros(transfers, dtype=np.int32)
        self.before_done = np.ones(transfers, dtype=np.int32)  # its own arrival


def dependencies(int32_t[::1] row_src, int32_t[::1] row_dst, int32_t[::1] src_chunk,
                 int32_t[::1] dst_chunk, int32_t[::1] nchunks, uint8_t[::1] reduce,
                 int64_t[::1] first_row, int64_t[::1] first_of_step, bint lockstep,
                 int64_t ranks, int64_t n_chunks):
    """Return the dependencies that follow from the data of a verified plan's rows.

    Rows are in plan order; transfer t is the rows from ``first_row[t]`` on, and each step begins
    with the transfer ``first_of_step``. In ``lockstep`` a rank's transfers of a step also wait for
    what the last step before it brought that rank. The result is what ``schedule`` takes.
    """
    cdef int64_t transfers = first_row.shape[0] - 1
    cdef int64_t most = 2 * np.sum(nchunks, dtype=np.int64)
    cdef _Collector found = _Collector(ranks, n_chunks, transfers, most, lockstep)
    cdef int64_t step, t, row
    with nogil:
        for step in range(first_of_step.shape[0] - 1):
            # All rows of a step read what stood before it: first every read, then every write.
            for t in range(first_of_step[step], first_of_step[step + 1]):
                for row in range(first_row[t], first_row[t + 1]):
                    found.read(t, row_src[row] * n_chunks + src_chunk[row],
                               row_dst[row] * n_chunks + dst_chunk[row], nchunks[row], reduce[row])
                if lockstep:
                    found.follow(t, row_src[first_row[t]])
            for t in range(first_of_step[step], first_of_step[step + 1]):
                for row in range(first_row[t], first_row[t + 1]):
                    found.write(t, row_dst[row] * n_chunks + dst_chunk[row], nchunks[row])
                if lockstep:
                    found.arrive(t, row_dst[first_row[t]], step)
    return found.edges_by_transfer()


@cython.final
@cython.auto_pickle(False)
cdef class _Collector:
    """Collects who waits for whom while the rows of a plan go by."""

    cdef int32_t[::1] writer     # of each place: the transfer that wrote it last, or -1
    cdef int32_t[::1] arrived    # at each rank: the last transfer of its last step, or -1
    cdef int64_t[::1] step_of    # at each rank: that step
    cdef int32_t[::1] earlier
    cdef int32_t[::1] later
    cdef uint8_t[::1] starts
    cdef int64_t edges
    cdef int64_t transfers

    def __init__(self, int64_t ranks, int64_t n_chunks, int64_t transfers, int64_t most,
                 bint lockstep):
        self.writer = np.full(ranks * n_chunks, -1, dtype=np.int32)
        self.arrived = np.full(ranks, -1, dtype=np.int32)
        self.step_of = np.full(ranks, -1, dtype=np.int64)
        # In lockstep a transfer waits for one more, and chains itself to one more.
        most += 2 * transfers if lockstep else 0
        self.earlier = np.empty(most, dtype=np.int32)
        self.later = np.empty(most, dtype=np.int32)
        self.starts = np.empty(most, dtype=np.uint8)
        self.transfers = transfers

    cdef void wait(self, int64_t later, int32_t earlier, bint starts) noexcept nogil:
        if earlier >= 0:
            self.earlier[self.edges] = earlier
            self.later[self.edges] = <int32_t>later
            self.starts[self.edges] = starts
            self.edges += 1

    cdef void read(self, int64_t t, int64_t source, int64_t target, int64_t n,
                   bint reduce) noexcept nogil:
        cdef int64_t i
        for i in range(n):
            self.wait(t, self.writer[source + i], True)
            if reduce:
                self.wait(t, self.writer[target + i], False)

    cdef void write(self, int64_t t, int64_t target, int64_t n) noexcept nogil:
        cdef int64_t i
        for i in range(n):
            self.writer[target + i] = <int32_t>t

    cdef void follow(self, int64_t t, int64_t rank) noexcept nogil:
        """Let ``t`` start only after what the last step brought its sender."""
        self.wait(t, self.arrived[rank], True)

    cdef void arrive(self, int64_t t, int64_t rank, int64_t step) noexcept nogil:
        """Note that ``step`` brings ``t`` to ``rank``, to be done after the others it brings."""
        if self.step_of[rank] == step:
            self.wait(t, self.arrived[rank], False)
        self.step_of[rank] = step
        self.arrived[rank] = <int32_t>t

    def edges_by_transfer(self):
        return _sorted(self.earlier, self.later, self.starts, self.edges, self.transfers)


cdef Edges _sorted(int32_t[::1] earlier, int32_t[::1] later, uint8_t[::1] starts, int64_t edges,
                   int64_t transfers):
    """Return the edges in the order of the transfers that are waited for."""
    cdef int64_t at, t
    cdef Edges result
    result = Edges(transfers, edges)
    with nogil:
        for at in range(edges):
            result.first[earlier[at] + 1] += 1
            if starts[at]:
                result.before_start[later[at]] += 1
            else:
                result.before_done[later[at]] += 1
        for t in range(transfers):
            result.first[t + 1] += result.first[t]
        # Filled from behind, so that each first[] ends where it began: at its transfer's edges.
        for at in range(edges - 1, -1, -1):
            t = earlier[at]
            result.first[t + 1] -= 1
            result.waiter[result.first[t + 1]] = later[at]
            result.starts[result.first[t + 1]] = starts[at]
        for t in range(transfers):
            result.first[t] = result.first[t + 1]
        result.first[transfers] = edges
    return result
