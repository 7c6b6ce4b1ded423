"""Traces of timelines, read back: counts, sums, arrows, rates and nesting are the run's."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from every_link import drawn
from hypothesis import given
from nightly import examples
from strategies import cases, count_for, sites_of_one, topologies
from trace_files import integral, read_chrome, read_perfetto

from emul import CapacityError, Link, Node, Site, Slicing, Topology, Trunk, World
from emul.timing.traced.crossings import Crossings, Lines
from emul.timing.traced.rates import rates_in_use

PS, NS = 1e12, 1e9


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("traces")


def both(timeline, folder):
    """The trace of a timeline, written and read back, in both forms."""
    for name in ("a.json", "a.pftrace"):
        timeline.to_perfetto(folder / name)
    return read_chrome(folder / "a.json"), read_perfetto(folder / "a.pftrace")


def check(found, timeline, per_s):
    """A trace that was read says what the timeline says."""
    found.check_nesting()
    sent = timeline.src != timeline.dst
    sends = [each for each in found.slices if each.begins is not False and "src" in each.args]
    assert len(sends) == sent.sum()
    names, site_of = [site.name for site in timeline.network.topology.sites], timeline.network
    crossing = site_of.site_of[timeline.src] != site_of.site_of[timeline.dst]
    check_flows(found, timeline, crossing)
    carried, trunks = np.zeros_like(timeline.trunk_bytes), found.below("trunks")
    assert len(trunks) == crossing.sum()
    for each in trunks:
        a, b = (int(site_of.site_of[sends_of(timeline, each, k)]) for k in ("src", "dst"))
        assert f"{names[a]} -> {names[b]}" in " ".join(each.track)
        carried[a, b] += each.args["bytes"]
    assert (carried == timeline.trunk_bytes).all()
    check_rates(found, timeline, names, per_s)
    check_path(found, timeline)


def sends_of(timeline, each, end):
    return getattr(timeline, end)[each.args["transfer"]]


def check_flows(found, timeline, crossing):
    """Every transfer is an arrow from its sender's port to its receiver's, over its connection."""
    flows = list(found.flows.values())
    assert len(flows) == (timeline.src != timeline.dst).sum()
    for first, *between, last in flows:
        number = first.args["transfer"]
        assert {each.args["transfer"] for each in (*between, last)} <= {number}
        connected = timeline.on_link_ps[number, 1] >= 0
        assert len(between) == connected
        assert f"rank {timeline.src[number]} send" in " ".join(first.track)
        assert f"rank {timeline.dst[number]} receive" in " ".join(last.track)
        assert [each.args["start_ps"] for each in (first, *between, last)] == [
            ps for ps in timeline.on_link_ps[number].tolist() if ps >= 0
        ]
        assert all(each.track[0] == "trunks" for each in between) or not crossing[number]


def check_rates(found, timeline, names, per_s):
    lines = {
        f"{names[a]} -> {names[b]} rate in use": (a, b) for a, b in timeline.network.site_paths
    }
    told = {" ".join(track[1:]): counts for track, counts in found.counts.items()}
    for name, counts in told.items():
        a, b = lines[name]
        carried = timeline.trunk_bytes[a, b]
        link = timeline.network.site_paths[a, b].trunks[0].link
        # Moments of protobuf are rounded to nanoseconds.
        slack = 1e-9 * carried + len(counts) * 2 * max(each[1] for each in counts) / NS
        assert integral(counts, per_s) == pytest.approx(
            carried, rel=1e-9, abs=slack * (per_s == NS)
        )
        assert all(value >= 0 for _, value in counts)
        if (
            not link.others.burst_bytes
            and not timeline.network.site_paths[a, b].trunks[0].changes.any
        ):
            # A byte takes 80 ps or more here, and is rounded to a picosecond.
            assert max(value for _, value in counts) <= link.available_bytes_per_s * 1.01
    assert len(told) == (timeline.trunk_bytes > 0).sum()


def check_path(found, timeline):
    """The critical path is told without a gap from the start to the end."""
    path = found.on("critical path")
    ends = [0, *(each.args["end_ps"] for each in path)]
    assert [each.args["start_ps"] for each in path] == ends[:-1]
    assert ends[-1] == timeline.total_ps
    critical = {each.args["transfer"] for each in path if "transfer" in each.args}
    marked = {each.args["transfer"] for each in found.slices if each.args.get("critical")}
    sent = set(np.flatnonzero(timeline.src != timeline.dst).tolist())
    assert critical & sent <= marked <= sent


def same(chrome, perfetto):
    """Both forms have the same slices, marks and counts, under the same names."""

    def told(found):
        return Counter(
            (each.track[0], " ".join(each.track[1:]), each.name, json.dumps(each.args))
            for each in found.slices
        )

    def marks(found, unit):
        return [(" ".join(track[1:]), at // unit, *rest) for track, at, *rest in found.marks]

    assert told(chrome) == told(perfetto)
    assert marks(chrome, 1000) == marks(perfetto, 1)
    for exact, rounded in zip(chrome.slices, perfetto.slices, strict=True):
        assert (exact.start // 1000, exact.end // 1000) == (rounded.start, rounded.end)
        assert (exact.start, exact.end) == (exact.args["start_ps"], exact.args["end_ps"])
        assert exact.flow == rounded.flow
    assert [len(each) for each in chrome.counts.values()] == [
        len(each) for each in perfetto.counts.values()
    ]


@pytest.mark.parametrize("number", range(0, 600, 40))
def test_traces_say_what_timelines_over_every_kind_of_link_say(number, folder):
    # Waves, streams, windows, gaps, losses, jitter, queues, slow start, buckets, outages, uplinks.
    world, (collective, count, algorithm) = drawn(number)
    timeline = world.predict(collective, count, dtype="uint8", algorithm=algorithm).timeline
    chrome, perfetto = both(timeline, folder)
    check(chrome, timeline, PS)
    check(perfetto, timeline, NS)
    same(chrome, perfetto)


@examples(12)
@given(topologies(), cases)
def test_traces_say_what_timelines_of_every_algorithm_say(folder, topology, case):
    world = World(topology)
    count = count_for(case[0], world.size, 5)
    prediction = world.predict(case[0], count, algorithm=case[1])
    prediction.to_perfetto(folder / "b.json")
    check(read_chrome(folder / "b.json"), prediction.timeline, PS)


@pytest.mark.parametrize("number", range(0, 300, 20))
def test_links_are_held_until_the_next_in_the_queue_takes_them(number):
    world, (collective, count, algorithm) = drawn(number)
    timeline = world.predict(collective, count, dtype="uint8", algorithm=algorithm).timeline
    crossings = Crossings.of(Lines.of(timeline))
    network = timeline.network
    near = network.node_of[timeline.src] == network.node_of[timeline.dst]
    for hop in (0, 2):
        behind = timeline.behind[:, hop]
        waited = np.flatnonzero((behind >= 0) & (near | ~network.shares_ports))
        freed = crossings.until_ps[behind[waited], hop]
        assert (freed == timeline.on_link_ps[waited, hop]).all()
    sent = timeline.src != timeline.dst
    assert (crossings.until_ps[sent, 2] <= timeline.arrival_ps[sent]).all()
    assert (crossings.until_ps[sent] >= crossings.from_ps[sent]).all()


def ring_of_two(**link):
    return World(sites_of_one(lambda a, b: Link(1e9, 1e-3, **link), 2))


def test_facts_of_a_transfer_stand_beside_it(folder):
    # A ring of two: each rank sends the other's half to be reduced, then its own sum. 1000 bytes.
    world = ring_of_two()
    run = world.all_reduce(np.ones((2, 500), np.float32), algorithm="ring")
    run.timeline.to_perfetto(folder / "c.json")
    found = read_chrome(folder / "c.json")
    sends = sorted(found.on("rank 0 sends"), key=lambda each: each.start)
    assert [each.name for each in sends] == ["chunk 1 to rank 1", "chunk 0 to rank 1"]
    first, second = (each.args for each in sends)
    assert (first["step"], first["bytes"], first["src"], first["dst"]) == (0, 1000, 0, 1)
    assert "ready after" not in first
    arrival_ps = 10**9 + 10**6  # a millisecond, and 1000 bytes at 1 GB/s
    assert first["arrival_ps"] == first["done_ps"] == arrival_ps
    assert second["step"] == 1
    assert second["start_ps"] == arrival_ps
    assert second["ready after"] == "transfer 1 was done"  # that brought rank 0 the other half
    steps = [mark[1:] for mark in found.marks if mark[0] == ("collectives", "steps")]
    assert [(at, name) for at, name, _ in steps] == [(0, "step 0"), (arrival_ps, "step 1")]
    assert steps[1][2] == {"transfers": 2, "start_ps": arrival_ps, "done_ps": 2 * arrival_ps}
    counts = found.counts["trunks", "s0 -> s1 rate in use"]
    assert counts[0] == (0, pytest.approx(1e9))
    assert counts[1] == (10**6, 0)


def test_slices_say_whose_credit_and_which_queue_they_waited_for(folder):
    # One rank sends to two others: the second message waits for the sender's port.
    topology = sites_of_one(lambda a, b: Link(1e9, 1e-3), 3, nic=Link(1e9, 0.0))
    run = World(topology).scatter(np.ones(3 * 250, np.float32), algorithm="direct")
    run.timeline.to_perfetto(folder / "d.json")
    sends = read_chrome(folder / "d.json").on("rank 0 sends")
    assert [each.args.get("link waited for") for each in sends] == [None, "transfer 0"]
    # Credit for one slice on a connection: the next one starts when word of it is back.
    one_slot = World(topology, slicing=Slicing(1000, 1))
    one_slot.predict("send_recv", 500, algorithm="direct").to_perfetto(folder / "e.json")
    sends = read_chrome(folder / "e.json").on("rank 0 sends")
    assert [each.start for each in sends] == [0, 10**6 + 2 * 10**9]
    assert sends[1].args["ready after"] == "transfer 0 gave back its credit"


def test_a_hostile_name_of_a_site_is_text(folder):
    topology = sites_of_one(lambda a, b: Link(1e9, 1e-3), 2)
    first, second = topology.sites
    names = "<script>\"'\\", "\x1b[2J北京"
    sites = replace(first, name=names[0]), replace(second, name=names[1])
    trunk = replace(topology.trunks[0], sites=names)
    world = World(Topology("<b>", sites, (trunk,)))
    timeline = world.predict("all_reduce", 10).timeline
    chrome, perfetto = both(timeline, folder)
    check(chrome, timeline, PS)
    check(perfetto, timeline, NS)
    assert {f"site {name}" for name in names} <= {track[0] for track in perfetto.tracks}
    raw = (folder / "a.json").read_text()
    assert "\x1b" not in raw


def test_an_excerpt_says_for_how_many_each_transfer_stands(folder):
    world = World(alike(2, 64))
    found = world.predict("all_reduce", 64_000, algorithm="hierarchical", collapse=True)
    timeline = found.timeline
    assert timeline.sent > 10 * len(timeline)
    for trace in both(timeline, folder):
        sends = [each.args for each in trace.slices if "src" in each.args]
        assert sum(args.get("stands_for", 1) * args.get("rounds", 1) for args in sends) == (
            timeline.sent
        )
        assert "ranks shown stand for all others" in trace.facts
        assert {args.get("chunk") for args in sends} == {None}  # the same has many numbers
        check_path(trace, timeline)
    check_rates(read_chrome(folder / "a.json"), timeline, ["s0", "s1"], PS)


def test_a_trace_of_all_ranks_says_nothing_of_an_excerpt(folder):
    for trace in both(World(alike(2, 4)).predict("all_reduce", 64).timeline, folder):
        assert "stand for" not in trace.facts


def alike(sites, ranks):
    inside = Link(1e10, 1e-6)
    names = [f"s{i}" for i in range(sites)]
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    places = tuple(Site(name, (Node(ranks, inside),), inside) for name in names)
    return Topology("alike", places, tuple(Trunk(pair, Link(1e9, 1e-3)) for pair in pairs))


def test_too_many_transfers_are_refused_and_leave_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr("emul.timing.traced.builder.MOST_TRANSFERS", 3)
    timeline = World("three-campus").predict("all_reduce", 600).timeline
    with pytest.raises(CapacityError, match=r"a trace of \d+ transfers .*needed at most 3, of a"):
        timeline.to_perfetto(tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []


def rates(crossings, limit_bytes_per_s):
    """Moments and rates of crossings (from, until, bytes) in picoseconds, over 1 byte a ps."""
    columns = [np.array(column, np.int64) for column in zip(*crossings, strict=True)]
    moments, found = rates_in_use(
        *columns,
        np.ones(len(crossings), np.int64),
        line_bytes_per_s=1e12,
        limit_bytes_per_s=limit_bytes_per_s,
    )
    return moments.tolist(), (found / 1e12).tolist()


def test_rates_are_those_of_the_line_and_of_the_connections_that_share_it():
    # 1500 bytes from 0 on, 1500 from 1000 on, each at 0.75 bytes a ps at most and at half the line
    # together: 750 of the first alone, its other 750 in 1500 ps, then the other's last 750 in 1000.
    both_at_once = [(0, 2500, 1500), (1000, 3500, 1500)]
    assert rates(both_at_once, 0.75e12) == ([0, 1000, 2500, 3500], [0.75, 1.0, 0.75, 0.0])


def test_a_rate_is_the_mean_of_a_stretch_whose_bytes_the_line_does_not_explain():
    # The first one is held up by something else; the second one, after a pause, is not.
    assert rates([(0, 1000, 15), (500, 1500, 15)], 0.5e12) == (
        [0, 1500],
        pytest.approx([0.02, 0.0]),
    )
    told = rates([(0, 1000, 10), (2000, 3000, 1000)], 1e12)
    assert told == ([0, 1000, 2000, 3000], pytest.approx([0.01, 0.0, 1.0, 0.0]))


def test_a_trunk_on_which_nothing_takes_time_has_no_rate():
    assert rates([(5, 5, 0)], 1e12) == ([], [])
