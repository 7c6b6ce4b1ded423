"""A message in k chunks over d hops, and the best k.

Hockney's model charges the latency of every chunk anew, LogGP only the gap between chunks:
over long links their best chunks differ many times over.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from emul.reading.checks import not_negative, positive, whole_numbers

__all__ = [
    "BestChunks",
    "best_hockney_chunks",
    "best_loggp_chunks",
    "hockney_pipeline_s",
    "loggp_pipeline_s",
]


@dataclass(frozen=True, slots=True)
class BestChunks:
    """The number of chunks that takes least time (not rounded), their size, and that time.

    Never fewer than one chunk; infinitely many of 0 bytes where a chunk costs nothing.
    """

    chunks: float
    chunk_bytes: float
    time_s: float


def _check(hops: int, nbytes: float, rate_bytes_per_s: float) -> None:
    whole_numbers("hops", hops=hops)
    not_negative("bytes", nbytes=nbytes)
    positive("bytes per second", rate_bytes_per_s=rate_bytes_per_s)


def hockney_pipeline_s(
    hops: int, nbytes: float, *, alpha_s: float, rate_bytes_per_s: float, chunks: float
) -> float:
    """Return (d + k - 1) (alpha + S / (k R)), in seconds."""
    _check(hops, nbytes, rate_bytes_per_s)
    not_negative("seconds", alpha_s=alpha_s)
    positive("chunks", chunks=chunks)
    return (hops + chunks - 1) * (alpha_s + nbytes / (chunks * rate_bytes_per_s))


def loggp_pipeline_s(
    hops: int,
    nbytes: float,
    *,
    delay_s: float,
    gap_s: float,
    rate_bytes_per_s: float,
    chunks: float,
) -> float:
    """Return d L + (d - 1) (g + S / (k R)) + k g + S / R, in seconds.

    >>> link = dict(delay_s=0.5e-3, gap_s=11e-6, rate_bytes_per_s=49e9)
    >>> round(loggp_pipeline_s(6, 1e9, chunks=14, **link) * 1e3, 1)
    30.9
    """
    _check(hops, nbytes, rate_bytes_per_s)
    not_negative("seconds", delay_s=delay_s, gap_s=gap_s)
    positive("chunks", chunks=chunks)
    sending_s = nbytes / rate_bytes_per_s
    relayed_s = (hops - 1) * (gap_s + sending_s / chunks)
    return hops * delay_s + relayed_s + chunks * gap_s + sending_s


def _best_number(hops: int, sending_s: float, chunk_costs_s: float) -> float:
    """Return sqrt((d - 1) S / (R a)), where a further chunk costs a seconds; at least 1."""
    if hops == 1 or sending_s == 0:
        return 1.0
    if chunk_costs_s == 0:
        return math.inf
    return max(1.0, math.sqrt((hops - 1) * sending_s / chunk_costs_s))


def best_hockney_chunks(
    hops: int, nbytes: float, *, alpha_s: float, rate_bytes_per_s: float
) -> BestChunks:
    """Return the best chunks by Hockney's model: k = sqrt((d - 1) S / (R alpha)).

    >>> best = best_hockney_chunks(6, 1e9, alpha_s=0.5e-3, rate_bytes_per_s=49e9)
    >>> round(best.chunks, 1), round(best.chunk_bytes / 1e6)
    (14.3, 70)
    """
    _check(hops, nbytes, rate_bytes_per_s)
    not_negative("seconds", alpha_s=alpha_s)
    sending_s = nbytes / rate_bytes_per_s
    best = _best_number(hops, sending_s, alpha_s)
    if math.isinf(best):
        return BestChunks(best, 0.0, sending_s)
    link = {"alpha_s": alpha_s, "rate_bytes_per_s": rate_bytes_per_s}
    return BestChunks(best, nbytes / best, hockney_pipeline_s(hops, nbytes, chunks=best, **link))


def best_loggp_chunks(
    hops: int, nbytes: float, *, delay_s: float, gap_s: float, rate_bytes_per_s: float
) -> BestChunks:
    """Return the best chunks by LogGP: k = sqrt((d - 1) S / (R g)).

    >>> best = best_loggp_chunks(6, 1e9, delay_s=0.5e-3, gap_s=11e-6, rate_bytes_per_s=49e9)
    >>> round(best.chunks), round(best.chunk_bytes / 1e6, 1)
    (96, 10.4)
    """
    _check(hops, nbytes, rate_bytes_per_s)
    not_negative("seconds", delay_s=delay_s, gap_s=gap_s)
    sending_s = nbytes / rate_bytes_per_s
    best = _best_number(hops, sending_s, gap_s)
    if math.isinf(best):
        return BestChunks(best, 0.0, hops * delay_s + sending_s)
    link = {"delay_s": delay_s, "gap_s": gap_s, "rate_bytes_per_s": rate_bytes_per_s}
    return BestChunks(best, nbytes / best, loggp_pipeline_s(hops, nbytes, chunks=best, **link))
