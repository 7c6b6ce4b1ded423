"""Floats on the wire: against exact arithmetic with fractions, and compiled against NumPy."""

from fractions import Fraction
from itertools import product
from math import inf, isfinite, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from emul.ops.cpu.wire import FORMATS, carry
from emul.ops.wire import as_carried, decoded, encoded
from emul.plans import WIRES

NAMES = sorted(WIRES)
BLOCKS = ["int8", "fp8", "fp4"]
CAST = ["bfloat16", "float16"]
FLOATS = {"bfloat16": (7, -126, 127), "float16": (10, -14, 15)}
ELEMENTS = {"fp8": (3, -6, Fraction(448), 8), "fp4": (1, 0, Fraction(6), 2)}
"""Bits after the point, exponent of the least normal number, largest number, its exponent."""

ANY_BITS = arrays(np.uint32, st.integers(0, 600), elements=st.integers(0, 2**32 - 1))
FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
BLOCK_OF_ANY = arrays(np.float32, st.integers(1, 40), elements=FINITE)


def bits(values):
    return np.asarray(values, np.float32).view(np.uint32).tolist()


def nearest(value, digits, least):
    """Return ``value`` to so many bits after the point, ties to even: an exact fraction."""
    magnitude, power = abs(value), least
    while Fraction(2) ** (power + 1) <= magnitude:
        power += 1
    step = Fraction(2) ** (power - digits)
    return (1 if value >= 0 else -1) * round(magnitude / step) * step


def cast_by_fractions(values, name):
    digits, least, most = FLOATS[name]
    largest = (2 - Fraction(1, 2**digits)) * Fraction(2) ** most
    found = []
    for value in values:
        if not isfinite(value):
            found.append(value)
            continue
        rounded = nearest(Fraction(value), digits, least)
        found.append(float(rounded) if abs(rounded) <= largest else np.copysign(inf, value))
    return found


def int8_by_fractions(block):
    largest = max(abs(Fraction(each)) for each in block)
    if largest < 127 * Fraction(1, 2**126):
        return [0.0] * len(block)
    scale = Fraction(float(np.float32(float(largest)) / np.float32(127)))
    power = 0
    while Fraction(2) ** power > scale:
        power -= 1
    while Fraction(2) ** (power + 1) <= scale:
        power += 1
    last = Fraction(2) ** (power - 15)  # of 16 bits
    scale = scale // last * last
    found = []
    for each in block:
        quotient = np.float32(np.float64(each) / np.float64(float(scale)))
        found.append(float(round(Fraction(float(quotient))) * scale))
    return found


def microscaled_by_fractions(block, name):
    digits, least, most, power = ELEMENTS[name]
    largest = max(abs(Fraction(each)) for each in block)
    exponent = -127
    while largest and Fraction(2) ** (exponent + power + 1) <= largest:
        exponent += 1
    scale = Fraction(2) ** exponent
    found = []
    for each in block:
        clamped = min(abs(Fraction(each)) / scale, most)
        found.append(np.copysign(float(nearest(clamped, digits, least) * scale), each))
    return found


@given(st.lists(FINITE, max_size=30), st.sampled_from(CAST))
def test_a_cast_is_the_nearest_number(values, name):
    given_values = np.array(values, np.float32)
    expected = cast_by_fractions(given_values.tolist(), name)
    found = as_carried(given_values, WIRES[name])
    assert found.tolist() == expected
    assert np.signbit(found).tolist() == np.signbit(given_values).tolist()


@given(BLOCK_OF_ANY)
def test_int8_is_the_nearest_multiple_of_the_scale(block):
    found = as_carried(block, WIRES["int8"])
    assert found.tolist() == int8_by_fractions(block.tolist())
    assert not np.signbit(found[found == 0]).any()  # int8 has one zero


@given(arrays(np.float32, st.integers(1, 32), elements=FINITE), st.sampled_from(["fp8", "fp4"]))
def test_microscaled_elements_are_the_nearest_ones(block, name):
    found = as_carried(block, WIRES[name])
    expected = microscaled_by_fractions(block.tolist(), name)
    assert bits(found) == bits(expected)  # the sign of a zero too


@given(ANY_BITS, st.sampled_from(NAMES))
def test_a_chunk_has_the_bytes_of_its_format(raw, name):
    values, wire = raw.view(np.float32), WIRES[name]
    data = encoded(values, wire)
    assert data.dtype == np.uint8
    assert data.shape == (wire.nbytes(len(values)),)
    assert bits(decoded(data, len(values), wire)) == bits(as_carried(values, wire))


@given(ANY_BITS, st.sampled_from(NAMES), st.booleans())
def test_compiled_code_has_the_bits_of_the_specification(raw, name, wide):
    values = raw.view(np.float32)
    compiled = values.copy()
    carry(compiled, name, wide=wide)
    assert bits(compiled) == bits(as_carried(values, WIRES[name]))


@given(BLOCK_OF_ANY, st.sampled_from(NAMES), st.booleans())
def test_compiled_code_has_them_for_finite_blocks_too(values, name, wide):
    compiled = values.copy()
    carry(compiled, name, wide=wide)
    assert bits(compiled) == bits(as_carried(values, WIRES[name]))


@given(ANY_BITS | BLOCK_OF_ANY.map(lambda each: each.view(np.uint32)), st.sampled_from(NAMES))
def test_values_that_arrived_are_sent_again_without_an_error(raw, name):
    once = as_carried(raw.view(np.float32), WIRES[name])
    assert bits(as_carried(once, WIRES[name])) == bits(once)


def test_int8_by_hand():
    values = np.array([127, 63.5, 64.5, -0.5, 0.75, -127], np.float32)  # the scale is 1
    assert as_carried(values, WIRES["int8"]).tolist() == [127, 64, 64, 0, 1, -127]


def test_fp8_by_hand():
    # 500 = 1.95 x 2^8: the scale is 1, and 500 is beyond 448, the largest number.
    values = np.array([500, 17, 19, 2.0**-10, 3 * 2.0**-10], np.float32)
    assert as_carried(values, WIRES["fp8"]).tolist() == [448, 16, 20, 0, 2 * 2.0**-9]


def test_fp4_by_hand():
    values = np.array([7, 5, 3.5, 2.5, 1.75, 1.25, 0.75, 0.25, -0.25, -6], np.float32)
    found = as_carried(values, WIRES["fp4"])
    assert found.tolist() == [6, 4, 4, 2, 2, 1, 1, 0, 0, -6]
    assert np.signbit(found).tolist() == 8 * [False] + 2 * [True]


def test_bytes_of_fp4_by_hand():
    # 6 is 0111, -1 is 1010, 0.5 is 0001; the scale 2^(2 - 2) is 127 in E8M0.
    data = encoded(np.array([6, -1, 0.5], np.float32), WIRES["fp4"])
    assert data.tolist() == [0b1010_0111, 0b0001, 127]


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_have_scales_of_their_own(name):
    block = WIRES[name].block
    values = np.ones(block + 2, np.float32)
    values[block:] = 2.0**-30
    assert as_carried(values, WIRES[name]).tolist() == pytest.approx(values.tolist(), rel=1e-4)


@pytest.mark.parametrize(("name", "bad"), list(product(BLOCKS, [nan, inf, -inf])))
def test_a_block_with_a_number_that_is_not_finite_arrives_as_nan(name, bad):
    block = WIRES[name].block
    values = np.ones(2 * block + 1, np.float32)
    values[block + 1] = bad
    found = np.isnan(as_carried(values, WIRES[name]))
    assert found.tolist() == block * [False] + block * [True] + [False]


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("wide", [False, True])
def test_zeros_and_the_least_numbers(name, wide):
    least = np.array([2.0**-149, 0, -(2.0**-149)], np.float32)
    found = least.copy()
    carry(found, name, wide=wide)
    assert found.tolist() == [0, 0, 0]  # below half of the least element at the least scale
    assert as_carried(least, WIRES[name]).tolist() == [0, 0, 0]


def test_int8_is_zero_where_its_scale_would_be_subnormal():
    edge = np.float32(127) * np.float32(2.0**-126)
    below = np.nextafter(edge, np.float32(0))
    assert as_carried(np.array([edge, -edge]), WIRES["int8"]).tolist() == [edge, -edge]
    assert as_carried(np.array([below, -below]), WIRES["int8"]).tolist() == [0, 0]
    for values, arrive in (([edge, -edge], [edge, -edge]), ([below, -below], [0, 0])):
        compiled = np.array(values)
        carry(compiled, "int8")
        assert compiled.tolist() == arrive


def test_subnormals_arrive_where_a_scale_reaches_them():
    values = np.array([2.0**-127, -(2.0**-130)], np.float32)
    assert as_carried(values, WIRES["fp8"]).tolist() == values.tolist()
    assert as_carried(values, WIRES["fp4"]).tolist() == [2.0**-127, 0.0]


def test_the_largest_numbers_stay_finite():
    most = np.finfo(np.float32).max
    for name in BLOCKS:
        found = as_carried(np.array([most, -most, 1], np.float32), WIRES[name])
        assert np.isfinite(found).all()
        assert abs(found[0]) <= most
    assert as_carried(np.array([most, 65520]), WIRES["float16"]).tolist() == [inf, inf]
    assert as_carried(np.array([65519], np.float32), WIRES["float16"]).tolist() == [65504]


def test_formats_are_those_that_are_compiled():
    assert set(FORMATS) == set(WIRES)
