import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from interpreter import is_right
from nightly import also
from reference import edges_of
from strategies import CASES, cases, program_of, ranks_per_site

from emul import ArgumentError, World
from emul.plans import (
    COLLECTIVES,
    Partition,
    Places,
    Shape,
    build_plan,
)
from emul.plans.algorithms import hierarchical

SIZES = [(1,), (2,), (3,), (5,), (1, 1), (2, 1), (1, 4), (2, 2), (3, 2), (1, 1, 1), (3, 5, 2)]
SIZES += [(2, 2, 2), *also((8, 8, 8))]


@pytest.mark.parametrize(("collective", "algorithm"), CASES)
def test_plan_is_right_by_slow_interpretation(collective, algorithm):
    for sizes in SIZES:
        for root in {0, sum(sizes) - 1, sum(sizes) // 2}:
            assert is_right(build_plan(collective, algorithm, sizes, root=root))


@given(ranks_per_site, cases, st.data())
def test_plan_is_right_for_any_sites_and_root(sizes, case, data):
    root = data.draw(st.integers(0, sum(sizes) - 1))
    assert is_right(build_plan(*case, sizes, root=root))


@pytest.mark.parametrize(("collective", "algorithm"), CASES)
def test_every_world_size_up_to_64_is_proven(collective, algorithm):
    # Others than all_reduce are made of the same parts.
    more = (*range(1, 65), 130) if collective == "all_reduce" else (*range(1, 34), 47, 48, 63)
    sizes = {*range(1, 18), 24, 31, 32, 33, 64, *also(*more)}
    for n in sizes:
        sites = (n,) if n < 3 else (n - n // 3, n // 3)
        assert build_plan(collective, algorithm, sites, root=n // 2).world_size == n


@pytest.mark.parametrize(("sites", "ranks"), [(2, 4), (3, 8), (4, 3), (5, 1)])
def test_bytes_over_site_boundaries_are_those_of_the_formulas(sites, ranks):
    # links.md 3.4, for an all-reduce of S bytes over K sites of m ranks
    n, width = sites * ranks, sites * ranks * 100
    site_of = np.repeat(np.arange(sites), ranks)

    def crossing(algorithm):
        program = program_of(build_plan("all_reduce", algorithm, (ranks,) * sites), width, 4)
        return program.nbytes[site_of[program.src] != site_of[program.dst]].sum() / (4 * width)

    assert crossing("hierarchical") == 2 * (sites - 1)
    for ring in ("ring", "ring:bidirectional", "ring:channels"):
        assert crossing(ring) == pytest.approx(sites * 2 * (n - 1) / n)
    assert crossing("ring:interleaved") == 2 * (n - 1)


@pytest.mark.parametrize("n", [2, 4, 8, 16])
def test_bytes_of_halving_doubling_between_two_sites(n):
    # links.md 3.4, K = 2: n S with the far partner first, 2 S with the near one first
    width = n * 100
    for algorithm, factor in (("halving_doubling", 2), ("halving_doubling:far_first", n)):
        program = program_of(build_plan("all_reduce", algorithm, (n // 2, n // 2)), width, 1)
        crossing = (program.src < n // 2) != (program.dst < n // 2)
        assert program.nbytes[crossing].sum() == factor * width


@pytest.mark.parametrize("sizes", [(2, 4), (3, 3, 3), (8, 1, 5)])
@pytest.mark.parametrize("algorithm", ["direct", "pairwise"])
def test_bytes_of_all_to_all_between_sites(algorithm, sizes):
    # links.md 3.4: (n^2 - sum of n_s^2) m, for m bytes per pair
    n, per_pair = sum(sizes), 7
    site_of = np.repeat(np.arange(len(sizes)), sizes)
    program = program_of(build_plan("all_to_all", algorithm, sizes), n * per_pair, 1)
    crossing = site_of[program.src] != site_of[program.dst]
    assert program.nbytes[crossing].sum() == (n**2 - sum(m**2 for m in sizes)) * per_pair


def test_rings_of_channels_cross_between_different_ranks():
    step = next(build_plan("all_reduce", "ring:channels", (4, 4)).steps())
    crossing = (step.src < 4) != (step.dst < 4)
    assert sorted(step.src[crossing].tolist()) == list(range(8))
    assert sorted(step.dst[crossing].tolist()) == list(range(8))


@pytest.mark.parametrize("collective", hierarchical.COLLECTIVES)
@given(sizes=ranks_per_site, count=st.integers(1, 50))
def test_hierarchical_crosses_each_boundary_no_more_than_it_must(collective, sizes, count):
    # 2(K - 1) S for all_reduce, (K - 1) S for the others: links.md 3.6, count bound
    sites, n = len(sizes), sum(sizes)
    width = n * count
    site_of = np.repeat(np.arange(sites), sizes)
    program = program_of(build_plan(collective, "hierarchical", sizes), width, 1)
    crossing = program.nbytes[site_of[program.src] != site_of[program.dst]].sum()
    assert crossing == (2 if collective == "all_reduce" else 1) * (sites - 1) * width


def test_hierarchical_sends_one_transfer_per_shard():
    # 3 sites of 8: the reduce-scatter step carries all three ranges of a shard at once.
    program = program_of(build_plan("all_reduce", "hierarchical", (8, 8, 8)), 24 * 10, 4)
    per_phase = 24 * 7
    crossing = 24 * 4
    assert len(program) == 2 * per_phase + crossing
    assert len(program.row_src) == 3 * 2 * per_phase + crossing


def test_ring_visits_ranks_site_by_site():
    plan = build_plan("all_reduce", "ring", (2, 2))
    step = next(plan.steps())
    assert step.src.tolist() == [0, 1, 2, 3]
    assert step.dst.tolist() == [1, 2, 3, 0]


@pytest.mark.parametrize(("collective", "algorithm"), CASES)
def test_a_world_of_one_sends_nothing_to_others(collective, algorithm):
    for step in build_plan(collective, algorithm, (1,)).steps():
        assert (step.src == step.dst).all()


def test_unknown_names_are_refused():
    with pytest.raises(ArgumentError, match="unknown collective 'all_red': needed one of all_r"):
        build_plan("all_red", "ring", (2,))
    with pytest.raises(ArgumentError, match="unknown algorithm 'rings': needed one of auto, ring"):
        build_plan("all_reduce", "rings", (2,))
    with pytest.raises(ArgumentError, match="'pat' does not do broadcast: needed one of ring, "):
        build_plan("broadcast", "pat", (2,))
    with pytest.raises(ArgumentError, match="root 2: needed a rank from 0 to 1"):
        build_plan("broadcast", "ring", (2,), root=2)


def offsets_of(partition, width):
    lengths = Shape(COLLECTIVES["all_reduce"], 1, width).sent(partition.blocks)
    return partition.offsets(lengths)


@given(st.integers(0, 1 << 40), st.integers(1, 5000))
def test_chunks_cover_the_buffer_evenly(count, n_chunks):
    (offsets,) = offsets_of(Partition.uniform(n_chunks), count)
    assert offsets[0] == 0
    assert offsets[-1] == count
    assert set(np.diff(offsets).tolist()) <= {count // n_chunks, count // n_chunks + 1}


@given(ranks_per_site, cases, st.data())
def test_no_chunk_shrinks_by_more_than_rounding_when_the_count_grows(sizes, case, data):
    partition = build_plan(*case, sizes).partition
    count = data.draw(st.integers(0, 10**6))
    more = count + data.draw(st.integers(0, 100))
    (offsets,), (grown,) = offsets_of(partition, count), offsets_of(partition, more)
    assert offsets.tolist() == edges_of(partition, count)
    assert (offsets[0], offsets[-1], grown[-1]) == (0, count, more)
    shrunk = np.diff(offsets) - np.diff(grown)
    assert shrunk.max() <= (0 if partition.units == 1 else 1)


def test_sites_of_many_unlike_sizes_do_not_overflow():
    sizes = (97, 101, 103, 107, 109, 113, 127, 131)
    plan = hierarchical.build("all_reduce", Places.of(sizes), 0)
    (offsets,) = offsets_of(plan.partition, 1 << 40)
    assert offsets[-1] == 1 << 40
    assert np.diff(offsets).min() >= 0
    assert np.diff(offsets).max() <= (1 << 40) / 8 / 131 + 1


def test_steps_can_be_generated_again():
    plan = World("three-campus").predict("all_reduce", 100).plan
    first, second = ([step.src.tolist() for step in plan.steps()] for _ in range(2))
    assert first == second
