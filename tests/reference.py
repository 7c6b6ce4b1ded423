"""Slow and plain: what the fast code is held against. Shares no code with it.

``simulate`` is an event simulation over dictionaries that looks through all pending events for
the next one. ``interpret`` follows contributions as multisets. ``expected_output`` knows nothing
of plans.
"""

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import numpy as np

from emul.plans import COLLECTIVES


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
    nbytes: int = 0
    reads: set = field(default_factory=set)  # transfers that wrote what this one sends
    follows: set = field(default_factory=set)  # transfers that wrote what it is reduced into
    starts: list = field(default_factory=list)
    head_ps: int = 0
    finish_ps: int = 0
    arrival_ps: int = -1
    done_ps: int = -1


def shares(count, parts):
    """How many of ``count`` things each part gets, when the first get the rest."""
    return [count // parts + (i < count % parts) for i in range(parts)]


def edges_of(partition, width):
    """Where chunks begin and end."""
    blocks = [*shares(width, partition.blocks), 0]
    found = []
    for edge in partition.edges.tolist():
        block, unit = divmod(edge, partition.units)
        found.append(sum(blocks[:block]) + blocks[block] * unit // partition.units)
    return found


def transfers_of(plan, width, itemsize):
    """The transfers of a plan with what each of them waits for."""
    edges = edges_of(plan.partition, width)
    found, last_writer = [], {}
    came = defaultdict(list)  # at each rank: the transfers of the last step that brought any
    for step in plan.steps():
        rows = zip(*(column.tolist() for column in columns_of(step)), strict=True)
        rows = [row for row in rows if edges[row[2] + row[4]] > edges[row[2]]]
        begun = len(found)
        writes = take_step(rows, found, last_writer, lambda a, b: (edges[b] - edges[a]) * itemsize)
        if plan.lockstep:
            keep_in_step(found[begun:], begun, came)
        last_writer.update(writes)
    return found


def columns_of(step):
    return step.src, step.dst, step.src_chunk, step.dst_chunk, step.nchunks, step.reduce


def take_step(rows, found, last_writer, nbytes_between):
    """Append the transfers of one step to ``found``; return who writes what."""
    previous, writes = None, {}
    for src, dst, first, into, n, reduce in rows:
        if previous != (src, dst):
            found.append(Transfer(src, dst))
            previous = (src, dst)
        transfer = found[-1]
        transfer.nbytes += nbytes_between(first, first + n)
        for i in range(n):
            if (src, first + i) in last_writer:
                transfer.reads.add(last_writer[src, first + i])
            if reduce and (dst, into + i) in last_writer:
                transfer.follows.add(last_writer[dst, into + i])
            writes[dst, into + i] = len(found) - 1
    return writes


def keep_in_step(transfers, begun, came):
    """Let each transfer wait for what came to its sender, and note what comes now."""
    comes = defaultdict(list)
    for number, transfer in enumerate(transfers, start=begun):
        transfer.reads.update(came[transfer.src])
        transfer.follows.update(comes[transfer.dst][-1:])
        comes[transfer.dst].append(number)
    came.update(comes)


def simulate(plan, width, itemsize, topology):
    """The transfers of ``plan`` with their times on ``topology``."""
    found = transfers_of(plan, width, itemsize)
    free = defaultdict(int)
    pending = {i: (0, "hop 0") for i, t in enumerate(found) if not t.reads}
    while pending:
        now, number = min((when, i) for i, (when, _) in pending.items())
        _, what = pending.pop(number)
        transfer = found[number]
        hops, latency, overhead = path(topology, transfer.src, transfer.dst)
        if what.startswith("hop") and hops:
            hop = int(what.split()[1])
            link, rate = hops[hop]
            start = max(now, free[link])
            head = start + overhead if hop == 0 else start
            free[link] = head + math.floor(transfer.nbytes * 1e12 / rate + 0.5)
            transfer.starts.append(start)
            transfer.finish_ps = max(transfer.finish_ps, free[link])
            last = hop + 1 == len(hops)
            pending[number] = (
                (transfer.finish_ps + latency, "arrive") if last else (head, f"hop {hop + 1}")
            )
        elif what.startswith("hop"):
            pending[number] = (now, "arrive")
        elif what == "arrive":
            transfer.arrival_ps = now
            if all(found[i].done_ps >= 0 for i in transfer.follows):
                pending[number] = (now, "done")
        else:
            transfer.done_ps = now
            _wake(found, number, now, pending)
    return found


def _wake(found, number, now, pending):
    """Let go whatever waited for transfer ``number``, done at ``now``."""
    for i, other in enumerate(found):
        ready = all(found[j].done_ps >= 0 for j in other.reads)
        if number in other.reads and ready:
            pending[i] = (now, "hop 0")
        arrived = other.arrival_ps >= 0 and other.done_ps < 0
        complete = all(found[j].done_ps >= 0 for j in other.follows)
        if number in other.follows and arrived and complete:
            pending[i] = (now, "done")


def blocks_of(plan):
    """The block each chunk lies in, counting the blocks of what is sent and received."""
    promise = COLLECTIVES[plan.collective]
    return plan.partition.block_of_chunk(promise.blocks(plan.world_size)).tolist()


def holds_at_first(plan, rank, block):
    n = plan.world_size
    return {
        "all_gather": block == rank,
        "gather": block == rank,
        "broadcast": rank == plan.root,
        "scatter": rank == plan.root,
        "all_to_all": block < n,
        "send_recv": block < 1,
    }.get(plan.collective, True)


def interpret(plan):
    """What each (rank, chunk) holds at the end: a Counter of (contributing rank, its chunk)."""
    held = defaultdict(Counter)
    for rank in range(plan.world_size):
        for chunk, block in enumerate(blocks_of(plan)):
            mine = holds_at_first(plan, rank, block)
            held[rank, chunk] = Counter([(rank, chunk)] if mine else [])
    for step in plan.steps():
        before = {place: contributions.copy() for place, contributions in held.items()}
        for row in range(len(step)):
            for i in range(step.nchunks[row]):
                sent = before[int(step.src[row]), int(step.src_chunk[row]) + i]
                place = int(step.dst[row]), int(step.dst_chunk[row]) + i
                held[place] = (before[place] + sent) if step.reduce[row] else sent.copy()
    return held


def must_hold(plan, rank, chunk, block, first):
    """What (rank, chunk) must hold at the end, or None where nothing is asked."""
    n, root, name = plan.world_size, plan.root, plan.collective
    everyone = Counter((each, chunk) for each in range(n))
    if name == "all_to_all":
        sent_as = first[rank] + chunk - first[block]
        return Counter([(block - n, sent_as)]) if block >= n else None
    if name == "send_recv":
        return Counter([((rank - root) % n, chunk - first[1])]) if block else None
    return {
        "all_reduce": everyone,
        "reduce": everyone if rank == root else None,
        "reduce_scatter": everyone if block == rank else None,
        "all_gather": Counter([(block, chunk)]),
        "gather": Counter([(block, chunk)]) if rank == root else None,
        "broadcast": Counter([(root, chunk)]),
        "scatter": Counter([(root, chunk)]) if block == rank else None,
    }[name]


def is_right(plan):
    """Whether ``interpret`` finds what the collective promises."""
    held, blocks = interpret(plan), blocks_of(plan)
    first = {block: blocks.index(block) for block in sorted(set(blocks), reverse=True)}
    for rank in range(plan.world_size):
        for chunk, block in enumerate(blocks):
            wanted = must_hold(plan, rank, chunk, block, first)
            if wanted is not None and held[rank, chunk] != wanted:
                return False
    return True


def expected_output(collective, x, root, n):
    """The output of a sum over whole numbers, by the definition of the collective."""
    if collective == "scatter":
        return x.reshape(n, -1)
    total = x.astype(np.int64).sum(axis=0)
    if collective == "all_to_all":
        return np.swapaxes(x.reshape(n, n, -1), 0, 1).reshape(n, -1)
    return {
        "all_reduce": lambda: np.tile(total, (n, 1)),
        "reduce": lambda: total,
        "reduce_scatter": lambda: total.reshape(n, -1),
        "all_gather": lambda: np.tile(x.reshape(-1), (n, 1)),
        "gather": lambda: x.reshape(-1),
        "broadcast": lambda: np.tile(x[root], (n, 1)),
        "send_recv": lambda: np.roll(x, root, axis=0),
    }[collective]()
