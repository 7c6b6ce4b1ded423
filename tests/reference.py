"""Slow and plain: what the fast code is held against. Shares no code with it.

``simulate`` is an event simulation over dictionaries that looks through all pending events for
the next one. ``interpret`` follows contributions as multisets. ``expected_output`` knows nothing
of plans.
"""

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import numpy as np


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
    for step in plan.steps():
        previous = None
        for row in range(len(step)):
            src, dst = int(step.src[row]), int(step.dst[row])
            first, into, n = (
                int(column[row]) for column in (step.src_chunk, step.dst_chunk, step.nchunks)
            )
            elements = edges[first + n] - edges[first]
            if elements == 0:
                continue
            if previous != (src, dst):
                found.append(Transfer(src, dst))
                previous = (src, dst)
            number, transfer = len(found) - 1, found[-1]
            transfer.nbytes += elements * itemsize
            for i in range(n):
                if (src, first + i) in last_writer:
                    transfer.reads.add(last_writer[src, first + i])
                if step.reduce[row] and (dst, into + i) in last_writer:
                    transfer.follows.add(last_writer[dst, into + i])
                last_writer[dst, into + i] = number
    for number, transfer in enumerate(found):
        transfer.reads.discard(number)
        transfer.follows.discard(number)
    return found


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


def interpret(plan):
    """What each (rank, chunk) holds at the end: a Counter of contributing ranks."""
    n, blocks = plan.world_size, plan.partition.block_of_chunk(plan.world_size)
    held = defaultdict(Counter)
    for rank in range(n):
        for chunk, block in enumerate(blocks):
            mine = {
                "all_reduce": True,
                "reduce_scatter": True,
                "all_gather": block == rank,
                "broadcast": rank == plan.root,
            }[plan.collective]
            held[rank, chunk] = Counter([rank] if mine else [])
    for step in plan.steps():
        before = {place: contributions.copy() for place, contributions in held.items()}
        for row in range(len(step)):
            for i in range(step.nchunks[row]):
                sent = before[int(step.src[row]), int(step.src_chunk[row]) + i]
                place = int(step.dst[row]), int(step.dst_chunk[row]) + i
                held[place] = (before[place] + sent) if step.reduce[row] else sent.copy()
    return held


def is_right(plan):
    """Whether ``interpret`` finds what the collective promises."""
    n, blocks = plan.world_size, plan.partition.block_of_chunk(plan.world_size)
    everyone = Counter(range(n))
    for (rank, chunk), contributions in interpret(plan).items():
        wanted = {
            "all_reduce": everyone,
            "reduce_scatter": everyone if blocks[chunk] == rank else contributions,
            "all_gather": Counter([int(blocks[chunk])]),
            "broadcast": Counter([plan.root]),
        }[plan.collective]
        if contributions != wanted:
            return False
    return True


def expected_output(collective, x, root=0):
    """The output of a sum over whole numbers, by the definition of the collective."""
    n = len(x)
    total = x.astype(np.int64).sum(axis=0)
    if collective == "reduce_scatter":
        return total.reshape(n, -1)
    if collective == "all_gather":
        return np.tile(x.reshape(-1), (n, 1))
    return np.tile(x[root] if collective == "broadcast" else total, (n, 1))
