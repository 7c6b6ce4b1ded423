"""Each term of the lower bound, by hand; and what a run says that is below one."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from emul import Link, Node, Site, Topology, Trunk, World
from emul.cli.main import main
from emul.links import Changes, Diurnal, State, Transport
from emul.links.link import OtherTraffic
from emul.report import closing_words
from emul.timing import Slicing
from emul.topology.bound import lower_bound_ps
from emul.topology.connection_limit import SiteConnections

MB = 10**6
NIC = Link(1e9, 0.0)
SLOW = Link(1e9, 1e-2)
MS = 1e9  # picoseconds


def sites(ranks, trunk_of, nic=NIC, **limits):
    names = "abcd"[: len(ranks)]
    made = tuple(
        Site(name, (Node(1, nic),) * n, nic, **limits) for name, n in zip(names, ranks, strict=True)
    )
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    return Topology("by hand", made, tuple(Trunk(pair, trunk_of(*pair)) for pair in pairs))


def bound_ps(topology, collective, nbytes, root=0, **more):
    return lower_bound_ps(topology, collective, nbytes, root, 1, **more)


def test_overhead_and_latency_may_be_of_different_ways():
    # Into the root come 1 MB over a way with overhead and 1 MB over one with latency, both 1 ms.
    host, wire = Link(1e9, 0.0, 1e-3), Link(1e9, 1e-3, 0.0)
    topology = sites((1, 1, 1), lambda a, b: {"b": host, "c": wire}[b] if a == "a" else wire)
    assert bound_ps(topology, "gather", 3 * MB) == pytest.approx(2 * MS, abs=3)
    prediction = World(topology, slicing=None).predict(
        "gather", MB, dtype="uint8", algorithm="direct"
    )
    assert prediction.total_ps >= prediction.bound_ps


def test_where_all_ways_are_alike_the_bound_is_met():
    both = Link(1e9, 1e-3, 1e-3)
    prediction = World(sites((1, 1), lambda a, b: both), slicing=None).predict(
        "broadcast", MB, dtype="uint8", algorithm="direct"
    )
    assert prediction.total_ps == 3 * MS
    assert prediction.bound_ps == pytest.approx(3 * MS, abs=3)


@pytest.mark.parametrize("where", ["trunk", "uplink", "both"])
def test_a_bucket_counts_with_its_bytes_and_only_on_its_link(where):
    # 3 MB; the bucket holds 1 MB. The trunk has 100 MB/s, or the uplink, or both: then a bucket
    # of the trunk alone changes nothing.
    slow = Link(1e8, 0.0, others=OtherTraffic(burst_bytes=MB if where != "uplink" else 0.0))
    fast = Link(1e12, 0.0)
    uplink = {"trunk": math.inf, "uplink": 1e8, "both": 1e8}[where]
    burst = MB if where == "uplink" else 0.0
    topology = sites(
        (1, 1),
        lambda a, b: fast if where == "uplink" else slow,
        replace(NIC, rate_bytes_per_s=1e12),
        uplink_bytes_per_s=uplink,
        downlink_bytes_per_s=math.inf,
        uplink_burst_bytes=burst,
    )
    expected = 30 * MS if where == "both" else 20 * MS
    assert bound_ps(topology, "broadcast", 3 * MB) == pytest.approx(expected, abs=3)
    prediction = World(topology, slicing=None).predict(
        "broadcast", 3 * MB, dtype="uint8", algorithm="direct"
    )
    assert prediction.total_ps == pytest.approx(expected, rel=1e-9)


def test_a_bucket_of_the_uplink_is_held_to_a_slower_downlink():
    topology = sites((1, 1), lambda a, b: Link(1e10, 0.0), replace(NIC, rate_bytes_per_s=1e10))
    a, b = topology.sites
    a = replace(a, uplink_bytes_per_s=1e9, uplink_burst_bytes=1e9)
    topology = replace(topology, sites=(a, replace(b, downlink_bytes_per_s=1e8)))
    prediction = World(topology, slicing=None).predict(
        "broadcast", MB, dtype="uint8", algorithm="direct"
    )
    assert prediction.total_ps == 10 * MS
    assert prediction.bound_ps == pytest.approx(10 * MS, abs=3)


def test_a_shift_within_two_pairs_of_sites_does_not_wait_for_the_others():
    # 0 - 2 and 1 - 3 are near; what shifts by 2 never crosses from one pair to the other.
    near, far = Link(1e9, 1e-6), Link(1e9, 1.0)
    topology = sites((1, 1, 1, 1), lambda a, b: near if a + b in ("ac", "bd") else far)
    prediction = World(topology, slicing=None).predict("send_recv", 8, dtype="uint8", shift=2)
    assert prediction.bound_ps <= prediction.total_ps < 2e6
    across = World(topology, slicing=None).predict("send_recv", 8, dtype="uint8", shift=1)
    assert across.bound_ps > 1e12


@pytest.mark.parametrize("shift", [1, 2, 5, -1])
def test_a_shift_loads_a_cut_with_what_crosses_it(shift):
    # 3 ranks and 3; a shift by s takes min(s, 3, 6 - s) buffers across, at 1 MB/ms.
    topology = sites((3, 3), lambda a, b: Link(1e9, 0.0), replace(NIC, rate_bytes_per_s=1e12))
    crossing = {1: 1, 2: 2, 5: 1, -1: 1}[shift]
    assert bound_ps(topology, "send_recv", MB, shift) == pytest.approx(crossing * MS, abs=3)


def test_a_link_that_changes_counts_at_its_best():
    trace = (State(0.0, 0.5, 2e-3, loss=0.1), State(0.1, 0.25, 1e-3, loss=0.0))
    link = Link(1e9, 1e-2, transport=Transport(loss=1e-2, recovery="gbn", mtu_bytes=1000))
    topology = sites((1, 1), lambda a, b: link, replace(NIC, rate_bytes_per_s=1e12))
    (trunk,) = topology.trunks
    topology = replace(topology, trunks=(replace(trunk, changes=Changes(trace=trace)),))
    assert bound_ps(topology, "broadcast", MB) == pytest.approx(13 * MS, abs=3)  # 2 ms + 11 ms
    # In the second state nothing is lost: a connection has all of its quarter, 4 ms a MB.
    with_connection = bound_ps(topology, "broadcast", MB, connection=SiteConnections())
    assert with_connection == pytest.approx(15 * MS, abs=3)
    load = Changes(diurnal=Diurnal(0.5, 0.75))
    topology = replace(topology, trunks=(replace(trunk, changes=load),))
    assert bound_ps(topology, "broadcast", MB) == pytest.approx(12 * MS, abs=3)


@pytest.mark.parametrize(("number", "expected_ms"), [(1, 50), (2, 20), (4, 10)])
def test_slots_wait_for_one_round_trip_less_than_there_are(number, expected_ms):
    # 3 MB in slots of 1 MB, 20 ms of round trip: the third goes 40 ms after the first, and
    # arrives 10 ms later. Over two connections go one and a half each, over four less than one.
    topology = sites((1, 1), lambda a, b: replace(SLOW, rate_bytes_per_s=1e15), Link(1e15, 0.0))
    connection = SiteConnections(number, slots_bytes=MB)
    found = bound_ps(topology, "broadcast", 3 * MB, connection=connection)
    assert found == pytest.approx(expected_ms * MS, rel=1e-6)


def test_a_window_at_once_is_a_head_start():
    link = replace(SLOW, rate_bytes_per_s=1e15, transport=Transport(window_bytes=MB))
    topology = sites((1, 1), lambda a, b: link, Link(1e15, 0.0))
    as_rate = bound_ps(topology, "broadcast", 3 * MB, connection=SiteConnections())
    at_once = SiteConnections(window_at_once=True)
    assert as_rate == pytest.approx((60 + 10) * MS, rel=1e-6)
    assert bound_ps(topology, "broadcast", 3 * MB, connection=at_once) == pytest.approx(
        (40 + 10) * MS, rel=1e-6
    )


@pytest.mark.parametrize("stack", ["gloo", "openmpi"])
@pytest.mark.parametrize("windows", [0.5, 1.0, 2.5])
def test_windows_of_stacks_that_send_whole_messages_do_not_wait_for_the_first(stack, windows):
    link = replace(SLOW, transport=Transport(window_bytes=MB))
    world = World(sites((1, 1), lambda a, b: link), stack=stack)
    prediction = world.predict("broadcast", int(windows * MB), dtype="uint8")
    assert prediction.total_ps >= prediction.window_bound_ps >= prediction.bound_ps


def test_the_bound_with_windows_counts_the_connections_of_the_run():
    # The root sends to three ranks beyond at once, each over a connection of 1 MB per 20 ms.
    link = replace(SLOW, transport=Transport(window_bytes=MB))
    world = World(sites((1, 3), lambda a, b: link, Link(1e12, 0.0)), slicing=None)
    several = world.predict("scatter", 40 * MB, dtype="uint8", algorithm="direct")
    assert several.connections == 3
    assert several.bound_ps < several.window_bound_ps <= several.total_ps
    said = closing_words(world, several, several)
    assert any("with at most 3 connections of each rank between sites" in line for line in said)
    one = world.predict("broadcast", 40 * MB, dtype="uint8", algorithm="ring")
    assert one.connections == 1
    assert one.window_bound_ps <= one.total_ps
    said = closing_words(world, one, one)
    assert any("with one connection of each rank between sites" in line for line in said)


@pytest.mark.parametrize("slots", [1, 2, 8])
def test_the_bound_with_slots_holds_for_what_is_sent_in_slices(slots):
    world = World(sites((1, 1), lambda a, b: SLOW), slicing=Slicing(MB // 4, slots))
    for nbytes in (MB // 4 + 1, MB, 5 * MB):
        prediction = world.predict("broadcast", nbytes, dtype="uint8", algorithm="ring")
        assert prediction.window_bound_ps <= prediction.total_ps


def test_a_run_below_its_bound_is_called_a_defect(monkeypatch, tmp_path):
    # The bound is made too large; the run goes on, and says that one of the two is wrong.
    monkeypatch.setattr("emul.topology.bounded.lower_bound_ps", lambda *_, **__: 10**15)
    world = World(sites((1, 1), lambda a, b: SLOW))
    prediction = world.predict("all_reduce", 1000, algorithm="ring")
    assert prediction.below_bound
    assert "Defect of emul: ring takes" in closing_words(world, prediction, prediction)[0]
    run = world.all_reduce(np.ones((2, 8), np.float32), algorithm="ring")
    assert run.prediction.below_bound
    path = tmp_path / "out.json"
    arguments = ["perf", "-b", "1K", "-e", "2K", "--clock", "virtual", "--json", str(path)]
    result = CliRunner().invoke(main, [*arguments, "-n", "1", "-w", "0"])
    assert result.exit_code == 1
    assert "# Below the bound      : 2 of 2 sizes, a defect of emul" in result.stdout
    assert "below the bound of 1000 s that no algorithm can beat" in result.stdout
    assert [row["below_bound"] for row in json.loads(path.read_text())["rows"]] == [True, True]


def test_a_run_that_is_right_says_nothing_of_defects(tmp_path):
    path = tmp_path / "out.json"
    arguments = ["perf", "-b", "1K", "-e", "1K", "--clock", "virtual", "--json", str(path)]
    result = CliRunner().invoke(main, [*arguments, "-n", "1", "-w", "0"])
    assert (result.exit_code, "efect" in result.stdout) == (0, False)
    assert [row["below_bound"] for row in json.loads(path.read_text())["rows"]] == [False]
