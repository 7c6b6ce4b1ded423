"""Shared trunks with token buckets against a slow simulation in exact fractions."""

import math
import random
from fractions import Fraction

import numpy as np
import pytest
from bucket_simulation import Bucketed, Stream, simulate
from nightly import fewer
from strategies import program_of

from emul import Link, Node, Site, Topology, Trunk
from emul.links import OtherTraffic, Transport
from emul.links.limits import usual_limit
from emul.plans import Partition, Plan, Step
from emul.timing import time_plan
from emul.topology import Network

RATES = (5e7, 1e8, 3e8, 1e9)
BURSTS = (0.0, 0.0, 100.0, 1e4, 3e5)


def drawn_link(draw):
    """A trunk; where a wave has a bucket, a connection has one stream, which may fill the wave.

    Of several streams on several waves, each is held to its part of the trunk, which may be less
    than what flows into the bucket of its wave: there tokens would come and go without end.
    """
    waves, burst = draw.choice((1, 1, 2)), draw.choice(BURSTS)
    streams = draw.choice((1, 3)) if waves == 1 or not burst else 1
    transport = Transport(window_bytes=draw.choice((0.0, 0.0, 4e3)), streams=streams)
    return Link(
        draw.choice(RATES),
        draw.choice((0.0, 1e-5, 1e-3)),
        draw.choice((0.0, 2e-6)),
        transport=transport,
        others=OtherTraffic(burst_bytes=burst),
        waves=waves,
    )


def drawn_topology(draw):
    sites = []
    for name in "abc"[: draw.choice((2, 3))]:
        nic = Link(draw.choice((4e8, 1e10, 1e12)), 0.0)
        nodes = (Node(1, nic),) * draw.randint(1, 3)
        limits = draw.choice((math.inf, *RATES)), draw.choice((math.inf, *RATES))
        sites.append(Site(name, nodes, nic, *limits, draw.choice(BURSTS)))
    pairs = [(a.name, b.name) for i, a in enumerate(sites) for b in sites[i + 1 :]]
    trunks = tuple(Trunk(pair, drawn_link(draw)) for pair in pairs)
    return Topology("buckets", tuple(sites), trunks)


def drawn_messages(draw, network):
    """Who sends how much to whom, at another site; unlike sizes, so that few end at once."""
    messages = []
    for _ in range(draw.randint(1, 7)):
        src = draw.randrange(network.world_size)
        others = np.flatnonzero(network.site_of != network.site_of[src]).tolist()
        nbytes = draw.choice((1, 500, 40_000, 1_000_000)) + draw.randrange(97)
        messages.append((src, draw.choice(others), nbytes))
    return messages


def timeline_of(network, messages):
    edges = np.cumsum([0, *(nbytes for _, _, nbytes in messages)])
    steps = [Step.of(a, b, i, reduce=False) for i, (a, b, _) in enumerate(messages)]
    partition = Partition(1, int(edges[-1]), edges)
    plan = Plan("all_reduce", "by hand", network.world_size, 0, partition, lambda: iter(steps))
    return time_plan(program_of(plan, int(edges[-1]), 1), network, seed=3)


def uplinks_of(network):
    """The uplinks out of sites and into them that are limited."""
    found = {}
    for s, site in enumerate(network.topology.sites):
        if site.uplink_bytes_per_s < math.inf:
            burst = Fraction(site.uplink_burst_bytes)
            found["out", s] = Bucketed(Fraction(site.uplink_bytes_per_s), burst)
        if site.into_bytes_per_s < math.inf:
            found["in", s] = Bucketed(Fraction(site.into_bytes_per_s))
    return found


def heads_of(network, messages):
    """When the head of each message leaves its port, which takes one after the other."""
    free, heads = {}, []
    for src, dst, nbytes in messages:
        head = free.get(src, 0) + network.overhead_ps(src, dst)
        site = network.topology.sites[network.site_of[src]]
        free[src] = head + math.floor(nbytes * 1e12 / site.link.rate_bytes_per_s + 0.5)
        heads.append(head)
    return heads


def streams_of(network, messages, links, table):
    """The streams of all connections, with their parts; ``links`` gets the waves they are on."""
    found, heads = {}, heads_of(network, messages)
    for number, (src, dst, nbytes) in enumerate(messages):
        link = network.links[network.path(src, dst)]
        several = link.transport.streams if link.waves > 1 else 1
        for k in range(several):
            if (src, dst, k) not in found:
                first = int(table.first_stream[table.connection[number]])
                # On which wave a stream is, the seed says.
                wave = int(table.classes.of_stream[first + k]) if link.waves > 1 else 0
                name = (src, dst, k), (network.path(src, dst), wave)
                found[src, dst, k] = stream_of(network, *name, links, several)
            part = nbytes // several + (k < nbytes % several)
            found[src, dst, k].parts.append((number, heads[number], part))
    return list(found.values())


def stream_of(network, key, wave, links, several):
    a, b = (int(network.site_of[rank]) for rank in key[:2])
    link = network.site_paths[a, b].trunks[0].link
    cap = usual_limit(link).bytes_per_s
    burst = Fraction(link.others.burst_bytes) / link.waves
    links.setdefault(wave, Bucketed(Fraction(link.rate_bytes_per_s) / link.waves, burst))
    uplinks = tuple(name for name in (("out", a), ("in", b)) if name in links)
    # What a window leaves of the sender's port: W over a round trip, for each stream.
    transport, with_tokens = link.transport, network.topology.sites[a].link.rate_bytes_per_s
    if transport.window_bytes and link.rtt_s:
        by_window = transport.streams * transport.window_bytes / link.rtt_s
        with_tokens = min(with_tokens, by_window)
    return Stream(
        wave=wave,
        uplinks=uplinks,
        cap=None if math.isinf(cap) else Fraction(cap) / several,
        with_tokens=Fraction(with_tokens) / several,
        path_bytes=min(links[name].rate for name in (wave, *uplinks)) * Fraction(link.rtt_s),
    )


@pytest.mark.parametrize("seed", range(fewer(10, 4)))
def test_shared_trunks_with_buckets_are_as_simulated(seed):
    for number in range(40):
        draw = random.Random(1000 * seed + number)
        network = Network.of(drawn_topology(draw))
        messages = drawn_messages(draw, network)
        timeline, links = timeline_of(network, messages), uplinks_of(network)
        streams = streams_of(network, messages, links, timeline.connection_table)
        left_ps, events = simulate(streams, links)
        for message, exact_ps in left_ps.items():
            assert abs(int(timeline.left_ps[message]) - exact_ps) <= events, (number, message)
