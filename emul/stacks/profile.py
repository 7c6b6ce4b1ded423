"""Profiles of stacks: those that come with emul, and a user's own in TOML."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from emul.errors import ArgumentError, StackError, unknown_name
from emul.fixed_mapping import FixedMapping
from emul.plans import COLLECTIVES
from emul.reading.bounded_text import read_text, toml_document
from emul.reading.complaints import Complaints
from emul.reading.toml_table import TomlTable
from emul.reading.values import Range, choice
from emul.stacks.nccl_levers import levers_of
from emul.stacks.stack import HANDSHAKES, IDEAL, Choice, Constants, Sockets, Stack
from emul.stacks.tuner_rules import NIC_PATHS, TunerRules

__all__ = ["PROFILE_FILE", "load_stack", "read_stack", "stack_names"]

PROFILES = "emul.stacks.profiles"
PROFILE_FILE = ".toml"
CONSTANTS = ("call_us", "message_us", "control_us", "completion_us")
KEYS = (
    "name", "description", "handshake", "eager_bytes", "control_bytes", "in_order", "slice_bytes",
    "slots", "shares_ports", "tuner", "constants", "choice", "sources", "base", "tuner_rules",
    "options", "sockets", "more_call_us",
)  # fmt: skip
TABLES = ("constants", "sources", "tuner_rules", "options", "sockets", "more_call_us")
"""Of a profile over its base, the tables that are overlaid key by key."""

SOCKET_TIMES = ("message_us", "completion_us")
SOCKET_BYTES = ("window_bytes", "restart_bytes")
SOCKET_COPIES = ("send_byte_ns", "receive_byte_ns")
RULES = ("two_nodes_by_inside", "lone_gpus_by_tree", "ll128_up_to")
TUNERS = ("none", "nccl")
MICROSECONDS = Range(0, 1e9, "us")
NANOSECONDS = Range(0, 1e6, "ns")
BYTES = Range(0, 1e15, "B")
SOME_BYTES = Range(0, 1e15, "B", closed=False)
MOST_CHOICES = 1000
STATUSES = ("measured: ", "published: ", "assumed: ")


def stack_names() -> tuple[str, ...]:
    """Return the names of the stacks that come with emul, in alphabetical order."""
    found = (Path(entry.name) for entry in files(PROFILES).iterdir())
    return tuple(sorted(path.stem for path in found if path.suffix == PROFILE_FILE))


def load_stack(name: str) -> Stack:
    """Return the stack called ``name``, or of the file with that path, which ends in .toml.

    Raises ArgumentError for a name that is none, StackError for a file that cannot be used.
    """
    if name.endswith(PROFILE_FILE):
        return read_stack(Path(name))
    if name not in stack_names():
        raise unknown_name("stack", name, (*stack_names(), f"a file ending in {PROFILE_FILE}"))
    return _built_in(name)


@cache
def _built_in(name: str) -> Stack:
    if name == IDEAL.name:
        return IDEAL
    return _stack(_built_in_text(name), f"stack {name}", name)


def _built_in_text(name: str) -> str:
    return files(PROFILES).joinpath(name + PROFILE_FILE).read_text(encoding="utf-8")


def read_stack(path: Path) -> Stack:
    """Return the stack that the TOML file at ``path`` describes; raises StackError."""
    text = read_text(path, "the profile of a stack in TOML", error_class=StackError)
    return _stack(text, str(path), path.stem)


def _stack(text: str, where: str, name: str) -> Stack:
    table = _over_base(TomlTable(toml_document(text, where, StackError), where, "", StackError))
    complaints = Complaints(where, StackError)
    with complaints.noted():
        table.check_keys(KEYS)
    readers: dict[str, Callable[[], Any]] = {
        "name": lambda: table.name("name", name),
        "description": lambda: table.text("description", ""),
        "eager_bytes": lambda: table.number("eager_bytes", BYTES, math.inf),
        "handshake": lambda: table.choice("handshake", HANDSHAKES, "none"),
        "control_bytes": lambda: table.integer("control_bytes", Range(1, 1e6, "B"), 64),
        "in_order": lambda: table.flag("in_order"),
        "slice_bytes": lambda: table.integer("slice_bytes", BYTES, 0),
        "slots": lambda: table.integer("slots", Range(1, 1e6, "slots"), 8),
        "shares_ports": lambda: table.flag("shares_ports"),
        "tuner": lambda: table.choice("tuner", TUNERS, "none"),
        "constants": lambda: _constants(table.table("constants")),
        "choices": lambda: _choices(table),
        "sources": lambda: _sources(table),
        "rules": lambda: _rules(table.table("tuner_rules")),
        "options": lambda: _options(table.table("options")),
        "sockets": lambda: _sockets(table.table("sockets")),
        "more_call_s": lambda: _more_call_s(table.table("more_call_us")),
    }
    values: dict[str, Any] = {}
    for key, read in readers.items():
        with complaints.noted():
            values[key] = read()
    complaints.raise_any()
    try:
        return Stack(**values)
    except ArgumentError as error:
        raise table.converted(error) from None


def _over_base(table: TomlTable) -> TomlTable:
    """Return a profile over the built-in one that it starts from, if it names one."""
    if "base" not in table.content:
        return table
    name = table.choice("base", [each for each in stack_names() if each != IDEAL.name], "")
    base = toml_document(_built_in_text(name), f"stack {name}", StackError)
    content = {**base, **table.content}
    for key in TABLES:
        general, own = base.get(key, {}), table.content.get(key, {})
        if general and isinstance(own, dict):
            content[key] = {**general, **own}
    return TomlTable(content, table.where, table.path, StackError)


def _rules(table: TomlTable) -> TunerRules:
    table.check_keys(RULES)
    usual = TunerRules()
    flags = {
        key: table.flag(key) if key in table.content else getattr(usual, key) for key in RULES[:2]
    }
    return TunerRules(**flags, ll128_up_to=table.choice(RULES[2], NIC_PATHS, usual.ll128_up_to))


def _options(table: TomlTable) -> dict[str, str]:
    texts = {
        name: str(value) if isinstance(value, int) else table.text(name)
        for name, value in table.content.items()
    }
    levers_of(FixedMapping(texts))
    return texts


def _sockets(table: TomlTable) -> Sockets:
    table.check_keys((*SOCKET_BYTES, *SOCKET_TIMES, *SOCKET_COPIES))
    usual = Sockets()
    window_bytes, restart_bytes = (
        table.integer(key, Range(1, 1e15, "B"), getattr(usual, key)) for key in SOCKET_BYTES
    )
    send_s, receive_s = (table.number(key, NANOSECONDS, 0.0) / 1e9 for key in SOCKET_COPIES)
    message_s, completion_s = (table.number(key, MICROSECONDS, 0.0) / 1e6 for key in SOCKET_TIMES)
    return Sockets(window_bytes, restart_bytes, send_s, receive_s, message_s, completion_s)


def _more_call_s(table: TomlTable) -> dict[str, float]:
    table.check_keys(tuple(COLLECTIVES))
    return {key: table.number(key, MICROSECONDS, 0.0) / 1e6 for key in table.content}


def _constants(table: TomlTable) -> Constants:
    table.check_keys((*CONSTANTS, "byte_ns"))
    seconds = {f"{key[:-3]}_s": table.number(key, MICROSECONDS, 0.0) / 1e6 for key in CONSTANTS}
    return Constants(**seconds, byte_s=table.number("byte_ns", NANOSECONDS, 0.0) / 1e9)


def _choices(table: TomlTable) -> dict[str, tuple[Choice, ...]]:
    found: dict[str, list[Choice]] = {}
    for each in table.tables("choice", MOST_CHOICES):
        each.check_keys(
            ("collective", "algorithm", "ranks", "below_bytes", "segment_bytes", "least_segments")
        )
        choice = Choice(
            each.text("algorithm"),
            each.number("ranks", Range(1, 1e6, "ranks"), math.inf),
            each.number("below_bytes", SOME_BYTES, math.inf),
            each.number("segment_bytes", SOME_BYTES, math.inf),
            each.integer("least_segments", Range(1, 1e4, "segments"), 1),
        )
        found.setdefault(_collective(each), []).append(choice)
    return {name: tuple(choices) for name, choices in found.items()}


def _collective(table: TomlTable) -> str:
    return choice(table.text("collective"), COLLECTIVES, table.at("collective"))


def _sources(table: TomlTable) -> dict[str, str]:
    sources = table.table("sources")
    for key in sources.content:
        text = sources.text(key)
        if not text.startswith(STATUSES):
            raise sources.refusal(key, text, f"a text that begins with {', '.join(STATUSES)}")
    return dict(sources.content)
