"""Wire formats: the bytes of a chunk, by hand and by a count of bits and blocks one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import lengths_of
from strategies import program_of, ranks_per_site, width_for

from emul import naming
from emul.errors import ArgumentError
from emul.plans import WIRES, Encoding, algorithms_for, build_plan, wire_bytes, wire_named
from emul.timing import Slicing
from emul.timing.traffic import Traffic

NAMES = st.sampled_from(sorted(WIRES))


@pytest.mark.parametrize(
    ("wire", "count", "nbytes"),
    [
        ("float32", 3, 12),
        ("bfloat16", 3, 6),
        ("float16", 3, 6),
        ("int8", 256, 260),  # one scale of 4 bytes
        ("int8", 257, 265),  # and one for the last element alone
        ("fp8", 32, 33),
        ("fp8", 33, 35),
        ("fp4", 32, 17),
        ("fp4", 33, 19),  # 17 bytes for 132 bits, and two scales
        ("fp4", 1, 2),
    ],
)
def test_bytes_of_a_chunk_by_hand(wire, count, nbytes):
    assert wire_bytes(count, wire) == nbytes


@given(NAMES, st.integers(0, 2000))
def test_bytes_are_those_of_bits_and_blocks_counted_one_by_one(name, count):
    wire = WIRES[name]
    bits = sum(wire.bits for _ in range(count))
    scales = sum(1 for i in range(count) if wire.block and i % wire.block == 0)
    needed = (bits + 7) // 8 + scales * wire.scale_bytes
    assert wire.nbytes(count) == needed
    assert wire.nbytes_of_each(np.array([[count, 0]])).tolist() == [[needed, 0]]


@given(NAMES, st.lists(st.integers(0, 700), min_size=1, max_size=6))
def test_no_cut_into_chunks_goes_below_the_least_bytes(name, counts):
    encoding = Encoding(4, WIRES[name])
    assert encoding.least_nbytes(sum(counts)) <= sum(map(encoding.nbytes, counts))
    assert encoding.least_nbytes(1024) == encoding.nbytes(1024)


def test_elements_go_as_they_are_without_a_wire_format():
    plain = Encoding.of(2)
    assert plain == Encoding(2)
    assert Encoding.of(plain) is plain
    assert (plain.nbytes(5), plain.least_nbytes(5)) == (10, 10)
    assert plain.nbytes_of_each(np.arange(3)).tolist() == [0, 2, 4]


def test_names_are_those_that_people_type():
    assert set(naming.WIRES) == set(WIRES)
    assert [wire_named(name).name for name in ("bf16", "FP8", "mxfp4", "half")] == [
        "bfloat16",
        "fp8",
        "fp4",
        "float16",
    ]


@pytest.mark.parametrize("wire", ["int7", "", None, 8])
def test_an_unknown_wire_is_refused_with_the_names_there_are(wire):
    with pytest.raises(ArgumentError, match=r"wire .*needed .*int8"):
        wire_named(wire)


def test_a_count_below_zero_is_refused():
    with pytest.raises(ArgumentError, match="count -1: needed a whole number, 0 or more"):
        wire_bytes(-1, "int8")


@given(
    sizes=ranks_per_site,
    case=st.sampled_from(
        [
            (name, algorithm)
            for name in ("all_reduce", "reduce_scatter", "all_gather")
            for algorithm in algorithms_for(name)
        ]
    ),
    name=NAMES,
    blocks=st.integers(0, 400),
)
def test_a_message_has_the_bytes_of_its_chunks_one_by_one(sizes, case, name, blocks):
    plan, wire = build_plan(*case, sizes), WIRES[name]
    width = width_for(case[0], sum(sizes), blocks)
    lengths, expected = lengths_of(plan, width), []
    for step in plan.steps():
        before = None
        for row in range(len(step)):
            ends = int(step.src[row]), int(step.dst[row]), int(step.channel[row])
            first = int(step.src_chunk[row])
            sent = lengths[ends[0]][first : first + int(step.nchunks[row])]
            if not sum(sent):
                continue  # a row without elements is no part of a message
            if ends != before:
                expected.append(0)
            expected[-1] += sum(map(wire.nbytes, sent))
            before = ends
    program = program_of(plan, width, Encoding(4, wire))
    assert program.nbytes.tolist() == expected
    for slice_bytes in (100, 1 << 20):
        traffic = Traffic.of(program, Slicing(slice_bytes))
        messages = np.zeros(len(program), dtype=np.int64)
        np.add.at(messages, traffic.origin.message, traffic.nbytes)
        assert messages.tolist() == expected
