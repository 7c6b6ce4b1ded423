"""Stacks as tables: their numbers with sources, and the algorithms that they take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from math import inf

from emul.report.text_table import TextTable
from emul.stacks import Sockets, Stack
from emul.units import format_bytes, format_time

__all__ = ["choice_table", "number_table", "stack_list", "stack_numbers"]


def stack_list(stacks: Iterable[Stack]) -> TextTable:
    """Return a table with a line for each stack."""
    table = TextTable("name", "what it is", prose=["what it is"])
    for stack in stacks:
        table.row(stack.name, stack.description)
    return table


def number_table(stack: Stack) -> TextTable:
    """Return the numbers of a stack about messages, with their sources."""
    table = TextTable("what", "value", "source", prose=["source"])
    for number in stack_numbers(stack):
        table.row(*number)
    return table


def stack_numbers(stack: Stack) -> Iterator[tuple[str, str, str]]:
    """Yield the name, the value and the source of each number of a stack about messages."""
    for name, value, key in _numbers(stack):
        yield name, value, stack.sources.get(key, "")
    for collective, seconds in stack.more_call_s.items():
        yield (
            f"more per call of {collective}",
            _time(seconds),
            stack.sources.get("more_call_us", ""),
        )
    if stack.tuner == "nccl":
        yield from _of_windows(stack)
    if stack.tuner == "nccl" or stack.sockets != Sockets():
        yield from _of_sockets(stack)
    for option, value in stack.options.items():
        yield option, value, "given"
    if "inside_node" in stack.sources:
        yield "inside a node", "the same", stack.sources["inside_node"]
    if "choice" in stack.sources:
        yield "choice of algorithms", "", stack.sources["choice"]


def _numbers(stack: Stack) -> Iterator[tuple[str, str, str]]:
    yield "handshake", stack.handshake, "handshake"
    if stack.handshake == "rendezvous":
        yield "eager up to", format_bytes(stack.eager_bytes), "eager_bytes"
    if stack.handshake != "none":
        order = "behind bulk data" if stack.in_order else "past bulk data"
        yield "notices and answers go", order, "in_order"
    if stack.shares_ports:
        yield "messages at a NIC", "share it", "shares_ports"
    if stack.slice_bytes:
        yield "slices", f"{format_bytes(stack.slice_bytes)}, {stack.slots} in flight", "slice_bytes"
    for field in fields(stack.constants):
        seconds = getattr(stack.constants, field.name)
        name = field.name.removesuffix("_s")
        key = f"{name}_ns" if name == "byte" else f"{name}_us"
        yield f"per {name}", _time(seconds), key if key in stack.sources else "constants"


def _of_windows(stack: Stack) -> Iterator[tuple[str, str, str]]:
    sockets, sources = stack.sockets, stack.sources
    yield "over sockets", "slots free when the kernel has the bytes", sources.get("sockets", "")
    window = f"{format_bytes(sockets.window_bytes)}, after silence"
    yield (
        "window of a socket",
        f"{window} {format_bytes(sockets.restart_bytes)}",
        sources.get("window", ""),
    )
    yield "rules of the tuner", "", sources.get("tuner_rules", "")


def _of_sockets(stack: Stack) -> Iterator[tuple[str, str, str]]:
    sockets, sources = stack.sockets, stack.sources
    copies = f"{_time(sockets.send_byte_s)} sent, {_time(sockets.receive_byte_s)} received"
    yield "copy of a byte", copies, sources.get("copies", "")
    calls = f"{_time(sockets.message_s)} sent, {_time(sockets.completion_s)} received"
    yield "calls of a message", calls, sources.get("calls", "")


def _time(seconds: float) -> str:
    return format_time(seconds) if seconds >= 1e-9 or not seconds else f"{seconds * 1e9:.3g} ns"


def choice_table(stack: Stack) -> TextTable:
    """Return which algorithm a stack takes for which worlds and sizes; the first that fits."""
    table = TextTable("collective", "ranks", "size", "algorithm")
    for collective, choices in stack.choices.items():
        for choice in choices:
            ranks = "any" if choice.ranks == inf else f"up to {choice.ranks:g}"
            size = "any" if choice.nbytes == inf else f"below {format_bytes(choice.nbytes)}"
            table.row(collective, ranks, size, choice.algorithm)
    return table
