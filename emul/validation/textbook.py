"""The alpha-beta formula for a measured row: alpha the one-way delay, beta the rate."""

from __future__ import annotations

from math import ceil, log2

__all__ = ["textbook_s"]


def textbook_s(
    collective: str, family: str, ranks: int, nbytes: int, *, alpha_s: float, beta: float
) -> float:
    """Return Hockney's seconds for ``nbytes`` of whole vector over links of ``beta`` bytes/s.

    Ring: (n - 1) (alpha + S / (n beta)) for reduce-scatter and all-gather, twice that for
    all-reduce; recursive doubling: log2 n (alpha + S / beta); Rabenseifner, Bruck and recursive
    halving: log2 n alpha and (n - 1) / n S / beta, twice for all-reduce; binomial tree:
    log2 n (alpha + S / beta); chain: n - 1 of these (Thakur et al., IJHPCA 19(1), 2005). A
    logarithm is rounded up.

    >>> round(textbook_s("all_reduce", "ring", 4, 8_000, alpha_s=1e-3, beta=1e6), 6)
    0.018
    """
    n, rounds = ranks, ceil(log2(ranks))
    twice = 2 if collective == "all_reduce" else 1
    whole_s = nbytes / beta
    if family in ("recursive_doubling", "binomial", "double_binary_tree"):
        return rounds * (alpha_s + whole_s)
    if family in ("rabenseifner", "bruck", "recursive_halving", "halving_doubling"):
        return twice * (rounds * alpha_s + (n - 1) / n * whole_s)
    if family == "chain":
        return (n - 1) * (alpha_s + whole_s)
    return twice * (n - 1) * (alpha_s + whole_s / n)
