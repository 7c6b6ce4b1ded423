"""What stands between the ports of two ranks: trunks, and what a transport makes of a link.

A pipe belongs to a connection: a sender, a receiver and a channel. Where it has the trunk to
itself, or stays inside a site, it serves one transfer after the other at a constant rate. Else it
is a number of streams that share the waves of a trunk with those of other pipes (see
emul.timing.engine.fluid), and that an outage can stop.
"""

cimport cython
from libc.math cimport ceil, floor
from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint8_t

from emul.timing.engine.events cimport push
from emul.timing.engine.fluid cimport CAPS, Fluid

import numpy as np

__all__ = ["Pipes"]

cdef enum:
    # What a stream does: nothing, sending, waiting for a timer of an outage, for slow start, for
    # the time at which the next part may begin, behind the queue of a token bucket, or in vain.
    IDLE = 0
    SENDING = 1
    STALLED = 2
    RAMPING = 3
    SPACED = 4
    QUEUED = 5
    GIVEN_UP = 6

cdef double PS_PER_S = 1e12
cdef double LIMIT_PS = 2.0 ** 62
cdef int64_t NEVER = INT64_MAX


@cython.final
@cython.auto_pickle(False)
cdef class Pipes:
    """The pipes of one simulation; ``conditions`` is an effects.connection_table.Conditions."""

    def __init__(self, conditions, nbytes, on_link, behind):
        cdef Py_ssize_t transfers = len(nbytes), pipes, streams, _
        self.of, self.nbytes, self.jitter = conditions.pipe, nbytes, conditions.jitter_ps
        self.on_link, self.behind = on_link, behind
        self.rate, self.spacing = conditions.rate, conditions.spacing_ps
        pipes = self.rate.shape[0]
        self.free = np.zeros(pipes, dtype=np.int64)
        self.began = np.full(pipes, -(2**62), dtype=np.int64)
        self.last, self.began_last = (np.full(pipes, -1, dtype=np.int32) for _ in range(2))
        self.first_stream, self.way_of_pipe = conditions.first_stream, conditions.changing
        self.latency = conditions.latency_ps
        self.head_came = np.zeros(pipes, dtype=np.int64)
        self.ramp_rtt, self.ramp_rate = conditions.ramp_rtt_ps, conditions.ramp_rate
        self.ramp_bytes, self.idle = conditions.ramp_bytes, conditions.idle_ps
        self.ramp_most, self.late = conditions.ramp_most, conditions.late
        self.handed = np.zeros(pipes, dtype=np.int64)
        self.handed_over = np.zeros(len(self.late), dtype=np.int64)
        self.ramp_from = np.full(pipes, -1, dtype=np.int64)
        self.ramp_sent, self.ramp_window = (np.zeros(pipes) for _ in range(2))
        classes = conditions.classes
        self.fluid = Fluid(classes)
        streams = len(classes.of_stream)
        self.pipe_of = np.repeat(np.arange(pipes, dtype=np.int32), np.diff(self.first_stream))
        self.current = np.full(streams, -1, dtype=np.int32)
        self.doing = np.zeros(streams, dtype=np.uint8)
        self.rest = np.zeros(streams)
        self.lost_at, self.up_at, self.resumed = (np.zeros(streams, np.int64) for _ in range(3))
        self.run_from = np.full(streams, -1, dtype=np.int32)
        self.run = np.zeros((streams, CAPS + 1), dtype=np.int64)
        some = transfers if pipes else 0
        self.left, self.ramped = (np.zeros(some, dtype=np.int64) for _ in range(2))
        some = transfers if streams else 0
        self.runs_from = np.full((some, 2), -1, dtype=np.int32)
        self.runs = np.zeros((some, 2, CAPS + 1), dtype=np.int64)
        self.following = np.full(transfers if streams else 0, -1, dtype=np.int32)
        self.parts = np.zeros(transfers if streams else 0, dtype=np.int32)
        self.ramp_until = np.zeros(transfers if streams else 0, dtype=np.int64)
        self._take_states(conditions.states)

    def _take_states(self, states):
        self.first_class, self.last_class = states.first_class, states.last_class
        self.first_state = states.first_state
        self.state = states.first_state[:len(states.first_state) - 1].copy()
        self.timer, self.retries, self.doubling = states.timer_ps, states.retries, states.doubling
        self.state_from, self.state_rate = states.from_ps, states.wave_rate
        self.state_cap, self.state_term = states.cap, states.term
        self.state_lifted = states.lifted_rate
        self.state_extra, self.state_up = states.extra_ps, states.up
        self.next_down, self.up_again = states.next_down_ps, states.up_again_ps
        self.dead_way = -1

    cdef bint is_fluid(self, int64_t t) noexcept nogil:
        """Say whether the transfer goes over streams, so that its leaving is an event."""
        cdef int32_t pipe = self.of[t]
        return pipe >= 0 and self.first_stream[pipe + 1] > self.first_stream[pipe]

    cdef void open(self) noexcept nogil:
        """Begin with the first state of every changing way."""
        cdef Py_ssize_t way
        for way in range(self.first_class.shape[0]):
            self.change(0, way)

    cdef int64_t enter(self, int64_t time, int32_t t) noexcept nogil:
        """Let a transfer's head come to its pipe; return when it leaves, if it is known, or -1."""
        cdef int32_t pipe = self.of[t]
        cdef int64_t start = time, through
        cdef double occupied
        if self.is_fluid(t):
            self._queue(time, t, pipe)
            return -1
        start = max(time, self.free[pipe], self.began[pipe] + self.spacing[pipe])
        if start > time:
            self.behind[t, PIPE] = self.last[pipe]
        occupied = floor(self.nbytes[t] * PS_PER_S / self.rate[pipe] + 0.5)
        if occupied > LIMIT_PS:
            return NEVER
        through = start + <int64_t>occupied
        self.left[t] = self._ramped(start, pipe, self.nbytes[t])
        self._hand_over(start, t, pipe)
        self.left[t] = max(self.left[t], through)
        self.ramped[t] = self.left[t] - through
        self.on_link[t, PIPE] = start
        self.began[pipe], self.free[pipe], self.last[pipe] = start, self.left[t], t
        self._pass_on(start, t, pipe)
        return self.left[t]

    cdef int64_t _ramped(self, int64_t time, int32_t pipe, double nbytes) noexcept nogil:
        """Return when windows let ``nbytes`` more, begun at ``time``, be through.

        One window goes each round trip; in slow start, each is twice the one before, up to the most
        that there is. Once a window holds what the path does, nothing is waited for any more.
        """
        cdef double rest, window, full, all_rounds, rounds = 0, most = self.ramp_most[pipe]
        if self.ramp_rtt[pipe] == 0:
            return time
        self._acknowledge(time, pipe)
        self.ramp_sent[pipe] += nbytes
        window, rest = self.ramp_window[pipe], self.ramp_sent[pipe]
        full = self.ramp_rate[pipe] * self.ramp_rtt[pipe] / PS_PER_S
        while window < min(rest, full) and window < most:
            rest -= window
            window = min(2 * window, most)
            rounds += 1
        if window < min(rest, full):
            all_rounds = ceil(rest / window) - 1
            rounds += all_rounds
            rest -= all_rounds * window
        if rounds == 0:
            self.handed[pipe] = self.ramp_from[pipe]
            return time
        rest = floor(rest * PS_PER_S / self.ramp_rate[pipe] + 0.5)
        if rounds * self.ramp_rtt[pipe] + rest > LIMIT_PS - self.ramp_from[pipe]:
            self.too_late = True
            return time
        self.handed[pipe] = self.ramp_from[pipe] + <int64_t>rounds * self.ramp_rtt[pipe]
        return self.handed[pipe] + <int64_t>rest

    cdef void _acknowledge(self, int64_t time, int32_t pipe) noexcept nogil:
        """Take what was acknowledged by ``time`` out of the windows; it makes the next one grow."""
        cdef int64_t rounds
        cdef double acknowledged
        if self.ramp_from[pipe] < 0 or time > self.free[pipe] + self.idle[pipe]:
            self.ramp_from[pipe], self.ramp_sent[pipe] = time, 0.0
            self.ramp_window[pipe] = self.ramp_bytes[pipe]
            return
        rounds = (time - self.ramp_from[pipe]) // self.ramp_rtt[pipe]
        while (rounds > 0 and self.ramp_sent[pipe] > 0
               and self.ramp_window[pipe] < self.ramp_most[pipe]):
            acknowledged = min(self.ramp_sent[pipe], self.ramp_window[pipe])
            self.ramp_sent[pipe] -= acknowledged
            self.ramp_window[pipe] = min(self.ramp_window[pipe] + acknowledged,
                                         self.ramp_most[pipe])
            self.ramp_from[pipe] += self.ramp_rtt[pipe]
            rounds -= 1
        if rounds > 0 and self.ramp_sent[pipe] > 0:  # windows that grow no more go all at once
            acknowledged = min(self.ramp_sent[pipe], rounds * self.ramp_window[pipe])
            self.ramp_sent[pipe] -= acknowledged
            self.ramp_from[pipe] += rounds * self.ramp_rtt[pipe]
        if self.ramp_sent[pipe] == 0:
            self.ramp_from[pipe] = time

    cdef void _hand_over(self, int64_t time, int32_t t, int32_t pipe) noexcept nogil:
        """Say when the last window of a transfer begins, if it is more than one window."""
        if self.late.shape[0] and self.late[t]:
            self.handed_over[t] = max(time, self.handed[pipe])
            push(self.heap, self.handed_over[t], t, HANDED)

    cdef void _queue(self, int64_t time, int32_t t, int32_t pipe) noexcept nogil:
        """Put a transfer behind the others of its pipe, and on every stream that has no other."""
        cdef int32_t stream
        self.parts[t] = self.first_stream[pipe + 1] - self.first_stream[pipe]
        if self.last[pipe] >= 0:
            self.following[self.last[pipe]] = t
        self.last[pipe] = t
        for stream in range(self.first_stream[pipe], self.first_stream[pipe + 1]):
            if self.doing[stream] == IDLE:
                self.current[stream] = t
                self._begin(time, stream, t, False)

    cdef void _begin(self, int64_t time, int32_t stream, int32_t t, bint at_once) noexcept nogil:
        """Begin a transfer's part on a stream; with the first of its parts its head goes on.

        ``at_once``: whether the stream has sent something else up to now. Then its run goes on,
        else this transfer begins one.
        """
        cdef int32_t pipe = self.pipe_of[stream], n, k
        cdef int64_t may_begin = self.began[pipe] + self.spacing[pipe]
        if self.on_link[t, PIPE] < 0:
            if may_begin > time:
                self.doing[stream] = SPACED
                self.behind[t, PIPE] = self.began_last[pipe]
                self._wake(may_begin, stream)
                return
            self.on_link[t, PIPE] = time
            if at_once:
                self._note(stream, t, BEGAN)
            self.began[pipe], self.began_last[pipe] = time, t
            self.ramp_until[t] = self._ramped(time, pipe, self.nbytes[t])
            self._hand_over(time, t, pipe)
            self._pass_on(time, t, pipe)
        if not at_once:
            self.run_from[stream] = t
            self.run[stream, :] = 0
        n = self.first_stream[pipe + 1] - self.first_stream[pipe]
        k = stream - self.first_stream[pipe]
        self.rest[stream] = self.nbytes[t] // n + (k < self.nbytes[t] % n)
        may_begin = self.fluid.admit(stream, self.rest[stream], time)
        if may_begin > time:
            self.doing[stream] = QUEUED
            self._wake(may_begin, stream)
            return
        self._send(time, stream)

    cdef void _send(self, int64_t time, int32_t stream) noexcept nogil:
        """Send what is left of a part, unless the way is down."""
        cdef int64_t way = self.way_of_pipe[self.pipe_of[stream]]
        if way >= 0 and not self.state_up[self.state[way]]:
            self._stall(time, stream, time)
            return
        self.resumed[stream] = time
        if self.rest[stream] > 0:
            self.doing[stream] = SENDING
            self.fluid.begin(stream, self.rest[stream], time)
        else:
            self._ramp(time, stream)

    cdef void _ramp(self, int64_t time, int32_t stream) noexcept nogil:
        """Keep a part that has been sent until slow start, or a window, lets its end go."""
        cdef int64_t until = max(time, self.ramp_until[self.current[stream]])
        self.doing[stream] = RAMPING
        self.run[stream, BY_WINDOW] += until - time
        self._wake(until, stream)

    cdef void leave(self, int64_t time) noexcept nogil:
        """Let the stream leave that is due now, if it is not a bucket that is empty."""
        cdef int32_t stream = self.fluid.take(time)
        if stream < 0:
            return
        self._count_capped(stream)
        self._through(time, stream)

    cdef void _count_capped(self, int32_t stream) noexcept nogil:
        """Add the time for which a stream that has stopped sending was at its cap to its run."""
        cdef int k
        for k in range(CAPS):
            self.run[stream, k] += self.fluid.capped_ps(stream, k)

    cdef void _note(self, int32_t stream, int32_t t, int moment) noexcept nogil:
        """Note the run of a stream that leads to a moment of a transfer."""
        self.runs_from[t, moment] = self.run_from[stream]
        self.runs[t, moment, :] = self.run[stream, :]

    cdef void _through(self, int64_t time, int32_t stream) noexcept nogil:
        """A part has been sent: unless an outage catches its end, it has left after slow start."""
        cdef int64_t until = max(time, self.ramp_until[self.current[stream]])
        if self._caught(time, until, stream):
            return
        if until > time:
            self._ramp(time, stream)
            return
        self._gone(time, stream)

    cdef bint _caught(self, int64_t time, int64_t until, int32_t stream) noexcept nogil:
        """Say whether the way goes down before all has arrived; if so, wait to send again.

        The part leaves evenly up to ``until``, which slow start, or a window, puts off.
        """
        cdef int32_t pipe = self.pipe_of[stream]
        cdef int64_t way = self.way_of_pipe[pipe], down, exposed, stops
        if way < 0:
            return False
        down = self.next_down[self.state[way]]
        if down >= until + self.latency[pipe]:
            return False
        exposed = until - max(self.resumed[stream], down - self.latency[pipe])
        self.rest[stream] = self._lost(until, stream, self.rest[stream], exposed)
        stops = min(max(time, down), until)
        self.run[stream, BY_WINDOW] += stops - time
        self._stall(stops, stream, down)
        return True

    cdef double _lost(self, int64_t time, int32_t stream, double sent,
                      int64_t exposed) noexcept nogil:
        """Return how much of what was sent evenly since the stream began was sent at the end."""
        cdef int64_t span = time - self.resumed[stream]
        return sent * exposed / span if span > 0 else 0.0

    cdef void _stall(self, int64_t time, int32_t stream, int64_t lost_at) noexcept nogil:
        """Stop a stream until the first timer after the way is up again finds that it is."""
        cdef int64_t way = self.way_of_pipe[self.pipe_of[stream]], wait
        cdef int64_t at = self.state[way]
        while self.state_up[at] and at + 1 < self.first_state[way + 1]:
            at += 1  # the outage to come
        if self.doing[stream] != STALLED:
            self.lost_at[stream] = lost_at
        lost_at, self.up_at[stream] = self.lost_at[stream], self.up_again[at]
        self.doing[stream] = STALLED
        self.run[stream, BY_OUTAGE] -= time
        wait = self._until_retried(way, lost_at, self.up_at[stream])
        if self.timer[way] and not self.doubling[way]:
            if wait == NEVER or wait > self.retries[way] * <double>self.timer[way]:
                self._give_up(time, stream, way)
                return
        if wait == NEVER:
            self._dead(stream, way)
            return
        self._wake(max(time, lost_at + wait), stream)

    cdef int64_t _until_retried(self, int64_t way, int64_t lost_at, int64_t up) noexcept nogil:
        """Return how long after ``lost_at`` the first retry comes that is not before ``up``."""
        cdef int64_t timer = self.timer[way], timers = 0, wait = 0
        if up == NEVER:
            return NEVER
        if timer == 0:
            return up - lost_at
        if not self.doubling[way]:
            return (up - lost_at + timer - 1) // timer * timer
        while lost_at + wait < up:
            wait += timer << timers
            timers += 1
        return wait

    cdef void _give_up(self, int64_t time, int32_t stream, int64_t way) noexcept nogil:
        """Let a connection of RDMA die one timer after its last retry."""
        cdef double ps = (self.retries[way] + 1.0) * self.timer[way]
        if self.lost_at[stream] + ps > LIMIT_PS:
            self.too_late = True
            return
        self.doing[stream] = GIVEN_UP
        self._wake(max(time, self.lost_at[stream] + <int64_t>ps), stream)

    cdef void _dead(self, int32_t stream, int64_t way) noexcept nogil:
        """A connection is dead, and with it all that waits for it."""
        self.dead_way, self.dead_at = way, self.lost_at[stream]
        self.dead_until = self.up_at[stream]

    cdef void go_on(self, int64_t time, int32_t stream) noexcept nogil:
        """What a stream waited for is over."""
        cdef uint8_t doing = self.doing[stream]
        cdef int32_t t = self.current[stream]
        cdef int64_t way = self.way_of_pipe[self.pipe_of[stream]]
        if doing == RAMPING:
            self._gone(time, stream)
        elif doing == SPACED:
            self._begin(time, stream, t, False)
        elif doing == QUEUED:
            self._send(time, stream)
        elif doing == GIVEN_UP:
            self._dead(stream, way)
        elif doing == STALLED:
            self.run[stream, BY_OUTAGE] += time
            if not self.state_up[self.state[way]]:
                self._stall(time, stream, self.lost_at[stream])
                return
            self._send(time, stream)

    cdef void _gone(self, int64_t time, int32_t stream) noexcept nogil:
        """A part has left; with the last one, the transfer has."""
        cdef int32_t t = self.current[stream], pipe = self.pipe_of[stream]
        self.parts[t] -= 1
        if self.parts[t] == 0:
            self.left[t] = self.free[pipe] = time
            self._note(stream, t, GONE)
            push(self.heap, time, t, LEFT)
        self._next(time, stream)

    cdef void _wake(self, int64_t time, int32_t stream) noexcept nogil:
        """Let a stream go on then."""
        push(self.heap, time, STREAMS_FROM + stream, STREAM)

    cdef void _next(self, int64_t time, int32_t stream) noexcept nogil:
        """Let a stream begin the part of the transfer that follows on its pipe, if there is one."""
        cdef int32_t t = self.current[stream], after = self.following[t]
        self.doing[stream] = IDLE
        self.current[stream] = after
        if after >= 0:
            if self.on_link[after, PIPE] < 0:
                self.behind[after, PIPE] = t
            self._begin(time, stream, after, True)

    cdef void change(self, int64_t time, int64_t way) noexcept nogil:
        """Go on to the state of a way that begins at ``time``, and announce the next."""
        cdef int64_t at = self.state[way], of
        if time > 0 and at + 1 < self.first_state[way + 1]:
            at += 1
            self.state[way] = at
        for of in range(self.first_class[way], self.last_class[way]):
            while not self.state_up[at] and self.fluid.active[of]:
                self._cut(time, self.fluid.heap[self.fluid.first[of]])
            self.fluid.change(<int32_t>of, self.state_rate[at], self.state_cap[at],
                              self.state_lifted[at], self.state_term[at], time)
        if at + 1 < self.first_state[way + 1]:
            push(self.heap, self.state_from[at + 1], STREAMS_FROM - 1 - way, CHANGE)

    cdef void _cut(self, int64_t time, int32_t stream) noexcept nogil:
        """The way of a sending stream goes down: what is in flight is lost."""
        cdef int32_t pipe = self.pipe_of[stream]
        cdef int64_t flying = min(time - self.resumed[stream], self.latency[pipe])
        cdef double unsent = self.fluid.withdraw(stream, time)
        self._count_capped(stream)
        self.rest[stream] = unsent + self._lost(time, stream, self.rest[stream] - unsent, flying)
        self._stall(time, stream, time)

    cdef int64_t under_way(self, int64_t t) noexcept nogil:
        """Return how long a byte of a transfer is under way that leaves its pipe now."""
        cdef int32_t pipe = self.of[t]
        cdef int64_t way = self.way_of_pipe[pipe], delay = self.latency[pipe]
        if self.jitter.shape[0]:
            delay += self.jitter[t]
        return delay if way < 0 else delay + self.state_extra[self.state[way]]

    cdef void _pass_on(self, int64_t time, int32_t t, int32_t pipe) noexcept nogil:
        """Let a transfer's head go on to the receiver's port, behind the head before it."""
        cdef int64_t delay = self.under_way(t)
        if time + <double>delay > LIMIT_PS:
            self.too_late = True
            return
        self.head_came[pipe] = max(self.head_came[pipe], time + delay)
        push(self.heap, self.head_came[pipe], t, RECEIVER)
