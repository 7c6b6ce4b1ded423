"""Traffic, network and dependencies as columns for a pass in plan order.

Transfers of as many bytes on the same way cost the same, so their cost is worked out once and
kept in a row of costs; nothing is divided in the pass. Each cause of a transfer becomes the
number of a moment of another transfer.
"""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t

from emul.timing.engine.dependencies cimport STARTS, UPON_ISSUE, Edges
from emul.timing.engine.paths cimport Paths, occupancy

import numpy as np

__all__ = ["Tables"]

# A single cost, and any sum of a pass, must stay below; far from where int64 would wrap.
cdef int64_t MOST_PS = 2 ** 58

_ROW = np.dtype([(name, np.int32) for name in ("out", "into", "cost", "waits")])

cdef enum:
    LATELY = 4096  # rows of costs that are looked among for one that fits
    NOT_EARLIER = -1


@cython.final
@cython.auto_pickle(False)
cdef class Tables:
    """The columns of one traffic.

    ``traffic``: an emul.timing.traffic.Transfers; ``edges`` comes from ``dependencies`` and is
    left as it is; ``table``: an effects.connection_table.ConnectionTable of the traffic. ``fits``
    says whether a pass in plan order is possible: no streams, no windows that are filled anew, no
    transfer that stands for others, and nobody who waits for a later one or for an arrival.
    """

    def __init__(self, traffic, Edges edges, network, table):
        self.transfers, self.call = len(traffic.src), traffic.call_ps
        self.ports, self.connections = 4 * network.world_size, len(table.rate)
        self.places = KEPT * (self.ports + self.connections)
        self.fits = (
            traffic.multiplicity is None
            and len(table.classes.of_stream) == 0
            and not np.any(table.cwnd_rtt_ps)
            and len(table.multi_window) == 0
            and not edges.upon_arrival
            and not edges.upon_sent
            and self.places < 2**31
            and COSTS * self.transfers < 2**31
        )
        if self.fits:
            self._take_delays(traffic, table)
        if self.fits:
            self._take_costs(traffic, network, table)
        if self.fits:
            self._take_waits(edges, table)

    def _take_delays(self, traffic, table):
        after = table.tail_ps, traffic.completion_ps
        delays = traffic.host_ps, table.jitter_ps, *after
        longest = [int(each.max(initial=0)) for each in delays]
        self.more_before, self.more_on_path = traffic.host_ps, table.jitter_ps
        self.more_after = _sum([each for each in after if len(each)])
        self.host_before, self.extra_after = len(self.more_before) > 0, len(self.more_after) > 0
        self.extra_on_path = len(self.more_on_path) > 0
        self.fits = max(self.call, sum(longest)) < MOST_PS

    def _take_costs(self, traffic, network, table):
        """Give every transfer its ports and its row of costs."""
        cdef Paths paths = Paths(network)
        cdef int64_t[::1] sample
        cdef int64_t rows
        cdef int32_t[::1] connection = table.connection
        self.rows = np.zeros(self.transfers + 2, dtype=_ROW)
        sample = np.empty(self.transfers, dtype=np.int64)
        rows = _rows_of_costs(self, paths, traffic.src, traffic.dst, traffic.nbytes,
                              traffic.begins, sample)
        self.cost = np.zeros(rows * COSTS, dtype=np.int64)
        self.fits = _fill_costs(self, paths, traffic.src, traffic.dst, traffic.nbytes,
                                traffic.begins, sample[:rows], connection, table.rate,
                                table.spacing_ps, table.word_ps)
        self.connection = connection[:0]
        if self.connections:
            self.connection = _links_of(self.ports, table.connection)

    def _take_waits(self, Edges edges, table):
        """Turn the edges round: from the waiter to its causes."""
        cdef int64_t ends, starts, reach, total = self.transfers
        self.upon_issue = np.any(np.bitwise_and(edges.kind, UPON_ISSUE))
        self.credited, self.upon_credit = table.credited, len(table.credited) > 0
        self.frees_it = _sources_of_credit(table)
        self.credited_connections = 1 + np.max(table.credited, initial=-1)
        self.bits = MOMENT_BITS if self.upon_issue or self.upon_credit else 0
        starts = np.sum(edges.before_start, dtype=np.int64)
        ends = np.sum(edges.before_done, dtype=np.int64) - total
        self.fits = max(total << self.bits, starts, ends) < 2**31 - 1
        if not self.fits:
            return
        self.start = np.empty(starts, dtype=np.int32)
        self.done_from = np.zeros(total + 2 if ends else 0, dtype=np.int32)
        self.done = np.empty(ends, dtype=np.int32)
        with nogil:
            reach = _turn_round(self, edges)
        self.fits = reach != NOT_EARLIER
        self.window = 1 << int((reach << self.bits) + FREED).bit_length() if self.fits else 0


def _links_of(ports, connection):
    return np.where(connection >= 0, KEPT * (ports + connection), -1).astype(np.int32)


def _sum(columns):
    return np.sum(columns, axis=0) if columns else np.zeros(0, dtype=np.int64)


cdef int64_t _rows_of_costs(Tables tables, Paths paths, int32_t[::1] src, int32_t[::1] dst,
                            int64_t[::1] nbytes, uint8_t[::1] begins, int64_t[::1] sample):
    """Give each transfer its ports and the number of its row; return how many rows there are.

    ``sample`` gets a transfer of each row. A row may be there twice: only a few are looked among.
    """
    cdef int64_t[::1] bytes_lately = np.full(LATELY, -1, dtype=np.int64)
    cdef int64_t[::1] kind_lately = np.zeros(LATELY, dtype=np.int64)
    cdef int32_t[::1] row_lately = np.zeros(LATELY, dtype=np.int32)
    cdef Row[::1] row = tables.rows
    cdef int64_t t, kind, at, rows = 0
    with nogil:
        for t in range(tables.transfers):
            kind = 2 * paths.path(src[t], dst[t]) + begins[t]
            row[t].out = <int32_t>(KEPT * paths.out(src[t], dst[t]))
            row[t].into = <int32_t>(KEPT * paths.into(src[t], dst[t]))
            if src[t] == dst[t]:
                kind, row[t].out, row[t].into = -1, -1, -1
            at = (nbytes[t] ^ (nbytes[t] >> 12) ^ (kind * 31)) & (LATELY - 1)
            if bytes_lately[at] != nbytes[t] or kind_lately[at] != kind:
                bytes_lately[at], kind_lately[at] = nbytes[t], kind
                row_lately[at] = <int32_t>(COSTS * rows)
                sample[rows] = t
                rows += 1
            row[t].cost = row_lately[at]
    return rows


cdef bint _fill_costs(Tables tables, Paths paths, int32_t[::1] src, int32_t[::1] dst,
                      int64_t[::1] nbytes, uint8_t[::1] begins, int64_t[::1] sample,
                      int32_t[::1] connection, double[::1] connection_rate, int64_t[::1] spacing,
                      int64_t[::1] word):
    """Fill the rows of costs; say whether all are small enough to be added up.

    All connections of a way are alike, so any transfer of a row speaks for the others.
    """
    cdef int64_t[::1] cost = tables.cost
    cdef int64_t row, t, path, at
    for row in range(sample.shape[0]):
        t, at = sample[row], row * COSTS
        if src[t] == dst[t]:
            continue
        path = paths.path(src[t], dst[t])
        cost[at + OVERHEAD] = paths.overhead[path] if begins[t] else 0
        cost[at + OUT] = occupancy(nbytes[t], paths.rate[paths.out(src[t], dst[t])], MOST_PS)
        cost[at + INTO] = occupancy(nbytes[t], paths.rate[paths.into(src[t], dst[t])], MOST_PS)
        if connection[t] >= 0:
            cost[at + THROUGH] = occupancy(nbytes[t], connection_rate[connection[t]], MOST_PS)
            cost[at + HOLD] = max(cost[at + THROUGH], spacing[connection[t]])
        cost[at + LATENCY] = paths.latency[path]
        cost[at + BACK] = paths.latency[paths.path(dst[t], src[t])]
        if word.shape[0]:
            cost[at + BACK] += word[t]
    return np.max(cost, initial=0) < MOST_PS


def _sources_of_credit(table):
    """Return for each transfer the one whose credit must be back before it may go, or -1.

    That is so where a connection hands over its transfers in the order of the plan.
    """
    credited = table.credited
    source = np.full(len(credited), -1, dtype=np.int32)
    takers = np.flatnonzero(credited >= 0)
    takers = takers[np.argsort(credited[takers], kind="stable")]
    if len(takers):
        taken = np.cumsum(table.takes[takers])
        before = taken - table.takes[takers]
        begins = np.append(True, np.diff(credited[takers]) != 0)
        others = before[np.maximum.accumulate(np.where(begins, np.arange(len(takers)), 0))]
        half = (table.takes[takers] + 1) // 2
        owed = before + half - table.credit  # so much of all that was taken must be back
        waits = np.flatnonzero(owed > others)
        source[takers[waits]] = takers[np.searchsorted(taken, owed[waits])]
        remainders = takers[table.remainder[takers] > 0]
        source[remainders] = source[remainders - 1]
    return source


cdef int64_t _turn_round(Tables tables, Edges edges) noexcept nogil:
    """List the causes of each transfer, earlier ones first.

    Return how many transfers before it that is at most; NOT_EARLIER if one is not before it.
    """
    cdef Row[::1] row = tables.rows
    cdef int32_t[::1] start = tables.start
    cdef int32_t[::1] done_from = tables.done_from, done = tables.done
    cdef int64_t e, at, total = tables.transfers, reach = 0
    cdef int32_t waiter, moment, done_kind = DONE if tables.bits else 0
    # Counted two places on, filled one place on, so that in the end each stands where it begins.
    for e in range(total):
        row[e + 2].waits += row[e + 1].waits + edges.before_start[e]
        if done_from.shape[0]:
            done_from[e + 2] = done_from[e + 1] + edges.before_done[e] - 1
    for e in range(total):
        for at in range(edges.first[e], edges.first[e + 1]):
            waiter = edges.waiter[at]
            if waiter <= e:
                return NOT_EARLIER
            reach = max(reach, waiter - e)
            moment = <int32_t>(e << tables.bits)
            moment += ISSUED if edges.kind[at] & UPON_ISSUE else done_kind
            if edges.kind[at] & STARTS:
                start[row[waiter + 1].waits] = moment
                row[waiter + 1].waits += 1
            else:
                done[done_from[waiter + 1]] = moment
                done_from[waiter + 1] += 1
        if tables.upon_credit and tables.frees_it[e] >= 0:
            reach = max(reach, e - tables.frees_it[e])
    return reach
