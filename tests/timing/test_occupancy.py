"""When ports and trunks are in use: by hand, and against the walk of the critical path."""

import numpy as np
import pytest

from emul import Link, Node, Site, Topology, Trunk, World
from emul.errors import ArgumentError
from emul.timing.critical import CONNECTION, PORT, RECEIVER, Walk
from emul.timing.occupancy import busiest_of, busy_intervals, leaves_out_rounds
from emul.topology.network import PORTS_PER_RANK

# Ports of 10 GB/s, a trunk of 1 GB/s and 1 ms; each message costs its sender 5 us.
PORT_LINK, TRUNK_LINK = Link(1e10, 0.0), Link(1e9, 1e-3, 5e-6)


def two_sites(ranks=1):
    sites = tuple(Site(name, (Node(1, PORT_LINK),) * ranks, PORT_LINK) for name in "ab")
    return Topology("two", sites, (Trunk(("a", "b"), TRUNK_LINK),))


def predicted(topology, collective="send_recv", nbytes=1_000_000, **keywords):
    world = World(topology, slicing=None)
    return world.predict(collective, nbytes // 4, dtype="float32", **keywords)


def test_one_transfer_takes_its_ports_and_its_trunk():
    timeline = predicted(two_sites()).timeline
    out, trunk = 2, timeline.network.trunk_link(0, 1)
    overhead, sending, on_the_trunk = 5_000_000, 100_000_000, 1_000_000_000
    assert busy_intervals(timeline, out).tolist() == [[0, overhead + sending]]
    assert busy_intervals(timeline, trunk).tolist() == [[overhead, overhead + on_the_trunk]]
    (into,) = busy_intervals(timeline, PORTS_PER_RANK + 3).tolist()
    assert into[1] - into[0] == sending
    assert into[1] <= timeline.total_ps


def test_ports_that_nothing_crosses_are_idle():
    timeline = predicted(two_sites()).timeline
    inside = busy_intervals(timeline, 0)
    assert inside.shape == (0, 2)
    assert inside.dtype == np.int64


@pytest.mark.parametrize("preset", ["three-campus", "one-campus"])
def test_intervals_are_those_of_the_transfers_that_cross_a_link(preset):
    world = World(preset)
    timeline = world.predict("all_reduce", 1 << 18, dtype="float32").timeline
    walk, network = Walk(timeline), timeline.network
    links = range(len(network.link_rate))
    expected = {link: [] for link in links}
    for transfer in range(len(timeline)):
        ends = walk._ends(transfer)
        route, hops = network.route(*ends), walk._hops(transfer)
        at = {PORT: route[:1], RECEIVER: route[-1:], CONNECTION: route[1:-1]}
        for hop in hops:
            for link in at[hop]:
                span = walk._taken_ps(transfer, hop), walk._freed_ps(transfer, hop)
                expected[link].append(span)
    for link in links:
        busy = busy_intervals(timeline, link)
        assert busy.tolist() == united(expected[link]), network.place(link)


def united(spans):
    """Return the union of spans the slow and plain way."""
    found = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1][1] = max(found[-1][1], end)
        else:
            found.append([begin, end])
    return found


def test_a_trunk_is_busy_for_as_long_as_its_bytes_need_at_least():
    timeline = predicted(two_sites(3), "all_reduce", algorithm="ring").timeline
    for a, b in ((0, 1), (1, 0)):
        busy = busy_intervals(timeline, timeline.network.trunk_link(a, b))
        needed_ps = int(timeline.trunk_bytes[a, b]) / 1e9 * 1e12
        assert needed_ps <= (busy[:, 1] - busy[:, 0]).sum() + len(timeline)
        assert busy[-1, 1] <= timeline.total_ps


def test_the_links_of_a_place_are_its_two_directions():
    timeline = predicted(two_sites(3), "broadcast", algorithm="direct", root=1).timeline
    network = timeline.network
    there, back = network.trunk_link(0, 1), network.trunk_link(1, 0)
    assert busiest_of(timeline, "trunk a -> b") == [there, back]
    assert busiest_of(timeline, "trunk b -> a") == [back, there]
    assert busiest_of(timeline, "NICs of a") == [PORTS_PER_RANK + 2, PORTS_PER_RANK + 3]
    assert busiest_of(timeline, "the hosts") == []


def test_a_timeline_without_all_of_its_rounds_is_refused():
    world = World("three-campus-300k")
    timeline = world.predict("all_reduce", 1 << 20, dtype="float32", collapse=True).timeline
    assert leaves_out_rounds(timeline)
    with pytest.raises(ArgumentError, match="equal rounds were left out"):
        busy_intervals(timeline, 2)
