"""Slow and plain: what the fast code is held against. Shares no code with it.

``simulate`` is an event simulation over dictionaries that looks through all pending events for
the next one. A trunk that several connections use is shared evenly.
"""

import math
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import count, groupby, pairwise

from shared_ports import SharedPorts
from shared_trunk import SharedTrunk


@dataclass
class Place:
    site: int
    node: int


def places(topology):
    """Where each rank lives, in rank order."""
    found = []
    node_number = 0
    for s, site in enumerate(topology.sites):
        for node in site.nodes:
            found += [Place(s, node_number)] * node.ranks
            node_number += 1
    return found


def path(topology, src, dst):
    """The (link, rate) pairs, latency and overhead between two ranks; times in ps."""
    if src == dst:
        return [], 0, 0
    where = places(topology)
    a, b = where[src], where[dst]
    nodes = [node for site in topology.sites for node in site.nodes]
    if a.node == b.node:
        spec = nodes[a.node].link
        rate = spec.rate_bytes_per_s
        hops = [(("node out", src), rate), (("node in", dst), rate)]
    else:
        out = topology.sites[a.site].link
        into = topology.sites[b.site].link
        hops = [(("nic out", src), out.rate_bytes_per_s), (("nic in", dst), into.rate_bytes_per_s)]
        spec = out
        if a.site != b.site:
            names = {topology.sites[a.site].name, topology.sites[b.site].name}
            spec = next(t.link for t in topology.trunks if set(t.sites) == names)
            hops.insert(1, (("trunk", a.site, b.site), spec.rate_bytes_per_s))
    return hops, round(spec.latency_s * 1e12), round(spec.overhead_s * 1e12)


@dataclass
class Transfer:
    src: int
    dst: int
    channel: int
    message: int
    nbytes: int = 0
    begins: bool = True  # a message, whose overhead it pays
    rows: set = field(default_factory=set)
    starts_upon_done: set = field(default_factory=set)  # transfers it waits for, four ways
    starts_upon_issue: set = field(default_factory=set)
    done_upon_done: set = field(default_factory=set)
    done_upon_issue: set = field(default_factory=set)
    takes: int = 0  # of its connection's credit
    remainder: bool = False  # of what was handed over before it, so that it needs none
    starts: list = field(default_factory=list)
    issued_ps: int = -1
    sent_ps: int = 0  # when its last byte has left the sender's port and the trunk
    came_ps: int = 0  # when it is through the receiver's port
    legs: int = 1  # ways out that it has not left yet
    host_ps: int = 0  # what its sender's software takes before it
    completion_ps: int = 0  # and its receiver's, when it has come
    arrival_ps: int = -1
    done_ps: int = -1


def shares(count, parts):
    """How many of ``count`` things each part gets, when the first get the rest."""
    return [count // parts + (i < count % parts) for i in range(parts)]


def edges_of(partition, width):
    """Where the chunks of a vector begin and end."""
    blocks = [*shares(width, partition.blocks), 0]
    found = []
    for edge in partition.edges.tolist():
        block, unit = divmod(edge, partition.units)
        found.append(sum(blocks[:block]) + blocks[block] * unit // partition.units)
    return found


def lengths_of(plan, width):
    """The elements of each place of each rank, for a vector of ``width`` in equal blocks."""
    edges = edges_of(plan.partition, width)
    vector = [high - low for low, high in pairwise(edges)]
    found = []
    for rank in range(plan.world_size):
        scratch = plan.scratch[rank if len(plan.scratch) > 1 else 0].tolist()
        found.append(vector * (2 if plan.apart else 1) + [vector[like] for like in scratch])
    return found


def transfers_of(plan, width, itemsize, slicing=None):
    """The transfers of a plan, or their slices, with what each of them waits for."""
    lengths = lengths_of(plan, width)
    found, last_writer = [], {}
    came = defaultdict(list)  # at each rank: the transfers of the last step that brought any
    sent = {}  # by each rank: the last transfer
    steps, number = [], 0
    for step in plan.steps():
        steps.append(rows_of(step, lengths, number))
        number += len(step)
    nbytes = [n for rows in steps for n in message_bytes(rows, lengths, itemsize)]
    asked = slicing
    if slicing and not any(n > slicing.slice_bytes for n in nbytes):
        slicing = None
    for rows in steps:
        begun = len(found)
        writes = take_step(rows, found, last_writer, lengths, itemsize, slicing)
        if plan.order == "lockstep":
            keep_in_step(found[begun:], begun, came, sent)
        last_writer.update(writes)
    if plan.order == "issue":
        issue_in_order(found)
    if plan.waits:
        keep_waits(found, plan.waits)
    if asked:
        say_what_is_taken(found, asked.slice_bytes)
    return found


def rows_of(step, lengths, number):
    """The rows of a step that carry elements, as tuples that end with the row's number."""
    rows = zip(*(column.tolist() for column in columns_of(step)), count(number), strict=False)
    return [row for row in rows if sum(lengths[row[0]][row[2] : row[2] + row[4]])]


def connection(row):
    return row[0], row[1], row[6]


def message_bytes(rows, lengths, itemsize):
    for _, group in groupby(rows, key=connection):
        yield sum(sum(lengths[row[0]][row[2] : row[2] + row[4]]) for row in group) * itemsize


def issue_in_order(found):
    """Let each transfer start after the one that its rank sends before it on its channel."""
    last = {}
    for number, transfer in enumerate(found):
        lane = transfer.src, transfer.channel
        transfer.starts_upon_issue.update({last[lane]} if lane in last else ())
        last[lane] = number


def keep_waits(found, waits):
    """Hang the waits of a plan's rows on the transfers that carry them, slice for slice."""
    of_row = defaultdict(list)
    for number, transfer in enumerate(found):
        for row in transfer.rows:
            of_row[row].append(number)
    messages = {}
    for numbers in of_row.values():
        for number in numbers:
            messages.setdefault(found[number].message, set()).add(number)
    columns = (waits.earlier, waits.later, waits.upon_issue, waits.starts)
    for earlier, later, upon_issue, starts in zip(*(c.tolist() for c in columns), strict=True):
        if not of_row[earlier] or not of_row[later]:
            continue
        a, b = (found[of_row[row][0]].message for row in (earlier, later))
        if a == b:
            continue
        for number in messages[b]:
            kind = ("starts" if starts else "done") + (
                "_upon_issue" if upon_issue else "_upon_done"
            )
            getattr(found[number], kind).add(max(messages[a]))


def columns_of(step):
    return (
        step.src, step.dst, step.src_chunk, step.dst_chunk, step.nchunks, step.reduce, step.channel
    )  # fmt: skip


def take_step(rows, found, last_writer, lengths, itemsize, slicing):
    """Append the transfers of one step to ``found``; return who writes what."""
    writes = {}
    for (src, dst, channel), group in groupby(rows, key=connection):
        before, number, message = 0, None, len(found)
        for chunk, into, part, nbytes, reduce, row in pieces_of(group, lengths, itemsize, slicing):
            slice_number = before // slicing.slice_bytes if slicing else 0
            if slice_number != number:
                found.append(Transfer(src, dst, channel, message, begins=number is None))
                number = slice_number
            before += nbytes
            transfer = found[-1]
            transfer.nbytes += nbytes
            transfer.rows.add(row)
            if (src, chunk, part) in last_writer:
                transfer.starts_upon_done.add(last_writer[src, chunk, part])
            if reduce and (dst, into, part) in last_writer:
                transfer.done_upon_done.add(last_writer[dst, into, part])
            writes[dst, into, part] = len(found) - 1
    return writes


def pieces_of(rows, lengths, itemsize, slicing):
    """Chunk sent, chunk written, slice, bytes, whether reduced and row, of every slice."""
    for src, _, first, into, n, reduce, _, row in rows:
        for i in range(n):
            nbytes = lengths[src][first + i] * itemsize
            size = slicing.slice_bytes if slicing else max(1, nbytes)
            parts = range(0, nbytes, size) if slicing else [0]
            for part, low in enumerate(parts):
                yield first + i, into + i, part, min(size, nbytes - low), reduce, row


def keep_in_step(transfers, begun, came, sent):
    """Let each transfer wait for what came to its sender and for what that sent before it."""
    comes = defaultdict(list)
    for number, transfer in enumerate(transfers, start=begun):
        transfer.starts_upon_done.update(came[transfer.src])
        transfer.starts_upon_issue.update({sent[transfer.src]} if transfer.src in sent else ())
        sent[transfer.src] = number
        transfer.done_upon_done.update(comes[transfer.dst][-1:])
        comes[transfer.dst].append(number)
    came.update(comes)


HOPS, LEAVE, ARRIVE, DONE, FREED = (0, 1, 2), 3, 4, 5, 6

PORTS = "ports"
"""The name of all NICs together, where messages share them."""


def say_what_is_taken(found, slice_bytes):
    """Say what each takes of its credit, and of the last slice of each message if it is short."""
    ends = [*(transfer.message for transfer in found[1:]), -1]
    for transfer, after in zip(found, ends, strict=False):
        short = 2 * transfer.nbytes < slice_bytes and not transfer.begins
        transfer.remainder = short and after != transfer.message
        transfer.takes = 0 if transfer.src == transfer.dst else transfer.nbytes


class Busy(defaultdict):
    """When each link is free again, and when the last transfer of each connection arrived."""

    def __init__(self):
        super().__init__(int)
        self.arrived = defaultdict(int)


class Credit:
    """What the connections have left of ``most`` bytes each, and who waits for it; 0: no limit."""

    def __init__(self, most):
        self.left, self.queue, self.granted = defaultdict(lambda: most), defaultdict(list), set()
        self.latest, self.most = {}, most

    def has(self, transfer, number, connection):
        """Whether a transfer that asks may go; else it waits behind those before it."""
        if self.most == 0 or transfer.src == transfer.dst or number in self.granted:
            return True
        queue = self.queue[connection]
        queue.append((number, transfer))
        return len(queue) == 1 and number in self.hand_over(connection)

    def give_back(self, transfer, connection):
        """Those of its queue that may go, now that this one's credit is back."""
        self.left[connection] += transfer.takes
        return self.hand_over(connection)

    def hand_over(self, connection):
        """Hand over the first ones of a queue: those of which half fits, and their remainders.

        A transfer is numbered within what it is part of: (that, number).
        """
        queue, handed = self.queue[connection], []
        while queue:
            number, transfer = queue[0]
            whole, i = number
            goes_along = transfer.remainder and self.latest.get(connection) == (whole, i - 1)
            if 2 * self.left[connection] < transfer.takes and not goes_along:
                break
            queue.pop(0)
            self.left[connection] -= transfer.takes
            self.latest[connection] = number
            handed.append(number)
        self.granted.update(handed)
        return handed


def connection_of(transfer):
    return transfer.src, transfer.dst, transfer.channel


def shared_trunks(found, topology):
    """The trunks, by the numbers of two sites, that more than one connection uses."""
    where, users = places(topology), defaultdict(set)
    for t in found:
        if where[t.src].site != where[t.dst].site:
            users[where[t.src].site, where[t.dst].site].add((t.src, t.dst, t.channel))
    rates = {
        ends: path(topology, *min(using)[:2])[0][1][1]
        for ends, using in users.items()
        if len(using) > 1
    }
    return {ends: SharedTrunk(rates[ends]) for ends in sorted(rates)}


def shared_ports(topology):
    """All NICs and trunks together."""
    return {PORTS: SharedPorts(lambda src, dst: path(topology, src, dst)[0])}


def simulate(plan, width, itemsize, topology, slicing=None):
    """The transfers of ``plan`` with their times on ``topology``."""
    credit = slicing.slots * slicing.slice_bytes if slicing else 0
    found = transfers_of(plan, width, itemsize, slicing)
    return simulate_transfers(found, topology, credit_bytes=credit)


def simulate_transfers(found, topology, call_ps=0, credit_bytes=0, *, shares_ports=False):
    """The transfers ``found`` with their times; nothing starts before ``call_ps``."""
    free, credit = Busy(), Credit(credit_bytes)
    shared = shared_ports(topology) if shares_ports else shared_trunks(found, topology)
    pending = {(call_ps, i, 0) for i, t in enumerate(found) if may_start(found, t)}
    while pending or any(trunk.until for trunk in shared.values()):
        leaving = [(*trunk.due(), ends) for ends, trunk in shared.items() if trunk.until]
        first = min(leaving, key=lambda each: (each[0], each[2]), default=None)
        # What leaves a shared trunk goes first; then by time, place in the plan, kind.
        if first and (not pending or first[0] <= min(pending)[0]):
            pending |= set(left_trunk(found, first, shared[first[2]], topology))
            continue
        event = min(pending)
        pending.remove(event)
        now, number, kind = event
        if kind == 0 and not credit.has(found[number], (0, number), connection_of(found[number])):
            continue
        if kind == 0:
            found[number].issued_ps = now
            pending |= set(woken(found, number, now, "_upon_issue"))
        if kind in HOPS:
            pending |= set(cross(found[number], number, kind, now, free, topology, shared))
        elif kind == LEAVE:
            found[number].sent_ps = max(found[number].sent_ps, now)
            pending |= set(leg_ends(found[number], number, topology, free))
        elif kind == ARRIVE:
            found[number].arrival_ps = now
            pending |= set(arrived(found, number, now, topology))
        elif kind == DONE:
            found[number].done_ps = now
            pending |= set(woken(found, number, now, "_upon_done"))
        else:
            freed = credit.give_back(found[number], connection_of(found[number]))
            pending |= {(now, each, 0) for _, each in freed}
    return found


def left_trunk(found, leaving, trunk, topology):
    """What follows when a transfer has left a shared trunk: another one begins."""
    now, connection, _ = leaving
    number, after = trunk.leave(now, connection)
    yield now, number, LEAVE
    if after is not None:
        found[after].starts.append(now)
        _, latency, _ = path(topology, found[after].src, found[after].dst)
        yield now + latency, after, HOPS[-1]


def leg_ends(transfer, number, topology, free):
    """Its arrival, once it has left both a shared trunk and the receiver's port.

    Between sites, nothing arrives before what was sent before on its connection.
    """
    transfer.legs -= 1
    if transfer.legs == 0:
        hops, latency, _ = path(topology, transfer.src, transfer.dst)
        there = max(transfer.sent_ps + latency, transfer.came_ps)
        arrival = there + transfer.completion_ps
        if len(hops) == 3:
            connection = transfer.src, transfer.dst, transfer.channel
            arrival = free.arrived[connection] = max(arrival, free.arrived[connection])
        yield arrival, number, ARRIVE


def cross(transfer, number, hop, now, free, topology, shared):
    """Put a transfer on a link of its way; yield its next event, if it is known.

    A head is under way to the receiver's port for the latency, and only then takes that.
    """
    hops, latency, overhead = path(topology, transfer.src, transfer.dst)
    if not hops:
        yield now, number, ARRIVE
        return
    link, rate = hops[min(hop, len(hops) - 1)]
    trunk = shared.get(hops[1][0][1:]) if len(hops) == 3 else None
    at_nics = PORTS in shared and hops[0][0][0] == "nic out"
    if at_nics:
        trunk, rate = shared[PORTS], math.inf
    if trunk and hop == 1:
        transfer.legs = 2
        connection = transfer.src, transfer.dst, transfer.channel
        if trunk.enter(now, number, connection, transfer.nbytes):
            transfer.starts.append(now)
            yield now + latency, number, HOPS[-1]
        return
    start = max(now, free[link])
    head = start + overhead if hop == 0 and transfer.begins else start
    head += transfer.host_ps if hop == 0 else 0
    free[link] = head + math.floor(transfer.nbytes * 1e12 / rate + 0.5)
    transfer.starts.append(start)
    if hop == HOPS[-1]:
        transfer.came_ps = free[link]
        yield from leg_ends(transfer, number, topology, free)
        return
    transfer.sent_ps = max(transfer.sent_ps, free[link])
    if hop == 0 and (at_nics or len(hops) == 3):
        yield head, number, 1
    else:
        yield head + latency, number, HOPS[-1]


def may_start(found, transfer):
    issued = all(found[i].issued_ps >= 0 for i in transfer.starts_upon_issue)
    return issued and all(found[i].done_ps >= 0 for i in transfer.starts_upon_done)


def may_be_done(found, transfer):
    issued = all(found[i].issued_ps >= 0 for i in transfer.done_upon_issue)
    return issued and all(found[i].done_ps >= 0 for i in transfer.done_upon_done)


def arrived(found, number, now, topology):
    transfer = found[number]
    if may_be_done(found, transfer):
        yield now, number, DONE
    if transfer.src != transfer.dst:
        _, latency, _ = path(topology, transfer.dst, transfer.src)
        yield now + latency, number, FREED


def woken(found, number, now, upon):
    """What transfer ``number``, issued or done at ``now``, lets go."""
    for i, other in enumerate(found):
        if number in getattr(other, "starts" + upon) and may_start(found, other):
            yield now, i, 0
        waiting = other.arrival_ps >= 0 and other.done_ps < 0
        if number in getattr(other, "done" + upon) and waiting and may_be_done(found, other):
            yield now, i, DONE
