"""Says when: a plan's transfers and the links they cross in, start and arrival of each out.

Discrete events in C, without the GIL. A transfer is issued when the transfers that last wrote its
input are done, and with them all other waits of its plan. It then crosses the sender's port, a
connection if there is one (engine.connections), and the receiver's port, cut-through: at each port
it waits until it is free, keeps it for its bytes at the rate of that port (the sender's also for
the overhead), and its head goes on at once. Latency lies between the sender's side and the
receiver's port and occupies nothing: a port is taken when bytes are there. A transfer that stays
with its rank takes no port, only time of its host. Before it is handed to its connection, a
transfer waits for credit where there is a limit (see emul.timing.engine.credit). On a connection
that is followed, nothing arrives before earlier transfers. A transfer that is reduced into a chunk
is done when it has arrived and the transfers reduced into that chunk before it are done.

Ports and connections serve in the order in which heads come; events at the same time are handled in
the order of the plan, departures from shared trunks first. So there is one answer, on every
machine.
"""

cimport cython
from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint8_t

from emul.timing.engine.causes cimport ISSUE_CAUSE, SLOT_CAUSE, UPON_DONE_CAUSE
from emul.timing.engine.credit cimport Credit
from emul.timing.engine.dependencies cimport STARTS, UPON_ARRIVAL, UPON_ISSUE, UPON_SENT, Edges
from emul.timing.engine.events cimport (
    Event, Heap, any_of, clear, earliest, kind_of, number_of, pop, push, set_up, size_of, tear_down,
)
from emul.timing.engine.egress cimport Egress
from emul.timing.engine.connections cimport (
    ARRIVED, CONNECTION, DONE, FREED, LEFT, PORT, RECEIVER, SENT, SENT_TO_NIC, STREAM,
    STREAMS_FROM, Connections,
)
from emul.timing.engine.operations cimport Operations
from emul.timing.engine.paths cimport Paths, occupancy

import numpy as np

from emul.timing.engine.columns import StateColumns, renumbering
from emul.timing.traffic import not_before_ps

__all__ = ["DEAD", "NEVER_ENDS", "STOP", "TOO_LATE", "Simulation"]

cdef enum:
    HOPS = 3  # the sender's port, the connection, the receiver's port
    STOP_HERE = 2  # among transfers that are watched: at whose start the simulation stops

TIMES = {
    "on_link_ps": "on_link", "behind": "behind", "left_ps": "left", "cwnd_ps": "cwnd_held",
    "runs_from": "runs_from", "runs_ps": "runs", "sent_to_nic_ps": "sent_to_nic",
    "held_by": "held_by", "arrival_ps": "arrival", "done_ps": "done", "waited_for": "waited_for",
    "ordered_after": "ordered_after", "start_cause": "start_cause", "done_cause": "done_cause",
}
SavedState = tuple

TOO_LATE, DEAD, NEVER_ENDS = "too late", "dead", "never ends"
STOP = STOP_HERE

# Half of the range of int64, so that one addition past the limit cannot wrap.
cdef double TIME_LIMIT_PS = 2.0 ** 62


@cython.final
@cython.auto_pickle(False)
cdef class Simulation:
    """The events of a plan in their order. See emul.timing.schedule for its arguments.

    The first ``kept`` transfers were under way before, and are to be restored.
    ``operations``: those that the transfers are of; None for one, with which all ends if it fails.
    ``fluid``: that of a simulation over the same connections that is of no more use.
    """

    cdef readonly dict arrays            # those of the columns that are kept, by name
    cdef int32_t[::1] src
    cdef int32_t[::1] dst
    cdef int64_t[::1] nbytes
    cdef uint8_t[::1] begins
    cdef int64_t[::1] host
    cdef int64_t[::1] completion
    cdef int64_t call
    cdef int64_t[::1] not_before
    cdef int64_t[::1] tail
    cdef int64_t[::1] word
    cdef readonly Edges edges
    cdef readonly Operations operations
    cdef Paths paths
    cdef readonly int64_t[::1] free       # when each port is
    cdef readonly int32_t[::1] user       # and the last transfer that had it, or -1
    cdef readonly Connections connections
    cdef readonly Credit credit
    cdef readonly int64_t[:, ::1] on_link
    cdef readonly int32_t[:, ::1] behind
    cdef readonly int64_t[::1] finish    # when the last byte has left port and connection
    cdef readonly uint8_t[::1] legs      # of a transfer over streams: ends that are not known yet
    cdef readonly int64_t[::1] arrival   # as far as it is known
    cdef readonly int32_t[::1] held_by
    cdef readonly int32_t[::1] arrived_last
    cdef readonly int64_t[::1] done      # -1 for those that are not
    cdef readonly int32_t[::1] waited_for
    cdef readonly int32_t[::1] ordered_after
    cdef readonly uint8_t[::1] start_cause
    cdef readonly uint8_t[::1] done_cause
    cdef int32_t[::1] ready      # transfers that wait for nothing, of which one is in the heap
    cdef int64_t begun           # how many of them have been in it
    cdef readonly Egress egress
    cdef int64_t handled
    cdef readonly int64_t moment   # of the last event
    cdef int64_t kept
    cdef bint too_late
    cdef uint8_t[::1] watched         # of each transfer as in ``watch``; or empty
    cdef readonly int64_t others      # events of those that are not watched, so far
    cdef readonly int64_t stopped_at  # the transfer at whose start it stopped, or -1
    cdef readonly int64_t stopped_ps
    cdef Heap heap

    # All attributes, by what they are columns of, as in emul.timing.engine.columns.
    STATE = {
        "transfer": "on_link behind* finish legs arrival held_by* done waited_for* ordered_after* "
                    "start_cause done_cause",
        "port": "free user*",
        "connection": "arrived_last*",
        "given": "src dst nbytes begins host completion call not_before tail word edges paths "
                 "operations connections credit egress kept",
        "made anew": "arrays ready begun handled moment too_late heap watched others stopped_at "
                     "stopped_ps",
    }

    def __cinit__(self, traffic, Edges edges, network, table, kept=0, operations=None,
                  fluid=None):
        # A transfer has at most three events at once, or four where it is told when it is sent, a
        # stream and a changing way one each.
        set_up(&self.heap, (3 + edges.upon_sent) * len(traffic.src) + len(table.classes.of_stream)
               + len(table.states.timer_ps) + 1)

    def __dealloc__(self):
        tear_down(&self.heap)

    def __init__(self, traffic, Edges edges, network, table, int64_t kept=0, operations=None,
                 fluid=None):
        cdef Py_ssize_t transfers = len(traffic.src)
        nobody = np.full(transfers, -1, dtype=np.int32)
        self.arrays = {}
        self.src, self.dst, self.nbytes = traffic.src, traffic.dst, traffic.nbytes
        self.begins = traffic.begins
        self.host, self.completion = traffic.host_ps, traffic.completion_ps
        self.call, self.not_before = traffic.call_ps, not_before_ps(traffic)
        self.tail, self.word = table.tail_ps, table.word_ps
        self.edges, self.paths, self.watched = edges, Paths(network), np.zeros(0, dtype=np.uint8)
        self.free = self.arrays["free"] = np.zeros(4 * network.world_size, dtype=np.int64)
        self.user = self.arrays["user"] = np.full(4 * network.world_size, -1, dtype=np.int32)
        self.on_link = self.arrays["on_link"] = np.full((transfers, HOPS), -1, dtype=np.int64)
        self.behind = self.arrays["behind"] = np.full((transfers, HOPS), -1, dtype=np.int32)
        self.operations = operations or Operations.one(transfers)
        self.connections = Connections(
            table, traffic.nbytes, self.on_link, self.behind, self.operations, fluid
        )
        self.connections.heap = &self.heap
        self.credit = Credit(table)
        waited = np.asarray(edges.before_start)
        self.ready = (kept + np.flatnonzero(waited[kept:] == 0)).astype(np.int32)
        self.kept, self.stopped_at = kept, -1
        self.egress = Egress(transfers, 4 * network.world_size)
        self.finish = self.arrays["finish"] = np.zeros(transfers, dtype=np.int64)
        self.arrays["legs"] = np.full(transfers if len(table.classes.of_stream) else 0, 2, np.uint8)
        self.legs = self.arrays["legs"]
        self.arrival = self.arrays["arrival"] = np.zeros(transfers, dtype=np.int64)
        self.held_by = self.arrays["held_by"] = nobody[:transfers if len(table.rate) else 0].copy()
        self.arrays["arrived_last"] = np.full(len(table.rate), -1, dtype=np.int32)
        self.arrived_last = self.arrays["arrived_last"]
        self.done = self.arrays["done"] = np.full(transfers, -1, dtype=np.int64)
        self.waited_for = self.arrays["waited_for"] = nobody.copy()
        self.ordered_after = self.arrays["ordered_after"] = nobody.copy()
        self.start_cause = self.arrays["start_cause"] = np.zeros(transfers, dtype=np.uint8)
        self.done_cause = self.arrays["done_cause"] = np.zeros(transfers, dtype=np.uint8)
        self.begin_next()
        if kept == 0:
            self.connections.open()

    def advance(self, int64_t until_ps=INT64_MAX, int64_t but=0):
        """Handle events before ``until_ps`` until all ``but`` so many transfers are done.

        Or until there is trouble or a stop.
        """
        self.stopped_at = -1
        with nogil:
            # Up to a given moment links change also when nothing is left to send.
            self.run(until_ps, self.src.shape[0] - but + (until_ps < INT64_MAX))

    def watch(self, watched):
        """Count events of those with 0 in ``watched``, (transfers,); stop at those with STOP."""
        self.watched = watched

    def events(self):
        """Return all events to come: times, numbers and kinds, (3, events)."""
        cdef int64_t at, size = size_of(&self.heap)
        cdef int64_t[:, ::1] events = np.empty((3, size), dtype=np.int64)
        cdef Event event
        for at in range(size):
            event = any_of(&self.heap, at)
            events[0, at], events[1, at] = event.time, number_of(event)
            events[2, at] = kind_of(event)
        return np.asarray(events)

    def replace_events(self, events, int64_t repeated):
        """Put ``events`` in the place of all; ``repeated`` transfers that were done are not now."""
        clear(&self.heap)
        self._push_all(events)
        self.handled -= repeated

    cdef void _push_all(self, int64_t[:, ::1] events) noexcept nogil:
        cdef int64_t at
        for at in range(events.shape[1]):
            push(&self.heap, events[0, at], events[1, at], <int32_t>events[2, at])

    cdef void run(self, int64_t until, int64_t done) noexcept nogil:
        """Handle events before ``until``, as long as fewer transfers are ``done``."""
        cdef int64_t due
        cdef Event* next
        while self.handled < done and not self.has_failed() and self.stopped_at < 0:
            due = self.connections.fluid.queue.earliest_ps()
            next = earliest(&self.heap)
            if next.time < due:
                if next.time >= until:
                    return
                self.moment = next.time
                self.handle(pop(&self.heap, next))
            elif due < until:
                self.moment = due
                self.others += 1
                self.connections.leave(due)
            else:
                return

    cdef inline bint has_failed(self) noexcept nogil:
        if self.operations.any_failed and self.operations.start_of.shape[0] == 0:
            return True
        return self.too_late or self.connections.too_late

    def save(self, kept, going_on):
        """Return the state of the transfers ``kept`` (transfers,), which are numbered anew.

        All others are over, and all operations that are not ``going_on`` (operations,). Connections
        and streams keep their numbers.
        """
        which, number = renumbering(kept)
        return (
            len(which),
            StateColumns(self, "transfer").save(number, which),
            StateColumns(self, "port").save(number),
            StateColumns(self, "connection").save(number),
            self.edges.save(which, number),
            self.operations.save(np.flatnonzero(going_on), number),
            self.egress.save(which, number),
            self.credit.save(which, number),
            self.connections.save(which, number),
            self._events(number),
        )

    def _events(self, kept_as):
        """Return the events of consequence; those of credit are made anew."""
        events = self.events()
        of_transfer = events[1] >= 0
        events[1, of_transfer] = kept_as[events[1, of_transfer]]
        return events[:, ~of_transfer | (events[1] >= 0) & (events[2] != FREED)].copy()

    def restore(self, saved, int64_t until_ps, connections, streams, classes):
        """Take over what was saved at ``until_ps``, and tell new transfers who is done.

        ``connections``, ``streams``, ``classes``: the numbers here of those that were there. Events
        of credit are made anew: who holds some follows from who has arrived.
        """
        (kept, of_transfers, of_ports, of_connections, of_edges, of_operations, of_egress,
         of_credit, rest, events) = saved
        assert kept == self.kept
        StateColumns(self, "transfer").restore(of_transfers, slice(0, kept))
        StateColumns(self, "port").restore(of_ports)
        StateColumns(self, "connection").restore(of_connections, connections)
        self.edges.restore(of_edges, kept)
        self.operations.restore(of_operations)
        self.egress.restore(of_egress, kept)
        self.connections.restore(rest, kept, connections, streams, classes)
        self._restore_credit(of_credit, until_ps)
        of_stream = events[2] == STREAM
        events = events.copy()
        events[1, of_stream] = STREAMS_FROM + streams[events[1, of_stream] - STREAMS_FROM]
        self._push_all(events)
        done_ps = self.arrays["done"][:kept]
        order = np.argsort(done_ps, kind="stable").astype(np.int32)
        self._tell_new(order[np.count_nonzero(done_ps < 0):])

    def _restore_credit(self, of_credit, int64_t until_ps):
        cdef int64_t at
        if self.credit.of.shape[0] == 0:
            return
        holds = np.zeros(self.kept, dtype=bool)
        for at in range(self.kept):
            if self.credit.counts(at) and self.on_link[at, PORT] >= 0:
                holds[at] = self.freed_ps(at) >= until_ps
                if holds[at] and self.has_landed(at) and self.arrival[at] < until_ps:
                    push(&self.heap, self.freed_ps(at), at, FREED)
        self.credit.restore(of_credit, holds, np.asarray(self.on_link)[:self.kept, PORT])

    cdef void _tell_new(self, int32_t[::1] finished) noexcept nogil:
        cdef int64_t at, edge
        cdef int32_t t
        self.handled = finished.shape[0]
        for at in range(finished.shape[0]):
            t = finished[at]
            for edge in range(self.edges.first[t], self.edges.first[t + 1]):
                if self.edges.waiter[edge] >= self.kept:
                    self.let_start(self.done[t], self.edges.waiter[edge], t, UPON_DONE_CAUSE)

    cdef bint has_landed(self, int64_t t) noexcept nogil:
        """Say whether it is known when a transfer arrives."""
        cdef bint known = not (self.connections.is_fluid(t) and self.legs[t])
        return known and self.on_link[t, RECEIVER] >= 0

    cdef int64_t freed_ps(self, int64_t t) noexcept nogil:
        """Return when word of a transfer's arrival is back, which is not before it has landed."""
        return self.arrival[t] + self.way_back(t) if self.has_landed(t) else INT64_MAX

    cdef int64_t way_back(self, int64_t t) noexcept nogil:
        """Return the picoseconds from a transfer's arrival until word of it is back."""
        cdef int64_t later = self.word[t] if self.word.shape[0] else 0
        return later + self.paths.latency[self.paths.path(self.dst[t], self.src[t])]

    cdef void begin_next(self) noexcept nogil:
        """Let the next one of those begin that wait for nothing; all do so at the same time."""
        if self.begun < self.ready.shape[0]:
            push(&self.heap, self.call, self.ready[self.begun], PORT)
            self.begun += 1

    cdef void handle(self, Event event) noexcept nogil:
        cdef int64_t time = event.time, number = number_of(event)
        cdef int32_t kind = kind_of(event)
        if self.watched.shape[0] and (number < 0 or not self.watched[number]):
            self.others += 1
        if kind == PORT:
            if self.begun and number == self.ready[self.begun - 1]:
                self.begin_next()
            if self.operations.never_begins(number):
                return
            if not self.credit.counts(number) or self.credit.take(number):
                self.cross(time, number, PORT)
                if self.watched.shape[0] and self.watched[number] == STOP_HERE:
                    self.stopped_at, self.stopped_ps = number, time
        elif kind == RECEIVER:
            if self.connections.of[number] < 0:
                self.egress.gone(&self.heap, self.transit_of(self.link(number, PORT)))
            self.cross(time, number, RECEIVER)
        elif kind == CONNECTION:
            self.egress.gone(&self.heap, self.link(number, PORT))
            self.enter(time, <int32_t>number)
        elif kind == LEFT:
            self.finish[number] = max(self.finish[number], time)
            self.sent(number)
            self.announce_sent(number)
            self.leg_done(number)
        elif kind == ARRIVED:
            self.arrived(time, number)
        elif kind == DONE:
            self.finished(time, number)
        elif kind == FREED:
            self.freed(time, <int32_t>number)
        elif kind == SENT_TO_NIC:
            self.tell(time, number, UPON_ISSUE)
        elif kind == SENT:
            self.tell(time, number, UPON_SENT)
        elif kind == STREAM:
            self.connections.go_on(time, <int32_t>(number - STREAMS_FROM))
            if self.operations.latest >= 0:
                self.abort(time, self.operations.latest)
        else:
            self.connections.change(time, STREAMS_FROM - 1 - number)

    cdef inline int64_t link(self, int64_t t, int32_t hop) noexcept nogil:
        """Return the number of the port that a transfer takes at its sender or its receiver."""
        cdef int64_t src = self.src[t], dst = self.dst[t]
        return self.paths.out(src, dst) if hop == PORT else self.paths.into(src, dst)

    cdef inline int64_t transit_of(self, int64_t port) noexcept nogil:
        """Return the number under which ``egress`` has heads between a sender's port and the next.

        All that goes on without a connection is under way as long. No head leaves a receiver's
        port, so the number of the one beside it is free.
        """
        return port + 1

    cdef void cross(self, int64_t time, int64_t t, int32_t hop) noexcept nogil:
        """Put the transfer on a port, and its head on to the next hop."""
        cdef int64_t src = self.src[t], dst = self.dst[t], link, start, head, taken
        if hop == PORT and not self.connections.needs_more_windows(t):
            self.tell(time, t, UPON_ISSUE)
        if src == dst:
            push(&self.heap, time + (self.host[t] if self.host.shape[0] else 0), t, ARRIVED)
            return
        link, start = self.link(t, hop), time
        if self.free[link] > time:
            start = self.free[link]
            self.behind[t, hop] = self.user[link]
        if hop == PORT and self.not_before.shape[0]:
            start = max(start, self.not_before[t])
        head = start
        if hop == PORT and self.begins[t]:
            head += self.paths.overhead[self.paths.path(src, dst)]
        if hop == PORT and self.host.shape[0]:
            head += self.host[t]
        taken = occupancy(self.nbytes[t], self.paths.rate[link], <int64_t>TIME_LIMIT_PS)
        if head + <double>taken >= TIME_LIMIT_PS:
            self.too_late = True
            return
        self.on_link[t, hop] = start
        self.free[link] = head + taken
        self.user[link] = <int32_t>t
        if hop == PORT:
            self.finish[t] = head + taken
            self.go_on(head, <int32_t>t, link)
            return
        self.arrival[t] = max(self.arrival[t], head + taken)
        if self.connections.is_fluid(t):
            self.leg_done(t)
        else:
            self.sent(t)
            self.deliver(t)

    cdef void go_on(self, int64_t head, int32_t t, int64_t port) noexcept nogil:
        """Let a transfer's head, which leaves its sender's port then, come to the next hop."""
        cdef int64_t delay
        if self.connections.of[t] >= 0:
            self.egress.add(&self.heap, port, head, t, CONNECTION)
            return
        self.announce_sent(t)
        delay = self.under_way(t)
        if head + <double>delay > TIME_LIMIT_PS:
            self.too_late = True
            return
        self.egress.add(&self.heap, self.transit_of(port), head + delay, t, RECEIVER)

    cdef inline int64_t under_way(self, int64_t t) noexcept nogil:
        """Return how long a byte of a transfer is under way that leaves its sender's side now."""
        if self.connections.of[t] >= 0:
            return self.connections.under_way(t)
        return self.paths.latency[self.paths.path(self.src[t], self.dst[t])]

    cdef void sent(self, int64_t t) noexcept nogil:
        """Let the last byte of a transfer come, now that it is known when it leaves its sender."""
        cdef int64_t delay = self.under_way(t)
        if self.finish[t] + <double>delay > TIME_LIMIT_PS:
            self.too_late = True
            return
        self.arrival[t] = max(self.arrival[t], self.finish[t] + delay)

    cdef void enter(self, int64_t time, int32_t t) noexcept nogil:
        """Let a transfer's head come to its connection."""
        cdef int64_t left = self.connections.enter(time, t)
        if left > TIME_LIMIT_PS:
            self.too_late = True
        self.finish[t] = max(self.finish[t], left)
        if left >= 0:
            self.announce_sent(t)

    cdef inline void announce_sent(self, int64_t t) noexcept nogil:
        """Let those know who wait for it when the last byte leaves, now that this is known."""
        if self.edges.upon_sent:
            push(&self.heap, self.finish[t], t, SENT)

    cdef void leg_done(self, int64_t t) noexcept nogil:
        """Of a transfer over streams, one more end is known: of receiver's port or connection."""
        self.legs[t] -= 1
        if self.legs[t] == 0:
            self.deliver(t)

    cdef void deliver(self, int64_t t) noexcept nogil:
        """Let a transfer that is through everything arrive, but not before earlier ones."""
        cdef int64_t more = 0, time
        cdef int32_t connection = self.connections.of[t], last
        if self.tail.shape[0]:
            more += self.tail[t]
        if self.completion.shape[0]:
            more += self.completion[t]
        if self.arrival[t] + <double>more > TIME_LIMIT_PS:
            self.too_late = True
            return
        time = self.arrival[t] + more
        if connection >= 0:
            last = self.arrived_last[connection]
            if last >= 0 and self.arrival[last] > time:
                time, self.held_by[t] = self.arrival[last], last
            self.arrived_last[connection] = <int32_t>t
        self.arrival[t] = time
        push(&self.heap, time, t, ARRIVED)

    cdef void arrived(self, int64_t time, int64_t t) noexcept nogil:
        self.arrival[t] = time
        if self.credit.counts(t):
            push(&self.heap, time + self.way_back(t), t, FREED)
        if self.edges.upon_arrival:
            self.tell(self.arrival[t], t, UPON_ARRIVAL)
        if self.edges.upon_sent and self.src[t] == self.dst[t]:
            self.tell(self.arrival[t], t, UPON_SENT)
        self.release(self.arrival[t], t, -1, UPON_DONE_CAUSE)

    cdef void freed(self, int64_t time, int32_t t) noexcept nogil:
        """Give back a transfer's credit, and hand over those of its queue that have theirs now."""
        cdef int32_t connection = self.credit.of[t], waiter
        self.credit.give_back(t)
        waiter = self.credit.grant(connection)
        while waiter >= 0:
            self.waited_for[waiter], self.start_cause[waiter] = t, SLOT_CAUSE
            push(&self.heap, time, waiter, PORT)
            waiter = self.credit.grant(connection)

    cdef void release(self, int64_t time, int64_t t, int32_t after, uint8_t cause) noexcept nogil:
        """Take away one thing that keeps the transfer from being done."""
        self.edges.before_done[t] -= 1
        if self.edges.before_done[t] == 0:
            self.ordered_after[t], self.done_cause[t] = after, cause
            push(&self.heap, time, t, DONE)

    cdef void let_start(self, int64_t time, int64_t t, int32_t after,
                        uint8_t cause) noexcept nogil:
        """Take away one thing that keeps the transfer from starting."""
        if self.operations.has_failed(t) and self.operations.start_of[t] != after:
            return
        self.edges.before_start[t] -= 1
        if self.edges.before_start[t] == 0:
            self.waited_for[t], self.start_cause[t] = after, cause
            push(&self.heap, time, t, PORT)

    cdef void abort(self, int64_t time, int32_t operation) noexcept nogil:
        """Tell the ranks of an operation that it has failed; those who have not started, then."""
        cdef int64_t t
        self.operations.latest = -1
        for t in range(self.operations.start_of.shape[0]):
            if not self.operations.is_end(t) or self.operations.of[t] != operation:
                continue
            if self.edges.before_start[t] == 0:
                continue
            self.edges.before_start[t] = 1
            if self.done[self.operations.start_of[t]] >= 0:
                self.edges.before_start[t] = 0
                self.waited_for[t] = self.operations.lost[operation]
                self.start_cause[t] = UPON_DONE_CAUSE
                push(&self.heap, time, t, PORT)

    def over(self):
        """Return which transfers are done, or never will be and are not under way: (transfers,).

        Of a failed operation a transfer is under way as long as it is in a port's queue or on its
        connection, or anything but its beginning is to come.
        """
        cdef int64_t t
        cdef uint8_t[::1] found = np.zeros(self.src.shape[0], dtype=np.uint8)
        if self.operations.any_failed:
            for t in range(self.src.shape[0]):
                found[t] = self.operations.never_begins(t)
                if self.connections.is_fluid(t) and self.connections.parts[t] > 0:
                    found[t] = False
            events = self.events()
            np.asarray(found)[events[1, (events[1] >= 0) & (events[2] != PORT)]] = False
            self.egress.strike_out(found)
        return np.asarray(found).view(bool) | (np.asarray(self.done) >= 0)

    cdef void finished(self, int64_t time, int64_t t) noexcept nogil:
        self.done[t] = time
        self.handled += 1
        self.tell(time, t, 0)

    cdef void tell(self, int64_t time, int64_t t, uint8_t upon) noexcept nogil:
        """Tell those who wait for the transfer to be issued, sent, there or done, that it is."""
        cdef int64_t at
        cdef int32_t waiter
        cdef uint8_t cause = ISSUE_CAUSE if upon == UPON_ISSUE else UPON_DONE_CAUSE
        for at in range(self.edges.first[t], self.edges.first[t + 1]):
            waiter = self.edges.waiter[at]
            if self.edges.kind[at] & (UPON_ISSUE | UPON_ARRIVAL | UPON_SENT) != upon:
                continue
            if self.edges.kind[at] & STARTS:
                self.let_start(time, waiter, <int32_t>t, cause)
            else:
                self.release(time, waiter, <int32_t>t, cause)

    def times(self):
        """Return the result of ``schedule``."""
        cdef Connections connections = self.connections
        failure = None
        if self.too_late or connections.too_late:
            failure = TOO_LATE
        elif self.operations.any_failed and self.operations.start_of.shape[0] == 0:
            failed = self.operations
            failure = (DEAD, failed.path[0], failed.lost_at[0], failed.up_at[0])
        elif self.handled < self.src.shape[0]:
            fluid = connections.fluid
            sending = np.asarray(fluid.active) > 0
            assert sending.any() or self.edges.gated or self.operations.any_failed, "a circle"
            if sending.any():
                going_on = sending & (np.asarray(fluid.rate) > 0)
                failure = TOO_LATE if going_on.any() else NEVER_ENDS
        columns = {**connections.arrays, **self.arrays}
        return {name: columns[of] for name, of in TIMES.items()}, failure
