"""Closed forms of collectives over equal links: the time of an algorithm, without sharing.

``alpha_s`` is o + L of a step that others wait for, ``nbytes`` the full vector in bytes,
``rate_bytes_per_s`` the rate at which each rank sends. One rank takes no time. The reduction itself
is in alpha or in the rate (Thakur, Rabenseifner and Gropp, IJHPCA 19, 2005).
"""

from __future__ import annotations

from emul.errors import ArgumentError
from emul.reading.checks import not_negative, positive, whole_numbers

__all__ = [
    "bruck_all_gather_s",
    "bruck_all_to_all_s",
    "doubling_all_reduce_s",
    "halving_doubling_all_reduce_s",
    "log2_rounded_up",
    "pairwise_all_to_all_s",
    "power_of_two",
    "ring_all_reduce_s",
    "ring_one_pass_s",
    "tree_all_reduce_s",
]


def _check(ranks: int, nbytes: float, alpha_s: float, rate_bytes_per_s: float) -> None:
    """Refuse a collective of nobody, or over a link that moves nothing."""
    whole_numbers("ranks", ranks=ranks)
    not_negative("bytes", nbytes=nbytes)
    not_negative("seconds", alpha_s=alpha_s)
    positive("bytes per second", rate_bytes_per_s=rate_bytes_per_s)


def log2_rounded_up(ranks: int) -> int:
    """Return the least k for which 2^k ranks are enough, exactly.

    >>> log2_rounded_up(1), log2_rounded_up(6), log2_rounded_up(8)
    (0, 3, 3)
    """
    whole_numbers("ranks", ranks=ranks)
    return (int(ranks) - 1).bit_length()


def power_of_two(ranks: int) -> int:
    """Return log2 of ``ranks``; ArgumentError where it is not whole."""
    steps = log2_rounded_up(ranks)
    if 1 << steps != ranks:
        raise ArgumentError(f"ranks = {ranks}: needed a power of two, so that all have partners")
    return steps


def ring_one_pass_s(ranks: int, nbytes: float, *, alpha_s: float, rate_bytes_per_s: float) -> float:
    """Return (n - 1) (alpha + S / (n R)): a ring reduce-scatter or all-gather, in seconds."""
    _check(ranks, nbytes, alpha_s, rate_bytes_per_s)
    return (ranks - 1) * (alpha_s + nbytes / (ranks * rate_bytes_per_s))


def ring_all_reduce_s(
    ranks: int, nbytes: float, *, alpha_s: float, rate_bytes_per_s: float
) -> float:
    """Return 2 (n - 1) (alpha + S / (n R)), in seconds (Patarasuk and Yuan, JPDC 69, 2009).

    >>> ring_all_reduce_s(8, 1e9, alpha_s=5e-6, rate_bytes_per_s=50e9)
    0.03507
    """
    return 2 * ring_one_pass_s(ranks, nbytes, alpha_s=alpha_s, rate_bytes_per_s=rate_bytes_per_s)


def halving_doubling_all_reduce_s(
    ranks: int, nbytes: float, *, alpha_s: float, rate_bytes_per_s: float
) -> float:
    """Return 2 log2(n) alpha + 2 (n - 1) / n S / R, in seconds; n must be a power of two."""
    _check(ranks, nbytes, alpha_s, rate_bytes_per_s)
    return 2 * power_of_two(ranks) * alpha_s + 2 * (ranks - 1) / ranks * nbytes / rate_bytes_per_s


def doubling_all_reduce_s(
    ranks: int, nbytes: float, *, alpha_s: float, rate_bytes_per_s: float
) -> float:
    """Return log2(n) (alpha + S / R), in seconds; n must be a power of two."""
    _check(ranks, nbytes, alpha_s, rate_bytes_per_s)
    return power_of_two(ranks) * (alpha_s + nbytes / rate_bytes_per_s)


def bruck_all_gather_s(
    ranks: int, nbytes: float, *, alpha_s: float, rate_bytes_per_s: float
) -> float:
    """Return log2(n) rounded up times alpha, + (n - 1) / n S / R, in seconds.

    Bruck et al., IEEE TPDS 8, 1997. NCCL's PAT takes as many steps with small buffers
    (arXiv 2506.20252).
    """
    _check(ranks, nbytes, alpha_s, rate_bytes_per_s)
    return log2_rounded_up(ranks) * alpha_s + (ranks - 1) / ranks * nbytes / rate_bytes_per_s


def bruck_all_to_all_s(
    ranks: int, pair_bytes: float, *, alpha_s: float, rate_bytes_per_s: float
) -> float:
    """Return the seconds of Bruck's all-to-all of ``pair_bytes`` from each rank to each.

    Step k sends the blocks whose distance j < n has bit k: sum of alpha + m #j / R.

    >>> round(bruck_all_to_all_s(6, 4096, alpha_s=5e-6, rate_bytes_per_s=50e9) * 1e6, 3)
    15.573
    """
    _check(ranks, pair_bytes, alpha_s, rate_bytes_per_s)
    steps = log2_rounded_up(ranks)
    blocks = sum(_with_bit(k, ranks) for k in range(steps))
    return steps * alpha_s + blocks * pair_bytes / rate_bytes_per_s


def _with_bit(bit: int, end: int) -> int:
    """Return how many whole numbers below ``end`` have the bit set."""
    half = 1 << bit
    return end // (2 * half) * half + max(0, end % (2 * half) - half)


def pairwise_all_to_all_s(
    ranks: int, pair_bytes: float, *, alpha_s: float, rate_bytes_per_s: float
) -> float:
    """Return (n - 1) (alpha + m / R), in seconds."""
    _check(ranks, pair_bytes, alpha_s, rate_bytes_per_s)
    return (ranks - 1) * (alpha_s + pair_bytes / rate_bytes_per_s)


def tree_all_reduce_s(
    ranks: int, nbytes: float, *, alpha_s: float, rate_bytes_per_s: float, chunk_bytes: float
) -> float:
    """Return the seconds of a double binary tree: 2 ceil(log2 n) (alpha + c / R) + 2 S / R.

    Chunks of c bytes fill the pipeline (Sanders, Speck and Traeff, Parallel Computing 35, 2009).
    """
    _check(ranks, nbytes, alpha_s, rate_bytes_per_s)
    not_negative("bytes", chunk_bytes=chunk_bytes)
    if ranks == 1:
        return 0.0
    depth = log2_rounded_up(ranks)
    filling_s = 2 * depth * (alpha_s + chunk_bytes / rate_bytes_per_s)
    return filling_s + 2 * nbytes / rate_bytes_per_s
