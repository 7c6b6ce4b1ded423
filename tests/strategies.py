"""What hypothesis draws: topologies, the sizes of sites, and plans that nobody would write."""

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from emul import Link, Node, Site, Topology, Trunk
from emul.links import Jitter, OtherTraffic, Transport
from emul.plans import (
    COLLECTIVES,
    Partition,
    Plan,
    Program,
    Shape,
    Step,
    Waits,
    algorithms_for,
)

ROOTED = ("broadcast", "reduce", "gather", "scatter", "send_recv")  # for the last, a shift
CASES = [(name, algorithm) for name in COLLECTIVES for algorithm in algorithms_for(name)]
cases = st.sampled_from(CASES)


def width_for(collective, n, blocks):
    """The width of a vector of about ``blocks`` elements that the collective can cut."""
    return blocks * n if COLLECTIVES[collective].in_blocks else blocks


def count_for(collective, n, blocks):
    """The same as the count of one rank's input."""
    return blocks * n if COLLECTIVES[collective].input_whole else blocks


def root_of(collective, root):
    """How ``predict`` is told of the root of a plan, which is how far send_recv sends."""
    return {"shift" if collective == "send_recv" else "root": root}


def program_of(plan, width, itemsize):
    """``plan`` for a vector of ``width`` elements."""
    return Program.of(plan, Shape(COLLECTIVES[plan.collective], plan.world_size, width), itemsize)


# Few and round values, so that events often fall on the same picosecond and ties are tested.
LATENCIES_S = (0.0, 1e-9, 1e-6, 5e-6, 1e-4)
OVERHEADS_S = (0.0, 0.0, 1e-6, 3e-6)
RATES = (1e9, 1e9, 2e9, 3e9, 12.5e9, 0.1e9)

links = st.builds(
    Link, st.sampled_from(RATES), st.sampled_from(LATENCIES_S), st.sampled_from(OVERHEADS_S)
)


@st.composite
def topologies(draw, max_sites=4, max_nodes=3, max_ranks=3):
    sites = []
    for s in range(draw(st.integers(1, max_sites))):
        node = st.builds(Node, st.integers(1, max_ranks), links)
        nodes = draw(st.lists(node, min_size=1, max_size=max_nodes))
        sites.append(Site(f"s{s}", tuple(nodes), draw(links)))
    names = [site.name for site in sites]
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    trunks = tuple(Trunk(pair, draw(links)) for pair in pairs)
    return Topology("drawn", tuple(sites), trunks)


def with_links(topology, change, which):
    """The topology with one of its links changed: a trunk, a site's or a node's."""
    kind, index = which
    if kind == "trunk" and topology.trunks:
        trunks = list(topology.trunks)
        index %= len(trunks)
        trunks[index] = replace(trunks[index], link=change(trunks[index].link))
        return replace(topology, trunks=tuple(trunks))
    sites = list(topology.sites)
    index %= len(sites)
    site = sites[index]
    if kind == "node":
        node = replace(site.nodes[0], link=change(site.nodes[0].link))
        sites[index] = replace(site, nodes=(node, *site.nodes[1:]))
    else:
        sites[index] = replace(site, link=change(site.link))
    return replace(topology, sites=tuple(sites))


@st.composite
def transports(draw):
    """Ways to send that a change can be made to: all have windows and streams."""
    recovery = draw(st.sampled_from(["none", "gbn", "sr", "reno", "cubic", "bbr"]))
    return Transport(
        window_bytes=draw(st.sampled_from([1000.0, 30_000.0, 4e6])),
        streams=draw(st.integers(1, 3)),
        gap_s=draw(st.sampled_from([0.0, 1e-6, 1e-4])),
        loss=0.0 if recovery == "none" else draw(st.sampled_from([0.0, 1e-4, 0.02])),
        recovery=recovery,
        rto_s=draw(st.sampled_from([0.0, 1e-3])),
        slow_start=recovery in ("reno", "cubic", "bbr") and draw(st.booleans()),
    )


@st.composite
def real_topologies(draw):
    """Topologies with windows, losses, jitter, load and queues on every link."""
    transport, jitter = draw(transports()), draw(st.sampled_from([Jitter(), Jitter(1e-5, 3.0)]))
    others = draw(st.sampled_from([OtherTraffic(), OtherTraffic(0.3, 2000.0)]))

    def furnish(link):
        return replace(link, transport=transport, jitter=jitter, others=others)

    topology = draw(topologies())
    for kind, number in (("trunk", len(topology.trunks)), ("site", len(topology.sites))):
        for index in range(number):
            topology = with_links(topology, furnish, (kind, index))
    return topology


ranks_per_site = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


@st.composite
def chaotic_plans(draw, world_size, max_steps=6):
    """Plans that keep the form but compute nothing in particular: copies and reductions of
    random chunks, several rows a step, several rows a transfer."""
    n_chunks, apart = draw(st.integers(1, 5)), draw(st.booleans())
    scratch = draw(st.integers(0, 2))
    places = n_chunks * (2 if apart else 1) + scratch
    steps = []
    for _ in range(draw(st.integers(1, max_steps))):
        rows, written = [], set()
        for _ in range(draw(st.integers(1, 6))):
            src, dst = (draw(st.integers(0, world_size - 1)) for _ in range(2))
            nchunks = draw(st.integers(1, n_chunks))
            first, into = (draw(st.integers(0, places - nchunks)) for _ in range(2))
            target = {(dst, into + i) for i in range(nchunks)}
            if target & written:
                continue  # no two rows of a step write the same
            written |= target
            reduce, channel = draw(st.booleans()), draw(st.integers(0, 1))
            rows.append((src, dst, first, into, nchunks, reduce, channel))
        if not rows:
            continue
        *columns, reduce, channel = zip(*rows, strict=True)
        numbers = [np.array(column, np.int32) for column in (*columns, channel)]
        steps.append(Step(*numbers[:5], np.array(reduce, bool), numbers[5]))
    return Plan(
        "all_reduce",
        "chaos",
        world_size,
        0,
        Partition.uniform(n_chunks),
        lambda: iter(steps),
        order=draw(st.sampled_from(["free", "issue", "lockstep"])),
        apart=apart,
        scratch=np.zeros((1, scratch), np.int32),
        waits=draw(st.none() | waits_between(sum(map(len, steps)))),
    )


@st.composite
def waits_between(draw, rows):
    """Any rows that wait for earlier ones, in any of the four ways."""
    pairs = st.lists(st.tuples(*[st.integers(0, max(0, rows - 1))] * 2), max_size=4)
    chosen = [(min(pair), max(pair)) for pair in draw(pairs) if pair[0] != pair[1]]
    kinds = [(draw(st.booleans()), draw(st.booleans())) for _ in chosen]
    columns = np.array(chosen, dtype=np.int64).reshape(-1, 2).T
    upon_issue, starts = np.array(kinds, dtype=bool).reshape(-1, 2).T
    return Waits(columns[0], columns[1], upon_issue, starts)


def link(gbit_per_s=100.0, latency_us=5.0, overhead_us=0.0):
    return Link(gbit_per_s * 1e9 / 8, latency_us * 1e-6, overhead_us * 1e-6)


def one_site(ranks, fabric, per_node=1):
    """All ranks at one site, ``per_node`` to a node."""
    nodes = tuple(Node(per_node, fabric) for _ in range(ranks // per_node))
    return Topology("one site", (Site("campus", nodes, fabric),))


def sites_of_one(trunk_of, n, nic=None):
    """One rank per site; ``trunk_of(a, b)`` gives the trunk between sites a < b."""
    nic = nic or Link(1e15, 0.0)
    sites = tuple(Site(f"s{i}", (Node(1, nic),), nic) for i in range(n))
    pairs = [(a, b) for a in range(n) for b in range(a + 1, n)]
    trunks = tuple(Trunk((f"s{a}", f"s{b}"), trunk_of(a, b)) for a, b in pairs)
    return Topology("one rank per site", sites, trunks)
