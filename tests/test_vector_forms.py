"""Collectives whose ranks bring, or take, unequal counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples
from strategies import topologies

import emul
from emul import ShapeError, World
from emul.plans import algorithms_for

ONE_PER_RANK = ("reduce_scatter", "all_gather", "gather", "scatter")
CASES = [
    (name, algorithm)
    for name in (*ONE_PER_RANK, "all_to_all")
    for algorithm in (*algorithms_for(name, uneven=True), "auto")
]


def drawn_counts(collective, n, seed):
    generator = np.random.default_rng(seed)
    shape = (n, n) if collective == "all_to_all" else (n,)
    return generator.integers(0, 9, shape) * (generator.random(shape) < 0.8)


def given_and_expected(collective, counts, root):
    """Rows of input, filled up with rubbish, and the rows of output."""
    n = len(counts)
    sent = counts.sum(axis=-1) if counts.ndim > 1 else counts
    if collective in ("reduce_scatter", "scatter"):
        sent = np.full(n, counts.sum())
    x = np.arange(1.0, 1 + n * sent.max(initial=0)).reshape(n, -1)
    rows = [row[:length] for row, length in zip(x, sent, strict=True)]
    edges = np.concatenate([[0], np.cumsum(counts)]) if counts.ndim == 1 else None
    if collective in ("all_gather", "gather"):
        outputs = [np.concatenate(rows)] * (n if collective == "all_gather" else 1)
    elif collective == "all_to_all":
        ends = np.cumsum(counts, axis=1)
        outputs = [
            np.concatenate([rows[s][ends[s, d] - counts[s, d] : ends[s, d]] for s in range(n)])
            for d in range(n)
        ]
    else:
        whole = x.sum(axis=0) if collective == "reduce_scatter" else x[root]
        outputs = [whole[edges[r] : edges[r + 1]] for r in range(n)]
    return (x[root] if collective == "scatter" else x), outputs


def filled_up(rows):
    longest = max(map(len, rows))
    return np.array([np.pad(row, (0, longest - len(row))) for row in rows])


@examples(120)
@given(
    topologies(max_sites=3, max_nodes=2), st.sampled_from(CASES), st.integers(0, 1000), st.data()
)
def test_every_rank_gets_what_it_is_due(topology, case, seed, data):
    (collective, algorithm), world = case, World(topology)
    counts = drawn_counts(collective, world.size, seed)
    root = data.draw(st.integers(0, world.size - 1))
    x, outputs = given_and_expected(collective, counts, root)
    arguments = {"root": root} if collective in ("gather", "scatter") else {}
    before = x.copy()
    run = getattr(world, collective)(x, counts=counts, algorithm=algorithm, **arguments)
    expected = outputs[0] if collective == "gather" else filled_up(outputs)
    assert np.array_equal(run.output, expected)
    assert np.array_equal(x, before)
    assert run.time_s >= run.bound_s
    again = world.predict(
        collective, counts, dtype="float64", algorithm=algorithm, root=arguments.get("root", 0)
    )
    assert again.time_s == run.time_s


@pytest.mark.parametrize("collective", [*ONE_PER_RANK, "all_to_all"])
def test_equal_counts_are_the_ordinary_collective(collective):
    world = World("three-campus")
    counts = np.full((24, 24) if collective == "all_to_all" else 24, 7)
    for algorithm in algorithms_for(collective, uneven=True):
        x, _ = given_and_expected(collective, counts, 0)
        call = getattr(world, collective)
        world.restart()
        vector = call(x, counts=counts, algorithm=algorithm)
        world.restart()
        plain = call(x, algorithm=algorithm)
        assert np.array_equal(vector.output, plain.output)
        assert vector.time_s == plain.time_s
        assert vector.bound_s <= plain.bound_s * (1 + 1e-9)


def test_bytes_between_sites_are_those_of_the_pairs():
    world, rank = World("three-campus"), np.arange(24)
    counts = np.random.default_rng(0).integers(0, 50, (24, 24))
    far = rank[:, None] // 8 != rank // 8
    prediction = world.predict("all_to_all", counts, dtype="uint8", algorithm="direct")
    assert prediction.timeline.cross_site_bytes == counts[far].sum()


def test_whoever_has_much_makes_the_others_wait():
    world = World("three-campus")
    even, skewed = np.full(24, 1000), np.zeros(24, dtype=int)
    skewed[0] = 24_000
    times = [world.predict("all_gather", counts).time_s for counts in (even, skewed)]
    assert times[1] > times[0]


def test_one_rank_alone_with_everything_needs_no_network():
    world = World("three-campus")
    counts = np.zeros(24, dtype=int)
    counts[3] = 5
    run = world.gather(np.ones((24, 5)), counts=counts, root=3)
    assert run.time_s == run.bound_s == 0
    assert run.output.tolist() == [1.0] * 5


def test_errors_of_vector_forms_leave_out_what_fills_the_rows():
    world = World("three-campus")
    counts = np.arange(24)
    x = np.random.default_rng(0).random((24, counts.sum()), np.float32)
    error = world.reduce_scatter(x, counts=counts).error
    assert 0 < error.mean_ulp < error.max_ulp < 24


@pytest.mark.parametrize(
    ("collective", "counts", "complaint"),
    [
        ("all_gather", [1, 2], r"counts of shape \(2,\) .* needed whole numbers .* shape \(24,\)"),
        ("all_gather", [-1] * 24, "needed whole numbers from 0 on"),
        ("all_gather", [0.5] * 24, "type float64: needed whole numbers"),
        ("all_to_all", [1] * 24, r"of shape \(24, 24\)"),
        ("all_to_all", [[1], [1, 2]], r"counts of unlike rows: needed shape \(24, 24\)"),
        ("reduce_scatter", [3] * 24, r"\(24, 5\) with counts that ask for \(24, 72\)"),
    ],
)
def test_counts_that_do_not_fit_are_refused(collective, counts, complaint):
    world, x = World("three-campus"), np.ones((24, 5))
    with pytest.raises(ShapeError, match=complaint):
        getattr(world, collective)(x, counts=counts)


def test_bruck_needs_equal_blocks_to_exchange():
    with pytest.raises(emul.PlanError, match=r"bruck all_to_all .*: needed a count for which both"):
        World("one-campus").predict("all_to_all", np.arange(24 * 24).reshape(24, 24),
                                    algorithm="bruck")  # fmt: skip


def test_collectives_without_blocks_have_no_counts():
    with pytest.raises(ShapeError, match="all_reduce with counts: it has no block for each rank"):
        World("one-campus").predict("all_reduce", [1] * 24)


def test_what_nobody_sends_over_a_trunk_does_not_wait_for_it():
    world, counts = World("three-campus"), np.zeros((24, 24), dtype=int)
    counts[0, 1] = 1000
    prediction = world.predict("all_to_all", counts, dtype="uint8", algorithm="direct")
    assert 0 < prediction.bound_s <= prediction.time_s
