"""Closed forms and recursions of an all-reduce over sites that are far apart.

Whatever is called ``delay_s`` is paid once per step that waits for another site;
``overhead_s`` occupies the sender.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from closed_forms.checks import same_length
from emul.reading.checks import (
    not_negative,
    positive,
    positive_or_unlimited,
    whole_numbers,
)

__all__ = [
    "HierarchicalTime",
    "Level",
    "flat_ring_s",
    "hierarchical_all_reduce",
    "levels_all_reduce_s",
    "one_shot_s",
    "one_shot_wins_below_bytes",
    "pipelined_hierarchical_s",
    "ring_across_s",
    "ring_steps_s",
    "two_shot_s",
]


def ring_steps_s(occupied_s: Sequence[float], latency_s: Sequence[float], steps: int) -> float:
    """Return the seconds of ``steps`` steps of a ring whose hops differ, exactly.

    Hop i is busy ``occupied_s[i]`` each step and what it sends arrives ``latency_s[i]`` later:
    start_i(s) = max(start_i(s-1) + occ_i, arrive_(i-1)(s-1)). 2 (n - 1) steps make an
    all-reduce, n - 1 a reduce-scatter or all-gather.

    >>> ring_steps_s([2.0] * 9, [1, 1, 50] * 3, 16)
    342.0
    """
    same_length(1, occupied_s=list(occupied_s), latency_s=list(latency_s))
    for busy_s, late_s in zip(occupied_s, latency_s, strict=True):
        not_negative("seconds", occupied_s=busy_s, latency_s=late_s)
    whole_numbers("steps", 0, steps=steps)
    if steps == 0:
        return 0.0
    occupied, latency = np.array(occupied_s, np.float64), np.array(latency_s, np.float64)
    start = np.zeros_like(occupied)
    for _ in range(steps - 1):
        free = start + occupied
        start = np.maximum(free, np.roll(free + latency, 1))
    return float((start + occupied + latency).max())


def flat_ring_s(
    sites: int,
    ranks_per_site: int,
    nbytes: float,
    *,
    rate_bytes_per_s: float,
    latency_s: float,
    cross_rate_bytes_per_s: float,
    cross_latency_s: float,
) -> float:
    """Return the seconds of one ring all-reduce through all sites, each entered and left once.

    Each hop takes S / (n R) and then its latency; overheads belong to the latencies here.
    """
    _check_sites(sites, ranks_per_site, nbytes)
    positive("bytes per second", rate_bytes_per_s=rate_bytes_per_s)
    positive("bytes per second", cross_rate_bytes_per_s=cross_rate_bytes_per_s)
    ranks, crossings = sites * ranks_per_site, sites if sites > 1 else 0
    near_s = nbytes / (ranks * rate_bytes_per_s)
    far_s = nbytes / (ranks * cross_rate_bytes_per_s)
    leaves = [crossings > 0 and (rank + 1) % ranks_per_site == 0 for rank in range(ranks)]
    occupied = [far_s if far else near_s for far in leaves]
    latency = [cross_latency_s if far else latency_s for far in leaves]
    return ring_steps_s(occupied, latency, 2 * (ranks - 1))


@dataclass(frozen=True, slots=True)
class HierarchicalTime:
    """The phases of an all-reduce by sites; ``cross_busy_s`` is the crossing without latency."""

    reduce_scatter_s: float
    cross_s: float
    all_gather_s: float
    cross_busy_s: float

    @property
    def total_s(self) -> float:
        """Seconds of the three phases one after the other."""
        return self.reduce_scatter_s + self.cross_s + self.all_gather_s


def hierarchical_all_reduce(
    sites: int,
    ranks_per_site: int,
    nbytes: float,
    *,
    rate_bytes_per_s: float,
    delay_s: float,
    uplink_bytes_per_s: float = math.inf,
    nic_bytes_per_s: float = math.inf,
    overhead_s: float = 0.0,
    cross_overhead_s: float = 0.0,
) -> HierarchicalTime:
    """Return the time of reduce-scatter inside, rings of shards across, all-gather inside.

    (m - 1) (o + S / (m R)) inside, twice; 2 (K - 1) (L + o_x + S / (m K r)) across, with
    r = min(nic, uplink / m). What a window allows a NIC belongs into ``nic_bytes_per_s``.
    """
    _check_sites(sites, ranks_per_site, nbytes)
    positive("bytes per second", rate_bytes_per_s=rate_bytes_per_s)
    not_negative("seconds", delay_s=delay_s, overhead_s=overhead_s)
    not_negative("seconds", cross_overhead_s=cross_overhead_s)
    positive_or_unlimited("bytes per second", uplink_bytes_per_s=uplink_bytes_per_s)
    positive_or_unlimited("bytes per second", nic_bytes_per_s=nic_bytes_per_s)
    share = min(nic_bytes_per_s, uplink_bytes_per_s / ranks_per_site)
    piece = nbytes / ranks_per_site
    inside_s = (ranks_per_site - 1) * (overhead_s + piece / rate_bytes_per_s)
    steps = 2 * (sites - 1)
    busy_s = steps * (cross_overhead_s + piece / sites / share)
    return HierarchicalTime(inside_s, steps * delay_s + busy_s, inside_s, busy_s)


def pipelined_hierarchical_s(
    sites: int,
    ranks_per_site: int,
    nbytes: float,
    *,
    pieces: int,
    rate_bytes_per_s: float,
    delay_s: float,
    uplink_bytes_per_s: float = math.inf,
    nic_bytes_per_s: float = math.inf,
    overhead_s: float = 0.0,
    cross_overhead_s: float = 0.0,
) -> float:
    """Return the seconds of `hierarchical_all_reduce` in k pieces, one behind the other.

    One pass of a piece + (k - 1) max(reduce-scatter + all-gather, crossing): the latency is
    not in the crossing, because it keeps no link busy.
    """
    whole_numbers("pieces", pieces=pieces)
    piece = hierarchical_all_reduce(
        sites,
        ranks_per_site,
        nbytes / pieces,
        rate_bytes_per_s=rate_bytes_per_s,
        delay_s=delay_s,
        uplink_bytes_per_s=uplink_bytes_per_s,
        nic_bytes_per_s=nic_bytes_per_s,
        overhead_s=overhead_s,
        cross_overhead_s=cross_overhead_s,
    )
    inside_s = piece.reduce_scatter_s + piece.all_gather_s
    return piece.total_s + (pieces - 1) * max(inside_s, piece.cross_busy_s)


@dataclass(frozen=True, slots=True)
class Level:
    """A level of a hierarchy: ``members`` exchange over links of this cost per step."""

    members: int
    overhead_s: float
    rate_bytes_per_s: float
    delay_s: float

    def __post_init__(self) -> None:
        """Refuse numbers that no level can have."""
        whole_numbers("members", members=self.members)
        not_negative("seconds", overhead_s=self.overhead_s, delay_s=self.delay_s)
        positive("bytes per second", rate_bytes_per_s=self.rate_bytes_per_s)


def levels_all_reduce_s(nbytes: float, levels: Sequence[Level]) -> float:
    """Return the seconds of an all-reduce by levels, the innermost first.

    Level by level a ring reduces and later gathers what the levels inside have left of S:
    2 (n - 1) (o + L + S / (n R)), then S / n goes on.
    """
    not_negative("bytes", nbytes=nbytes)
    total_s, shard = 0.0, nbytes
    for level in levels:
        shard /= level.members
        step_s = level.overhead_s + level.delay_s + shard / level.rate_bytes_per_s
        total_s += 2 * (level.members - 1) * step_s
    return total_s


def one_shot_s(sites: int, nbytes: float, *, uplink_bytes_per_s: float, delay_s: float) -> float:
    """Return L + (K - 1) S / B: every site sends all it has to every other; alone, nothing."""
    _check_cross(sites, nbytes, uplink_bytes_per_s, delay_s)
    return delay_s * (sites > 1) + (sites - 1) * nbytes / uplink_bytes_per_s


def two_shot_s(sites: int, nbytes: float, *, uplink_bytes_per_s: float, delay_s: float) -> float:
    """Return 2 L + 2 (K - 1) / K S / B: direct reduce-scatter and all-gather; alone, nothing.

    >>> two_shot_s(2, 1e9, uplink_bytes_per_s=1e9, delay_s=0.5)
    2.0
    """
    _check_cross(sites, nbytes, uplink_bytes_per_s, delay_s)
    return 2 * delay_s * (sites > 1) + 2 * (sites - 1) / sites * nbytes / uplink_bytes_per_s


def ring_across_s(sites: int, nbytes: float, *, uplink_bytes_per_s: float, delay_s: float) -> float:
    """Return 2 (K - 1) (L + S / (K B)): a ring with one member per site."""
    _check_cross(sites, nbytes, uplink_bytes_per_s, delay_s)
    return 2 * (sites - 1) * (delay_s + nbytes / (sites * uplink_bytes_per_s))


def one_shot_wins_below_bytes(sites: int, *, uplink_bytes_per_s: float, delay_s: float) -> float:
    """Return L B K / ((K - 1) (K - 2)): smaller vectors are quicker in one shot than in two.

    Infinity for two sites, where one shot moves as much, and for one, where nothing moves.
    """
    _check_cross(sites, 0.0, uplink_bytes_per_s, delay_s)
    if sites <= 2:
        return math.inf
    return delay_s * uplink_bytes_per_s * sites / ((sites - 1) * (sites - 2))


def _check_sites(sites: int, ranks_per_site: int, nbytes: float) -> None:
    whole_numbers("sites", sites=sites)
    whole_numbers("ranks", ranks_per_site=ranks_per_site)
    not_negative("bytes", nbytes=nbytes)


def _check_cross(sites: int, nbytes: float, uplink_bytes_per_s: float, delay_s: float) -> None:
    whole_numbers("sites", sites=sites)
    not_negative("bytes", nbytes=nbytes)
    not_negative("seconds", delay_s=delay_s)
    positive("bytes per second", uplink_bytes_per_s=uplink_bytes_per_s)
