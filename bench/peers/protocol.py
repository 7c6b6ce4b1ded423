"""The arguments of every peer, and the line of JSON that it prints."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.worlds import LINK, exact_data
from emul.ops.exact import ExactData
from emul.units import PS_PER_S

__all__ = ["Ring", "Rows", "may_be_missing", "tell"]


@dataclass(frozen=True, slots=True)
class Rows:
    """An all_reduce of ``ranks`` rows of ``row_bytes`` of float32, done ``repeats`` times."""

    ranks: int
    row_bytes: int
    repeats: int

    @classmethod
    def of_command_line(cls) -> Rows:
        """Return the work that the command line asks for."""
        return cls(*_numbers(3))

    @property
    def arguments(self) -> list[str]:
        """The command line that asks for it."""
        return [str(self.ranks), str(self.row_bytes), str(self.repeats)]

    @property
    def data(self) -> ExactData:
        """Whole numbers whose sum no order of adding rounds."""
        return exact_data("all_reduce", self.ranks, "float32")

    def filled(self) -> npt.NDArray[np.float32]:
        """Return the rows with their data: (ranks, count)."""
        x = np.empty((self.ranks, self.row_bytes // 4), np.float32)
        self.data.fill(x)
        return x


@dataclass(frozen=True, slots=True)
class Ring:
    """A ring all_reduce over equal ranks, in chunks of ``chunk_bytes``, modelled ``repeats`` times.

    Each of its 2 (ranks - 1) steps takes overhead, bytes / rate and latency; no step can begin
    before the one before it has arrived.
    """

    ranks: int
    chunk_bytes: int
    repeats: int

    @classmethod
    def of_command_line(cls) -> Ring:
        """Return the work that the command line asks for."""
        return cls(*_numbers(3))

    @property
    def arguments(self) -> list[str]:
        """The command line that asks for it."""
        return [str(self.ranks), str(self.chunk_bytes), str(self.repeats)]

    @property
    def steps(self) -> int:
        """Number of steps, each of one transfer per rank."""
        return 2 * (self.ranks - 1)

    @property
    def transfers(self) -> int:
        """Number of transfers."""
        return self.steps * self.ranks

    @property
    def overhead_ps(self) -> int:
        """The time that the sender's port is busy before the first byte."""
        return round(LINK.overhead_s * PS_PER_S)

    @property
    def sending_ps(self) -> int:
        """The time that a port is busy with the bytes."""
        return round(self.chunk_bytes / LINK.rate_bytes_per_s * PS_PER_S)

    @property
    def latency_ps(self) -> int:
        """The time until a byte that has left arrives."""
        return round(LINK.latency_s * PS_PER_S)

    @property
    def total_ps(self) -> int:
        """When the ring ends."""
        return self.steps * (self.overhead_ps + self.sending_ps + self.latency_ps)


def _numbers(count: int) -> list[int]:
    """Return the first ``count`` arguments of the command line."""
    return [int(argument) for argument in sys.argv[1 : count + 1]]


@contextlib.contextmanager
def may_be_missing(name: str) -> Iterator[None]:
    """Say that the peer is skipped, and end, when a library that it needs is not installed."""
    try:
        yield
    except ImportError as error:
        print(json.dumps({"skipped": f"{name}: {' '.join(str(error).split())}"}), flush=True)
        sys.exit(0)


def tell(seconds: list[float], configured: str, **more: Any) -> None:
    """Print the measured ``seconds``, and how the peer was ``configured``."""
    line = {"seconds": seconds, "configured": configured, **more}
    print(json.dumps(line), flush=True)
