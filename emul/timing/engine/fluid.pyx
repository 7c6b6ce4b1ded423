"""Streams that share links: max-min fair with a cap per stream, anew at every start and end.

Streams over the same links with the same cap are a class: at any moment all of them have the same
rate. So a class keeps one sum, the bytes that each of its streams was served since the class was
last idle, and a stream is through when that sum has grown by its bytes. A start or an end costs
the logarithm of the number of streams, also where rates change (the virtual time of processor
sharing; Parekh and Gallager, 1993). Its specification is tests/closed_forms/sharing.py.

A class has a wave to itself, which its streams share evenly, or loads joint links with others: the
uplinks of sites, the waves of trunks that longer paths cross, conduits, NICs. It loads all of its
joint links at once, each as often as it has it; their rates may change. Of classes with NICs those
are worked out anew that a change can reach, over one joint link after the other. A wave or
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

A stream may stand for several that are alike: they begin and end together and count as so many;
at a NIC as one, for each of them has its own.
"""

cimport cython
from libc.math cimport INFINITY
from libc.stdint cimport int32_t, int64_t, uint8_t

from emul.timing.engine.due cimport DueQueue

import numpy as np

from emul.plans.runs import expand
from emul.timing.engine.columns import StateColumns
from emul.timing.terms import CODES

__all__ = ["Fluid"]

cdef double PS_PER_S = 1e12
cdef double TIES = 1e-12   # levels this close, relatively, are one
cdef uint8_t[FIRST_PORT_CAP] CAP_TERMS = [CODES["window"], CODES["loss"]]


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

    # All attributes, by what they are columns of, as in emul.timing.engine.columns. The active
    # streams of ``heap`` are kept one after the other.
    STATE = {
        "stream": "until began_capped",
        "class": "wave_rate cap cap_term credit busy rate served capped since part lifted "
                 "lifted_rate capped_time active load",
        "joint": "joint_rate joint_credit joint_used joint_since joint_part joint_lifted "
                 "joint_busy",
        "given": "joint_links burst joint_burst joint_kind lifting bucketed path_bytes first alike "
                 "class_of joined is_joined apart",
        "made anew": "arrays heap free waiting settled held unsettled first_member member reached "
                     "reached_links reached_size reached_links_size is_reached is_reached_link "
                     "queue",
    }

    def __init__(self, given):
        cdef Py_ssize_t classes = len(given.wave_rate), streams = len(given.of_stream)
        class_of, joint_links = given.of_stream, given.joint_links
        joint_rate, joint_burst = given.joint.rate, given.joint.burst
        self.arrays = {}
        self.wave_rate = self.arrays["wave_rate"] = given.wave_rate.copy()
        self.cap = self.arrays["cap"] = given.cap.copy()
        self.cap_term = self.arrays["cap_term"] = given.term.copy()
        self.joint_links, self.class_of = joint_links, class_of
        self.joint_rate = self.arrays["joint_rate"] = joint_rate.copy()
        self.joint_kind, self.lifting = given.joint.kind, given.lifting
        self.burst = given.burst
        self.credit = self.arrays["credit"] = given.burst.copy()
        self.joint_burst = joint_burst
        self.joint_credit = self.arrays["joint_credit"] = joint_burst.copy()
        self.joint_used = self.arrays["joint_used"] = np.zeros(len(joint_rate))
        self.joint_part = self.arrays["joint_part"] = np.zeros(len(joint_rate))
        self.joint_since = self.arrays["joint_since"] = np.zeros(len(joint_rate), dtype=np.int64)
        self.lifted = self.arrays["lifted"] = np.zeros(classes, dtype=np.uint8)
        no_links = np.zeros(len(joint_rate), dtype=np.uint8)
        self.joint_lifted = self.arrays["joint_lifted"] = no_links.copy()
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
        self.queue = DueQueue(classes + len(joint_rate))
        members = np.bincount(class_of, minlength=classes) if streams else np.zeros(classes)
        self.first = np.concatenate([[0], np.cumsum(members)]).astype(np.int64)
        self.active = self.arrays["active"] = np.zeros(classes, dtype=np.int32)
        self.alike = given.alike
        self.load = self.arrays["load"] = np.zeros(classes, dtype=np.int64)
        self.heap = np.zeros(streams, dtype=np.int32)
        self.until = self.arrays["until"] = np.zeros(streams)
        self.began_capped = self.arrays["began_capped"] = np.zeros((streams, CAPS), dtype=np.int64)
        self.joined = np.flatnonzero(joined).astype(np.int32)
        self.is_joined = joined.astype(np.uint8)
        self.free = np.zeros(len(joint_rate))
        self.waiting = np.zeros(len(joint_rate), dtype=np.int64)
        self.settled = np.zeros(classes, dtype=np.uint8)
        self.held = np.zeros(classes, dtype=np.uint8)
        self.unsettled = np.zeros(len(self.joined), dtype=np.int32)
        self.apart = bool(np.any(given.joint.kind))
        self.reached = np.flatnonzero(joined).astype(np.int32)
        self.reached_links = np.arange(len(joint_rate), dtype=np.int32)
        self.reached_size, self.reached_links_size = joined.sum(), len(joint_rate)
        self.is_reached = np.zeros(classes, dtype=np.uint8)
        self.is_reached_link = no_links
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
        of_classes = StateColumns(self, "class").save(nobody)
        of_joint = StateColumns(self, "joint").save(nobody)
        return of_streams, of_classes, of_joint, self.queue.save(), heap

    def restore(self, saved, streams, classes):
        """Take over what was saved of streams and classes that are numbered so here."""
        of_streams, of_classes, of_joint, of_queue, heap = saved
        StateColumns(self, "stream").restore(of_streams, streams)
        StateColumns(self, "class").restore(of_classes, classes)
        StateColumns(self, "joint").restore(of_joint)
        if not isinstance(classes, slice):
            behind = self.rate.shape[0] + np.arange(self.joint_rate.shape[0])
            classes = np.concatenate([classes, behind])
        self.queue.restore(of_queue, classes)
        of, number = expand(np.asarray(self.active))
        np.asarray(self.heap)[np.asarray(self.first)[of] + number] = streams[heap]

    cdef int32_t take(self, int64_t time) noexcept nogil:
        """End the stream that is through at ``time`` and return it; -1 if a bucket is empty."""
        cdef int32_t of = self.queue.first(), stream
        self._reach(of)
        if self.queue.empties[of]:
            self._empty(of, time)
            return -1
        stream = self.heap[self.first[of]]
        self._serve_until_due(of, time, self.queue.part[of])
        self._remove(of, 0)
        self._share_anew(of)
        return stream

    cdef void _reach(self, int32_t item) noexcept nogil:
        """Find the classes whose rates may hang on a class, or on a joint link after all classes.

        These share joint links with it, or with others that do, and so on. Where there are no NICs
        all that have joint links do so.
        """
        cdef Py_ssize_t at, end, i
        cdef int32_t of, u = <int32_t>(item - self.rate.shape[0])
        if not self.apart:
            return
        self._forget_reached()
        if u >= 0:
            self._reach_link(u)
        else:
            self.reached[0], self.reached_size, self.is_reached[item] = item, 1, True
            for end in range(self.joint_links.shape[1]):
                self._reach_link(self.joint_links[item, end])
        at = 0
        while at < self.reached_links_size:
            u = self.reached_links[at]
            at += 1
            for i in range(self.first_member[u], self.first_member[u + 1]):
                of = self.member[i]
                if self.is_reached[of] or self.active[of] == 0:
                    continue
                self.reached[self.reached_size], self.is_reached[of] = of, True
                self.reached_size += 1
                for end in range(self.joint_links.shape[1]):
                    self._reach_link(self.joint_links[of, end])

    cdef void _forget_reached(self) noexcept nogil:
        cdef Py_ssize_t at
        for at in range(self.reached_size):
            self.is_reached[self.reached[at]] = False
        for at in range(self.reached_links_size):
            self.is_reached_link[self.reached_links[at]] = False
        self.reached_size = self.reached_links_size = 0

    cdef inline void _reach_link(self, int32_t u) noexcept nogil:
        if u >= 0 and not self.is_reached_link[u]:
            self.reached_links[self.reached_links_size], self.is_reached_link[u] = u, True
            self.reached_links_size += 1

    cdef void _serve_until_due(self, int32_t of, int64_t time, double part) noexcept nogil:
        """Serve a class, and all that it shares joint links with, to the moment that is due."""
        self._serve(of, time, part)
        if self.is_joined[of]:
            self._serve_joined(time, part)

    cdef void begin(self, int32_t stream, double nbytes, int64_t time) noexcept nogil:
        """Let an idle stream have ``nbytes`` to send from ``time`` on."""
        cdef int32_t of = self.class_of[stream]
        cdef int by
        self._advance(of, time)
        self.until[stream] = self.served[of] + nbytes
        for by in range(CAPS):
            self.began_capped[stream, by] = self.capped_time[of, by]
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
        self._reach(<int32_t>(self.rate.shape[0] + u))
        self._serve_joined(time, 0.0)
        self.joint_rate[u] = rate
        self._share_joined()

    cdef int64_t admit(self, int32_t stream, double nbytes, int64_t time) noexcept nogil:
        """Queue ``nbytes`` in the buckets in front of a stream; return when the first passes."""
        cdef int32_t of = self.class_of[stream], u
        cdef bint own = self.burst[of] > 0 and self.wave_rate[of] > 0
        cdef int64_t at = time
        cdef double queued, tokens
        cdef Py_ssize_t end
        if own:
            at = max(at, self.busy[of])
        for end in range(self.joint_links.shape[1]):
            u = self.joint_links[of, end]
            if u >= 0 and self.joint_burst[u] > 0:
                at = max(at, self.joint_busy[u])
        queued = min(nbytes, self.path_bytes[of])
        if own:
            tokens = self._tokens(of, time) if at == time else 0.0
            self.busy[of] = queue_behind(at, queued - tokens, self.wave_rate[of])
        for end in range(self.joint_links.shape[1]):
            u = self.joint_links[of, end]
            if u >= 0 and self.joint_burst[u] > 0 and self.joint_rate[u] > 0:
                tokens = self._joint_tokens(u, time, 0.0) if at == time else 0.0
                self.joint_busy[u] = queue_behind(at, queued - tokens, self.joint_rate[u])
        return at

    cdef double _tokens(self, int32_t of, int64_t time) noexcept nogil:
        """Return the bytes that are in the bucket of a class at ``time``."""
        cdef double ps = max(0.0, <double>(time - self.since[of]) - self.part[of])
        return filled(self.credit[of], self.burst[of], self.wave_rate[of],
                      self.rate[of] * self.load[of], ps)

    cdef double _joint_tokens(self, Py_ssize_t u, int64_t time, double part) noexcept nogil:
        """Return the bytes in the bucket of a joint link ``part`` after ``time``."""
        cdef double ps = <double>(time - self.joint_since[u]) + part - self.joint_part[u]
        return filled(self.joint_credit[u], self.joint_burst[u], self.joint_rate[u],
                      self.joint_used[u], max(0.0, ps))

    cdef void _empty(self, int32_t item, int64_t time) noexcept nogil:
        """The bucket of a class, or of a joint link after all classes, is empty."""
        cdef Py_ssize_t u = item - self.rate.shape[0]
        if u >= 0:
            self._serve_joined(time, self.queue.part[item])
            self.joint_credit[u] = 0.0
            self._share_joined()
            return
        self._serve_until_due(item, time, self.queue.part[item])
        self.credit[item] = 0.0
        self._share_anew(item)

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
        """Serve the classes that were reached, and let tokens flow into their buckets."""
        cdef Py_ssize_t i, u
        for i in range(self.reached_size):
            self._serve(self.reached[i], time, part)
        for i in range(self.reached_links_size):
            u = self.reached_links[i]
            if <double>(time - self.joint_since[u]) + part >= self.joint_part[u]:
                self.joint_credit[u] = self._joint_tokens(u, time, part)
                self.joint_since[u], self.joint_part[u] = time, part

    cdef void _settle(self, int32_t of, int64_t time) noexcept nogil:
        """Work out anew the rates of a class whose streams or rates have changed."""
        if self.is_joined[of]:
            self._reach(of)
            self._serve_joined(time, 0.0)
        self._share_anew(of)

    cdef void _share_anew(self, int32_t of) noexcept nogil:
        """Work out anew the rates of a class, or of all that were reached from it."""
        if self.is_joined[of]:
            self._share_joined()
            return
        self._lift(of)
        self._fix(of, self._own(of))
        self._set_due(of)

    cdef void _share_joined(self) noexcept nogil:
        """Work out anew the rates of all classes that were reached."""
        cdef Py_ssize_t i, u
        for i in range(self.reached_size):
            self._lift(self.reached[i])
        for i in range(self.reached_links_size):
            u = self.reached_links[i]
            self.joint_lifted[u] = self.joint_credit[u] > 0
        self._share()
        for i in range(self.reached_size):
            self._set_due(self.reached[i])
        for i in range(self.reached_links_size):
            self._set_joint_due(self.reached_links[i])

    cdef void _lift(self, int32_t of) noexcept nogil:
        """Say whether tokens lift the limit of a class's wave; one without any rate has none."""
        cdef int32_t u = self.lifting[of]
        if u >= 0:
            self.lifted[of] = self.joint_credit[u] > 0 and self.joint_rate[u] > 0
        else:
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
            for by in range(FIRST_PORT_CAP):
                if self.cap_term[of] == CAP_TERMS[by]:
                    self.capped[of] = 1 + by
        self.settled[of] = True

    cdef inline int64_t _count(self, int32_t of, Py_ssize_t u) noexcept nogil:
        """Return how often a class's rate loads a joint link: at a NIC, not those it stands for."""
        return self.active[of] if self.joint_kind[u] else self.load[of]

    cdef void _share(self) noexcept nogil:
        """Fill the joint links: all rates rise together, to a cap or until a link is full."""
        cdef Py_ssize_t i, at, left = 0, kept, end
        cdef int32_t of, u
        cdef double level
        for at in range(self.reached_links_size):
            u = self.reached_links[at]
            # Where there are tokens, no end of it is free.
            self.free[u] = INFINITY if self.joint_lifted[u] else self.joint_rate[u]
            self.waiting[u] = 0
        for i in range(self.reached_size):
            of = self.reached[i]
            self.settled[of] = self.active[of] == 0
            if self.settled[of]:
                continue
            self.unsettled[left] = of
            left += 1
            for end in range(self.joint_links.shape[1]):
                u = self.joint_links[of, end]
                if u >= 0:
                    self.waiting[u] += self._count(of, u)
        while left:
            level = INFINITY
            for at in range(self.reached_links_size):
                u = self.reached_links[at]
                if self.waiting[u]:
                    level = min(level, self.free[u] / self.waiting[u])
            for i in range(left):
                level = min(level, self._own(self.unsettled[i]))
            self._hold(level)
            kept = 0
            for i in range(left):
                of = self.unsettled[i]
                if self.held[of] or self._own(of) <= level * (1 + TIES):
                    self._fix(of, min(level, self._own(of)))
                    if self.held[of] > 1 and not self.capped[of]:
                        self.capped[of] = self.held[of]
                else:
                    self.unsettled[kept] = of
                    kept += 1
            left = kept
            for at in range(self.reached_links_size):
                u = self.reached_links[at]
                if self.waiting[u]:
                    self._charge(u)
            for i in range(self.reached_size):
                self.held[self.reached[i]] = False
        self._add_up()

    cdef void _hold(self, double level) noexcept nogil:
        """Mark the classes of links that are full at ``level``, all before one is fixed.

        That is with 1, or where a NIC alone is full, with that by which they are then capped.
        """
        cdef Py_ssize_t at, i
        cdef int32_t u, of
        cdef uint8_t by
        for at in range(self.reached_links_size):
            u = self.reached_links[at]
            if self.waiting[u] and self.free[u] <= level * (1 + TIES) * self.waiting[u]:
                by = FIRST_PORT_CAP + self.joint_kind[u] if self.joint_kind[u] else 1
                for i in range(self.first_member[u], self.first_member[u + 1]):
                    of = self.member[i]
                    if self.active[of] and (by == 1 or self.held[of] == 0):
                        self.held[of] = by

    cdef void _add_up(self) noexcept nogil:
        """Add up the rates of all classes over each joint link."""
        cdef Py_ssize_t i, end
        cdef int32_t of, u
        for i in range(self.reached_links_size):
            self.joint_used[self.reached_links[i]] = 0.0
        for i in range(self.reached_size):
            of = self.reached[i]
            for end in range(self.joint_links.shape[1]):
                u = self.joint_links[of, end]
                if u >= 0:
                    self.joint_used[u] += self.rate[of] * self._count(of, u)

    cdef void _charge(self, Py_ssize_t u) noexcept nogil:
        """Take the rates of the settled classes from a joint link; count who still waits."""
        cdef Py_ssize_t i
        cdef int32_t of
        cdef double free = INFINITY if self.joint_lifted[u] else self.joint_rate[u]
        cdef int64_t waiting = 0
        for i in range(self.first_member[u], self.first_member[u + 1]):
            of = self.member[i]
            if self.active[of] == 0:
                continue
            if self.settled[of]:
                free = max(0.0, free - self.rate[of] * self._count(of, u))
            else:
                waiting += self._count(of, u)
        self.free[u], self.waiting[u] = free, waiting

    cdef void _set_due(self, int32_t of) noexcept nogil:
        """Note when the first of a class's streams will be through, or before it the bucket empty.
        """
        cdef double stream_ps = INFINITY, bucket_ps = INFINITY, rest
        if self.active[of] and self.rate[of] > 0:
            rest = max(0.0, self.until[self.heap[self.first[of]]] - self.served[of])
            stream_ps = self.part[of] + rest * PS_PER_S / self.rate[of]
        if self.lifted[of]:
            bucket_ps = self.part[of] + until_empty(self.credit[of], self.wave_rate[of],
                                                    self.rate[of] * self.load[of])
        self.queue.empties[of] = bucket_ps < stream_ps
        self.queue.note(of, self.since[of], min(stream_ps, bucket_ps), self.bucketed[of])

    cdef void _set_joint_due(self, Py_ssize_t u) noexcept nogil:
        """Note when the bucket of a joint link will be empty."""
        cdef int32_t item = <int32_t>(self.rate.shape[0] + u)
        cdef double ps = INFINITY
        if self.joint_burst[u] == 0:
            return
        if self.joint_lifted[u]:
            ps = self.joint_part[u] + until_empty(self.joint_credit[u], self.joint_rate[u],
                                                  self.joint_used[u])
        self.queue.empties[item] = True
        self.queue.note(item, self.joint_since[u], ps, True)

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
    if (np.asarray(given.joint.burst) > 0).any() or own[joined].any():
        own = own | joined
    return own
