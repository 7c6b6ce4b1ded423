"""Times rounds (see emul.plans.rounds) step by step, with columns by rank and none by transfer.

Every connection sends once in a step: the block that the one before it brought in the step
before. So all that there is to know is when each connection may send next, and when each port and
connection is free. The rules are those of engine.ordered, and so is the check that heads come to
every port in the order of the plan. It is needed only where several rings share ports. On a port of
one connection they cannot but do so: the block of a step is never there before the block
of the step before, as its links are not free before, so no connection has its next block
before its last one.

Times are whole picoseconds in doubles, of which sums and the larger of two are exact up to 2^53
(two and a half hours), and which every processor takes several at a time; there is no such
instruction for the larger of two int64 before AVX-512. A longer total is left to tables.
"""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t

import numpy as np

__all__ = ["total_of_rounds"]

cdef double MOST_PS = 2.0 ** 53

cdef extern from *:
    """
    /* One step of connections that have their ports to themselves and no trunk. In C, because only
       there can be said that no two of the arrays overlap; else the loops are not vectorised. */

    #if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
    #define EMUL_BY_PROCESSOR __attribute__((target_clones("avx2", "default")))
    #else
    #define EMUL_BY_PROCESSOR
    #endif

    #define EMUL_STEP(OVERHEAD, LATENCY, OUT, INTO) \
        for (long i = 0; i < n; i++) { \
            double head = (ready[i] > out_free[i] ? ready[i] : out_free[i]) + OVERHEAD; \
            double left = head + OUT, there = head + LATENCY; \
            double last = left + LATENCY; \
            double came = (there > into_free[i] ? there : into_free[i]) + INTO; \
            out_free[i] = left; \
            into_free[i] = came; \
            next[i] = last > came ? last : came; \
        }

    EMUL_BY_PROCESSOR static void emul_step(
        long n, const double* restrict ready, double* restrict next, double* restrict out_free,
        double* restrict into_free, const double* restrict overhead,
        const double* restrict latency, const double* restrict out, const double* restrict into)
    {
        EMUL_STEP(overhead[i], latency[i], out[i], into[i])
    }

    /* The same where all of them are alike, so that half as much has to be read. */
    EMUL_BY_PROCESSOR static void emul_step_of_alike(
        long n, const double* restrict ready, double* restrict next, double* restrict out_free,
        double* restrict into_free, double overhead, double latency, double out, double into)
    {
        EMUL_STEP(overhead, latency, out, into)
    }
    """
    void emul_step(
        long n, const double* ready, double* next, double* out_free, double* into_free,
        const double* overhead, const double* latency, const double* out, const double* into
    ) noexcept nogil
    void emul_step_of_alike(
        long n, const double* ready, double* next, double* out_free, double* into_free,
        double overhead, double latency, double out, double into
    ) noexcept nogil


cdef enum:
    # How the connections of a span are served: one by one, side by side, or as if they were one.
    ONE_BY_ONE = 0
    PLAIN = 1
    ALIKE = 2


@cython.final
@cython.auto_pickle(False)
cdef class _Rings:
    """The connections of all rings, channel after channel, and when they are ready and free.

    A connection that is ``n`` after another one of its channel is the same; after the last one of a
    ring there is room for the block of the first, so connection i of channel c stands at
    c * (n + 1) + i in ``ready``.
    """

    cdef int64_t n
    cdef int64_t channels
    cdef int32_t[::1] out          # of each connection: its ports, in the order in which they come
    cdef int32_t[::1] into
    cdef uint8_t[::1] piped
    cdef double[::1] overhead
    cdef double[::1] latency
    cdef double[::1] spacing
    # The occupancy of its bytes is at this place of ``occupied``, and so many places on as
    # the step says: at the ports and in the connection.
    cdef int64_t[::1] out_at
    cdef int64_t[::1] into_at
    cdef int64_t[::1] pipe_at
    cdef double[::1] occupied
    cdef double[::1] ready
    cdef double[::1] next
    cdef double[::1] out_head
    cdef double[::1] out_free
    cdef double[::1] into_head
    cdef double[::1] into_free
    cdef double[::1] connection_free

    def __init__(self, connections, double call):
        cdef int64_t all_of_them
        self.n, self.channels = connections.n, connections.channels
        self.out, self.into, self.piped = connections.out, connections.into, connections.piped
        self.overhead, self.latency = connections.overhead, connections.latency
        self.spacing = connections.spacing
        self.out_at, self.into_at = connections.out_at, connections.into_at
        self.pipe_at, self.occupied = connections.pipe_at, connections.occupied
        all_of_them = self.n * self.channels
        self.ready, self.next = (np.full(all_of_them + self.channels, call) for _ in range(2))
        self.out_head, self.out_free = (np.zeros(all_of_them) for _ in range(2))
        self.into_head, self.into_free = (np.zeros(all_of_them) for _ in range(2))
        self.connection_free = np.zeros(all_of_them)

    cdef void plain(self, int64_t first, int64_t number, int64_t shift,
                    bint alike) noexcept nogil:
        """Let connections with the same numbers as their ports send, and nothing else use those."""
        cdef double* out = &self.occupied[self.out_at[first] + shift]
        cdef double* into = &self.occupied[self.into_at[first] + shift]
        if alike:
            emul_step_of_alike(number, &self.ready[first], &self.next[first + 1],
                               &self.out_free[first], &self.into_free[first],
                               self.overhead[first], self.latency[first], out[0], into[0])
        else:
            emul_step(number, &self.ready[first], &self.next[first + 1], &self.out_free[first],
                      &self.into_free[first], &self.overhead[first], &self.latency[first],
                      out, into)

    cdef bint one(self, int64_t j, int64_t at, int64_t shift) noexcept nogil:
        """Let any connection send, which stands at ``at``; say whether that was in order."""
        cdef int32_t out = self.out[j], into = self.into[j]
        cdef double came = self.ready[at], head, left, occupied
        cdef bint in_order = came >= self.out_head[out]
        self.out_head[out] = came
        head = max(came, self.out_free[out]) + self.overhead[j]
        left = head + self.occupied[self.out_at[j] + shift]
        self.out_free[out] = left
        if self.piped[j]:
            head = max(head, self.connection_free[j])
            occupied = self.occupied[self.pipe_at[j] + shift]
            self.connection_free[j] = head + max(occupied, self.spacing[j])
            left = max(left, head + occupied)
        head += self.latency[j]
        in_order = in_order and head >= self.into_head[into]
        self.into_head[into] = head
        head = max(head, self.into_free[into]) + self.occupied[self.into_at[j] + shift]
        self.into_free[into] = head
        self.next[at + 1] = max(left + self.latency[j], head)
        return in_order

    cdef bint step(self, int64_t[:, ::1] spans, int64_t shift) noexcept nogil:
        """Let every connection send once; say whether that was in order."""
        cdef int64_t span, j, channel
        for span in range(spans.shape[0]):
            if spans[span, 2] != ONE_BY_ONE:
                self.plain(spans[span, 0], spans[span, 1] - spans[span, 0], shift,
                           spans[span, 2] == ALIKE)
                continue
            for j in range(spans[span, 0], spans[span, 1]):
                if not self.one(j, j + j // self.n, shift):
                    return False
        for channel in range(self.channels):
            self.next[channel * (self.n + 1)] = self.next[channel * (self.n + 1) + self.n]
        self.ready, self.next = self.next, self.ready
        return True


def total_of_rounds(connections, int64_t call_ps, const int64_t[::1] shifts):
    """Return when all is done, in picoseconds; None where that cannot be said without tables.

    ``connections``: an emul.timing.generated.RingConnections. ``shifts``: of each step, how many
    places on the occupancy of its bytes is. None is the answer when heads come to a port in
    another order than that of the plan, or when a time is no longer exact in a double.
    """
    cdef _Rings rings = _Rings(connections, call_ps)
    cdef int64_t[:, ::1] spans = connections.spans
    cdef int64_t step
    cdef bint in_order = True
    with nogil:
        for step in range(shifts.shape[0]):
            in_order = rings.step(spans, shifts[step])
            if not in_order:
                break
    total = np.max(rings.ready)
    return int(total) if in_order and total < MOST_PS else None
