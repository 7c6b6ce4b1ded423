"""The picture of ``emul perf``: the algorithms that were timed, the bound, the measured time."""

from __future__ import annotations

from pathlib import Path

from emul.report.perf_result import PerfResult
from emul.report.plot.figure import words
from emul.report.plot.times import Times, plot_times
from emul.runtime.request import AUTO

__all__ = ["plot_perf"]

MOST_CURVES = 8
"""Algorithms beside the chosen one: those that are quickest at the largest size."""


def plot_perf(path: Path, result: PerfResult) -> None:
    """Draw time over size of ``result`` into the file at ``path``.

    With ``auto``, the other algorithms that it timed are beside the chosen ones; those that it
    ruled out by their busiest link have no time, and no curve.
    """
    rows = result.rows
    modelled = {row.size_bytes: row.modelled_s for row in rows}
    names = dict.fromkeys(row.algorithm for row in rows)
    chosen = f"{AUTO}: the quickest of each size" if len(names) > 1 else next(iter(names))
    others, left_out = _others(result, None if len(names) > 1 else chosen)
    row = rows[0]
    name = words(row.topology)
    heading = f"{row.collective} over {row.world_size} ranks of {name}, {row.stack} stack"
    if others:
        heading += "\nA curve ends where auto did not time the algorithm any more."
    if left_out:
        heading += f" {left_out} more algorithms are left out."
    plot_times(
        path,
        {chosen: modelled, **others},
        bound={row.size_bytes: row.bound_s for row in rows},
        measured=_measured(result),
        heading=heading,
    )


def _others(result: PerfResult, chosen: str | None) -> tuple[dict[str, Times], int]:
    """Return the times of the algorithms beside the chosen one, and how many are left out."""
    found: dict[str, dict[int, float]] = {}
    for at, row in enumerate(result.rows):
        for name, seconds in result.predict(at).considered.items():
            if name != chosen:
                found.setdefault(name, {})[row.size_bytes] = seconds
    # By the time at the largest size that each was timed at: larger sizes first.
    order = sorted(found, key=lambda name: (-max(found[name]), found[name][max(found[name])]))
    return {name: found[name] for name in order[:MOST_CURVES]}, len(order[MOST_CURVES:])


def _measured(result: PerfResult) -> dict[str, Times]:
    """Return the measured times where calls waited for modelled moments: else they are no peers."""
    times = {
        row.size_bytes: row.wall_s / row.dilation
        for row in result.rows
        if row.wall_s is not None and row.lag_s is not None
    }
    dilation = result.rows[0].dilation
    name = "measured" if dilation == 1 else f"measured, divided by the dilation {dilation:g}"
    return {name: times} if times else {}
