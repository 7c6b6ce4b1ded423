"""The result of ``emul perf``, from which its files are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from emul.report.perf_row import PerfRow
from emul.runtime.prediction import Prediction
from emul.wall.lag import Lag
from emul.world import World

__all__ = ["PerfResult"]


@dataclass(frozen=True)
class PerfResult:
    """A sweep over sizes, complete or interrupted.

    ``rows``: one for each size, at least one, the largest last. ``predict``: returns the modelled
    cost of the row with this index. ``words``: the lines under the table, none of a sweep that was
    interrupted. ``lag``: of all timed calls. ``command``: the words of the command line.
    ``config``: how sizes were stepped through and how often each was run, by the keys of the JSON
    of nccl-tests. ``interrupted``: whether rows are missing.
    """

    world: World
    rows: Sequence[PerfRow]
    predict: Callable[[int], Prediction]
    words: Sequence[str]
    lag: Lag
    command: Sequence[str]
    config: Mapping[str, Any]
    started: datetime
    ended: datetime
    interrupted: bool = False

    @property
    def largest(self) -> Prediction:
        """The modelled cost of the last row."""
        return self.predict(len(self.rows) - 1)
