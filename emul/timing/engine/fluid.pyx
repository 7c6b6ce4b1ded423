"""Streams that share links: max-min fair with a cap per stream, anew at every start and end.

Streams over the same links with the same cap are a class: at any moment all of them have the same
rate. So a class keeps one sum, the bytes that each of its streams was served since the class was
last idle, and a stream is through when that sum has grown by its bytes. A start or an end costs
the logarithm of the number of streams, also where rates change (the virtual time of processor
sharing; Parekh and Gallager, 1993). Its specification is tests/closed_forms/sharing.py.

A class has a wave to itself, which its streams share evenly, or loads joint links with others: the
uplinks of sites, the waves of trunks that longer paths cross, conduits. It loads all of its joint
links at once, each as often as it has it; their rates may change. A wave or
an uplink out of a site may have a token bucket. As long as there are tokens, that wave or uplink
does not limit; everything else does: the rest of the sender's port after windows and losses, from
which the bytes come, the wave where the bucket is an uplink's, the joint links. Tokens flow in at
the rate of the link and out with the bytes, so a bucket that lets more pass than flows in is empty
at some moment. That is an event of its own: from then on the link limits again.

A bucket serves packets as they come, so a stream that begins waits behind the bytes that others
queued in front of it: of each message at most the bytes in flight, for the rest follows
acknowledgements, and only bytes without tokens.

Events are at whole picoseconds. A bucket is empty, and a stream through, between two of them, and
bytes that pass a bucket with tokens may be much faster than later ones. So classes with
a bucket stand at that moment itself, ``part`` of a picosecond from the event.

A stream may stand for several that are alike: they begin and end together and count as so many.
"""

cimport cython
from libc.math cimport INFINITY, floor
from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint8_t

import numpy as np

from emul.plans.runs import expand
from emul.timing.engine.columns import StateColumns
from emul.timing.terms import CODES

__all__ = ["Fluid"]

cdef double PS_PER_S = 1e12
cdef double TIES = 1e-12   # levels this close, relatively, are one
cdef double LIMIT_PS = 2.0 ** 62
cdef uint8_t[CAPS] CAP_TERMS = [CODES["window"], CODES["loss"]]


cdef inline double spare(double rate, double used) noexcept nogil:
    """Return the bytes per second that flow into a bucket of ``rate``, below 0 if more flow out."""
    cdef double found = rate - used
    return 0.0 if -TIES * rate <= found <= TIES * rate else found


cdef inline double filled(double tokens, double burst, double rate, double used,
                          double ps) noexcept nogil:
    """Return the bytes in a bucket of ``burst`` bytes after ``ps`` in which ``used`` flowed out."""
    return min(burst, max(0.0, tokens + spare(rate, used) * ps / PS_PER_S))


cdef inline double until_empty(double tokens, double rate, double used) noexcept nogil:
    """Return after how many picoseconds a bucket is empty; infinity if it never is."""
    cdef double flows_in = spare(rate, used)
    return INFINITY if flows_in >= 0 else tokens * PS_PER_S / -flows_in


cdef inline int64_t queue_behind(int64_t at, double nbytes, double rate) noexcept nogil:
    """Return until when ``nbytes``, for which there are no tokens at ``at``, queue at a bucket."""
    return at + <int64_t>(max(0.0, nbytes) * PS_PER_S / rate)


@cython.final
@cython.auto_pickle(False)
cdef class Fluid:
    """The classes of streams of one simulation.

    ``given``: an effects.wavelengths.Classes. Its rates and caps are copied, for they change.
    """

    # All attributes, by what they are columns of, as in emul.timing.engine.columns; with the
    # classes go the joint links. The active streams of ``heap`` are kept one after the other.
    STATE = {
        "stream": "until began_capped",
        "class": "wave_rate cap cap_term credit busy rate served capped since part lifted "
                 "lifted_rate capped_time due due_part empties active load joint_rate joint_credit "
                 "joint_used joint_since joint_part joint_lifted joint_busy queue place",
        "given": "joint_links burst joint_burst bucketed path_bytes first alike class_of "
                 "joined is_joined",
        "made anew": "arrays heap free waiting settled held unsettled first_member member",
    }

    def __init__(self, given):
        cdef Py_ssize_t classes = len(given.wave_rate), streams = len(given.of_stream)
        class_of, joint_links, joint_rate = given.of_stream, given.joint_links, given.joint_rate
        self.arrays = {}
        self.wave_rate = self.arrays["wave_rate"] = given.wave_rate.copy()
        self.cap = self.arrays["cap"] = given.cap.copy()
        self.cap_term = self.arrays["cap_term"] = given.term.copy()
        self.joint_links, self.class_of = joint_links, class_of
        self.joint_rate = self.arrays["joint_rate"] = given.joint_rate.copy()
        self.burst = given.burst
        self.credit = self.arrays["credit"] = given.burst.copy()
        self.joint_burst = given.joint_burst
        self.joint_credit = self.arrays["joint_credit"] = given.joint_burst.copy()
        self.joint_used = self.arrays["joint_used"] = np.zeros(len(joint_rate))
        self.joint_part = self.arrays["joint_part"] = np.zeros(len(joint_rate))
        self.joint_since = self.arrays["joint_since"] = np.zeros(len(joint_rate), dtype=np.int64)
        self.lifted = self.arrays["lifted"] = np.zeros(classes, dtype=np.uint8)
        self.arrays["joint_lifted"] = np.zeros(len(joint_rate), dtype=np.uint8)
        self.joint_lifted = self.arrays["joint_lifted"]
        joined = (np.asarray(joint_links) >= 0).any(axis=1)
        self.bucketed = _bucketed(given, joined).astype(np.uint8)
        self.path_bytes = given.path_bytes
        self.lifted_rate = self.arrays["lifted_rate"] = given.lifted_rate.copy()
        self.busy = self.arrays["busy"] = np.zeros(classes, dtype=np.int64)
        self.joint_busy = self.arrays["joint_busy"] = np.zeros(len(joint_rate), dtype=np.int64)
        self.rate = self.arrays["rate"] = np.zeros(classes)
        self.served = self.arrays["served"] = np.zeros(classes)
        self.part = self.arrays["part"] = np.zeros(classes)
        self.capped_time = self.arrays["capped_time"] = np.zeros((classes, CAPS), dtype=np.int64)
        self.capped = self.arrays["capped"] = np.zeros(classes, dtype=np.uint8)
        self.since = self.arrays["since"] = np.zeros(classes, dtype=np.int64)
        self.arrays["due"] = np.full(classes + len(joint_rate), INT64_MAX, dtype=np.int64)
        self.due = self.arrays["due"]
        self.due_part = self.arrays["due_part"] = np.zeros(len(self.due))
        self.empties = self.arrays["empties"] = np.zeros(len(self.due), dtype=np.uint8)
        members = np.bincount(class_of, minlength=classes) if streams else np.zeros(classes)
        self.first = np.concatenate([[0], np.cumsum(members)]).astype(np.int64)
        self.active = self.arrays["active"] = np.zeros(classes, dtype=np.int32)
        self.alike = given.alike
        self.load = self.arrays["load"] = np.zeros(classes, dtype=np.int64)
        self.heap = np.zeros(streams, dtype=np.int32)
        self.until = self.arrays["until"] = np.zeros(streams)
        self.began_capped = self.arrays["began_capped"] = np.zeros((streams, CAPS), dtype=np.int64)
        self.queue = self.arrays["queue"] = np.arange(len(self.due), dtype=np.int32)
        self.place = self.arrays["place"] = np.arange(len(self.due), dtype=np.int32)
        self.joined = np.flatnonzero(joined).astype(np.int32)
        self.is_joined = joined.astype(np.uint8)
        self.free = np.zeros(len(joint_rate))
        self.waiting = np.zeros(len(joint_rate), dtype=np.int64)
        self.settled = np.zeros(classes, dtype=np.uint8)
        self.held = np.zeros(classes, dtype=np.uint8)
        self.unsettled = np.zeros(len(self.joined), dtype=np.int32)
        self._list_members(np.asarray(joint_links), len(joint_rate))

    def _list_members(self, joint_links, links):
        """List the classes of each joint link, a class as often as it loads it."""
        of, end = np.nonzero(joint_links >= 0)
        link = joint_links[of, end]
        self.first_member = np.append(0, np.cumsum(np.bincount(link, minlength=links)))
        self.member = of[np.argsort(link, kind="stable")].astype(np.int32)

    def save(self):
        """Return the state of all streams and classes."""
        nobody = np.zeros(0, dtype=np.int32)
        of, number = expand(np.asarray(self.active))
        heap = np.asarray(self.heap)[np.asarray(self.first)[of] + number]
        of_streams = StateColumns(self, "stream").save(nobody)
        return of_streams, StateColumns(self, "class").save(nobody), heap

    def restore(self, saved, streams):
        """Take over what was saved of streams that are numbered ``streams`` here."""
        of_streams, of_classes, heap = saved
        StateColumns(self, "stream").restore(of_streams, streams)
        StateColumns(self, "class").restore(of_classes)
        of, number = expand(np.asarray(self.active))
        np.asarray(self.heap)[np.asarray(self.first)[of] + number] = streams[heap]

    cdef int64_t next_due(self) noexcept nogil:
        """Return when the next stream is through or bucket empty; INT64_MAX when none ever is."""
        return self.due[self.queue[0]] if self.queue.shape[0] else INT64_MAX

    cdef int32_t take(self, int64_t time) noexcept nogil:
        """End the stream that is through at ``time`` and return it; -1 if a bucket is empty."""
        cdef int32_t of = self.queue[0], stream
        if self.empties[of]:
            self._empty(of, time)
            return -1
        stream = self.heap[self.first[of]]
        self._serve_until_due(of, time, self.due_part[of])
        self._remove(of, 0)
        self._share_anew(of)
        return stream

    cdef void _serve_until_due(self, int32_t of, int64_t time, double part) noexcept nogil:
        """Serve a class, and all that it shares joint links with, to the moment that is due."""
        self._serve(of, time, part)
        if self.is_joined[of]:
            self._serve_joined(time, part)

    cdef double _first_rest(self, int32_t of) noexcept nogil:
        """Return the bytes that the first of a class's streams has still to send."""
        return max(0.0, self.until[self.heap[self.first[of]]] - self.served[of])

    cdef void begin(self, int32_t stream, double nbytes, int64_t time) noexcept nogil:
        """Let an idle stream have ``nbytes`` to send from ``time`` on."""
        cdef int32_t of = self.class_of[stream]
        self._advance(of, time)
        self.until[stream] = self.served[of] + nbytes
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

    cdef void change(self, int32_t of, double wave_rate, double cap, double lifted_rate,
                     uint8_t term, int64_t time) noexcept nogil:
        """Give a class other rates and another cap from ``time`` on; ``term`` sets the cap."""
        self._advance(of, time)
        self.wave_rate[of], self.cap[of], self.cap_term[of] = wave_rate, cap, term
        self.lifted_rate[of] = lifted_rate
        self._settle(of, time)

    cdef void change_joint(self, Py_ssize_t u, double rate, int64_t time) noexcept nogil:
        """Give a joint link another rate from ``time`` on."""
        self._serve_joined(time, 0.0)
        self.joint_rate[u] = rate
        self._share_anew(self.joined[0])

    cdef int64_t admit(self, int32_t stream, double nbytes, int64_t time) noexcept nogil:
        """Queue ``nbytes`` in the buckets in front of a stream; return when the first passes."""
        cdef int32_t of = self.class_of[stream], out = self.joint_links[of, 0]
        cdef bint own = self.burst[of] > 0 and self.wave_rate[of] > 0
        cdef bint joined = out >= 0 and self.joint_burst[out] > 0
        cdef int64_t at = time
        cdef double queued, tokens
        if own:
            at = max(at, self.busy[of])
        if joined:
            at = max(at, self.joint_busy[out])
        queued = min(nbytes, self.path_bytes[of])
        if own:
            tokens = self._tokens(of, time) if at == time else 0.0
            self.busy[of] = queue_behind(at, queued - tokens, self.wave_rate[of])
        if joined:
            tokens = self._joint_tokens(out, time, 0.0) if at == time else 0.0
            self.joint_busy[out] = queue_behind(at, queued - tokens, self.joint_rate[out])
        return at

    cdef double _tokens(self, int32_t of, int64_t time) noexcept nogil:
        """Return the bytes that are in the bucket of a class at ``time``."""
        cdef double ps = max(0.0, <double>(time - self.since[of]) - self.part[of])
        return filled(self.credit[of], self.burst[of], self.wave_rate[of],
                      self.rate[of] * self.load[of], ps)

    cdef double _joint_tokens(self, Py_ssize_t u, int64_t time, double part) noexcept nogil:
        """Return the bytes that are in the bucket of a joint link ``part`` after ``time``."""
        cdef double ps = <double>(time - self.joint_since[u]) + part - self.joint_part[u]
        return filled(self.joint_credit[u], self.joint_burst[u], self.joint_rate[u],
                      self.joint_used[u], max(0.0, ps))

    cdef void _empty(self, int32_t item, int64_t time) noexcept nogil:
        """The bucket of a class, or of a joint link after all classes, is empty."""
        cdef Py_ssize_t u = item - self.rate.shape[0]
        cdef int32_t of = self.joined[0] if u >= 0 else item
        self._serve_until_due(of, time, self.due_part[item])
        if u >= 0:
            self.joint_credit[u] = 0.0
        else:
            self.credit[of] = 0.0
        self._share_anew(of)

    cdef void _advance(self, int32_t of, int64_t time) noexcept nogil:
        """Serve the class up to ``time``."""
        self._serve(of, time, 0.0)

    cdef void _serve(self, int32_t of, int64_t time, double part) noexcept nogil:
        """Serve the class up to ``part`` of a picosecond after ``time``, if it is not beyond."""
        cdef double ps = <double>(time - self.since[of]) + part - self.part[of]
        if self.active[of] == 0:
            self.served[of] = 0.0
        if ps < 0:
            return
        if self.burst[of] > 0:
            self.credit[of] = filled(self.credit[of], self.burst[of], self.wave_rate[of],
                                     self.rate[of] * self.load[of], ps)
        if self.active[of]:
            self.served[of] += self.rate[of] * ps / PS_PER_S
            if self.capped[of]:
                self.capped_time[of, self.capped[of] - 1] += time - self.since[of]
        self.since[of], self.part[of] = time, part

    cdef void _serve_joined(self, int64_t time, double part) noexcept nogil:
        """Serve all classes with joint links, and let tokens flow into the buckets of these."""
        cdef Py_ssize_t i, u
        for i in range(self.joined.shape[0]):
            self._serve(self.joined[i], time, part)
        for u in range(self.joint_rate.shape[0]):
            if <double>(time - self.joint_since[u]) + part >= self.joint_part[u]:
                self.joint_credit[u] = self._joint_tokens(u, time, part)
                self.joint_since[u], self.joint_part[u] = time, part

    cdef void _settle(self, int32_t of, int64_t time) noexcept nogil:
        """Work out anew the rates of a class whose streams or rates have changed."""
        if self.is_joined[of]:
            self._serve_joined(time, 0.0)
        self._share_anew(of)

    cdef void _share_anew(self, int32_t of) noexcept nogil:
        """Work out anew the rates of a class, and of all that it shares joint links with."""
        cdef Py_ssize_t i, u
        if not self.is_joined[of]:
            self._lift(of)
            self._fix(of, self._own(of))
            self._set_due(of)
            return
        for i in range(self.joined.shape[0]):
            self._lift(self.joined[i])
        for u in range(self.joint_rate.shape[0]):
            self.joint_lifted[u] = self.joint_credit[u] > 0
        self._share()
        for i in range(self.joined.shape[0]):
            self._set_due(self.joined[i])
        for u in range(self.joint_rate.shape[0]):
            self._set_joint_due(u)

    cdef void _lift(self, int32_t of) noexcept nogil:
        """Say whether tokens lift the limit of a class's wave; one without any rate has none."""
        self.lifted[of] = self.credit[of] > 0 and self.wave_rate[of] > 0

    cdef double _own(self, int32_t of) noexcept nogil:
        """Return the most that each stream of a class may have, alone."""
        cdef double own
        if self.active[of] == 0:
            return 0.0
        own = min(self.cap[of], self.wave_rate[of] / self.load[of])
        return max(own, self.lifted_rate[of]) if self.lifted[of] else own

    cdef void _fix(self, int32_t of, double rate) noexcept nogil:
        cdef int by
        cdef double cap = self.cap[of]
        if self.lifted[of]:
            cap = max(cap, self.lifted_rate[of])
        self.rate[of] = rate
        self.capped[of] = 0
        if self.active[of] > 0 and rate >= cap:
            for by in range(CAPS):
                if self.cap_term[of] == CAP_TERMS[by]:
                    self.capped[of] = 1 + by
        self.settled[of] = True

    cdef void _share(self) noexcept nogil:
        """Fill the joint links: all rates rise together, to a cap or until a link is full."""
        cdef Py_ssize_t i, u, left = 0, kept, end
        cdef int32_t of
        cdef double level
        self._free_joint()
        self.waiting[:] = 0
        for i in range(self.joined.shape[0]):
            of = self.joined[i]
            self.settled[of] = self.active[of] == 0
            if self.settled[of]:
                continue
            self.unsettled[left] = of
            left += 1
            for end in range(self.joint_links.shape[1]):
                if self.joint_links[of, end] >= 0:
                    self.waiting[self.joint_links[of, end]] += self.load[of]
        while left:
            level = INFINITY
            for u in range(self.free.shape[0]):
                if self.waiting[u]:
                    level = min(level, self.free[u] / self.waiting[u])
            for i in range(left):
                level = min(level, self._own(self.unsettled[i]))
            # Marked before, so that one class does not fill a link for the next one.
            for u in range(self.free.shape[0]):
                if self.waiting[u] and self.free[u] <= level * (1 + TIES) * self.waiting[u]:
                    for i in range(self.first_member[u], self.first_member[u + 1]):
                        self.held[self.member[i]] = True
            kept = 0
            for i in range(left):
                of = self.unsettled[i]
                if self.held[of] or self._own(of) <= level * (1 + TIES):
                    self._fix(of, min(level, self._own(of)))
                else:
                    self.unsettled[kept] = of
                    kept += 1
            left = kept
            for u in range(self.free.shape[0]):
                if self.waiting[u]:
                    self._charge(u)
            self.held[:] = False
        self._add_up()

    cdef void _free_joint(self) noexcept nogil:
        """Let all of every joint link be free: where there are tokens, no end of it."""
        cdef Py_ssize_t u
        for u in range(self.free.shape[0]):
            self.free[u] = INFINITY if self.joint_lifted[u] else self.joint_rate[u]

    cdef void _add_up(self) noexcept nogil:
        """Add up the rates of all classes over each joint link."""
        cdef Py_ssize_t i, end
        cdef int32_t of, u
        self.joint_used[:] = 0.0
        for i in range(self.joined.shape[0]):
            of = self.joined[i]
            for end in range(self.joint_links.shape[1]):
                u = self.joint_links[of, end]
                if u >= 0:
                    self.joint_used[u] += self.rate[of] * self.load[of]

    cdef void _charge(self, Py_ssize_t u) noexcept nogil:
        """Take the rates of the settled classes from a joint link; count who still waits."""
        cdef Py_ssize_t i
        cdef int32_t of
        cdef double free = INFINITY if self.joint_lifted[u] else self.joint_rate[u]
        cdef int64_t waiting = 0
        for i in range(self.first_member[u], self.first_member[u + 1]):
            of = self.member[i]
            if self.settled[of]:
                free = max(0.0, free - self.rate[of] * self.load[of])
            else:
                waiting += self.load[of]
        self.free[u], self.waiting[u] = free, waiting

    cdef void _set_due(self, int32_t of) noexcept nogil:
        """Note when the first of a class's streams will be through, or before it the bucket empty.
        """
        cdef double stream_ps = INFINITY, bucket_ps = INFINITY
        if self.active[of] and self.rate[of] > 0:
            stream_ps = self.part[of] + self._first_rest(of) * PS_PER_S / self.rate[of]
        if self.lifted[of]:
            bucket_ps = self.part[of] + until_empty(self.credit[of], self.wave_rate[of],
                                                    self.rate[of] * self.load[of])
        self.empties[of] = bucket_ps < stream_ps
        self._note_due(of, self.since[of], min(stream_ps, bucket_ps), self.bucketed[of])

    cdef void _set_joint_due(self, Py_ssize_t u) noexcept nogil:
        """Note when the bucket of a joint link will be empty."""
        cdef int32_t item = <int32_t>(self.rate.shape[0] + u)
        cdef double ps = INFINITY
        if self.joint_lifted[u]:
            ps = self.joint_part[u] + until_empty(self.joint_credit[u], self.joint_rate[u],
                                                  self.joint_used[u])
        self.empties[item] = True
        self._note_due(item, self.joint_since[u], ps, True)

    cdef void _note_due(self, int32_t item, int64_t since, double ps, bint exact) noexcept nogil:
        """Note the event ``ps`` after ``since``, at the nearest picosecond."""
        cdef double whole = floor(ps + 0.5)
        self.due[item], self.due_part[item] = INT64_MAX, 0.0
        if whole < LIMIT_PS:
            self.due[item] = since + <int64_t>whole
            if exact:
                self.due_part[item] = ps - whole
        self._move(item)

    cdef bint _sooner(self, int32_t a, int32_t b) noexcept nogil:
        if self.due[a] != self.due[b]:
            return self.due[a] < self.due[b]
        if self.due_part[a] != self.due_part[b]:
            return self.due_part[a] < self.due_part[b]
        return a < b

    cdef void _move(self, int32_t of) noexcept nogil:
        """Put a class or a joint link where it belongs in the queue of both."""
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


def _bucketed(given, joined):
    """Return which classes have tokens to reckon with: their own, or of any joint link."""
    own = np.asarray(given.burst) > 0
    if (np.asarray(given.joint_burst) > 0).any() or own[joined].any():
        own = own | joined
    return own
