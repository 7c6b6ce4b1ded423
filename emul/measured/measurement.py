"""What a file of measurements comes to, whatever its format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "IN_PLACE",
    "LATENCY",
    "MESSAGE",
    "OUT_OF_PLACE",
    "STREAM",
    "WINDOW",
    "Hints",
    "Log",
    "Measurement",
]

LATENCY = "latency"
"""One way, of next to nothing: what half a ping takes."""
MESSAGE = "message"
"""One message of ``size_bytes``, from the call that sends it to its arrival."""
STREAM = "stream"
"""``size_bytes`` as part of a stream that is long under way: goodput."""
WINDOW = "window"
"""64 messages of ``size_bytes`` one after the other, then a short answer."""
OUT_OF_PLACE, IN_PLACE = "out-of-place", "in-place"
"""The halves of a line of nccl-tests."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """Something of a ``kind`` took ``time_s`` seconds.

    ``kind`` is a collective (``all_reduce``, ...) or one of LATENCY, MESSAGE, STREAM, WINDOW. Of
    a collective ``size_bytes`` is the whole vector, as nccl-tests counts it. Where the file tells
    them, ``samples`` are the single times in seconds of which ``time_s`` is the median, else
    ``spread`` is the relative standard error of ``time_s``.

    The rest says what was measured, and is empty where the file does not: ``algorithm`` of a
    collective; ``half``, OUT_OF_PLACE or IN_PLACE; ``direction`` and ``protocol`` of what crosses
    the link; ``run``, one of several in a file: the destination of a ping, the number of a test.
    """

    kind: str
    time_s: float
    source: str
    size_bytes: float = 0.0
    world_size: int = 2
    algorithm: str = ""
    spread: float = 0.0
    samples: tuple[float, ...] = ()
    half: str = ""
    direction: str = ""
    protocol: str = ""
    run: str = ""


@dataclass(frozen=True, slots=True)
class Log:
    """What one file says.

    ``form`` names its format. ``ranks_of_hosts`` are the ranks of each host in the order of ranks,
    empty where the file does not tell. ``notes`` say what was made of the file, in sentences.
    """

    path: Path
    form: str
    measurements: tuple[Measurement, ...]
    ranks_of_hosts: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hints:
    """What the user says of a file that does not say it: 0 and empty where there is nothing."""

    world_size: int = 0
    collective: str = ""
