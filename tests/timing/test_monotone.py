"""Time never falls when a latency or the bytes rise, nor rises when a rate does.

Exact wherever the plan fixes the order on every link, as a ring does. Where transfers meet on a
link in the order in which they come, as on any queue, a later comer can profit from a delay
elsewhere; ARCHITECTURE.md says how often.
"""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import topologies

from emul import World
from emul.plans import ring


def ring_ps(topology, collective, count):
    world = World(topology)
    return world.predict(collective, count, dtype="uint8", algorithm="ring").timeline.total_ps


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


ring_collectives = st.sampled_from(ring.COLLECTIVES)
any_link = st.tuples(st.sampled_from(["trunk", "site", "node"]), st.integers(0, 5))
counts = st.integers(0, 1000)


@settings(max_examples=150)
@given(topologies(), ring_collectives, counts, any_link, st.floats(1.1, 10))
def test_a_higher_rate_never_costs_time(topology, collective, count, which, factor):
    count *= topology.world_size
    faster = with_links(
        topology, lambda k: replace(k, rate_bytes_per_s=k.rate_bytes_per_s * factor), which
    )
    assert ring_ps(faster, collective, count) <= ring_ps(topology, collective, count)


@settings(max_examples=150)
@given(topologies(), ring_collectives, counts, any_link, st.floats(1e-9, 1e-2))
def test_a_longer_latency_never_saves_time(topology, collective, count, which, more_s):
    count *= topology.world_size
    farther = with_links(topology, lambda k: replace(k, latency_s=k.latency_s + more_s), which)
    assert ring_ps(farther, collective, count) >= ring_ps(topology, collective, count)


@settings(max_examples=150)
@given(topologies(), ring_collectives, counts, st.integers(1, 1000))
def test_more_bytes_never_take_less_time(topology, collective, count, more):
    unit = topology.world_size if collective == "reduce_scatter" else 1
    smaller = ring_ps(topology, collective, count * unit)
    assert smaller <= ring_ps(topology, collective, (count + more) * unit)
