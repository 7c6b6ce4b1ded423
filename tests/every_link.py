"""Random topologies with every kind of link, and random calls over them, by number."""

import random

from strategies import CASES, count_for

from emul import Link, Node, Site, Slicing, Topology, Trunk, World
from emul.links import Changes, Jitter, OtherTraffic, Outages, State, Transport
from emul.stacks.profile import load_stack

HIERARCHIES = (
    "hierarchical:node=direct,site=direct,trunk=halving_doubling,pieces=4",
    "hierarchical:node=ring,site=ring,trunk=recursive_doubling,pieces=3",
    "hierarchical:pieces=2",
)
STACKS = ("ideal", "ideal", "ideal", "nccl", "gloo", "openmpi")
RATES = (1e8, 1e9, 1e9, 3e9, 12.5e9)
LATENCIES_S = (0.0, 1e-9, 1e-6, 5e-6, 1.03e-4)


def often(draw, part, value, otherwise):
    """``value`` in so large a part of the cases."""
    return value if draw.random() < part else otherwise


def transport(draw):
    recovery = draw.choice(("none", "gbn", "sr", "reno", "cubic", "bbr"))
    return Transport(
        window_bytes=draw.choice((0.0, 700.0, 30_000.0)),
        streams=draw.choice((1, 1, 2, 3, 7)),
        chunk_bytes=draw.choice((0.0, 512.0)),
        turnaround_s=draw.choice((0.0, 3e-6)),
        gap_s=draw.choice((0.0, 0.0, 2e-6, 5e-5)),
        loss=0.0 if recovery == "none" else draw.choice((0.0, 1e-4, 0.02)),
        recovery=recovery,
        mtu_bytes=draw.choice((64.0, 4096.0)),
        rto_s=draw.choice((0.0, 1e-5, 1e-3)),
        retries=1000,
        slow_start=recovery in ("reno", "cubic", "bbr") and draw.random() < 0.5,
        initial_window_bytes=draw.choice((100.0, 14_480.0)),
    )


def others(draw):
    return OtherTraffic(
        load=draw.choice((0.0, 0.3)),
        queue_bytes=draw.choice((0.0, 2000.0)),
        buffer_bytes=draw.choice((float("inf"), 1000.0, 50_000.0)),
        lossless=draw.random() < 0.3,
        burst_bytes=draw.choice((0.0, 0.0, 500.0, 1e5)),
    )


def link(draw):
    return Link(
        draw.choice(RATES),
        draw.choice(LATENCIES_S),
        draw.choice((0.0, 0.0, 1.3e-6)),
        transport=often(draw, 0.6, transport(draw), Transport()),
        jitter=often(draw, 0.3, Jitter(4e-6, 3.0), Jitter()),
        others=often(draw, 0.4, others(draw), OtherTraffic()),
        waves=draw.choice((1, 1, 2, 4)),
    )


def changes(draw):
    """A trace, outages, both, or mostly none; all within what a call takes."""
    unit_s = draw.choice((3e-6, 1e-4, 2e-3))
    trace = (
        State(0.0),
        State(unit_s, draw.choice((0.25, 2.0)), draw.choice((0.0, 1e-6)), draw.choice((None, 0.0))),
        State(3 * unit_s, 0.5),
    )
    outages = Outages(schedule=((0.7 * unit_s, unit_s), (5 * unit_s, 0.5 * unit_s)))
    return Changes(
        trace=often(draw, 0.3, trace, ()),
        repeat_s=draw.choice((0.0, 0.05)),
        outages=often(draw, 0.3, outages, None),
    )


def site(draw, name):
    nodes = [Node(draw.randint(1, 2), link(draw)) for _ in range(draw.randint(1, 2))]
    limits = float("inf"), 1e8, 2e9
    return Site(
        name,
        tuple(nodes),
        link(draw),
        draw.choice(limits),
        draw.choice(limits),
        draw.choice((0.0, 0.0, 3000.0)),
    )


def topology(draw):
    """Up to three sites of up to four ranks."""
    sites = [site(draw, f"s{s}") for s in range(draw.choice((1, 2, 2, 3, 3)))]
    pairs = [(a.name, b.name) for i, a in enumerate(sites) for b in sites[i + 1 :]]
    trunks = tuple(Trunk(pair, link(draw), changes=changes(draw)) for pair in pairs)
    return Topology("every link", tuple(sites), trunks)


def world(draw):
    """A World over such a topology, with slices or whole messages, as some library sends them."""
    return World(
        topology(draw),
        slicing=draw.choice((None, Slicing(512, 2), Slicing(2048, 8))),
        seed=draw.randrange(5),
        stack=load_stack(draw.choice(STACKS)),
    )


def call(draw, where):
    """The collective, count and algorithm of a call over ``where``."""
    collective, algorithm = draw.choice(CASES)
    if collective == "all_reduce" and draw.random() < 0.5:
        algorithm = draw.choice(HIERARCHIES)
    count = count_for(collective, where.size, draw.choice((1, 5, 300, 2000, 9000)))
    return collective, count, algorithm


def drawn(number):
    """A World and a call over it, by number."""
    draw = random.Random(number)
    where = world(draw)
    return where, call(draw, where)
