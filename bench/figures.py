"""Figures that compare benchmarks of one run with each other; they go into its JSON."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import Any

__all__ = ["add_comparisons"]

Benchmarks = list[dict[str, Any]]


def add_comparisons(benchmarks: Benchmarks) -> None:
    """Add figures that follow from several benchmarks to the ``extra_info`` of each.

    ``times_as_fast_as``: of the same ``task``, as who else did it. ``growth_per_decade``: of the
    same ``engine``, the cost of a transfer among ten times as many, 1 where it is linear.
    """
    for alike in _grouped(benchmarks, "task"):
        for info in alike:
            others = {each["by"]: each["ratio"] / info["ratio"] for each in alike}
            info["times_as_fast_as"] = {by: v for by, v in others.items() if by != info["by"]}
    for alike in _grouped(benchmarks, "engine"):
        by_size = sorted(alike, key=lambda info: info["done"]["transfers"])
        for smaller, larger in pairwise(by_size):
            larger["growth_per_decade"] = _cost(larger) / _cost(smaller)


def _cost(info: dict[str, Any]) -> float:
    """Return the cost of a transfer, in seconds of processor time."""
    cost: float = info["seconds"] / info["done"]["transfers"]
    return cost


def _grouped(benchmarks: Benchmarks, key: str) -> list[list[dict[str, Any]]]:
    """Return the ``extra_info`` of those that have ``key``, those with the same value together."""
    found = defaultdict(list)
    for benchmark in benchmarks:
        info = benchmark["extra_info"]
        if key in info:
            found[info[key]].append(info)
    return list(found.values())
