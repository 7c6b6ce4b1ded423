"""Hardware: time of computing by 6 N D, memory by ZeRO's count, presets with sources."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emul.errors import ArgumentError
from emul.training import Hardware, Model, StateBytes, state_bytes
from emul.training.hardware import hardware_names

PLAIN = Hardware("plain", {"bfloat16": 2e12, "fp8": 4e12}, 10e9)


def test_compute_is_six_operations_for_each_parameter_and_token():
    """6 x 1e9 parameters x 1e6 tokens / (10 ranks x 2e12 x 0.5) = 600 s."""
    model = Model(1e9, 10)
    assert PLAIN.compute_s(model, 1e6, 10, mfu=0.5) == pytest.approx(600, rel=1e-12)
    assert PLAIN.compute_s(model, 1e6, 10, mfu=0.5, precision="float8") == pytest.approx(300)
    met = Model(1e9, 10, active=1e8)
    assert PLAIN.compute_s(met, 1e6, 10, mfu=0.5) == pytest.approx(60, rel=1e-12)


def test_llama_405b_takes_the_days_that_its_authors_used():
    """Llama 3 (arXiv 2407.21783): 3.8e25 operations for 15.6e12 tokens, 16,384 H100, 41 % MFU."""
    step = Hardware.of("h100").compute_s(Model.preset("llama-3.1-405b"), 15.6e12, 16_384, mfu=0.41)
    assert step == pytest.approx(3.8e25 / (16_384 * 989.4e12 * 0.41), rel=0.01)


def test_presets_are_rates_without_sparsity():
    bfloat16 = {name: Hardware.of(name).peak() / 1e12 for name in hardware_names()}
    assert bfloat16 == {
        "a100": 312,
        "a100-40g": 312,
        "b200": 2250,
        "gb200": 2500,
        "h100": 989.4,
        "h100-pcie": 756.5,
        "h200": 989.5,
        "l40s": 362.05,
        "mi300x": 1307.4,
        "tpu-v5p": 459,
        "tpu-v6e": 918,
    }
    for name in hardware_names():
        each = Hardware.of(name)
        assert each.source.startswith("published: ")
        assert 24e9 < each.memory_bytes < 200e9
        if "float8" in each.peak_flops:  # twice as many of half the width
            assert each.peak("fp8") == pytest.approx(2 * each.peak(), rel=0.02)


def test_zero_shards_one_state_after_the_other():
    """ZeRO, figure 1: 7.5e9 parameters over 64 ranks: 120, 31.4, 16.6 and 1.9 GB."""
    n = {"optimizer_over": 64}
    stages = [{}, n, {**n, "gradients_over": 64}]
    stages.append({**stages[-1], "parameters_over": 64})
    totals = [state_bytes(7.5e9, **stage).total / 1e9 for stage in stages]
    assert totals == pytest.approx([120, 31.4, 16.6, 1.9], abs=0.05)
    wide = state_bytes(1e9, gradient_bytes=4)
    assert wide == StateBytes(2e9, 4e9, 12e9, 18e9)


@given(st.floats(1e6, 1e13), st.integers(1, 10_000))
def test_the_warning_names_the_fewest_ways_that_fit(parameters, over):
    needed = state_bytes(parameters, parameters_over=over, gradients_over=over, optimizer_over=over)
    said = PLAIN.memory_warning(needed)
    assert bool(said) == (needed.total > 10e9)
    if said:
        ways = int(said.split("sharded over ")[1].split()[0].replace(",", ""))
        assert 16 * parameters / ways <= 10e9 < 16 * parameters / (ways - 1)


def test_the_warning_says_both_sizes():
    assert PLAIN.memory_warning(state_bytes(1e9)) == (
        "16 GB of parameters, gradients and optimizer state on each rank, and plain has 10 GB, "
        "without activations; all three sharded over 2 ranks would fit"
    )
    assert PLAIN.memory_warning(state_bytes(1e9, optimizer_over=2)) == ""


def test_hardware_is_found_by_name_and_does_not_change():
    assert Hardware.of(PLAIN) is PLAIN
    assert Hardware.of("H100_PCIe") == Hardware.of("h100-pcie")
    assert pickle.loads(pickle.dumps(PLAIN)) == PLAIN
    assert len({PLAIN, Hardware("plain", {"bf16": 2e12, "float8": 4e12}, 10e9)}) == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Hardware.of("h1000"), "unknown hardware 'h1000': needed one of a100, .*h100"),
        (lambda: Hardware.of(7), "unknown hardware 7"),
        (lambda: Hardware("x", {}, 1e9), "peak_flops {}: needed a rate for each precision"),
        (lambda: Hardware("x", {"bf16": 0}, 1e9), "peak_flops.'bf16'. 0: needed a number above 0"),
        (lambda: Hardware("x", {"bf17": 1}, 1e9), "unknown precision 'bf17'.*bfloat16"),
        (lambda: Hardware("x", {"bf16": 1}, -1), "memory_bytes -1: needed a number above 0"),
        (lambda: PLAIN.peak("fp4"), "precision 'fp4' of hardware 'plain': needed one of bfloat16"),
        (lambda: PLAIN.compute_s(Model(9, 1), 1, 1, mfu=1.1), "mfu 1.1: .* at most 1"),
        (lambda: PLAIN.compute_s(Model(9, 1), 0, 1, mfu=1), "tokens 0: needed a number above 0"),
        (lambda: PLAIN.compute_s(Model(9, 1), 1, 0, mfu=1), "ranks 0: needed a whole number"),
        (lambda: state_bytes(0), "parameters 0: needed a number above 0"),
        (lambda: state_bytes(1, optimizer_over=0), "optimizer_over 0: needed a whole number"),
        (lambda: state_bytes(1, gradient_bytes=16), "gradient_bytes 16: needed a whole number"),
    ],
)
def test_what_is_no_hardware_is_refused(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()
