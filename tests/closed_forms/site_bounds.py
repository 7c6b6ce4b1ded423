"""Lower bounds on collectives over sites, from what each site can send and receive.

``up`` and ``down`` are bytes per second out of and into each site. One latency is added,
because the last byte still has to travel. With one site nothing travels: 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from closed_forms.checks import same_length
from emul.errors import ArgumentError
from emul.links.bounds import Cut, bytes_across, count_bound_s, crossing_s
from emul.reading.checks import not_negative, positive, whole_numbers

__all__ = [
    "MOST_MESH_SITES",
    "AllReduceBound",
    "all_gather_bound_s",
    "all_reduce_bound",
    "all_reduce_mesh_bound",
    "all_to_all_bound_s",
    "cut_bound_s",
    "reduce_scatter_bound_s",
]

MOST_MESH_SITES = 16
"""A mesh has 2^K cuts; beyond so many sites they are too many to look at."""


@dataclass(frozen=True, slots=True)
class AllReduceBound:
    """What the worst cut and the count of transfers take at least, without the latency."""

    cut_s: float
    count_s: float
    delay_s: float

    @property
    def bound_s(self) -> float:
        """The latency and the larger of the two, in seconds."""
        return self.delay_s + max(self.cut_s, self.count_s)


def _check(up: Sequence[float], down: Sequence[float], delay_s: float) -> None:
    """Refuse sites that cannot send or receive."""
    same_length(1, up=list(up), down=list(down))
    for rate_up, rate_down in zip(up, down, strict=True):
        positive("bytes per second", up=rate_up, down=rate_down)
    not_negative("seconds", delay_s=delay_s)


def all_reduce_bound(
    nbytes: float, up: Sequence[float], down: Sequence[float], *, delay_s: float
) -> AllReduceBound:
    """Return the bound of an all-reduce of ``nbytes``, by cut and by count.

    Cut: a site must send and receive S, whatever the others do, for their sum is unknown to
    it. Count: an element needs 2 (K - 1) one-way transfers, over the sum of all uplinks.
    """
    _check(up, down, delay_s)
    not_negative("bytes", nbytes=nbytes)
    sites = len(up)
    if sites == 1:
        return AllReduceBound(0.0, 0.0, 0.0)
    cuts = [Cut(1 / sites, False, *rates, 0.0) for rates in zip(up, down, strict=True)]
    cut_s = max(cut_bound_s("all_reduce", nbytes, cut, sites) for cut in cuts)
    return AllReduceBound(cut_s, count_bound_s("all_reduce", nbytes, sites, sum(up), 0.0), delay_s)


def all_reduce_mesh_bound(
    nbytes: float, rates: Sequence[Sequence[float]], *, delay_s: float
) -> AllReduceBound:
    """Return the bound of an all-reduce over a mesh; ``rates[a][b]`` bytes per second a to b.

    Cut: S over the rate out of the worst proper subset of sites, infinity where a subset is
    cut off. Raises ArgumentError beyond 16 sites.

    >>> triangle = [[0, 50e9, 50e9], [50e9, 0, 50e9], [50e9, 50e9, 0]]
    >>> round(all_reduce_mesh_bound(1e9, triangle, delay_s=0.0).bound_s, 6)
    0.013333
    """
    sites = len(rates)
    _check_mesh(nbytes, rates, delay_s)
    if sites == 1:
        return AllReduceBound(0.0, 0.0, 0.0)
    least = min(
        _rate_out(rates, inside)
        for size in range(1, sites)
        for inside in combinations(range(sites), size)
    )
    total = sum(rate for a, row in enumerate(rates) for b, rate in enumerate(row) if a != b)
    if least == 0:
        return AllReduceBound(math.inf if nbytes else 0.0, 0.0, delay_s)
    count_s = count_bound_s("all_reduce", nbytes, sites, total, 0.0)
    return AllReduceBound(nbytes / least, count_s, delay_s)


def _check_mesh(nbytes: float, rates: Sequence[Sequence[float]], delay_s: float) -> None:
    """Refuse a mesh that is not square, too large, or has rates below 0."""
    not_negative("bytes", nbytes=nbytes)
    not_negative("seconds", delay_s=delay_s)
    whole_numbers("sites", sites=len(rates))
    if len(rates) > MOST_MESH_SITES:
        raise ArgumentError(f"{len(rates)} sites: needed at most {MOST_MESH_SITES} in a mesh")
    for row in rates:
        if len(row) != len(rates):
            raise ArgumentError(f"row of {len(row)} rates: needed {len(rates)}, one per site")
        for rate in row:
            not_negative("bytes per second", rate=rate)


def _rate_out(rates: Sequence[Sequence[float]], inside: tuple[int, ...]) -> float:
    """Return the bytes per second out of a set of sites."""
    return sum(rates[a][b] for a in inside for b in range(len(rates)) if b not in inside)


def all_gather_bound_s(
    shares_bytes: Sequence[float], up: Sequence[float], down: Sequence[float], *, delay_s: float
) -> float:
    """Return L + max((S - S_s) / down_s, S_s / up_s, (K - 1) S / sum up), in seconds.

    Site s has ``shares_bytes[s]`` of the S bytes that all are to have.
    """
    _check(up, down, delay_s)
    same_length(1, shares_bytes=list(shares_bytes), up=list(up))
    for share in shares_bytes:
        not_negative("bytes", share=share)
    if len(up) == 1:
        return 0.0
    total = sum(shares_bytes)
    enter_s = max((total - s) / rate for s, rate in zip(shares_bytes, down, strict=True))
    leave_s = max(s / rate for s, rate in zip(shares_bytes, up, strict=True))
    count_s = count_bound_s("all_gather", total, len(up), sum(up), 0.0)
    return delay_s + max(enter_s, leave_s, count_s)


def reduce_scatter_bound_s(
    shares_bytes: Sequence[float], up: Sequence[float], down: Sequence[float], *, delay_s: float
) -> float:
    """Return the bound of `all_gather_bound_s` with up and down changed over, in seconds.

    Site s is to have ``shares_bytes[s]`` of the S bytes of the sum.
    """
    return all_gather_bound_s(shares_bytes, down, up, delay_s=delay_s)


def all_to_all_bound_s(
    ranks: Sequence[int],
    pair_bytes: float,
    up: Sequence[float],
    down: Sequence[float],
    *,
    delay_s: float,
) -> float:
    """Return L + max of n_s (n - n_s) m / min(up_s, down_s), in seconds.

    Site s has ``ranks[s]`` of the n ranks, each of which sends ``pair_bytes`` to each.
    """
    _check(up, down, delay_s)
    same_length(1, ranks=list(ranks), up=list(up))
    not_negative("bytes", pair_bytes=pair_bytes)
    for number in ranks:
        whole_numbers("ranks", 0, ranks=number)
    if len(up) == 1:
        return 0.0
    across = [number * (sum(ranks) - number) * pair_bytes for number in ranks]
    slowest = map(min, up, down)
    return delay_s + max(nbytes / rate for nbytes, rate in zip(across, slowest, strict=True))


def cut_bound_s(collective: str, nbytes: float, cut: Cut, world_size: int) -> float:
    """Return the seconds that the traffic across ``cut`` takes at least; 0 if there is none."""
    return crossing_s(*bytes_across(collective, nbytes, cut, world_size), cut)
