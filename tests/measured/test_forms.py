"""The closed forms, held against the sums that they stand for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emul.errors import ArgumentError, MeasurementError
from emul.links.formulas import bruck_all_to_all_s, ring_all_reduce_s, tree_all_reduce_s
from emul.measured.forms import ALGORITHMS, check_algorithm, form_of
from emul.measured.measurement import LATENCY, MESSAGE, STREAM, WINDOW, Measurement
from emul.plans import collective_named


def time_s(form, nbytes, *, base_s, latency_s, overhead_s, rate):
    steps_s = form.latencies * latency_s + form.overheads * overhead_s
    return form.calls * base_s + steps_s + form.copies * nbytes / rate


def of(collective, n, algorithm=""):
    return form_of(Measurement(collective, 1.0, "x", 1, n), algorithm)


@given(n=st.integers(2, 1000), nbytes=st.integers(0, 1 << 40))
def test_a_ring_is_the_formula_of_the_links_room(n, nbytes):
    took = time_s(
        of("all_reduce", n), nbytes, base_s=1.0, latency_s=2e-6, overhead_s=1e-6, rate=1e9
    )
    wanted = ring_all_reduce_s(n, nbytes, alpha_s=3e-6, rate_bytes_per_s=1e9)
    assert took == pytest.approx(1.0 + wanted)


@given(n=st.integers(2, 300), nbytes=st.integers(0, 1 << 40))
def test_other_algorithms_are_the_formulas_of_the_links_room(n, nbytes):
    none = {"base_s": 0.0, "latency_s": 2e-6, "overhead_s": 1e-6, "rate": 1e9}
    link = {"alpha_s": 3e-6, "rate_bytes_per_s": 1e9}
    tree = time_s(of("all_reduce", n, "double_binary_tree"), nbytes, **none)
    assert tree == pytest.approx(tree_all_reduce_s(n, nbytes, chunk_bytes=0, **link))
    # all_to_all: the size is the whole vector of a rank, a block for each of n
    bruck = time_s(of("all_to_all", n, "bruck"), nbytes, **none)
    assert bruck == pytest.approx(bruck_all_to_all_s(n, nbytes / n, **link))


@given(n=st.integers(2, 100))
def test_one_pass_rings_take_half_the_steps_of_an_all_reduce(n):
    for collective in ("reduce_scatter", "all_gather"):
        form = of(collective, n)
        assert (form.latencies, form.copies) == (n - 1, pytest.approx((n - 1) / n))


@pytest.mark.parametrize("collective", ALGORITHMS)
@pytest.mark.parametrize("n", [2, 8])
def test_no_form_moves_fewer_bytes_than_busbw_says(collective, n):
    for algorithm in ALGORITHMS[collective]:
        least = collective_named(collective).bus_factor(n)
        assert of(collective, n, algorithm).copies >= least - 1e-12


def test_what_is_measured_between_two_ranks():
    costs = {"base_s": 7.0, "latency_s": 5e-6, "overhead_s": 1e-6, "rate": 1e9}
    took = {kind: time_s(of(kind, 2), 4096, **costs) for kind in (LATENCY, MESSAGE, STREAM, WINDOW)}
    message_s = 1e-6 + 4096 / 1e9
    assert took[LATENCY] == pytest.approx(5e-6)
    assert took[MESSAGE] == pytest.approx(5e-6 + message_s)
    assert took[STREAM] == pytest.approx(4096 / 1e9)
    # 64 one after the other, the last under way, and then a short answer
    assert took[WINDOW] == pytest.approx(64 * message_s + 5e-6 + 1e-6 + 5e-6)


def test_an_algorithm_of_the_file_counts_more_than_one_that_is_asked_for():
    asked = Measurement("all_reduce", 1.0, "x", 1, 8, "recursive_doubling")
    assert form_of(asked, "ring").latencies == 3


def test_an_algorithm_that_a_collective_does_not_have_leaves_its_own():
    assert of("all_gather", 8, "recursive_doubling") == of("all_gather", 8, "ring")


def test_algorithms_without_a_closed_form_are_refused():
    with pytest.raises(MeasurementError, match="by 'hierarchical:pieces': needed an algorithm"):
        form_of(Measurement("all_reduce", 1.0, "x", 1, 8, "hierarchical:pieces"))
    with pytest.raises(ArgumentError, match="unknown algorithm 'rings': needed one of"):
        check_algorithm("rings", {"all_reduce"})
    with pytest.raises(ArgumentError, match="no collective is measured"):
        check_algorithm("ring", {LATENCY})
