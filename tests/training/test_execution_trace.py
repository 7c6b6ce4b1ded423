"""Execution traces of Chakra: the events of a rank, held against the protobuf library."""

import gzip
import random

import pytest
from chakra_messages import (
    COLLECTIVE,
    COMPUTE,
    RECV,
    SEND,
    WHOLE,
    attribute,
    collective,
    node,
    trace,
)
from hypothesis import given
from hypothesis import strategies as st

from emul.errors import EmulError, TrainingError
from emul.training.readers import CommEvent, ComputeEvent, read_execution_trace

MOST_MICROS = 4 * 10**12


def written(tmp_path, content):
    path = tmp_path / "trace.0.et"
    path.write_bytes(content)
    return path


def read(tmp_path, *nodes, **more):
    return read_execution_trace(written(tmp_path, trace(*nodes, **more)))


def test_compute_and_communication_of_a_step(tmp_path):
    on_cpu = attribute("is_cpu_op", "bool", True)
    found = read(
        tmp_path,
        node(1, COMPUTE, "aten::mm", (), 40, on_cpu),
        node(2, COMPUTE, "gemm", (1,), 1500, attribute("is_cpu_op", "bool", False)),
        collective(3, 0, 25 << 20, attribute("pg_name", "string", "dp"), after=(2,), micros=700),
        node(4, SEND, "p2p", (2,), 0, attribute("comm_size", "int64", 4096),
             attribute("comm_dst", "int32", 9)),
        node(5, RECV, "p2p", (), 0, attribute("comm_size", "uint64", 64),
             attribute("comm_src", "int32", 7), attribute("comm_dst", "int32", 2)),
        version="1.0.0",
    )  # fmt: skip
    assert found.version == "1.0.0"
    assert found.events == (
        ComputeEvent(40e-6, 1, "aten::mm", (), on_cpu=True),
        ComputeEvent(1500e-6, 2, "gemm", (1,)),
        CommEvent("all_reduce", 25 << 20, "dp", 3, "nccl", (2,), 700e-6),
        CommEvent("send", 4096, "", 4, "p2p", (2,), peer=9),
        CommEvent("recv", 64, "", 5, "p2p", (), peer=7),
    )
    assert found.compute_s == 1500e-6
    assert [each.collective for each in found.communications] == ["all_reduce", "send", "recv"]


def test_the_collectives_by_number(tmp_path):
    """CollectiveCommType of et_def.proto."""
    names = {
        0: "all_reduce",
        1: "reduce",
        2: "all_gather",
        3: "gather",
        4: "scatter",
        5: "broadcast",
        6: "all_to_all",
        7: "reduce_scatter",
        8: "reduce_scatter",
        9: "barrier",
    }
    found = read(tmp_path, *(collective(kind, kind, 8) for kind in names))
    assert {each.number: each.collective for each in found.communications} == names
    alone = read(tmp_path, node(1, COLLECTIVE, "", (), 0, attribute("comm_type", "int64", 9)))
    assert alone.events[0].nbytes == 0


def test_nodes_of_other_kinds_keep_their_place(tmp_path):
    kinds = {1: "metadata", 2: "memory load", 3: "memory store", 8: "storage", 77: "type 77"}
    found = read(
        tmp_path,
        *(node(i, kind, after=(i - 1,) if i else ()) for i, kind in enumerate(kinds)),
        node(9, COMPUTE, "", (), 0, attribute("num_ops", "int64", 10**12)),
    )
    assert [each.kind for each in found.events] == [*kinds.values(), "compute"]
    assert found.events[-1].operations == 10**12
    assert found.compute_s == 0


def test_a_call_of_the_host_is_no_communication(tmp_path):
    """As traces of PyTorch have them: the call on the host, then the kernel with type and size."""
    on_cpu = attribute("is_cpu_op", "bool", True)
    call = node(1, COLLECTIVE, "c10d::allreduce_", (), 90, on_cpu)
    found = read(tmp_path, call, collective(2, 0, 64, after=(1,)))
    assert found.events[0] == ComputeEvent(
        90e-6, 1, "c10d::allreduce_", (), kind="call", on_cpu=True
    )
    assert [each.number for each in found.communications] == [2]
    assert found.compute_s == 0


def test_dimensions_stand_where_no_group_has_a_name(tmp_path):
    involved = attribute("involved_dim", "bool_list", [True, False, True])
    named = attribute("pg_name", "string", "tp")
    found = read(tmp_path, collective(1, 0, 8, involved), collective(2, 0, 8, involved, named))
    assert [each.group for each in found.events] == ["dimensions 0 2", "tp"]


def test_events_come_behind_those_that_they_need(tmp_path):
    pairs = {5: (3, 4), 3: (), 4: (8,), 8: (), 1: ()}
    found = read(tmp_path, *(node(n, COMPUTE, after=after) for n, after in pairs.items()))
    assert [each.number for each in found.events] == [3, 8, 4, 5, 1]


@given(
    st.sampled_from(WHOLE),
    st.sampled_from(WHOLE),
    st.integers(0, 2**31 - 1),
    st.integers(0, 2**64 - 1),
    st.lists(st.integers(100, 2**64 - 1), unique=True, max_size=5),
    st.text(max_size=9),
    st.integers(0, MOST_MICROS),
)
def test_numbers_are_those_that_the_library_wrote(
    tmp_path_factory, size_kind, type_kind, nbytes, number, after, name, micros
):
    folder = tmp_path_factory.mktemp("chakra", numbered=True)
    others = [node(each, COMPUTE) for each in after]
    sizes = (attribute("comm_type", type_kind, 2), attribute("comm_size", size_kind, nbytes))
    of_others = (attribute("unread", "double", 1.5), attribute("also", "float", 2.5))
    number = number % 100
    one = node(number, COLLECTIVE, name, after, micros, *of_others, *sizes, start=7, within=(1, 2))
    found = read(folder, *others, one).events[-1]
    assert found == CommEvent("all_gather", nbytes, "", number, name, tuple(after), micros / 1e6)


def test_a_compressed_trace_is_the_same(tmp_path):
    content = trace(node(1, COMPUTE, micros=3), collective(2, 0, 8))
    plain = read_execution_trace(written(tmp_path, content))
    assert read_execution_trace(written(tmp_path, gzip.compress(content, mtime=0))) == plain


def test_a_name_is_data(tmp_path):
    name = "[bold]\x1b[31m</td><script>\n"
    assert read(tmp_path, node(1, COMPUTE, name)).events[0].name == name


HEAD = len(trace())
"""Bytes of the metadata; behind it stand the length of a node, in one byte, and the node."""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "byte 0: the end: needed the metadata"),
        (trace()[:-1], f"byte 0: {HEAD - 1} bytes: needed at most the {HEAD - 2} bytes"),
        (trace(node(1, COMPUTE))[HEAD:], "byte 1: a node: needed the metadata"),
        (trace(node(1, 0)), f"byte {HEAD + 1}: node 1 without a type: needed one of NodeType"),
        (trace(b""), f"byte {HEAD + 1}: node 0 without a type"),
        (
            trace(node(1, COMPUTE), node(1, COMPUTE)),
            f"byte {HEAD + 6}: node 1, which comes twice: needed each number once",
        ),
        (trace(node(1, COMPUTE, after=(7,))), "node 1 behind node 7: needed a node of this file"),
        (
            trace(node(4, COMPUTE), node(1, COMPUTE, after=(2,)), node(2, COMPUTE, after=(1,))),
            "node 1, which waits in a circle",
        ),
        (trace(node(1, COMPUTE, micros=MOST_MICROS + 1)), "4000000000001 us: needed at most"),
        (
            trace(node(3, COLLECTIVE)),
            "node 3 without comm_type as a number: needed a",
        ),
        (trace(collective(3, 10, 8)), "comm_type = 10: needed a whole number from 0 to 9"),
        (trace(collective(3, 0, -8)), "comm_size = -8: needed a whole number from 0"),
        (trace(node(3, SEND)), "node 3 without comm_size"),
        (
            trace(node(3, SEND, "", (), 0, attribute("comm_size", "double", 8.0))),
            "node 3 without comm_size as a number: needed a whole number",
        ),
        (trace(b"\x0b"), f"byte {HEAD + 1}: wire type 3: needed a number, a part"),
        (trace(b"\x00\x01"), f"byte {HEAD + 1}: field 0: needed the number of a field"),
        (trace(b"\x08" + b"\xff" * 12), f"byte {HEAD + 2}: more than ten bytes"),
        (trace(b"\x08"), f"byte {HEAD + 2}: the end: needed a number"),
        (trace(b"\x09\x01\x02"), f"byte {HEAD + 2}: the end: needed a number of 8 bytes"),
        (trace(b"\x10\x01"), f"byte {HEAD + 1}: field 2 as a number: needed a text"),
        (trace(b"\x0a\x00"), f"byte {HEAD + 1}: field 1 as a part: needed a number"),
        (trace(b"\x50\x01"), f"byte {HEAD + 1}: field 10 as a number: needed a message"),
        (gzip.compress(trace(node(1, COMPUTE)), mtime=0)[:-9], "the compression ends early"),
        (b"\x1f\x8b nonsense", "not gzip"),
        (b'{"schema": "1.0"}', "byte 0: 123 bytes: needed at most the 16 bytes that follow"),
    ],
)
def test_a_broken_trace_says_the_byte(tmp_path, content, message):
    path = written(tmp_path, content)
    with pytest.raises(TrainingError, match=message) as caught:
        read_execution_trace(path)
    assert str(caught.value).startswith(f"{path}")
    assert len(str(caught.value).splitlines()) == 1


def test_the_bounds_of_a_trace_hold(tmp_path, monkeypatch):
    from emul.training.readers import chakra

    content = trace(node(1, COMPUTE), node(2, COMPUTE))
    monkeypatch.setattr(chakra, "MOST_NODES", 1)
    with pytest.raises(TrainingError, match="a further node: needed at most 1 nodes"):
        read_execution_trace(written(tmp_path, content))
    monkeypatch.setattr(chakra, "MOST_BYTES", 15)
    with pytest.raises(TrainingError, match="needed at most 15"):
        read_execution_trace(written(tmp_path, content))
    packed = gzip.compress(bytes(1000), mtime=0)
    monkeypatch.setattr(chakra, "MOST_BYTES", len(packed))
    with pytest.raises(TrainingError, match="bytes behind the compression"):
        read_execution_trace(written(tmp_path, packed))
    with pytest.raises(TrainingError, match="cannot be read"):
        read_execution_trace(tmp_path / "missing.et")


def test_mangled_traces_are_events_or_one_error(tmp_path):
    involved = attribute("involved_dim", "bool_list", [True, False])
    content = trace(
        node(1, COMPUTE, "a", (), 40, attribute("is_cpu_op", "bool", True)),
        collective(2, 7, 1 << 40, involved, attribute("pg_name", "string", "dp"), after=(1,)),
        node(3, SEND, "b", (1, 2), 5, attribute("comm_size", "sint64", 12)),
    )
    draws, refused = random.Random(20261201), 0
    for _ in range(400):
        mangled = bytearray(content)
        for _ in range(draws.randint(1, 4)):
            at = draws.randrange(len(mangled))
            kind = draws.randrange(3)
            if kind == 0:
                mangled[at] = draws.randrange(256)
            elif kind == 1:
                del mangled[at : at + draws.randint(1, 9)]
            else:
                mangled[at:at] = draws.randbytes(draws.randint(1, 9))
            if not mangled:
                break
        path = written(tmp_path, bytes(mangled))
        try:
            said = repr(read_execution_trace(path))
        except EmulError as error:
            refused, said = refused + 1, str(error)
        assert len(said.splitlines()) == 1
    assert 0 < refused < 400
