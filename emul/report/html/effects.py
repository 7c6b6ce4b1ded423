"""The share of each effect: the terms of the critical path, which add up to the time."""

from __future__ import annotations

from collections.abc import Mapping

from emul.report.html.cells import TINY, share
from emul.report.html.page import Figure, Table, table
from emul.report.html.shares import Part, adding_up, share_bar
from emul.report.words import MEANINGS
from emul.runtime.prediction import Prediction
from emul.units import PS_PER_S, format_bytes, format_time

__all__ = ["effects_figure"]

COLORS: Mapping[str, int] = {
    "share": 1, "window": 6, "gap": 9, "loss": 2, "outage": 8, "queue": 4, "latency": 3,
    "jitter": 5, "overhead": 7, "host": 10,
}  # fmt: skip
"""The color of each term of a critical path."""

PART_UNITS = 1_000_000
"""Times of parts are rounded to the whole divided by at least so many."""

PERMILLE = 1000


def effects_figure(prediction: Prediction) -> Figure:
    """Return the bar of the terms of the critical path, and where each part of it is spent.

    The time of ``prediction`` is above 0.
    """
    spent = _spent(prediction)
    by_term = dict.fromkeys(MEANINGS, 0)
    for (_, term), duration_ps in spent.items():
        by_term[term] += duration_ps
    terms = [(term, ps) for term, ps in by_term.items() if ps]
    shares = adding_up([ps for _, ps in terms], PERMILLE)
    parts = [
        Part(_named(term), ps, format_time(ps / PS_PER_S), _percent(part), COLORS[term])
        for (term, ps), part in zip(terms, shares, strict=True)
    ]
    whole = format_time(prediction.time_s)
    ends = ("0", f"{whole} at {format_bytes(prediction.nbytes)}")
    said = "; ".join(f"{part.name} {part.said}, {part.share}" for part in parts)
    return Figure(
        "Where the time goes",
        share_bar(parts, ends),
        f"Of {whole}: {said}.",
        "The chain of causes that ends with the last transfer, from the start to the end: its "
        "parts add up to the modelled time. Transfers beside it are not the reason and not in it.",
        _parts_table(spent, prediction.total_ps),
    )


def _named(term: str) -> str:
    return MEANINGS[term].format(rate="the rate of links")


def _spent(prediction: Prediction) -> dict[tuple[str, str], int]:
    """Return the picoseconds of the critical path by place and term."""
    spent: dict[tuple[str, str], int] = {}
    for segment in prediction.critical_path.segments:
        key = segment.place, segment.term
        spent[key] = spent.get(key, 0) + segment.duration_ps
    return {key: duration_ps for key, duration_ps in spent.items() if duration_ps}


def _parts_table(spent: Mapping[tuple[str, str], int], total_ps: int) -> Table:
    """Return the parts by place, the largest first, and their sum, which is the whole."""
    ordered = sorted(spent, key=lambda key: -spent[key])
    values = [spent[key] for key in ordered]
    unit_ps = 10 ** max(0, len(str(total_ps // PART_UNITS)) - 1)
    units = total_ps // unit_ps
    shares, times = adding_up(values, PERMILLE), adding_up(values, units)
    rows = [
        (place, _named(term), _micro(time * unit_ps), _percent(part))
        for (place, term), time, part in zip(ordered, times, shares, strict=True)
    ]
    rows.append(("all", "", _micro(units * unit_ps), _percent(PERMILLE)))
    return table(
        "Parts of the time",
        ("where", "doing what", "time (us)", "share"),
        rows,
        texts=("where", "doing what"),
        note="The time of each part is rounded so that all of them add up to the sum.",
    )


def _percent(permille: int) -> str:
    """Return a share, rounded so that all of them add up; of a part that is not nothing."""
    return share(permille / PERMILLE) if permille else TINY


def _micro(ps: int) -> str:
    """Return whole picoseconds in microseconds, without a digit lost."""
    whole, part = divmod(ps, 1_000_000)
    return f"{whole:,}.{part:06d}".rstrip("0").rstrip(".")
