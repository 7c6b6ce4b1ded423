"""Execution traces in the format of Chakra (github.com/mlcommons/chakra, et_def.proto).

A file is of one rank: messages, each behind its length, first a ``GlobalMetadata`` and then one
``Node`` for each event; it may be compressed by gzip. The numbers of fields and types are those of
schema/protobuf/et_def.proto. The sizes of communication are attributes of nodes, named as in
src/feeder/et_feeder_node.cpp.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import islice
from pathlib import Path

from emul.errors import TrainingError
from emul.reading.bounded_text import read_bytes
from emul.training.readers.events import CommEvent, ComputeEvent, ExecutionTrace
from emul.training.readers.wire import FIXED32, VARINT, Wire, WireField, signed

__all__ = ["read_execution_trace"]

MOST_BYTES = 256 << 20
"""Of a trace, also behind its compression: nodes of PyTorch have some 300 bytes."""

GZIP = b"\x1f\x8b"
GZIP_WINDOW = 31
"""For zlib: the largest window, with the header of gzip."""

US_PER_S = 1e6
MOST_MICROSECONDS = 4 * 10**12
"""To 46 days, the most seconds of one act."""

MOST_NODES = 1_000_000
MOST_COMM_BYTES = 1 << 60
MOST_OPERATIONS = 1 << 62

# GlobalMetadata
VERSION = 1
# Node
ID, NAME, TYPE, DATA_DEPS, DURATION, ATTRIBUTE = 1, 2, 3, 5, 7, 10
COLLECTIVE, SEND, RECV = 7, 5, 6  # NodeType
COMMUNICATION = (COLLECTIVE, SEND, RECV)
CALL = "call"
"""Of nodes of communication that the host carries out, such as ``c10d::allreduce_`` of PyTorch: the
kernel that communicates has a node of its own, with the size."""

KINDS = {
    1: "metadata",
    2: "memory load",
    3: "memory store",
    4: "compute",
    8: "storage",
    9: "batch",
    10: "checkpoint",
}
"""Of nodes that are no communication."""

COLLECTIVES = (
    "all_reduce", "reduce", "all_gather", "gather", "scatter", "broadcast", "all_to_all",
    "reduce_scatter", "reduce_scatter", "barrier",
)  # fmt: skip
"""By CollectiveCommType; REDUCE_SCATTER_BLOCK is a reduce_scatter of equal parts."""

# AttributeProto
ATTRIBUTE_NAME = 1
SIGNED, UNSIGNED, ZIGZAG, FIXED_SIGNED = {7, 9}, {11, 13, 19, 21, 27}, {15, 17}, {23, 25}
TEXT, FLAGS = 29, 28
"""Fields of the value: whole numbers of each encoding, a text, and a list of truths."""

READ = frozenset(
    {
        "comm_type", "comm_size", "comm_src", "comm_dst", "pg_name", "involved_dim", "is_cpu_op",
        "num_ops",
    }
)  # fmt: skip
"""Attributes that are read; a node may have any others."""

Value = int | str | tuple[int, ...]


@dataclass(slots=True)
class TraceNode:
    """The fields of one node, and the byte at which it stands."""

    at: int
    number: int = 0
    name: str = ""
    type: int = 0
    after: list[int] = field(default_factory=list)
    micros: int = 0
    attributes: dict[str, Value] = field(default_factory=dict)


def read_execution_trace(path: str | Path) -> ExecutionTrace:
    """Return the events of one rank in the trace at ``path``, those before others first.

    The order follows data dependencies; dependencies of control, the calls that a call is within,
    are not read. Raises TrainingError, with the byte, for a file that is none, for a node without a
    type or with the number of another, for communication without a size (a call of the host needs
    none), and for dependencies on a node that is not there, or in a circle.
    """
    wire = Wire(_content(Path(path)), str(path))
    messages = _messages(wire)
    begin, end = next(messages, (0, 0))
    if not end:
        raise wire.refusal(0, "the end", "the metadata of an execution trace of Chakra")
    version = _version(wire, begin, end)
    nodes = [_node(wire, *each) for each in islice(messages, MOST_NODES)]
    if rest := next(messages, None):
        raise wire.refusal(rest[0], "a further node", f"at most {MOST_NODES} nodes")
    return ExecutionTrace(tuple(_event(wire, node) for node in _ordered(wire, nodes)), version)


def _content(path: Path) -> bytes:
    data = read_bytes(path, "an execution trace of Chakra", MOST_BYTES, TrainingError)
    if not data.startswith(GZIP):
        return data
    unpacking = zlib.decompressobj(GZIP_WINDOW)
    try:
        data = unpacking.decompress(data, MOST_BYTES + 1)
    except zlib.error as error:
        raise TrainingError(f"{path}: not gzip ({error}): needed a whole file") from None
    if len(data) > MOST_BYTES:
        raise TrainingError(f"{path}: needed at most {MOST_BYTES} bytes behind the compression")
    if not unpacking.eof:
        raise TrainingError(f"{path}: the compression ends early: needed a whole file")
    return data


def _messages(wire: Wire) -> Iterator[tuple[int, int]]:
    """Yield where each message begins and ends."""
    at, end = 0, len(wire.data)
    while at < end:
        begin, at = wire.part(at, end)
        yield begin, at


def _version(wire: Wire, begin: int, end: int) -> str:
    version = ""
    for each in wire.fields(begin, end):
        if each.number == TYPE or (each.number == ID and each.kind == VARINT):
            raise wire.refusal(begin, "a node", "the metadata of the trace before all nodes")
        if each.number == VERSION:
            version = wire.text(each)
    return version


def _node(wire: Wire, begin: int, end: int) -> TraceNode:
    node = TraceNode(begin)
    numbers = {ID: 0, TYPE: 0, DURATION: 0}
    for each in wire.fields(begin, end):
        if each.number in numbers:
            numbers[each.number] = wire.number(each)
        elif each.number == NAME:
            node.name = wire.text(each)
        elif each.number == DATA_DEPS:
            node.after += wire.numbers(each)
        elif each.number == ATTRIBUTE:
            name, value = _attribute(wire, each)
            if name in READ:
                node.attributes[name] = value
    node.number, node.type, node.micros = numbers.values()
    if not node.type:
        raise wire.refusal(begin, f"node {node.number} without a type", "one of NodeType")
    if node.micros > MOST_MICROSECONDS:
        raise wire.refusal(begin, f"{node.micros} us", f"at most {MOST_MICROSECONDS} us")
    return node


def _attribute(wire: Wire, attribute: WireField) -> tuple[str, Value]:
    """Return the name of an attribute and its value, an empty text where none is read."""
    name = ""
    found: Value = ""
    for each in wire.message(attribute):
        if each.number == ATTRIBUTE_NAME:
            name = wire.text(each)
        elif each.number == TEXT:
            found = wire.text(each)
        elif each.number == FLAGS:
            found = tuple(flag for part in wire.message(each) for flag in wire.numbers(part))
        else:
            found = _whole(wire, each, found)
    return name, found


def _whole(wire: Wire, each: WireField, before: Value) -> Value:
    """Return the whole number that a field of a value is; ``before`` of a field that is none."""
    if each.number in SIGNED:
        return signed(wire.number(each))
    if each.number in UNSIGNED:
        return wire.number(each)
    if each.number in ZIGZAG:
        value = wire.number(each)
        return (value >> 1) ^ -(value & 1)
    if each.number in FIXED_SIGNED:
        return signed(wire.number(each), 32 if each.kind == FIXED32 else 64)
    return before


def _event(wire: Wire, node: TraceNode) -> ComputeEvent | CommEvent:
    seconds, after = node.micros / US_PER_S, tuple(node.after)
    on_cpu = bool(node.attributes.get("is_cpu_op", 0))
    called = on_cpu and "comm_size" not in node.attributes
    if node.type in COMMUNICATION and not called:
        return CommEvent(
            _collective(wire, node),
            _size(wire, node),
            _group(node),
            node.number,
            node.name,
            after,
            seconds,
            _peer(wire, node),
            on_cpu,
        )
    kind = CALL if node.type in COMMUNICATION else KINDS.get(node.type, f"type {node.type}")
    operations = _number(wire, node, "num_ops", MOST_OPERATIONS, 0)
    return ComputeEvent(seconds, node.number, node.name, after, kind, operations, on_cpu)


def _collective(wire: Wire, node: TraceNode) -> str:
    if node.type != COLLECTIVE:
        return "send" if node.type == SEND else "recv"
    return COLLECTIVES[_number(wire, node, "comm_type", len(COLLECTIVES) - 1)]


def _size(wire: Wire, node: TraceNode) -> int:
    barrier = node.type == COLLECTIVE and _collective(wire, node) == "barrier"
    return _number(wire, node, "comm_size", MOST_COMM_BYTES, 0 if barrier else None)


def _peer(wire: Wire, node: TraceNode) -> int:
    key = {SEND: "comm_dst", RECV: "comm_src"}.get(node.type, "")
    return _number(wire, node, key, (1 << 31) - 1, -1)


def _number(wire: Wire, node: TraceNode, key: str, most: int, default: int | None = None) -> int:
    """Return the attribute ``key``, a whole number from 0 to ``most``."""
    if key not in node.attributes and default is not None:
        return default
    value = node.attributes.get(key)
    if not isinstance(value, int) or not 0 <= value <= most:
        came = f"node {node.number} with {key} = {value}"
        if not isinstance(value, int):
            came = f"node {node.number} without {key} as a number"
        raise wire.refusal(node.at, came, f"a whole number from 0 to {most}")
    return value


def _group(node: TraceNode) -> str:
    """Return the name of the process group, or the dimensions that a collective goes over."""
    name = node.attributes.get("pg_name", "")
    involved = node.attributes.get("involved_dim", ())
    if isinstance(name, str) and name:
        return name
    if isinstance(involved, tuple) and involved:
        return "dimensions " + " ".join(str(i) for i, each in enumerate(involved) if each)
    return ""


def _ordered(wire: Wire, nodes: list[TraceNode]) -> Iterator[TraceNode]:
    """Yield nodes behind those that they depend on, else in the order of the file."""
    waiting = [len(set(node.after)) for node in nodes]
    followers = _followers(wire, nodes)
    ready = [i for i, left in enumerate(waiting) if not left]
    while ready:
        i = heappop(ready)
        yield nodes[i]
        for follower in followers[i]:
            waiting[follower] -= 1
            if not waiting[follower]:
                heappush(ready, follower)
    if any(waiting):
        node = next(node for node, left in zip(nodes, waiting, strict=True) if left)
        came = f"node {node.number}, which waits in a circle"
        raise wire.refusal(node.at, came, "an order of the nodes")


def _followers(wire: Wire, nodes: list[TraceNode]) -> list[list[int]]:
    """Return the places of the nodes that depend on each node."""
    places: dict[int, int] = {}
    for i, node in enumerate(nodes):
        if places.setdefault(node.number, i) != i:
            came = f"node {node.number}, which comes twice"
            raise wire.refusal(node.at, came, "each number once")
    followers: list[list[int]] = [[] for _ in nodes]
    for i, node in enumerate(nodes):
        for number in set(node.after):
            if number not in places:
                came = f"node {node.number} behind node {number}"
                raise wire.refusal(node.at, came, "a node of this file")
            followers[places[number]].append(i)
    return followers
