import numpy as np
import pytest
from closed_forms.site_bounds import cut_bound_s
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples
from strategies import cases, count_for, one_site, sites_of_one, topologies

from emul import Link, World
from emul.links.bounds import Cut, count_bound_s, uneven_bytes_across


@examples(150)
@given(
    topologies(),
    cases,
    st.integers(0, 1 << 18),
    st.data(),
)
def test_no_run_is_faster_than_its_bound(topology, case, blocks, data):
    world = World(topology)
    root = data.draw(st.integers(0, world.size - 1))
    count = count_for(case[0], world.size, blocks)
    prediction = world.predict(case[0], count, dtype="uint8", algorithm=case[1], root=root)
    assert prediction.timeline.total_ps >= prediction.bound_ps


def test_two_ranks_meet_the_bound():
    # Nothing can be better than sending the buffer once, at the rate of the link.
    world = World(sites_of_one(lambda a, b: Link(1e9, 1e-3, 1e-5), 2))
    prediction = world.predict("broadcast", 10**6, dtype="uint8", algorithm="direct")
    assert prediction.time_s == pytest.approx(1e-3 + 1e-3 + 1e-5, rel=1e-12)
    assert prediction.bound_s == pytest.approx(prediction.time_s, rel=1e-6)


def test_a_ring_over_equal_ranks_approaches_the_count_bound():
    # Patarasuk and Yuan: 2 (n - 1) / n S / R is the least, and the ring takes it but for latency
    world = World(one_site(8, Link(1e9, 0.0)))
    prediction = world.predict("all_reduce", 8 * 10**6, dtype="uint8", algorithm="ring")
    assert prediction.time_s == pytest.approx(14e-3, rel=1e-9)
    assert prediction.bound_s == pytest.approx(prediction.time_s, rel=1e-6)


def test_the_bound_leaves_room_for_rounding():
    # 1.4 ps a byte is rounded to 1 ps each time: the ring ends before the exact bound.
    prediction = World(one_site(8, Link(1e12 / 1.4, 0.0))).predict(
        "all_reduce", 8, dtype="uint8", algorithm="ring"
    )
    assert prediction.timeline.total_ps == 14 < 14 * 1.4
    assert prediction.bound_ps <= 14


def test_the_site_with_the_thinnest_uplinks_rules_the_cut():
    # links.md 3.6: every site must send and receive at least S
    thin, wide = Link(1e8, 1e-4), Link(1e10, 1e-4)
    world = World(sites_of_one(lambda a, b: thin if a == 0 else wide, 3))
    prediction = world.predict("all_reduce", 10**7, dtype="uint8")
    assert prediction.bound_s == pytest.approx(1e-4 + 1e7 / 2e8, rel=1e-6)


@pytest.mark.parametrize(
    ("collective", "leaving", "entering"),
    [
        ("all_reduce", 100, 100),
        ("reduce_scatter", 75, 25),
        ("all_gather", 25, 75),
        ("all_to_all", 2 * 75, 2 * 75),
        ("reduce", 100, 0),
        ("gather", 25, 0),
        ("scatter", 0, 25),
        ("broadcast", 0, 100),
        ("send_recv", 0, 0),
    ],
)
def test_bytes_across_a_cut(collective, leaving, entering):
    slow_out = Cut(0.25, False, 1.0, 1e9, 7.0)
    slow_in = Cut(0.25, False, 1e9, 1.0, 7.0)
    alpha = 7 if leaving or entering else 0  # where nothing crosses, no latency is waited for
    assert cut_bound_s(collective, 100, slow_out, 8) == pytest.approx(alpha + leaving)
    assert cut_bound_s(collective, 100, slow_in, 8) == pytest.approx(alpha + entering)


def test_broadcast_crosses_a_cut_away_from_the_root_only():
    with_root = Cut(0.5, True, 1.0, 1e-9, 0.0)
    without = Cut(0.5, False, 1e-9, 1.0, 0.0)
    assert cut_bound_s("broadcast", 100, with_root, 2) == 100
    assert cut_bound_s("broadcast", 100, without, 2) == 100


def test_an_all_reduced_element_travels_twice_between_all_parts():
    # links.md 3.6: 2K - 2 one-way transfers per element
    assert count_bound_s("all_reduce", 300, 4, 100.0, 1.0) == 1 + 6 * 3
    assert count_bound_s("all_gather", 300, 4, 100.0, 1.0) == 1 + 3 * 3


def test_relays_count_when_they_are_faster():
    # a - c is slow, but a - b - c is quick: news need not take the direct way.
    slow, quick = Link(1e12, 1.0), Link(1e12, 1e-3)
    world = World(sites_of_one(lambda a, b: slow if (a, b) == (0, 2) else quick, 3))
    assert world.predict("all_reduce", 3).bound_s == pytest.approx(2e-3, rel=1e-6)


@pytest.mark.parametrize(
    ("collective", "has_root", "leaving", "entering"),
    [
        ("reduce_scatter", False, 2 + 4, 1 + 8),
        ("all_gather", False, 1 + 8, 2 + 4),
        ("gather", False, 1 + 8, 0),
        ("gather", True, 0, 2 + 4),
        ("scatter", False, 0, 1 + 8),
        ("scatter", True, 2 + 4, 0),
    ],
)
def test_unequal_blocks_across_a_cut(collective, has_root, leaving, entering):
    inside = np.array([True, False, False, True])
    across = uneven_bytes_across(collective, np.array([1, 2, 4, 8]), inside, has_root=has_root)
    assert across == (leaving, entering)


def test_unequal_exchanges_across_a_cut():
    # Rank r sends 10 r + s to rank s: from 0 to the others 1 + 2, from them 10 + 20.
    counts, inside = np.add.outer(10 * np.arange(3), np.arange(3)), np.arange(3) == 0
    assert uneven_bytes_across("all_to_all", counts, inside, has_root=True) == (3, 30)
