"""The result of ``emul perf``, from which its files are written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from emul.report.closing import Closing, Overflow
from emul.report.perf_row import PerfRow
from emul.runtime.alternatives import Alternative
from emul.runtime.prediction import Prediction
from emul.topology import Document
from emul.wall.lag import Lag
from emul.world import World

__all__ = ["PerfResult"]


@dataclass(frozen=True)
class PerfResult:
    """A sweep over sizes, complete or interrupted.

    ``rows``: one for each size, at least one, the largest last. ``predict``: returns the modelled
    cost of the row with this index, -1 for the last. ``closing``: the conclusions about the last
    row, ``overflow`` those about whole numbers, and ``words`` both in sentences; all absent from a
    sweep that was interrupted. ``lag``: of all timed calls. ``command``: the words of the command
    line. ``config``: how sizes were stepped through and how often each was run, by the keys of the
    JSON of nccl-tests. ``interrupted``: whether rows are missing. ``alternatives``: returns the
    modelled costs of the last row with one thing changed, each worked out when its turn comes.
    ``document``: the topology with the tables of its links.
    """

    world: World
    rows: Sequence[PerfRow]
    predict: Callable[[int], Prediction]
    closing: Closing | None
    overflow: Overflow | None
    words: Sequence[str]
    lag: Lag
    command: Sequence[str]
    config: Mapping[str, Any]
    started: datetime
    ended: datetime
    alternatives: Callable[[], Iterator[Alternative]]
    document: Document
    interrupted: bool = False

    @property
    def largest(self) -> Prediction:
        """The modelled cost of the last row."""
        return self.predict(len(self.rows) - 1)
