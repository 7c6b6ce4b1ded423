"""How far predictions are from measurements: median, 90th percentile, worst, within 10 %."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from emul.validation.prediction import Predicted

__all__ = ["Summary", "errors_by", "errors_by_delay", "summary_of"]

CLOSE = 0.1

Key = TypeVar("Key", float, str)


@dataclass(frozen=True, slots=True)
class Summary:
    """Of the absolute relative errors of ``rows`` rows."""

    rows: int
    median: float
    p90: float
    worst: float
    within_10_percent: float

    def _repr_html_(self) -> str:
        """Return a small table, for notebooks."""
        from emul.drawing import sheet

        return sheet("Absolute relative errors", self.facts)

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Names and values of a small table about it."""
        return [
            ("rows", f"{self.rows:,}"),
            ("median", f"{self.median:.1%}"),
            ("90 % of rows within", f"{self.p90:.1%}"),
            ("worst", f"{self.worst:.1%}"),
            ("within 10 %", f"{self.within_10_percent:.0%}"),
        ]

    @classmethod
    def of(cls, errors: Sequence[float]) -> Summary:
        """Return the summary of relative errors, of which there is at least one."""
        sizes = np.abs(errors)
        return cls(
            len(sizes),
            float(np.median(sizes)),
            float(np.quantile(sizes, 0.9)),
            float(sizes.max()),
            float((sizes <= CLOSE).mean()),
        )


def summary_of(found: Sequence[Predicted]) -> tuple[Summary, Summary]:
    """Return the summaries of the model and of the textbook formula."""
    return (
        Summary.of([each.error for each in found]),
        Summary.of([each.textbook_error for each in found]),
    )


def errors_by(
    key: Callable[[Predicted], Key], found: Sequence[Predicted]
) -> dict[Key, tuple[Summary, Summary]]:
    """Return the summaries of the rows of each key, the keys in order."""
    groups: dict[Key, list[Predicted]] = {}
    for each in sorted(found, key=key):
        groups.setdefault(key(each), []).append(each)
    return {of: summary_of(rows) for of, rows in groups.items()}


def errors_by_delay(found: Sequence[Predicted]) -> dict[float, tuple[Summary, Summary]]:
    """Return the summaries of the rows of each one-way delay in seconds, the shortest first."""
    return errors_by(lambda each: each.row.delay_s, found)
