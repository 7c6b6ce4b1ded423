"""Lower bounds on the time of a collective: no algorithm is faster on given links.

*Cut*: for a set of ranks, the bytes that must leave it and enter it, over the rates of the
links that do so. *Count*: every element needs a number of one-way transfers between the parts,
over the sum of all rates. Both take one latency on top, because the last byte still has to
travel. Neither allows for coding or for reducers in the network (Patarasuk and Yuan, JPDC 69,
2009; Zhao et al., arXiv 2402.06787).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "Cut",
    "Line",
    "bytes_across",
    "count_bound_s",
    "crossing_s",
    "transfers_counted",
    "uneven_bytes_across",
]


class Line(NamedTuple):
    """A link across a cut: bytes per second, bytes at once besides, and the seconds until the last
    byte over it has arrived, of which it carries none."""

    bytes_per_s: float
    at_once_bytes: float
    alpha_s: float


@dataclass(frozen=True, slots=True)
class Cut:
    """A set of ranks and the links that join it to the others.

    ``share`` is the part of all ranks that is inside; ``alpha_s`` the least overhead of any
    transfer across plus the least latency of any, which may be of another one; rates are the sums
    over the links out and in, and ``at_once`` the bytes that their token buckets let pass besides.
    ``out_lines`` and ``in_lines``: the links by themselves, where each has a latency of its own.
    """

    share: float
    has_root: bool
    out_bytes_per_s: float
    in_bytes_per_s: float
    alpha_s: float
    out_at_once_bytes: float = 0.0
    in_at_once_bytes: float = 0.0
    out_lines: tuple[Line, ...] = ()
    in_lines: tuple[Line, ...] = ()


def bytes_across(collective: str, nbytes: float, cut: Cut, world_size: int) -> tuple[float, float]:
    """Return the bytes that must leave and enter the ranks of ``cut``.

    ``nbytes`` is the whole vector: the buffer of all_reduce, broadcast, reduce and send_recv, the
    input of reduce_scatter, scatter and all_to_all, the output of all_gather and gather.
    """
    inside, outside = cut.share * nbytes, (1 - cut.share) * nbytes
    exchanged = cut.share * world_size * outside
    alone = nbytes if cut.share * world_size == 1 else 0.0
    away, home = (1.0, 0.0) if cut.has_root else (0.0, 1.0)
    return {
        "all_reduce": (nbytes, nbytes),
        "reduce_scatter": (outside, inside),
        "all_gather": (inside, outside),
        "broadcast": (away * nbytes, home * nbytes),
        "reduce": (home * nbytes, away * nbytes),
        "all_to_all": (exchanged, exchanged),
        "gather": (home * inside, away * outside),
        "scatter": (away * outside, home * inside),
        "send_recv": (alone, alone),
    }[collective]


def uneven_bytes_across(
    collective: str,
    counts: npt.NDArray[np.int64],
    inside: npt.NDArray[np.bool_],
    *,
    has_root: bool,
) -> tuple[float, float]:
    """Return the elements that must leave and enter the ranks ``inside``, (n,).

    ``counts``: of each rank's block, (n,), or from each rank to each, (n, n), in all_to_all.
    """
    if counts.ndim > 1:
        across = counts[np.ix_(inside, ~inside)], counts[np.ix_(~inside, inside)]
        return float(across[0].sum()), float(across[1].sum())
    within, beyond = float(counts[inside].sum()), float(counts[~inside].sum())
    away, home = (1.0, 0.0) if has_root else (0.0, 1.0)
    return {
        "reduce_scatter": (beyond, within),
        "all_gather": (within, beyond),
        "gather": (home * within, away * beyond),
        "scatter": (away * beyond, home * within),
    }[collective]


def crossing_s(leaving: float, entering: float, cut: Cut) -> float:
    """Return the seconds that the bytes across ``cut`` take at least; 0 for none."""
    if not leaving and not entering:
        return 0.0
    out_s = max(0.0, leaving - cut.out_at_once_bytes) / cut.out_bytes_per_s
    in_s = max(0.0, entering - cut.in_at_once_bytes) / cut.in_bytes_per_s
    by_lines = (_over_s(leaving, cut.out_lines), _over_s(entering, cut.in_lines))
    return max(cut.alpha_s + max(out_s, in_s), *by_lines)


def _over_s(nbytes: float, lines: tuple[Line, ...]) -> float:
    """Return the least T at which links may have carried ``nbytes``; 0 without links or bytes.

    By T a link has carried at most its rate times (T - alpha), and its bytes at once, if T is not
    before alpha.
    """
    if not lines or not nbytes:
        return 0.0
    rate, carried = 0.0, 0.0  # carried, at time 0, if all rates so far had been there since then
    ordered = sorted(lines, key=lambda line: line.alpha_s)
    for line, following in zip(ordered, [*ordered[1:], None], strict=True):
        rate += line.bytes_per_s
        carried += line.at_once_bytes - line.bytes_per_s * line.alpha_s
        least_s = max(line.alpha_s, (nbytes - carried) / rate)
        if following is None or least_s <= following.alpha_s:
            return least_s
    raise AssertionError("the last link has no other after it")


def count_bound_s(
    collective: str,
    nbytes: float,
    parts: int,
    all_bytes_per_s: float,
    alpha_s: float,
    *,
    at_once_bytes: float = 0.0,
) -> float:
    """Return the seconds that all one-way transfers between ``parts`` take at least.

    Token buckets let ``at_once_bytes`` pass on top of all links' rate.

    An element of an all_reduce needs parts - 1 transfers to be gathered and as many to be
    spread; reduce_scatter, all_gather, broadcast and reduce do one of the two. The others send
    each element to one place only, which the cuts count better.
    """
    transfers = transfers_counted(collective, parts)
    return alpha_s + max(0.0, transfers * nbytes - at_once_bytes) / all_bytes_per_s


def transfers_counted(collective: str, parts: int) -> int:
    """Return how many times an element is sent between so many parts, at least."""
    rounds = {"all_reduce": 2, "reduce_scatter": 1, "all_gather": 1, "broadcast": 1, "reduce": 1}
    return (parts - 1) * rounds.get(collective, 0)
