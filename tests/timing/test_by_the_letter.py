"""The scheduler against tests/by_the_letter.py, written from the specification alone."""

import random

import numpy as np
import pytest
from by_the_letter import Play
from nightly import fewer
from reference import transfers_of
from strategies import CASES, program_of, width_for

from emul import Link, Node, Site, Topology, Trunk
from emul.plans import Partition, Plan, Step, Waits, build_plan
from emul.timing import Slicing, time_plan
from emul.topology import Network

RATES = (1e9, 2e9, 3e9, 12.5e9, 0.1e9, 1.7e9)
LATENCIES_S = (0.0, 1e-9, 7e-9, 1e-6, 5e-6, 1e-4)
OVERHEADS_S = (0.0, 0.0, 3e-9, 1e-6)


def drawn_topology(draw, fewest=1):
    """Up to four sites, unlike in everything."""

    def link():
        return Link(draw.choice(RATES), draw.choice(LATENCIES_S), draw.choice(OVERHEADS_S))

    names = [f"s{i}" for i in range(max(fewest, draw.choice((1, 2, 2, 3, 3, 4))))]
    sites = []
    for name in names:
        nodes = tuple(Node(draw.randint(1, 3), link()) for _ in range(draw.randint(1, 3)))
        sites.append(Site(name, nodes, link()))
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    return Topology("drawn", tuple(sites), tuple(Trunk(pair, link()) for pair in pairs))


def drawn_rows(draw, way, n_chunks, places):
    """The rows of a step, no two of which write the same."""
    rows, written = [], set()
    for _ in range(draw.randint(1, 6)):
        nchunks = draw.randint(1, n_chunks)
        src, dst, channel = way()
        first, into = (draw.randint(0, places - nchunks) for _ in range(2))
        target = {(dst, into + i) for i in range(nchunks)}
        if not target & written:
            written |= target
            rows.append((src, dst, first, into, nchunks, draw.random() < 0.5, channel))
    src, dst, first, into, nchunks, reduce, channel = (
        np.array(column, np.int32) for column in zip(*rows, strict=True)
    )
    return Step(src, dst, first, into, nchunks, reduce.astype(bool), channel)


def drawn_waits(draw, rows):
    pairs = [sorted(draw.choices(range(rows), k=2)) for _ in range(draw.randint(0, 4))]
    pairs = [pair for pair in pairs if pair[0] != pair[1]]
    earlier, later = np.array(pairs, np.int64).reshape(-1, 2).T
    kinds = [[draw.random() < 0.5 for _ in pairs] for _ in range(2)]
    return Waits(earlier, later, *(np.array(kind, dtype=bool) for kind in kinds))


def drawn_plan(draw, topology, alone):
    """A plan that computes nothing in particular; ``alone``, with one connection a trunk."""
    site = [s for s, nodes in enumerate(topology.ranks_by_node) for _ in range(sum(nodes))]
    chosen = {}

    def way():
        src, dst = (draw.randrange(len(site)) for _ in range(2))
        found = src, dst, draw.randint(0, 1)
        if alone and site[src] != site[dst]:
            return chosen.setdefault((site[src], site[dst]), found)
        return found

    n_chunks, apart, scratch = draw.randint(1, 4), draw.random() < 0.5, draw.randint(0, 2)
    places = n_chunks * (1 + apart) + scratch
    steps = [drawn_rows(draw, way, n_chunks, places) for _ in range(draw.randint(1, 6))]
    return Plan(
        "all_reduce",
        "drawn",
        len(site),
        0,
        Partition.uniform(n_chunks),
        lambda: iter(steps),
        order=draw.choice(("free", "free", "issue", "lockstep")),
        apart=apart,
        scratch=np.zeros((1, scratch), np.int32),
        waits=draw.choice((None, drawn_waits(draw, sum(map(len, steps))))),
    )


def both(draw, plan, topology, width):
    """The product's timeline of a plan, whole or in drawn slices, and the simulation."""
    slicing = draw.choice((None, *[Slicing(draw.randint(2, 24), slots) for slots in (1, 2, 3, 4)]))
    timeline = time_plan(program_of(plan, width, 4), Network.of(topology), slicing)
    return timeline, Play(transfers_of(plan, width, 4, slicing), topology, slicing)


def both_drawn(seed, alone):
    draw = random.Random(seed)
    topology = drawn_topology(draw, fewest=1 if alone else 2)
    plan = drawn_plan(draw, topology, alone)
    return both(draw, plan, topology, plan.partition.n_chunks * draw.randint(0, 12))


def both_real(seed, case):
    draw = random.Random(f"{'-'.join(case)} {seed}")
    topology = drawn_topology(draw)
    n = topology.world_size
    plan = build_plan(*case, tuple(site.ranks for site in topology.sites), root=n // 2)
    return both(draw, plan, topology, width_for(case[0], n, draw.randint(0, 24)))


def furthest(timeline, play):
    """Return the most picoseconds between the two, over all arrivals and ends."""
    pairs = ((timeline.arrival_ps, play.arrival_ps), (timeline.done_ps, play.done_ps))
    assert len(timeline.arrival_ps) == len(play.found)
    assert None not in play.done_ps
    return max(
        int(np.abs(theirs - np.array(ours, np.int64)).max(initial=0)) for theirs, ours in pairs
    )


def off(play):
    """The most that the two may differ by."""
    return play.clock.events if play.shared else 0


@pytest.mark.parametrize("hundred", range(fewer(10, 3)))
def test_plans_without_a_shared_trunk_are_timed_to_the_picosecond(hundred):
    for seed in range(100 * hundred, 100 * hundred + 100):
        timeline, play = both_drawn(seed, alone=True)
        assert not play.shared
        assert furthest(timeline, play) == 0, seed


@pytest.mark.parametrize("hundred", range(fewer(5, 2)))
def test_plans_with_shared_trunks_are_timed_to_a_picosecond_an_event(hundred):
    for seed in range(100 * hundred, 100 * hundred + 100):
        timeline, play = both_drawn(seed, alone=False)
        assert furthest(timeline, play) <= off(play), seed


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_real_plans_are_timed_by_the_letter(case):
    for seed in range(fewer(3, 1)):
        timeline, play = both_real(seed, case)
        assert furthest(timeline, play) <= off(play), seed
