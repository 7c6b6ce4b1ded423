"""The keywords of each collective, for type checkers."""

from __future__ import annotations

from typing import Any, TypedDict

from emul.plans import Counts
from emul.runtime.request import Algorithm

__all__ = [
    "BlocksOnWire",
    "OfBlocks",
    "OnWire",
    "Reducing",
    "ReducingBlocks",
    "ReducingOnWire",
    "Rooted",
    "RootedBlocks",
    "RootedReducing",
    "Shifted",
]


class _Any(TypedDict, total=False):
    """Of every collective."""

    algorithm: Algorithm
    out: Any
    nbytes: float | None


class Reducing(_Any, total=False):
    """Of those that reduce."""

    op: str


class OfBlocks(_Any, total=False):
    """Of those with a block for each rank."""

    counts: Counts | None


class OnWire(_Any, total=False):
    """Of those whose elements may have a format of their own on the wire."""

    wire: str | None


class ReducingOnWire(Reducing, OnWire, total=False):
    """Of the all-reduce."""


class BlocksOnWire(OfBlocks, OnWire, total=False):
    """Of the all-gather."""


class Rooted(_Any, total=False):
    """Of those with a root."""

    root: int


class Shifted(_Any, total=False):
    """Of send_recv."""

    shift: int


class ReducingBlocks(ReducingOnWire, OfBlocks, total=False):
    """Of those that reduce, and give every rank a block."""


class RootedReducing(Reducing, Rooted, total=False):
    """Of those that reduce at a root."""


class RootedBlocks(Rooted, OfBlocks, total=False):
    """Of those between a root and a block for each rank."""
