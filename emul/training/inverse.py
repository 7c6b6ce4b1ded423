"""Inverse questions about a job: the least rate, the largest distance, the fewest local steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from emul.errors import ArgumentError, shown
from emul.topology import Topology

if TYPE_CHECKING:
    from emul.training.job import Job

__all__ = ["least_rate", "with_rate"]


def with_rate(topology: Topology, bytes_per_s: float) -> Topology:
    """Return the topology with a rate of every trunk that is left to the job: without others."""
    trunks = (
        replace(
            trunk,
            link=replace(
                trunk.link,
                rate_bytes_per_s=bytes_per_s,
                others=replace(trunk.link.others, load=0.0),
            ),
        )
        for trunk in topology.trunks
    )
    return replace(topology, trunks=tuple(trunks))


def least_rate(
    job: Job, targets: Sequence[float], grid: Sequence[float], *, below: bool = False
) -> list[float | None]:
    """Return for each utilisation the least rate of ``grid`` that reaches it; None for none.

    ``grid``: rates of every trunk in Gbit/s of payload, rising. With ``below``, the largest that
    does not reach it, as published tables print. Utilisation rises with the rate.
    """
    rates = [float(rate) for rate in grid]
    if not rates or any(a >= b for a, b in zip(rates, rates[1:], strict=False)) or rates[0] <= 0:
        raise ArgumentError(f"grid {shown(grid)}: needed rates above 0 in Gbit/s, rising")
    reached = cache(lambda at: _utilisation(job, rates[at]))
    found = [_first(len(rates), lambda at, t=target: reached(at) >= t) for target in targets]
    if below:
        return [rates[at - 1] if at else None for at in found]
    return [rates[at] if at < len(rates) else None for at in found]


def _utilisation(job: Job, gbit_per_s: float) -> float:
    changed = replace(job, world=with_rate(job.topology, gbit_per_s * 1e9 / 8))
    return changed.run().utilisation


def _first(number: int, holds: Callable[[int], bool]) -> int:
    """Return the first of ``number`` places from which on ``holds`` is true, by halving."""
    low, high = 0, number
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low
