"""The names of algorithms that are one step away from a name: pieces, leaders, channels, levels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from emul.plans import Plan
from emul.plans.algorithms.hierarchical import VARIANTS, asked_levels
from emul.plans.algorithms.packed import NAME as PACKED
from emul.plans.algorithms.packed import PackedSpec, asked_pipeline, is_packed
from emul.plans.algorithms.registry import algorithms_for

__all__ = ["name_in_full", "neighbours"]

HIERARCHICAL = "hierarchical"

MOST_PIECES = 1024
MOST_LEADERS = 16
MOST_CHANNELS = 16

LEVELS = ("node", "site", "trunk")

OF_LEVELS = (
    "ring",
    "ring:bidirectional",
    "direct",
    "halving_doubling",
    "recursive_doubling",
    "double_binary_tree",
)
"""Algorithms among the ranks of a node or a site, or among sites."""

OTHER_FAMILIES = ("hierarchical:pieces", "hierarchical", PACKED)
"""From which a search may go over to another family of algorithms."""


def name_in_full(plan: Plan) -> str:
    """Return the name of a plan, that of ``packed`` with its pieces, leaders and channels."""
    spec = plan.spec
    if not isinstance(spec, PackedSpec):
        return plan.algorithm
    return _packed(
        {
            "pieces": spec.pipeline.pieces,
            "leaders": spec.pipeline.leaders,
            "channels": spec.pipeline.channels,
        }
    )


def neighbours(name: str, collective: str) -> Iterator[str]:
    """Yield the names that are one step away from ``name``.

    Twice or half as many pieces, leaders or channels; another algorithm at one level of a
    hierarchy; the first name of another family. Some may be refused for the ranks at hand.

    >>> sorted(neighbours("packed:pieces=2,leaders=1,channels=1", "broadcast"))[-2:]
    ['packed:pieces=2,leaders=2,channels=1', 'packed:pieces=4,leaders=1,channels=1']
    """
    if is_packed(name) and ":" in name:
        yield from _of_packed(name)
    elif name.partition(":")[0] == HIERARCHICAL:
        yield from _of_hierarchy(VARIANTS.get(name, name))
    family, there = name.partition(":")[0], algorithms_for(collective)
    for other in OTHER_FAMILIES:
        if other in there and other.partition(":")[0] != family:
            yield other


def _of_packed(name: str) -> Iterator[str]:
    parts = dict(asked_pipeline(name))
    most = {"pieces": MOST_PIECES, "leaders": MOST_LEADERS, "channels": MOST_CHANNELS}
    for part, limit in most.items():
        for other in _twice_and_half(parts[part], limit):
            yield _packed({**parts, part: other})


def _packed(parts: Mapping[str, int]) -> str:
    return f"{PACKED}:{','.join(f'{key}={value}' for key, value in parts.items())}"


def _of_hierarchy(name: str) -> Iterator[str]:
    parts = dict(asked_levels(name)) or {"site": "ring", "trunk": "ring"}
    for other in _twice_and_half(int(parts.get("pieces", "1")), MOST_PIECES):
        yield _hierarchy({**parts, "pieces": str(other)})
    for level in LEVELS:
        for other_name in OF_LEVELS:
            if level in parts and other_name != parts[level]:
                yield _hierarchy({**parts, level: other_name})


def _hierarchy(parts: Mapping[str, str]) -> str:
    return f"{HIERARCHICAL}:{','.join(f'{key}={value}' for key, value in parts.items())}"


def _twice_and_half(number: int, most: int) -> Iterator[int]:
    """Yield twice and half of a number from 1 to ``most``."""
    if 2 * number <= most:
        yield 2 * number
    if number > 1:
        yield number // 2
