"""Very many ranks whose elements do not come out even: shares as long as the longest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emul import World
from emul.links import Link
from emul.report import closing_words
from emul.runtime import planner as planning
from emul.topology import Node, Site, Topology, Trunk

NEAR, FAR = Link(1e9, 1e-6, overhead_s=2e-6), Link(4e9, 1e-4)


def world_of(sites, per_site):
    places = tuple(Site(f"s{i}", (Node(1, NEAR),) * per_site, NEAR) for i in range(sites))
    pairs = [(f"s{i}", f"s{j}") for i in range(sites) for j in range(i + 1, sites)]
    return World(Topology("alike", places, tuple(Trunk(pair, FAR) for pair in pairs)))


@pytest.fixture(scope="module", autouse=True)
def few_are_many():
    """Let twelve ranks be too many to be timed each, where that is asked for."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(planning, "MOST_RANKS_IN_FULL", 5)
        yield


@given(
    sites=st.sampled_from([2, 3]),
    per_site=st.sampled_from([3, 4, 7]),
    width=st.integers(1, 5000),
    collective=st.sampled_from(["all_reduce", "reduce_scatter", "all_gather"]),
)
def test_the_time_is_that_of_all_ranks_or_little_above(sites, per_site, width, collective):
    ranks = sites * per_site
    count = width * ranks if collective == "reduce_scatter" else width
    world = world_of(sites, per_site)
    few = world.predict(collective, count, algorithm="hierarchical", collapse=True)
    full = world.predict(collective, count, algorithm="hierarchical")
    assert few.nbytes == full.nbytes
    even = -(-width // ranks) * ranks if collective == "all_reduce" else count
    more = world.predict(collective, even, algorithm="hierarchical")
    assert full.total_ps <= few.total_ps <= more.total_ps
    assert few.bound_ps <= few.total_ps
    if even == count:
        assert few.total_ps == full.total_ps
    crossing = [each.timeline.cross_site_bytes * each.part_sent for each in (few, full)]
    assert crossing[0] == pytest.approx(crossing[1], rel=0.01, abs=8 * ranks)


def test_what_was_lengthened_is_said():
    world = world_of(3, 4)
    for width, said in ((24, None), (100, "with 8 % more bytes in all")):
        found = world.predict("all_reduce", width, algorithm="hierarchical", collapse=True)
        (line,) = (each for each in closing_words(world, found, None) if "Alike: " in each)
        assert ("shares do not come out even" in line) == (said is not None)
        assert said is None or said in line


@given(
    per_site=st.sampled_from([(4, 2), (6, 3, 3), (9, 6, 3), (20, 8, 4)]),
    width=st.integers(1, 5000),
    collective=st.sampled_from(["all_reduce", "reduce_scatter", "all_gather"]),
)
def test_sites_of_unequal_size_take_no_less_than_all_ranks(per_site, width, collective):
    count = width * sum(per_site) if collective == "reduce_scatter" else width
    sites = tuple(Site(f"s{i}", (Node(1, NEAR),) * n, NEAR) for i, n in enumerate(per_site))
    pairs = [(a.name, b.name) for i, a in enumerate(sites) for b in sites[i + 1 :]]
    world = World(Topology("unequal", sites, tuple(Trunk(pair, FAR) for pair in pairs)))
    few = world.predict(collective, count, algorithm="hierarchical", collapse=True)
    full = world.predict(collective, count, algorithm="hierarchical")
    assert few.nbytes == full.nbytes
    assert full.total_ps <= few.total_ps
    assert (
        few.part_sent * few.timeline.cross_site_bytes <= full.timeline.cross_site_bytes * 1.01 + 999
    )
