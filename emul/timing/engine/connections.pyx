"""Connections between the ports of two ranks: trunks, and the effects of a transport.

A connection has a sender, a receiver and a channel. Where it has the trunk to
itself, or stays inside a site, it serves one transfer after the other at a constant rate. Else it
is a number of streams that share the waves of a trunk with those of other connections (see
emul.timing.engine.fluid), and that an outage can stop.

A stream that waits too long gives up, and the operation of its transfer fails (see
emul.timing.engine.operations). Then its connection drops all that it has of that operation, and
serves the others. RDMA gives up one timer after the last of its retries; TCP bears any outage that
ends, and gives up one that does not as Linux does, when tcp_retries2 = 15 retransmissions were in
vain, after timers that double up to TCP_RTO_MAX = 120 s (RFC 1122, 4.2.3.5: R2; tcp(7)): from a
timer of 0.2 s that is 924.6 s.
"""

cimport cython
from libc.math cimport ceil, floor
from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint8_t

from emul.timing.engine.events cimport push
from emul.timing.engine.fluid cimport CAPS, Fluid
from emul.timing.engine.operations cimport Operations

import numpy as np

from emul.timing.engine.columns import StateColumns
from emul.timing.engine.operations import EVER_DRY

__all__ = ["Connections"]

cdef enum:
    # The state of a stream: nothing, sending, waiting for a timer of an outage, for slow start, for
    # the time at which the next part may begin, behind the queue of a token bucket, or in vain.
    IDLE = 0
    SENDING = 1
    STALLED = 2
    AWAITING_CWND = 3
    SPACED = 4
    QUEUED = 5
    GIVEN_UP = 6

cdef double PS_PER_S = 1e12
cdef double LIMIT_PS = 2.0 ** 62
cdef int64_t NEVER = INT64_MAX
cdef int64_t DRY = EVER_DRY
cdef int64_t TCP_RETRIES = 15
cdef double TCP_LONGEST_TIMER_PS = 120e12


@cython.final
@cython.auto_pickle(False)
cdef class Connections:
    """The connections of one simulation, by an effects.ConnectionTable."""

    # All attributes, by what they are columns of, as in emul.timing.engine.columns. A table begins
    # with the state in which a path is; ``last_sent_to_nic`` is read where it was set.
    STATE = {
        "transfer": "left cwnd_held runs_from* runs sent_to_nic following* parts cwnd_until",
        "connection": "free began last* began_last* died_with* cwnd_from cwnd_sent cwnd head_came",
        "stream": "current* doing rest lost_at up_at resumed run_from* run",
        "given": "of nbytes jitter heap operations on_link behind multi_window rate spacing "
                 "first_stream path_of_connection latency cwnd_rtt cwnd_rate cwnd_first "
                  "cwnd_most idle warm fluid connection_of first_class last_class first_joint "
                  "last_joint first_state timer "
                 "retries doubling state_from state_rate state_cap state_lifted state_term "
                 "state_extra state_up state_dry next_down up_again",
        "made anew": "arrays last_sent_to_nic state too_late",
    }

    def __init__(self, table, nbytes, on_link, behind, Operations operations,
                 Fluid fluid=None):
        cdef Py_ssize_t transfers = len(nbytes), connections, streams
        self.arrays = {}
        self.of, self.nbytes, self.jitter = table.connection, nbytes, table.jitter_ps
        self.on_link, self.behind, self.operations = on_link, behind, operations
        self.rate, self.spacing = table.rate, table.spacing_ps
        connections = self.rate.shape[0]
        self.free = self.arrays["free"] = np.zeros(connections, dtype=np.int64)
        self.began = self.arrays["began"] = np.full(connections, -(2**62), dtype=np.int64)
        self.last = self.arrays["last"] = np.full(connections, -1, dtype=np.int32)
        self.began_last = self.arrays["began_last"] = np.full(connections, -1, dtype=np.int32)
        self.died_with = self.arrays["died_with"] = np.full(connections, -1, dtype=np.int32)
        self.first_stream, self.path_of_connection = table.first_stream, table.changing
        self.latency = table.latency_ps
        self.head_came = self.arrays["head_came"] = np.zeros(connections, dtype=np.int64)
        self.cwnd_rtt, self.cwnd_rate = table.cwnd_rtt_ps, table.cwnd_rate
        self.cwnd_first, self.idle, self.warm = table.cwnd_first, table.idle_ps, table.warm
        self.cwnd_most, self.multi_window = table.cwnd_most, table.multi_window
        self.last_sent_to_nic = np.zeros(connections, dtype=np.int64)
        self.arrays["sent_to_nic"] = np.zeros(len(self.multi_window), dtype=np.int64)
        self.sent_to_nic = self.arrays["sent_to_nic"]
        self.cwnd_from = self.arrays["cwnd_from"] = np.full(connections, -1, dtype=np.int64)
        self.cwnd_sent = self.arrays["cwnd_sent"] = np.zeros(connections)
        self.cwnd = self.arrays["cwnd"] = np.zeros(connections)
        classes = table.classes
        self.fluid = fluid or Fluid(classes)
        streams = len(classes.of_stream)
        self.connection_of = table.connection_of
        self.current = self.arrays["current"] = np.full(streams, -1, dtype=np.int32)
        self.doing = self.arrays["doing"] = np.zeros(streams, dtype=np.uint8)
        self.rest = self.arrays["rest"] = np.zeros(streams)
        self.lost_at = self.arrays["lost_at"] = np.zeros(streams, dtype=np.int64)
        self.up_at = self.arrays["up_at"] = np.zeros(streams, dtype=np.int64)
        self.resumed = self.arrays["resumed"] = np.zeros(streams, dtype=np.int64)
        self.run_from = self.arrays["run_from"] = np.full(streams, -1, dtype=np.int32)
        self.run = self.arrays["run"] = np.zeros((streams, CAPS + 1), dtype=np.int64)
        some = transfers if connections else 0
        self.left = self.arrays["left"] = np.zeros(some, dtype=np.int64)
        self.cwnd_held = self.arrays["cwnd_held"] = np.zeros(some, dtype=np.int64)
        some = transfers if streams else 0
        self.runs_from = self.arrays["runs_from"] = np.full((some, 2), -1, dtype=np.int32)
        self.runs = self.arrays["runs"] = np.zeros((some, 2, CAPS + 1), dtype=np.int64)
        self.arrays["following"] = np.full(transfers if streams else 0, -1, dtype=np.int32)
        self.following = self.arrays["following"]
        self.parts = self.arrays["parts"] = np.zeros(transfers if streams else 0, dtype=np.int32)
        self.arrays["cwnd_until"] = np.zeros(transfers if streams else 0, dtype=np.int64)
        self.cwnd_until = self.arrays["cwnd_until"]
        self._take_link_states(table.states)

    def _take_link_states(self, states):
        self.first_class, self.last_class = states.first_class, states.last_class
        self.first_joint, self.last_joint = states.first_joint, states.last_joint
        self.first_state = states.first_state
        self.state = states.first_state[:len(states.first_state) - 1].copy()
        self.timer, self.retries, self.doubling = states.timer_ps, states.retries, states.doubling
        self.state_from, self.state_rate = states.from_ps, states.wave_rate
        self.state_cap, self.state_term = states.cap, states.term
        self.state_lifted = states.lifted_rate
        self.state_extra, self.state_up = states.extra_ps, states.up
        self.next_down, self.up_again = states.next_down_ps, states.up_again_ps
        self.state_dry = states.dry

    def save(self, which, number):
        """Return the state of those transfers in ``which``, and of all connections and streams.

        ``number``: the new ones of transfers.
        """
        return (
            StateColumns(self, "transfer").save(number, which),
            StateColumns(self, "connection").save(number),
            StateColumns(self, "stream").save(number),
            self.fluid.save(),
        )

    def restore(self, saved, int64_t kept, connections, streams, classes):
        """Take over what was saved, of the first ``kept`` transfers.

        ``connections``, ``streams``, ``classes``: the numbers here of those that were there.
        """
        of_transfers, of_connections, of_streams, of_fluid = saved
        StateColumns(self, "transfer").restore(of_transfers, slice(0, kept))
        StateColumns(self, "connection").restore(of_connections, connections)
        StateColumns(self, "stream").restore(of_streams, streams)
        self.fluid.restore(of_fluid, streams, classes)
        if not isinstance(classes, slice):
            self._limit_new(classes)

    def _limit_new(self, old):
        """Give all classes but the ``old`` ones the limits of the state that their way is in."""
        is_new = np.ones(len(self.fluid.arrays["cap"]), dtype=bool)
        is_new[old] = False
        by_state = {"wave_rate": self.state_rate, "cap": self.state_cap,
                    "lifted_rate": self.state_lifted, "cap_term": self.state_term}
        for path, first, last in zip(range(len(self.state)), self.first_class, self.last_class):
            of = first + np.flatnonzero(is_new[first:last])
            for name, values in by_state.items():
                self.fluid.arrays[name][of] = values[self.state[path]]

    cdef bint is_fluid(self, int64_t t) noexcept nogil:
        """Say whether the transfer goes over streams, so that its leaving is an event."""
        cdef int32_t connection = self.of[t]
        return connection >= 0 and self.first_stream[connection + 1] > self.first_stream[connection]

    cdef void open(self) noexcept nogil:
        """Begin with the first state of every changing way."""
        cdef Py_ssize_t path
        for path in range(self.first_class.shape[0]):
            self.change(0, path)

    cdef int64_t enter(self, int64_t time, int32_t t) noexcept nogil:
        """Let a transfer's head come to its connection; return when it leaves, -1 if unknown."""
        cdef int32_t connection = self.of[t]
        cdef int64_t start = time, through
        cdef double occupied
        if self.is_fluid(t):
            self._queue(time, t, connection)
            return -1
        start = max(time, self.free[connection], self.began[connection] + self.spacing[connection])
        if start > time:
            self.behind[t, CONNECTION] = self.last[connection]
        occupied = floor(self.nbytes[t] * PS_PER_S / self.rate[connection] + 0.5)
        if occupied > LIMIT_PS:
            return NEVER
        through = start + <int64_t>occupied
        self.left[t] = self._through_cwnd(start, connection, self.nbytes[t])
        self._send_to_nic(start, t, connection)
        self.left[t] = max(self.left[t], through)
        self.cwnd_held[t] = self.left[t] - through
        self.on_link[t, CONNECTION] = start
        self.began[connection], self.free[connection] = start, self.left[t]
        self.last[connection] = t
        self._pass_on(start, t, connection)
        return self.left[t]

    cdef int64_t _through_cwnd(self, int64_t time, int32_t connection,
                               double nbytes) noexcept nogil:
        """Return when windows let ``nbytes`` more, begun at ``time``, be through.

        One window goes each round trip; in slow start, each is twice the one before, up to the most
        that there is. Once a window holds as much as the path, there are no more waits.
        """
        cdef double rest, window, full, all_rounds, rounds = 0, most = self.cwnd_most[connection]
        if self.cwnd_rtt[connection] == 0:
            return time
        self._acknowledge(time, connection)
        self.cwnd_sent[connection] += nbytes
        window, rest = self.cwnd[connection], self.cwnd_sent[connection]
        full = self.cwnd_rate[connection] * self.cwnd_rtt[connection] / PS_PER_S
        while window < min(rest, full) and window < most:
            rest -= window
            window = min(2 * window, most)
            rounds += 1
        if window < min(rest, full):
            all_rounds = ceil(rest / window) - 1
            rounds += all_rounds
            rest -= all_rounds * window
        if rounds == 0:
            self.last_sent_to_nic[connection] = self.cwnd_from[connection]
            return time
        rest = floor(rest * PS_PER_S / self.cwnd_rate[connection] + 0.5)
        if rounds * self.cwnd_rtt[connection] + rest > LIMIT_PS - self.cwnd_from[connection]:
            self.too_late = True
            return time
        self.last_sent_to_nic[connection] = (
            self.cwnd_from[connection] + <int64_t>rounds * self.cwnd_rtt[connection]
        )
        return self.last_sent_to_nic[connection] + <int64_t>rest

    cdef void _acknowledge(self, int64_t time, int32_t connection) noexcept nogil:
        """Take the bytes acknowledged by ``time`` out of the windows, so that the next grows."""
        cdef int64_t rounds
        cdef double acknowledged
        if self.cwnd_from[connection] < 0 or time > self.free[connection] + self.idle[connection]:
            self.cwnd[connection] = self._cwnd_after_silence(time, connection)
            self.cwnd_from[connection], self.cwnd_sent[connection] = time, 0.0
            return
        rounds = (time - self.cwnd_from[connection]) // self.cwnd_rtt[connection]
        while (rounds > 0 and self.cwnd_sent[connection] > 0
               and self.cwnd[connection] < self.cwnd_most[connection]):
            acknowledged = min(self.cwnd_sent[connection], self.cwnd[connection])
            self.cwnd_sent[connection] -= acknowledged
            self.cwnd[connection] = min(self.cwnd[connection] + acknowledged,
                                        self.cwnd_most[connection])
            self.cwnd_from[connection] += self.cwnd_rtt[connection]
            rounds -= 1
        # Windows that grow no more go all at once.
        if rounds > 0 and self.cwnd_sent[connection] > 0:
            acknowledged = min(self.cwnd_sent[connection], rounds * self.cwnd[connection])
            self.cwnd_sent[connection] -= acknowledged
            self.cwnd_from[connection] += rounds * self.cwnd_rtt[connection]
        if self.cwnd_sent[connection] == 0:
            self.cwnd_from[connection] = time

    cdef double _cwnd_after_silence(self, int64_t time, int32_t connection) noexcept nogil:
        """Return the window with which a connection begins, or goes on at ``time``.

        A warm one begins with its most, and is halved for each timer of silence.
        """
        cdef double window = self.cwnd[connection]
        cdef int64_t silent = time - self.free[connection]
        if not self.warm[connection]:
            return self.cwnd_first[connection]
        if self.cwnd_from[connection] < 0:
            return self.cwnd_most[connection]
        while silent > self.idle[connection] and window > self.cwnd_first[connection]:
            window /= 2
            silent -= self.idle[connection]
        return max(window, self.cwnd_first[connection])

    cdef void _send_to_nic(self, int64_t time, int32_t t, int32_t connection) noexcept nogil:
        """Say when the last window of a transfer begins, if it is more than one window."""
        if self.needs_more_windows(t):
            self.sent_to_nic[t] = max(time, self.last_sent_to_nic[connection])
            push(self.heap, self.sent_to_nic[t], t, SENT_TO_NIC)

    cdef void _queue(self, int64_t time, int32_t t, int32_t connection) noexcept nogil:
        """Put a transfer behind the others of its connection, and on every idle stream."""
        cdef int32_t stream
        if self._is_dropped(t):
            return
        self.parts[t] = self.first_stream[connection + 1] - self.first_stream[connection]
        if self.last[connection] >= 0:
            self.following[self.last[connection]] = t
        self.last[connection] = t
        for stream in range(self.first_stream[connection], self.first_stream[connection + 1]):
            if self.doing[stream] == IDLE:
                self.current[stream] = t
                self._begin(time, stream, t, False)

    cdef void _begin(self, int64_t time, int32_t stream, int32_t t, bint at_once) noexcept nogil:
        """Begin a transfer's part on a stream; with the first of its parts its head goes on.

        ``at_once``: whether the stream has sent something else up to now. Then its run goes on,
        else this transfer begins one.
        """
        cdef int32_t connection = self.connection_of[stream], n, k
        cdef int64_t may_begin = self.began[connection] + self.spacing[connection]
        if self.on_link[t, CONNECTION] < 0:
            if may_begin > time:
                self.doing[stream] = SPACED
                self.behind[t, CONNECTION] = self.began_last[connection]
                self._wake(may_begin, stream)
                return
            self.on_link[t, CONNECTION] = time
            if at_once:
                self._note(stream, t, BEGAN)
            self.began[connection], self.began_last[connection] = time, t
            self.cwnd_until[t] = self._through_cwnd(time, connection, self.nbytes[t])
            self._send_to_nic(time, t, connection)
            self._pass_on(time, t, connection)
        if not at_once:
            self.run_from[stream] = t
            for k in range(CAPS + 1):
                self.run[stream, k] = 0
        n = self.first_stream[connection + 1] - self.first_stream[connection]
        k = stream - self.first_stream[connection]
        self.rest[stream] = self.nbytes[t] // n + (k < self.nbytes[t] % n)
        may_begin = self.fluid.admit(stream, self.rest[stream], time)
        if may_begin > time:
            self.doing[stream] = QUEUED
            self._wake(may_begin, stream)
            return
        self._send(time, stream)

    cdef void _send(self, int64_t time, int32_t stream) noexcept nogil:
        """Send the rest of a part, unless the path is down or never has any rate more."""
        cdef int64_t path = self.path_of_connection[self.connection_of[stream]]
        if path >= 0 and not self.state_up[self.state[path]]:
            self._stall(time, stream, time)
            return
        if path >= 0 and self.state_dry[self.state[path]]:
            self._starve(time, stream)
            return
        self.resumed[stream] = time
        if self.rest[stream] > 0:
            self.doing[stream] = SENDING
            self.fluid.begin(stream, self.rest[stream], time)
        else:
            self._await_cwnd(time, stream)

    cdef void _await_cwnd(self, int64_t time, int32_t stream) noexcept nogil:
        """Keep a part that has been sent until slow start, or a window, lets its end go."""
        cdef int64_t until = max(time, self.cwnd_until[self.current[stream]])
        self.doing[stream] = AWAITING_CWND
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
        cdef int k
        self.runs_from[t, moment] = self.run_from[stream]
        for k in range(CAPS + 1):
            self.runs[t, moment, k] = self.run[stream, k]

    cdef void _through(self, int64_t time, int32_t stream) noexcept nogil:
        """A part has been sent: unless an outage catches its end, it has left after slow start."""
        cdef int64_t until = max(time, self.cwnd_until[self.current[stream]])
        if self._caught(time, until, stream):
            return
        if until > time:
            self._await_cwnd(time, stream)
            return
        self._gone(time, stream)

    cdef bint _caught(self, int64_t time, int64_t until, int32_t stream) noexcept nogil:
        """Say whether the way goes down before all has arrived; if so, wait to send again.

        The part leaves evenly up to ``until``, which slow start, or a window, puts off.
        """
        cdef int32_t connection = self.connection_of[stream]
        cdef int64_t path = self.path_of_connection[connection], down, exposed, stops
        if path < 0:
            return False
        down = self.next_down[self.state[path]]
        if down >= until + self.latency[connection]:
            return False
        exposed = until - max(self.resumed[stream], down - self.latency[connection])
        self.rest[stream] = self._lost(until, stream, self.rest[stream], exposed)
        stops = min(max(time, down), until)
        self.run[stream, BY_WINDOW] += stops - time
        self._stall(stops, stream, down)
        return True

    cdef double _lost(self, int64_t time, int32_t stream, double sent,
                      int64_t exposed) noexcept nogil:
        """Return the bytes sent in the last ``exposed`` picoseconds, by an even rate."""
        cdef int64_t span = time - self.resumed[stream]
        return sent * exposed / span if span > 0 else 0.0

    cdef void _stall(self, int64_t time, int32_t stream, int64_t lost_at) noexcept nogil:
        """Stop a stream until the first timer after the way is up again finds that it is."""
        cdef int64_t path = self.path_of_connection[self.connection_of[stream]], wait
        cdef int64_t at = self.state[path]
        while self.state_up[at] and at + 1 < self.first_state[path + 1]:
            at += 1  # the outage to come
        if self.doing[stream] != STALLED:
            self.lost_at[stream] = lost_at
        lost_at, self.up_at[stream] = self.lost_at[stream], self.up_again[at]
        self.doing[stream] = STALLED
        self.run[stream, BY_OUTAGE] -= time
        wait = self._until_retried(path, lost_at, self.up_at[stream])
        if self.timer[path] and not self.doubling[path]:
            if wait == NEVER or wait > self.retries[path] * <double>self.timer[path]:
                self._give_up(time, stream, path)
                return
        if wait == NEVER:
            self._give_up(time, stream, path)
            return
        self._wake(max(time, lost_at + wait), stream)

    cdef int64_t _until_retried(self, int64_t path, int64_t lost_at, int64_t up) noexcept nogil:
        """Return how long after ``lost_at`` the first retry comes that is not before ``up``."""
        cdef int64_t timer = self.timer[path], timers = 0, wait = 0
        if up == NEVER:
            return NEVER
        if timer == 0:
            return up - lost_at
        if not self.doubling[path]:
            return (up - lost_at + timer - 1) // timer * timer
        while lost_at + wait < up:
            wait += timer << timers
            timers += 1
        return wait

    cdef void _give_up(self, int64_t time, int32_t stream, int64_t path) noexcept nogil:
        """Let a connection die when its transport has lost its patience."""
        cdef double ps = self._patience(path)
        if self.lost_at[stream] + ps > LIMIT_PS:
            self.too_late = True
            return
        self.doing[stream] = GIVEN_UP
        self._wake(max(time, self.lost_at[stream] + <int64_t>ps), stream)

    cdef double _patience(self, int64_t path) noexcept nogil:
        """Return for how long a transport tries in vain: RDMA one timer after its last retry."""
        cdef double timer = self.timer[path], ps = 0
        cdef int64_t k
        if not self.doubling[path]:
            return (self.retries[path] + 1.0) * timer
        for k in range(TCP_RETRIES + 1):
            ps += min(timer * (1 << k), max(timer, TCP_LONGEST_TIMER_PS))
        return ps

    cdef void _starve(self, int64_t time, int32_t stream) noexcept nogil:
        """Let a stream wait in vain: its path is up, and never has any rate more."""
        self.lost_at[stream], self.up_at[stream] = time, DRY
        self._give_up(time, stream, self.path_of_connection[self.connection_of[stream]])

    cdef void _die(self, int64_t time, int32_t stream, int64_t path) noexcept nogil:
        """Give up the transfer of a stream, and drop what else its connection has of that kind."""
        cdef int32_t t = self.current[stream]
        self.operations.fail(time, t, path, self.lost_at[stream], self.up_at[stream])
        self.died_with[self.connection_of[stream]] = t
        self._drop(time, stream)

    cdef bint _is_dropped(self, int64_t t) noexcept nogil:
        """Say whether a transfer is of an operation that its connection has given up."""
        cdef int32_t dead = self.died_with[self.of[t]]
        return dead >= 0 and self.operations.of[dead] == self.operations.of[t]

    cdef void _drop(self, int64_t time, int32_t stream) noexcept nogil:
        """Let a stream drop its part, and go on with another operation."""
        self.parts[self.current[stream]] -= 1
        self._next(time, stream)

    cdef void go_on(self, int64_t time, int32_t stream) noexcept nogil:
        """End the wait of a stream."""
        cdef uint8_t doing = self.doing[stream]
        cdef int32_t t = self.current[stream]
        cdef int64_t path = self.path_of_connection[self.connection_of[stream]]
        if doing == AWAITING_CWND:
            self._gone(time, stream)
        elif self._is_dropped(t):
            self._drop(time, stream)
        elif doing == SPACED:
            self._begin(time, stream, t, False)
        elif doing == QUEUED:
            self._send(time, stream)
        elif doing == GIVEN_UP:
            self._die(time, stream, path)
        elif doing == STALLED:
            self.run[stream, BY_OUTAGE] += time
            if not self.state_up[self.state[path]]:
                self._stall(time, stream, self.lost_at[stream])
                return
            self._send(time, stream)

    cdef void _gone(self, int64_t time, int32_t stream) noexcept nogil:
        """A part has left; with the last one, the transfer has."""
        cdef int32_t t = self.current[stream], connection = self.connection_of[stream]
        self.parts[t] -= 1
        if self.parts[t] == 0:
            self.left[t] = self.free[connection] = time
            self._note(stream, t, GONE)
            push(self.heap, time, t, LEFT)
        self._next(time, stream)

    cdef void _wake(self, int64_t time, int32_t stream) noexcept nogil:
        """Let a stream go on then."""
        push(self.heap, time, STREAMS_FROM + stream, STREAM)

    cdef void _next(self, int64_t time, int32_t stream) noexcept nogil:
        """Let a stream begin its part of the next transfer of its connection, if there is one."""
        cdef int32_t t = self.current[stream], after = self.following[t]
        while after >= 0 and self._is_dropped(after):
            self.parts[after] -= 1
            after = self.following[after]
        self.doing[stream] = IDLE
        self.current[stream] = after
        if after >= 0:
            if self.on_link[after, CONNECTION] < 0:
                self.behind[after, CONNECTION] = t
            self._begin(time, stream, after, True)

    cdef void change(self, int64_t time, int64_t path) noexcept nogil:
        """Go on to the state of a way, or a joint trunk, at ``time``, and announce the next."""
        cdef int64_t at = self.state[path], of
        if time > 0 and at + 1 < self.first_state[path + 1]:
            at += 1
            self.state[path] = at
        for of in range(self.first_class[path], self.last_class[path]):
            while (not self.state_up[at] or self.state_dry[at]) and self.fluid.active[of]:
                self._cut(time, self.fluid.heap[self.fluid.first[of]], self.state_up[at])
            self.fluid.change(<int32_t>of, self.state_rate[at], self.state_cap[at],
                              self.state_lifted[at], self.state_term[at], time)
        for of in range(self.first_joint[path], self.last_joint[path]):
            self.fluid.change_joint(of, self.state_rate[at], time)
        if at + 1 < self.first_state[path + 1]:
            push(self.heap, self.state_from[at + 1], STREAMS_FROM - 1 - path, CHANGE)

    cdef void _cut(self, int64_t time, int32_t stream, bint up) noexcept nogil:
        """The path of a sending stream goes down, and the bytes in flight are lost; or dry."""
        cdef int32_t connection = self.connection_of[stream]
        cdef int64_t flying = min(time - self.resumed[stream], self.latency[connection])
        cdef double unsent = self.fluid.withdraw(stream, time)
        self._count_capped(stream)
        if up:
            self.rest[stream] = unsent
            self._starve(time, stream)
            return
        self.rest[stream] = unsent + self._lost(time, stream, self.rest[stream] - unsent, flying)
        self._stall(time, stream, time)

    cdef int64_t under_way(self, int64_t t) noexcept nogil:
        """Return how long a byte of a transfer is under way that leaves its connection now."""
        cdef int32_t connection = self.of[t]
        cdef int64_t path = self.path_of_connection[connection], delay = self.latency[connection]
        if self.jitter.shape[0]:
            delay += self.jitter[t]
        return delay if path < 0 else delay + self.state_extra[self.state[path]]

    cdef void _pass_on(self, int64_t time, int32_t t, int32_t connection) noexcept nogil:
        """Let a transfer's head go on to the receiver's port, behind the head before it."""
        cdef int64_t delay = self.under_way(t)
        if time + <double>delay > LIMIT_PS:
            self.too_late = True
            return
        self.head_came[connection] = max(self.head_came[connection], time + delay)
        push(self.heap, self.head_came[connection], t, RECEIVER)
