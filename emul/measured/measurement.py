"""What a file of measurements comes to, whatever its format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["LATENCY", "MESSAGE", "STREAM", "WINDOW", "Hints", "Log", "Measurement"]

LATENCY = "latency"
"""One way, of next to nothing: what half a ping takes."""
MESSAGE = "message"
"""One message of ``size_bytes``, from the call that sends it to its arrival."""
STREAM = "stream"
"""``size_bytes`` as part of a stream that is long under way: goodput."""
WINDOW = "window"
"""64 messages of ``size_bytes`` one after the other, then a short answer."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """Something of a ``kind`` took ``time_s`` seconds.

    ``kind`` is a collective (``all_reduce``, ...) or one of LATENCY, MESSAGE, STREAM, WINDOW. Of
    a collective ``size_bytes`` is the whole vector, as nccl-tests counts it. ``spread`` is the
    relative standard error of ``time_s``, where the file tells it; ``algorithm`` how the
    collective was done, where the file tells it.
    """

    kind: str
    time_s: float
    source: str
    size_bytes: float = 0.0
    world_size: int = 2
    algorithm: str = ""
    spread: float = 0.0


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
