"""Streams that share links: max-min fair with a cap per stream, anew at every start and end.

Streams over the same links with the same cap are a class: at any moment all of them have the same
rate. So a class keeps one sum, the bytes that each of its streams was served since the class was
last idle, and a stream is through when that sum has grown by its bytes. A start or an end costs
the logarithm of the number of streams, whatever rates change (the virtual time of processor
sharing; Parekh and Gallager, 1993). What is computed is what emul.links.sharing specifies.

A class has a wave to itself, which its streams share evenly; waves are joined by uplinks. A wave or
an uplink out of a site may have a token bucket: what it holds when a stream begins goes at once. A
bucket serves packets as they come, so a stream that begins waits behind what others have queued in
front of it: of each message at most what its path holds, for the rest follows acknowledgements.

A stream may stand for several that are alike: they begin and end together and count as so many.
"""

cimport cython
from libc.math cimport INFINITY, floor
from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint8_t

import numpy as np

from emul.timing.terms import CODES

__all__ = ["Fluid"]

cdef double PS_PER_S = 1e12
cdef double TIES = 1e-12   # levels this close, relatively, are one
cdef double LIMIT_PS = 2.0 ** 62
cdef uint8_t[CAPS] CAP_TERMS = [CODES["window"], CODES["loss"]]


@cython.final
@cython.auto_pickle(False)
cdef class Fluid:
    """The classes of streams of one simulation.

    ``given``: an emul.timing.waves.Classes. Its rates and caps are copied, for they change.
    """

    def __init__(self, given):
        cdef Py_ssize_t classes = len(given.wave_rate), streams = len(given.of_stream), _
        class_of, uplinks, uplink_rate = given.of_stream, given.uplinks, given.uplink_rate
        self.wave_rate, self.cap = given.wave_rate.copy(), given.cap.copy()
        self.cap_term = given.term.copy()
        self.uplinks, self.uplink_rate, self.class_of = uplinks, uplink_rate, class_of
        self.burst, self.credit = given.burst, given.burst.copy()
        self.uplink_burst = given.uplink_burst
        self.uplink_credit = given.uplink_burst.copy()
        self.uplink_used = np.zeros(len(uplink_rate))
        self.path_bytes = given.path_bytes
        self.busy = np.zeros(classes, dtype=np.int64)
        self.uplink_busy = np.zeros(len(uplink_rate), dtype=np.int64)
        self.rate, self.served = (np.zeros(classes) for _ in range(2))
        self.capped_time = np.zeros((classes, CAPS), dtype=np.int64)
        self.capped = np.zeros(classes, dtype=np.uint8)
        self.since = np.zeros(classes, dtype=np.int64)
        self.due = np.full(classes, INT64_MAX, dtype=np.int64)
        members = np.bincount(class_of, minlength=classes) if streams else np.zeros(classes)
        self.first = np.concatenate([[0], np.cumsum(members)]).astype(np.int64)
        self.active = np.zeros(classes, dtype=np.int32)
        self.alike, self.load = given.alike, np.zeros(classes, dtype=np.int64)
        self.heap = np.zeros(streams, dtype=np.int32)
        self.until = np.zeros(streams)
        self.began_capped = np.zeros((streams, CAPS), dtype=np.int64)
        self.queue, self.place = (np.arange(classes, dtype=np.int32) for _ in range(2))
        self.joined = np.flatnonzero((np.asarray(uplinks) >= 0).any(axis=1)).astype(np.int32)
        self.free = np.zeros(len(uplink_rate))
        self.waiting = np.zeros(len(uplink_rate), dtype=np.int64)
        self.settled = np.zeros(classes, dtype=np.uint8)

    cdef int64_t next_due(self) noexcept nogil:
        """Return when the next stream is through; INT64_MAX when none ever is."""
        return self.due[self.queue[0]] if self.queue.shape[0] else INT64_MAX

    cdef int32_t take(self, int64_t time) noexcept nogil:
        """End a stream that is through at ``time``, which is when one is due; return it."""
        cdef int32_t of = self.queue[0], stream
        self._advance(of, time)
        stream = self.heap[self.first[of]]
        self._remove(of, 0)
        self._settle(of, time)
        return stream

    cdef void begin(self, int32_t stream, double nbytes, int64_t time) noexcept nogil:
        """Let an idle stream have ``nbytes`` to send from ``time`` on."""
        cdef int32_t of = self.class_of[stream]
        self._advance(of, time)
        self.until[stream] = self.served[of] + nbytes - self._at_once(of, nbytes, time)
        self.began_capped[stream, :] = self.capped_time[of, :]
        self._add(of, stream)
        self._settle(of, time)

    cdef double withdraw(self, int32_t stream, int64_t time) noexcept nogil:
        """Stop an active stream; return the bytes that it still had to send."""
        cdef int32_t of = self.class_of[stream]
        cdef int64_t at = 0
        cdef double rest
        self._advance(of, time)
        rest = max(0.0, self.until[stream] - self.served[of])
        while self.heap[self.first[of] + at] != stream:
            at += 1
        self._remove(of, at)
        self._settle(of, time)
        return rest

    cdef int64_t capped_ps(self, int32_t stream, int by) noexcept nogil:
        """Return how long a stream has been at its cap since it began, as far as ``by`` set it."""
        return self.capped_time[self.class_of[stream], by] - self.began_capped[stream, by]

    cdef void change(self, int32_t of, double wave_rate, double cap, uint8_t term,
                     int64_t time) noexcept nogil:
        """Give a class another rate and cap from ``time`` on; ``term`` sets the cap."""
        self._advance(of, time)
        self.wave_rate[of], self.cap[of], self.cap_term[of] = wave_rate, cap, term
        self._settle(of, time)

    cdef int64_t admit(self, int32_t stream, double nbytes, int64_t time) noexcept nogil:
        """Queue ``nbytes`` in the buckets in front of a stream; return when the first passes."""
        cdef int32_t of = self.class_of[stream], out = self.uplinks[of, 0]
        cdef bint joined = out >= 0 and self.uplink_burst[out] > 0
        cdef int64_t at = time
        cdef double queued
        if self.burst[of] == 0 and not joined:
            return time
        if self.burst[of] > 0:
            at = max(at, self.busy[of])
        if joined:
            at = max(at, self.uplink_busy[out])
        queued = min(nbytes, self.path_bytes[of])
        if at == time:
            queued = max(0.0, queued - self._credit(of, time))
        if self.burst[of] > 0:
            self.busy[of] = at + <int64_t>(queued * PS_PER_S / self.wave_rate[of])
        if joined:
            self.uplink_busy[out] = at + <int64_t>(queued * PS_PER_S / self.uplink_rate[out])
        return at

    cdef double _credit(self, int32_t of, int64_t time) noexcept nogil:
        """Return what the token buckets of a class let pass at once."""
        cdef int32_t out = self.uplinks[of, 0]
        cdef double credit = INFINITY
        if self.burst[of] > 0:
            self._advance(of, time)
            credit = self.credit[of]
        if out >= 0 and self.uplink_burst[out] > 0:
            self._refill(time)
            credit = min(credit, self.uplink_credit[out])
        return credit if credit < INFINITY else 0.0

    cdef double _at_once(self, int32_t of, double nbytes, int64_t time) noexcept nogil:
        """Take from the token buckets what of ``nbytes`` they let pass; return it."""
        cdef int32_t out = self.uplinks[of, 0]
        nbytes = min(nbytes, self._credit(of, time))
        self.credit[of] = max(0.0, self.credit[of] - nbytes)
        if out >= 0:
            self.uplink_credit[out] = max(0.0, self.uplink_credit[out] - nbytes)
        return nbytes

    cdef void _refill(self, int64_t time) noexcept nogil:
        """Let what the uplinks had to spare up to ``time`` flow into their buckets."""
        cdef Py_ssize_t u
        cdef double passed = <double>(time - self.uplinks_since) / PS_PER_S
        self.uplinks_since = time
        for u in range(self.uplink_rate.shape[0]):
            self.uplink_credit[u] = min(
                self.uplink_burst[u],
                self.uplink_credit[u] + (self.uplink_rate[u] - self.uplink_used[u]) * passed)

    cdef void _advance(self, int32_t of, int64_t time) noexcept nogil:
        """Serve the class up to ``time``."""
        cdef double spare
        if self.burst[of] > 0:
            spare = self.wave_rate[of] - self.rate[of] * self.load[of]
            self.credit[of] = min(self.burst[of], self.credit[of] + max(0.0, spare)
                                  * <double>(time - self.since[of]) / PS_PER_S)
        if self.active[of]:
            self.served[of] += self.rate[of] * <double>(time - self.since[of]) / PS_PER_S
            if self.capped[of]:
                self.capped_time[of, self.capped[of] - 1] += time - self.since[of]
        else:
            self.served[of] = 0.0
        self.since[of] = time

    cdef void _settle(self, int32_t of, int64_t time) noexcept nogil:
        """Work out anew what changes with a class whose streams or rates have changed."""
        cdef Py_ssize_t i
        if self.uplinks[of, 0] < 0 and self.uplinks[of, 1] < 0:
            self._fix(of, self._own(of))
            self._set_due(of)
            return
        for i in range(self.joined.shape[0]):
            self._advance(self.joined[i], time)
        self._refill(time)
        self._share()
        for i in range(self.joined.shape[0]):
            self._set_due(self.joined[i])

    cdef double _own(self, int32_t of) noexcept nogil:
        """Return what each stream of a class may have at most, whatever the others do."""
        if self.active[of] == 0:
            return 0.0
        return min(self.cap[of], self.wave_rate[of] / self.load[of])

    cdef void _fix(self, int32_t of, double rate) noexcept nogil:
        cdef int by
        self.rate[of] = rate
        self.capped[of] = 0
        if self.active[of] > 0 and rate >= self.cap[of]:
            for by in range(CAPS):
                if self.cap_term[of] == CAP_TERMS[by]:
                    self.capped[of] = 1 + by
        self.settled[of] = True

    cdef void _share(self) noexcept nogil:
        """Fill the uplinks: all rates rise together, until a cap is reached or a link is full."""
        cdef Py_ssize_t i, u, left = 0, end
        cdef int32_t of
        cdef double level
        cdef bint full
        self.free[:] = self.uplink_rate
        self.waiting[:] = 0
        for i in range(self.joined.shape[0]):
            of = self.joined[i]
            self.settled[of] = self.active[of] == 0
            left += not self.settled[of]
            for end in range(2):
                if self.uplinks[of, end] >= 0:
                    self.waiting[self.uplinks[of, end]] += self.load[of]
        while left:
            level = INFINITY
            for u in range(self.free.shape[0]):
                if self.waiting[u]:
                    level = min(level, self.free[u] / self.waiting[u])
            for i in range(self.joined.shape[0]):
                if not self.settled[self.joined[i]]:
                    level = min(level, self._own(self.joined[i]))
            for i in range(self.joined.shape[0]):
                of = self.joined[i]
                if self.settled[of]:
                    continue
                full = self._own(of) <= level * (1 + TIES)
                for end in range(2):
                    u = self.uplinks[of, end]
                    # Marked before, so that one class does not fill a link for the next one.
                    full = full or (u >= 0 and self.free[u] <= level * (1 + TIES) * self.waiting[u])
                if full:
                    self._fix(of, min(level, self._own(of)))
                    left -= 1
            self._charge()
        for u in range(self.free.shape[0]):
            self.uplink_used[u] = self.uplink_rate[u] - self.free[u]

    cdef void _charge(self) noexcept nogil:
        """Take from the uplinks what the settled classes have; count who still waits."""
        cdef Py_ssize_t i, u, end
        cdef int32_t of
        self.free[:] = self.uplink_rate
        self.waiting[:] = 0
        for i in range(self.joined.shape[0]):
            of = self.joined[i]
            for end in range(2):
                u = self.uplinks[of, end]
                if u < 0:
                    continue
                if self.settled[of]:
                    self.free[u] = max(0.0, self.free[u] - self.rate[of] * self.load[of])
                else:
                    self.waiting[u] += self.load[of]

    cdef void _set_due(self, int32_t of) noexcept nogil:
        """Note when the first of a class's streams will be through."""
        cdef double rest, ps
        self.due[of] = INT64_MAX
        if self.active[of] and self.rate[of] > 0:
            rest = max(0.0, self.until[self.heap[self.first[of]]] - self.served[of])
            ps = floor(rest * PS_PER_S / self.rate[of] + 0.5)
            if ps < LIMIT_PS:
                self.due[of] = self.since[of] + <int64_t>ps
        self._move(of)

    cdef bint _sooner(self, int32_t a, int32_t b) noexcept nogil:
        if self.due[a] != self.due[b]:
            return self.due[a] < self.due[b]
        return a < b

    cdef void _move(self, int32_t of) noexcept nogil:
        """Put a class where it belongs in the queue of classes."""
        cdef int64_t at = self.place[of], n = self.queue.shape[0], child
        cdef int32_t other
        while at > 0 and self._sooner(of, self.queue[(at - 1) >> 1]):
            other = self.queue[(at - 1) >> 1]
            self.queue[at] = other
            self.place[other] = <int32_t>at
            at = (at - 1) >> 1
        while 2 * at + 1 < n:
            child = 2 * at + 1
            if child + 1 < n and self._sooner(self.queue[child + 1], self.queue[child]):
                child += 1
            other = self.queue[child]
            if not self._sooner(other, of):
                break
            self.queue[at] = other
            self.place[other] = <int32_t>at
            at = child
        self.queue[at] = of
        self.place[of] = <int32_t>at

    cdef bint _less(self, int32_t a, int32_t b) noexcept nogil:
        if self.until[a] != self.until[b]:
            return self.until[a] < self.until[b]
        return a < b

    cdef void _add(self, int32_t of, int32_t stream) noexcept nogil:
        cdef int64_t base = self.first[of], at = self.active[of]
        self.active[of] += 1
        self.load[of] += self.alike[stream]
        self.heap[base + at] = stream
        self._sift_up(base, at)

    cdef void _remove(self, int32_t of, int64_t at) noexcept nogil:
        cdef int64_t base = self.first[of], last
        self.active[of] -= 1
        self.load[of] -= self.alike[self.heap[base + at]]
        last = self.active[of]
        self.heap[base + at] = self.heap[base + last]
        if at < last:
            self._sift_up(base, at)
            self._sift_down(base, last, at)

    cdef void _sift_up(self, int64_t base, int64_t at) noexcept nogil:
        cdef int32_t stream = self.heap[base + at]
        while at > 0 and self._less(stream, self.heap[base + ((at - 1) >> 1)]):
            self.heap[base + at] = self.heap[base + ((at - 1) >> 1)]
            at = (at - 1) >> 1
        self.heap[base + at] = stream

    cdef void _sift_down(self, int64_t base, int64_t n, int64_t at) noexcept nogil:
        cdef int32_t stream = self.heap[base + at]
        cdef int64_t child
        while 2 * at + 1 < n:
            child = 2 * at + 1
            if child + 1 < n and self._less(self.heap[base + child + 1], self.heap[base + child]):
                child += 1
            if not self._less(self.heap[base + child], stream):
                break
            self.heap[base + at] = self.heap[base + child]
            at = child
        self.heap[base + at] = stream
