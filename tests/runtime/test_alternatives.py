"""Times with one thing changed: of one transfer all of them are known by hand."""

import pytest

from emul import Link, Node, Site, Topology, Trunk, World
from emul.errors import CapacityError
from emul.links import EFFECTS
from emul.links.link import Jitter, OtherTraffic, Transport
from emul.plans import Shape, collective_named
from emul.runtime import alternatives as module
from emul.runtime.alternatives import LEFT_OUT, alternatives
from emul.runtime.request import Request

PORT = Link(1e12, 0.0)


def times_with(link, *, third=None, nbytes=4_000_000):
    """Return the time of a broadcast over ``link`` now, and with each change."""
    names = "ab" if third is None else "abc"
    sites = tuple(Site(name, (Node(1, PORT),), PORT) for name in names)
    trunks = [Trunk(("a", "b"), link)]
    if third is not None:
        trunks += [Trunk(("a", "c"), third), Trunk(("b", "c"), third)]
    world = World(Topology("some", sites, tuple(trunks)), slicing=None)
    shape = Shape.of(collective_named("broadcast"), world.size, nbytes // 4)
    request = Request(shape, 4, algorithm="direct")
    now = world.predict("broadcast", nbytes // 4, dtype="float32", algorithm="direct")
    found = alternatives(world.planner, request, now, collapse=False)
    return now.time_s, {each.change: each.prediction.time_s for each in found}


def test_rate_and_distance_of_a_plain_trunk():
    now, times = times_with(Link(1e9, 1e-3, 1e-4))
    assert now == pytest.approx(1e-4 + 4e-3 + 1e-3)
    assert times == {
        "2 times the rate of the trunk": pytest.approx(1e-4 + 2e-3 + 1e-3),
        "half the delay of the trunk": pytest.approx(1e-4 + 4e-3 + 5e-4),
        LEFT_OUT["latency"]: pytest.approx(1e-4 + 4e-3),
    }


def test_others_on_the_trunk_and_their_queue():
    others = OtherTraffic(load=0.75, queue_bytes=1e6)
    now, times = times_with(Link(4e9, 1e-3, others=others))
    assert now == pytest.approx(4e-3 + 1e-3 + 0.25e-3)
    assert times[LEFT_OUT["load"]] == pytest.approx(1e-3 + 1e-3 + 0.25e-3)
    assert times[LEFT_OUT["queue"]] == pytest.approx(4e-3 + 1e-3)


def test_streams_are_doubled_where_a_window_holds():
    window = Transport(window_bytes=1e6)  # 1 MB in each round trip of 2 ms
    now, times = times_with(Link(1e10, 1e-3, transport=window), nbytes=40_000_000)
    more = times["2 times the streams of each connection between sites"]
    assert now / more == pytest.approx(2, rel=0.05)
    assert times[LEFT_OUT["window"]] == pytest.approx(4e-3 + 1e-3)


def test_of_several_trunks_the_one_that_binds_is_named():
    slow, quick = Link(1e9, 1e-3), Link(1e10, 1e-3)
    now, times = times_with(slow, third=quick)
    assert now == pytest.approx(5e-3)
    assert times["2 times the rate between a and b"] == pytest.approx(3e-3)
    assert times["2 times the rate of each trunk"] == pytest.approx(3e-3)


def test_of_trunks_that_are_as_busy_as_the_one_that_binds_all_are_raised():
    """Alone, the one that binds brings a twentieth, and the third of the trunks has no need."""
    trunk, quick = Link(1e9, 1e-3), Link(1e11, 1e-3)
    site = {name: Site(name, (Node(1, PORT),), PORT) for name in "abc"}
    trunks = tuple(Trunk(tuple(p), k) for p, k in (("ab", trunk), ("bc", trunk), ("ac", quick)))
    world = World(Topology("ring", tuple(site.values()), trunks), slicing=None)
    now = world.predict("all_reduce", 3_000_000, algorithm="ring")
    request = Request(Shape.of(collective_named("all_reduce"), 3, 3_000_000), 4, algorithm="ring")
    found = alternatives(world.planner, request, now, collapse=False)
    times = {each.change: each.prediction.time_s for each in found}
    (alone,) = (each for each in times if each.startswith("2 times the rate") and "," not in each
                and "each" not in each)  # fmt: skip
    assert 0.9 * now.time_s < times[alone] < now.time_s
    both = times["2 times the rate between a and b, b and c"]
    assert both == pytest.approx(times["2 times the rate of each trunk"], rel=0.01)
    assert both < 0.6 * now.time_s


def test_effects_that_links_do_not_have_are_not_tried():
    jittery = Link(1e9, 1e-3, jitter=Jitter(1e-4, 2.0))
    assert LEFT_OUT["jitter"] in times_with(jittery)[1]
    assert LEFT_OUT["jitter"] not in times_with(Link(1e9, 1e-3))[1]
    assert set(LEFT_OUT) == set(EFFECTS)


def test_a_change_that_cannot_be_timed_says_why(monkeypatch):
    def refused(self, request, *, collapse):
        raise CapacityError("too much work")

    world = World("three-campus")
    now = world.predict("all_reduce", 64, dtype="float32", algorithm="ring")
    shape = Shape.of(collective_named("all_reduce"), world.size, 64)
    monkeypatch.setattr(module.Planner, "predict", refused)
    found = list(alternatives(world.planner, Request(shape, 4), now, collapse=False))
    assert len(found) == 10
    for each in found:
        assert (each.prediction, each.refusal) == (None, "too much work")
