"""The measurements of a file, in one form for all formats."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

__all__ = ["LATENCY", "MESSAGE", "STREAM", "WINDOW", "Hints", "Log", "Measurement"]

LATENCY = "latency"
"""One way, of next to nothing: half the time of a ping."""
MESSAGE = "message"
"""One message of ``size_bytes``, from the call that sends it to its arrival."""
STREAM = "stream"
"""``size_bytes`` as part of a long stream: goodput."""
WINDOW = "window"
"""64 messages of ``size_bytes`` one after the other, then a short answer."""

BETWEEN_TWO = (LATENCY, MESSAGE, STREAM, WINDOW)

OUT_OF_PLACE, IN_PLACE = "out of place", "in place"
"""The halves of a line of nccl-tests."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """Something of a ``kind`` took ``time_s`` seconds.

    ``kind`` is a collective (``all_reduce``, ...) or one of LATENCY, MESSAGE, STREAM, WINDOW. Of
    a collective ``size_bytes`` is the whole vector, as nccl-tests counts it. ``spread`` is the
    relative standard error of ``time_s``, where it is known and there are no samples;
    ``algorithm`` how the collective was done, where the file tells it.

    ``place`` is "out of place" or "in place" where the file keeps them apart; ``how`` the protocol,
    the direction and the number of streams, in words. ``samples`` are the single values that
    stand behind the one taken, if the file has them: one-way seconds of LATENCY, bytes per
    second of STREAM. ``run`` counts the runs of a file that holds several, from 1.
    """

    kind: str
    time_s: float
    source: str
    size_bytes: float = 0.0
    world_size: int = 2
    algorithm: str = ""
    spread: float = 0.0
    place: str = ""
    how: str = ""
    samples: tuple[float, ...] = ()
    run: int = 0

    @property
    def single_times_s(self) -> tuple[float, ...]:
        """The samples as seconds that each took, infinite where no byte moved."""
        if self.kind != STREAM:
            return self.samples
        return tuple(self.size_bytes / each if each else math.inf for each in self.samples)

    @property
    def taken_as(self) -> str:
        """The measurement in words: the collective and its ranks, or the protocol."""
        if self.kind not in BETWEEN_TWO:
            return f"{self.kind} over {self.world_size} ranks"
        return f"{self.kind}, {self.how}" if self.how else self.kind


@dataclass(frozen=True, slots=True)
class Log:
    """The measurements of one file.

    ``form`` names its format. ``ranks_of_hosts`` are the ranks of each host in the order of ranks,
    empty where the file does not tell. ``notes`` say how the file was read, in sentences.
    """

    path: Path
    form: str
    measurements: tuple[Measurement, ...]
    ranks_of_hosts: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def taken_as(self) -> tuple[str, ...]:
        """The measurements in words, each once, in their order."""
        return tuple(dict.fromkeys(each.taken_as for each in self.measurements))


@dataclass(frozen=True, slots=True)
class Hints:
    """Facts that the user adds to a file: 0 and empty where there is none.

    ``partial``: complete lines are taken from a log that is cut, damaged or not closed.
    """

    world_size: int = 0
    collective: str = ""
    partial: bool = False
