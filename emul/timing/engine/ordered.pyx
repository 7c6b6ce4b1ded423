"""One pass over the transfers in the order of the plan, where that is the order on every link.

``schedule`` (the heap) handles events by time, then number of the transfer, then kind. This pass
goes from transfer to transfer instead, lets each one wait for moments of earlier ones, and puts it
on the sender's port, its connection and the receiver's port behind the transfers that the plan has
there before it. It gives up where a head comes to a port earlier than the head before it in the
plan did, or where a transfer asks for the credit of its connection earlier than the one before it
did.

Where it does not give up, its times are those of the heap. Take all events of all transfers with
the times of the pass, sorted as the heap sorts them. Every event comes after its causes: they are
of the same transfer and an earlier kind, or of a transfer with a lower number (``Tables`` refuses
anything else), and no later in time. On every port heads come in the order of the plan: by time, as
was checked, and where they come at once, by number. On a connection too, and it delivers in that
order, for all its transfers come from one port and go to one port, and a port lets heads go on in
the order in which they came. So a connection also hands over, and gets credit back, in the order of
the plan, and of its transfers each waits for the credit of one that can be told beforehand. So, by
induction along the sorted events: when the heap has handled the first of them, each with its time,
everything that the next one hangs on is as it was in the pass; it is therefore in the heap, at its
time, and all other events come later.

The last cause of a transfer is decided as the heap would: by time, number and kind; its own
arrival is later than the events of lower numbers at the same time.
"""

cimport cython
from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint8_t

from emul.timing.engine.causes cimport ISSUE_CAUSE, SLOT_CAUSE, UPON_DONE_CAUSE
from emul.timing.engine.tables cimport (
    BACK,
    DONE,
    FREE,
    FREED,
    HEAD,
    HOLD,
    INTO,
    ISSUED,
    KEPT,
    LATENCY,
    MOMENT_BITS,
    OUT,
    OVERHEAD,
    THROUGH,
    Row,
    Tables,
)

import numpy as np

__all__ = ["times_in_order", "total_in_order"]

# Later than this the heap is asked, which also reports times that do not fit.
cdef int64_t LATEST_PS = 2 ** 61

cdef enum:
    NOT_IN_ORDER = -1

cdef enum:
    PORT = 0
    CONNECTION = 1
    RECEIVER = 2


cdef struct Cause:
    int64_t time
    int64_t key      # of those at the same time the highest counts
    bint is_moment   # else it is nothing, or its own arrival


@cython.final
@cython.auto_pickle(False)
cdef class _DoneOnly:
    """Of a pass that is to say no more than when each transfer is done."""


@cython.final
@cython.auto_pickle(False)
cdef class _Columns:
    """Of a pass that is to say all that ``schedule`` says of each transfer.

    It also keeps who had each link last, ``users`` places after its other numbers.
    """

    cdef int64_t users
    cdef int64_t[:, ::1] on_link
    cdef int32_t[:, ::1] behind
    cdef int64_t[::1] left
    cdef int32_t[::1] held_by
    cdef int64_t[::1] arrival
    cdef int64_t[::1] done
    cdef int32_t[::1] waited_for
    cdef int32_t[::1] ordered_after
    cdef uint8_t[::1] start_cause
    cdef uint8_t[::1] done_cause

    def __init__(self, Tables tables):
        cdef int64_t transfers = tables.transfers, piped = transfers if tables.connections else 0
        self.users = tables.places
        self.on_link = np.empty((transfers, 3), dtype=np.int64)
        self.behind = np.empty((transfers, 3), dtype=np.int32)
        self.left = np.zeros(piped, dtype=np.int64)
        self.held_by = np.full(piped, -1, dtype=np.int32)
        self.arrival, self.done = (np.empty(transfers, np.int64) for _ in range(2))
        self.waited_for, self.ordered_after = (np.empty(transfers, np.int32) for _ in range(2))
        self.start_cause, self.done_cause = (np.empty(transfers, np.uint8) for _ in range(2))

    cdef inline void starts(self, int64_t t, Cause last) noexcept nogil:
        """Note the last cause of a transfer; it is on no link yet."""
        cdef int hop
        self.waited_for[t], self.start_cause[t] = _transfer(last), _kind(last)
        for hop in range(3):
            self.on_link[t, hop], self.behind[t, hop] = -1, -1

    cdef inline void takes(self, int64_t t, int hop, int64_t came, int64_t start,
                           int64_t* link) noexcept nogil:
        """Note when a link is taken, and who had it before if its head had come by then."""
        self.on_link[t, hop] = start
        if start > came:
            self.behind[t, hop] = <int32_t>link[self.users]

    cdef inline void ends(self, int64_t t, int64_t arrival, Cause last) noexcept nogil:
        self.arrival[t], self.done[t] = arrival, last.time
        self.ordered_after[t], self.done_cause[t] = _transfer(last), _kind(last)


ctypedef fused Detail:
    _DoneOnly
    _Columns


cdef inline int32_t _transfer(Cause last) noexcept nogil:
    return <int32_t>(last.key >> MOMENT_BITS) if last.is_moment else -1


cdef inline uint8_t _kind(Cause last) noexcept nogil:
    cdef int64_t kind = last.key & ((1 << MOMENT_BITS) - 1)
    if not last.is_moment or kind == DONE:
        return UPON_DONE_CAUSE
    return SLOT_CAUSE if kind == FREED else ISSUE_CAUSE


cdef inline void _wait(Detail seen, Tables tables, int64_t time, int64_t moment,
                       Cause* last) noexcept nogil:
    """Let ``last`` be the later of itself and a moment."""
    cdef int64_t key
    if Detail is _DoneOnly:
        last.time = max(last.time, time)
    elif time >= last.time:
        key = moment if tables.bits else (moment << MOMENT_BITS) + DONE
        if time > last.time or key > last.key:
            last.time, last.key, last.is_moment = time, key, True


cdef inline int64_t _take(Detail seen, int64_t t, int hop, int64_t came,
                          int64_t* port) noexcept nogil:
    """Put a transfer on the port at which its head came; return when it gets it."""
    cdef int64_t start = max(came, port[FREE])
    if Detail is _Columns:
        seen.takes(t, hop, came, start, port)
        port[seen.users] = t
    port[HEAD] = came
    return start


cdef inline int64_t _enter(Detail seen, int64_t t, int64_t came, int64_t* connection,
                           const int64_t* cost) noexcept nogil:
    """Let a transfer's head come to its connection; return when it goes on."""
    cdef int64_t start = max(came, connection[FREE])
    if Detail is _Columns:
        seen.takes(t, CONNECTION, came, start, connection)
        seen.left[t] = start + cost[THROUGH]
    connection[FREE] = start + cost[HOLD]
    return start


cdef inline int64_t _deliver(Detail seen, int64_t t, int64_t time,
                             int64_t* connection) noexcept nogil:
    """Return when a transfer from a connection arrives: not before earlier ones."""
    if Detail is _Columns:
        if connection[HEAD] > time:
            seen.held_by[t] = <int32_t>connection[seen.users]
        connection[seen.users] = t
    connection[HEAD] = max(time, connection[HEAD])
    return connection[HEAD]


cdef inline int64_t _carry(Detail seen, Tables tables, int64_t t, int64_t ready,
                           const int64_t* cost, int64_t* out, int64_t* into, int64_t* connection,
                           int64_t* head_came, bint late) noexcept nogil:
    """Let a transfer cross its links; return when it arrives, or NOT_IN_ORDER.

    ``connection``: NULL where it has none. ``late``: whether any is later than its costs say; then
    ``head_came`` is when the last head of its connection came to the receiver.
    """
    cdef int64_t head, finish, under_way = cost[LATENCY]
    if ready < out[HEAD]:
        return NOT_IN_ORDER
    head = _take(seen, t, PORT, ready, out) + cost[OVERHEAD]
    if late and tables.host_before:
        head += tables.more_before[t]
    finish = out[FREE] = head + cost[OUT]
    if connection:
        head = _enter(seen, t, head, connection, cost)
        finish = max(finish, head + cost[THROUGH])
    if late and tables.extra_on_path:
        under_way += tables.more_on_path[t]
    head += under_way
    if late and connection:
        head = head_came[0] = max(head, head_came[0])
    if head < into[HEAD]:
        return NOT_IN_ORDER
    into[FREE] = _take(seen, t, RECEIVER, head, into) + cost[INTO]
    finish = max(finish + under_way, into[FREE])
    if late and tables.extra_after:
        finish += tables.more_after[t]
    return _deliver(seen, t, finish, connection) if connection else finish


cdef inline void _wait_for_credit(Tables tables, int64_t source, int64_t[::1] moment,
                                  int64_t recent, Cause* last) noexcept nogil:
    """Let ``last`` be the later of itself and the moment at which a transfer's credit is there.

    At the same time credit comes back before it is asked for.
    """
    cdef int64_t number, time
    if source >= 0:
        number = (source << tables.bits) + FREED
        time = moment[number & recent]
        if time > last.time:
            last.time, last.key, last.is_moment = time, number, True


cdef int64_t _pass(Detail seen, Tables tables, int64_t[::1] moment, int64_t[::1] link,
                   int64_t[::1] came, int64_t[::1] ready) noexcept nogil:
    """Return when all is done, or NOT_IN_ORDER.

    ``moment``: room for the last ``tables.window`` of them. ``link``: the numbers of each, to begin
    with as if nobody has used it; likewise ``came``, of each connection when its last head came to
    the receiver, and ``ready``, of each connection with credit when its last transfer asked for it.
    """
    cdef const Row* row = &tables.rows[0]
    cdef int32_t[::1] start = tables.start, done = tables.done, done_from = tables.done_from
    cdef int64_t[::1] costs = tables.cost
    cdef int64_t recent = tables.window - 1, per_transfer = 1 << tables.bits
    cdef int64_t own = DONE if tables.bits else 0  # where it is kept when this one is done
    cdef bint upon_issue = tables.upon_issue, upon_credit = tables.upon_credit
    cdef bint piped = tables.connections > 0, late
    cdef bint ordered = done_from.shape[0] > 0
    cdef int64_t t, at, arrival, total = 0
    cdef const int64_t* cost
    cdef int64_t* connection
    cdef int64_t* arrived
    cdef Cause last
    late = tables.host_before or tables.extra_on_path or tables.extra_after
    for t in range(tables.transfers):
        last.time, last.key, last.is_moment = tables.call, -1, False
        for at in range(row.waits, row[1].waits):
            _wait(seen, tables, moment[start[at] & recent], start[at], &last)
        if upon_credit and tables.credited[t] >= 0:
            if last.time < ready[tables.credited[t]]:
                return NOT_IN_ORDER
            ready[tables.credited[t]] = last.time
            _wait_for_credit(tables, tables.frees_it[t], moment, recent, &last)
        if Detail is _Columns:
            seen.starts(t, last)
        if upon_issue:
            moment[own + ISSUED - DONE] = last.time
        cost, arrival = &costs[row.cost], last.time
        if row.out >= 0:
            connection = NULL
            arrived = NULL
            if piped and tables.connection[t] >= 0:
                connection = &link[tables.connection[t]]
                if late:
                    arrived = &came[tables.connection[t] // KEPT - tables.ports]
            arrival = _carry(seen, tables, t, last.time, cost, &link[row.out], &link[row.into],
                             connection, arrived, late)
            if arrival > LATEST_PS or arrival == NOT_IN_ORDER:
                return NOT_IN_ORDER
        if upon_credit:
            moment[own + FREED - DONE] = arrival + cost[BACK]
        last.time, last.key, last.is_moment = arrival, INT64_MAX, False
        if ordered:
            for at in range(done_from[t], done_from[t + 1]):
                _wait(seen, tables, moment[done[at] & recent], done[at], &last)
        if Detail is _Columns:
            seen.ends(t, arrival, last)
        moment[own] = last.time
        own = (own + per_transfer) & recent
        total = max(total, last.time)
        row += 1
    return total


cdef int64_t _passed(Detail seen, Tables tables) except? -2:
    """Make a pass; the result is as in ``_pass``."""
    cdef int64_t[::1] moment = np.empty(tables.window, dtype=np.int64)
    cdef int64_t places = tables.places if Detail is _DoneOnly else 2 * tables.places
    cdef int64_t[::1] link = np.zeros(places, dtype=np.int64)
    cdef int64_t[::1] came = np.zeros(tables.connections, dtype=np.int64)
    cdef int64_t[::1] ready = np.zeros(tables.credited_connections, dtype=np.int64)
    with nogil:
        return _pass(seen, tables, moment, link, came, ready)


def total_in_order(Tables tables):
    """Return when all is done, in picoseconds; None where the order is not that of the plan."""
    if not tables.fits:
        return None
    total = _passed(_DoneOnly(), tables)
    return None if total == NOT_IN_ORDER else total


def times_in_order(Tables tables):
    """Return the times of ``schedule``; None where the order is not the plan's."""
    cdef _Columns seen
    if not tables.fits:
        return None
    seen = _Columns(tables)
    if _passed(seen, tables) == NOT_IN_ORDER:
        return None
    piped = len(seen.left)
    times = {
        "on_link_ps": seen.on_link, "behind": seen.behind, "left_ps": seen.left,
        "cwnd_ps": np.zeros(piped, dtype=np.int64),
        "runs_from": np.zeros((0, 2), dtype=np.int32),
        "runs_ps": np.zeros((0, 2, 5), dtype=np.int64),
        "sent_to_nic_ps": np.zeros(0, dtype=np.int64), "held_by": seen.held_by,
        "arrival_ps": seen.arrival, "done_ps": seen.done,
        "waited_for": seen.waited_for, "ordered_after": seen.ordered_after,
        "start_cause": seen.start_cause, "done_cause": seen.done_cause,
    }
    return {name: np.asarray(column) for name, column in times.items()}
