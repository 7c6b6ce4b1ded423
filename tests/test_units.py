import pytest
from hypothesis import given
from hypothesis import strategies as st

from emul import ArgumentError
from emul.units import format_bytes, format_factor, format_rate, format_time, parse_size


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [("8", 8), ("1K", 1024), ("1k", 1024), ("128M", 128 << 20), ("2G", 2 << 30), ("1.5K", 1536),
     ("4MiB", 4 << 20), (" 7 ", 7), ("1T", 1 << 40)],
)  # fmt: skip
def test_sizes_are_binary_as_in_nccl_tests(text, nbytes):
    assert parse_size(text) == nbytes


@pytest.mark.parametrize("text", ["12Q", "", "M", "-1", "nan", "inf", "1e3", "0x10", "1 2", "8 MK"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ArgumentError, match="needed a number of bytes"):
        parse_size(text)


@given(st.integers(0, 1 << 40))
def test_plain_numbers_are_bytes(nbytes):
    assert parse_size(str(nbytes)) == nbytes


def test_quantities_are_written_with_their_unit():
    assert format_bytes(0) == "0 B"
    assert format_bytes(1536) == "1.5 KiB"
    assert format_bytes(32 << 20) == "32 MiB"
    assert format_time(1.5) == "1.5 s"
    assert format_time(0.000397) == "397 us"
    assert format_time(2.5e-9) == "2.5 ns"
    assert format_rate(1.25e9) == "1.25 GB/s (10 Gbit/s)"


def test_rates_of_many_links_are_printed_without_an_exponent():
    assert format_rate(12.55e12) == "12550 GB/s (100400 Gbit/s)"
    assert format_rate(49e9) == "49 GB/s (392 Gbit/s)"
    assert format_rate(1e30) == "1e+21 GB/s (8e+21 Gbit/s)"


def test_factors_have_three_digits_and_no_exponent():
    told = [format_factor(factor) for factor in (0.5, 1.1349, 217.4, 999.4, 999.6, 2463.2)]
    assert told == ["0.5", "1.13", "217", "999", "1000", "2463"]
