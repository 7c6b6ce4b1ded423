"""Sizes up to 2^80 bytes: the answer is right, or one clear error; 64 bits never wrap unseen."""

import re
import warnings
from functools import cache

import numpy as np
import pytest
from click.testing import CliRunner
from command import emul
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples
from strategies import one_site, sites_of_one

from emul import ArgumentError, EmulError, Link, ShapeError, World
from emul.cli.main import main
from emul.plans import COLLECTIVES, Shape, algorithms_for
from emul.plans.shape import MOST_ELEMENTS
from emul.units import MOST_BYTES, parse_size

RATES = {"slowest": 1.0, "slow": 1e3, "usual": 12.5e9, "fast": 1e15}
VECTOR_FORMS = ("reduce_scatter", "all_gather", "all_to_all", "gather", "scatter")


@cache
def world_of(name, stack="ideal"):
    """Four ranks, with nothing on their links but a rate, so that times are as sizes are."""
    kind, _, rate = name.partition(" ")
    plain = Link(RATES[rate], 0.0)
    if kind == "site":
        return World(one_site(4, plain), slicing=None, stack=stack)
    return World(sites_of_one(lambda a, b: plain, 4), slicing=None, stack=stack)


worlds = st.sampled_from([f"{kind} {rate}" for kind in ("site", "trunks") for rate in RATES])
sizes = st.builds(
    lambda bits, low: (1 << bits) + low % (1 << bits), st.integers(20, 80), st.integers(0)
)


@examples(250)
@given(worlds, st.sampled_from(list(COLLECTIVES)), sizes, st.booleans(), st.data())
def test_a_time_is_as_its_size_or_an_error(name, collective, size, in_counts, data):
    world, n = world_of(name), 4
    algorithm = data.draw(st.sampled_from(algorithms_for(collective)))
    dtype = data.draw(st.sampled_from(["uint8", "float16", "float64"]))
    base = 3 << 10  # elements for each rank, that every algorithm cuts evenly
    block = max(1, size // (8 * base)) * base

    def predicted(block):
        count = block * n if COLLECTIVES[collective].input_whole else block
        if in_counts and collective in VECTOR_FORMS:
            count = [[block] * n] * n if collective == "all_to_all" else [block] * n
        return world.predict(collective, count, dtype=dtype, algorithm=algorithm)

    small = predicted(base)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            large = predicted(block)
    except EmulError:
        assert block * n * n * 8 > MOST_BYTES // 64 or large_time(small, base, block)
        return
    assert large.nbytes * base == small.nbytes * block
    assert np.array_equal(
        large.timeline.trunk_bytes.astype(object) * base,
        small.timeline.trunk_bytes.astype(object) * block,
    )
    steps = len(large.timeline)
    for term in ("total_ps", "bound_ps"):
        exact = getattr(small, term) * block / base
        assert getattr(large, term) == pytest.approx(
            exact, rel=1e-9, abs=steps * (1 + block / base)
        )


def large_time(small, base, block):
    """Whether picoseconds do not hold it."""
    return small.total_ps * block // base > MOST_BYTES // 2


@examples(40)
@given(worlds, st.sampled_from(["nccl", "gloo", "openmpi"]), st.integers(1 << 50, 1 << 80))
def test_stacks_carry_large_sizes_or_say_so(name, stack, size):
    world = world_of(name, stack)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            prediction = world.predict("all_reduce", size, dtype="uint8", algorithm="direct")
    except EmulError:
        return
    least_s = 1.5 * size / world.topology.sites[0].link.rate_bytes_per_s  # what each rank sends
    assert prediction.time_s >= prediction.bound_s * (1 - 1e-9) >= 0
    assert prediction.time_s >= least_s * (1 - 1e-9)


@given(st.sampled_from(list(COLLECTIVES)), st.integers(1, 4096), st.integers(0, 1 << 80))
def test_a_shape_is_exact_or_refused(collective, n, width):
    promise = COLLECTIVES[collective]
    if width * n > MOST_ELEMENTS:
        with pytest.raises(ShapeError, match=f"{collective}: .* needed at most"):
            Shape(promise, n, width)
        return
    shape = Shape(promise, n, width)
    assert int(shape.sent(n)[0].sum()) == width
    assert shape.output_shape[-1] <= width


@given(st.sampled_from(VECTOR_FORMS), st.lists(st.integers(0, 1 << 66), min_size=3, max_size=3))
def test_counts_are_added_up_or_refused(collective, counts):
    table = [counts] * 3 if collective == "all_to_all" else counts
    exact = sum(counts)
    try:
        shape = Shape.of_counts(COLLECTIVES[collective], 3, table)
    except ShapeError:
        assert exact * 3 > MOST_ELEMENTS
    else:
        assert shape.width == exact
        assert exact * 3 <= MOST_ELEMENTS


@given(st.integers(0, 1 << 90), st.sampled_from(["", "K", "M", "G", "T"]))
def test_sizes_are_read_to_the_last_byte_or_refused(number, suffix):
    exact = number << 10 * ("", "K", "M", "G", "T").index(suffix)
    if exact > MOST_BYTES:
        with pytest.raises(ArgumentError, match="needed at most 4611686018427387904 bytes"):
            parse_size(f"{number}{suffix}")
    else:
        assert parse_size(f"{number}{suffix}") == parse_size(f"00{number}.000{suffix}") == exact


@pytest.mark.parametrize(
    "arguments",
    [
        ("-b", "9223372036854775800", "-e", "9223372036854775800"),
        ("-b", "4611686018427387904", "-e", "4611686018427387904"),
        ("-b", "8", "-e", "1" + "0" * 30),
        ("-b", "1" + "0" * 30, "-e", "1" + "0" * 30),
        ("-b", "9" * 5000, "-e", "9" * 5000),
        ("-b", "1", "-e", "4194304T", "-i", "1"),
        ("-b", "1", "-e", "1G", "-i", "1"),
        ("-b", "8", "-e", "8", "--slice", "1" + "0" * 30),
        ("all_gather", "-b", "2097152T", "-e", "2097152T", "-d", "uint8"),
    ],
)
@pytest.mark.parametrize("more", [(), ("--no-data",)])
def test_sizes_past_64_bits_are_refused_by_the_command(arguments, more):
    quick = ("--clock", "virtual", "-n", "1", "-w", "0")
    result = CliRunner().invoke(main, ["perf", *arguments, *quick, *more])
    assert isinstance(result.exception, SystemExit | EmulError)
    said = f"{result.output}{result.exception}".splitlines()
    assert [line for line in said if ": needed " in line and len(line) < 300], said


@pytest.mark.parametrize("size", ["9223372036854775800", "1152921504606846976", "1" + "0" * 30])
def test_that_is_one_line_and_status_2(size):
    result = emul("perf", "-b", size, "-e", size, "--clock", "virtual", "--no-data")
    assert result.returncode == 2
    assert result.stdout == ""
    assert re.fullmatch(r"[^\n]*: needed at most [^\n]*\n", result.stderr)
