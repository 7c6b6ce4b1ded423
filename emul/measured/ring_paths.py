"""The links that the steps of a ring go over, where they are not all alike."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from emul.links import Link

__all__ = ["ALIKE", "Ring", "RingPath"]


@dataclass(frozen=True, slots=True)
class RingPath:
    """The links of the steps after the first: a part over the measured link, and ``others``.

    ``others`` are numbers of hops and their links; ``steps`` are all steps but the first.
    """

    steps: int
    others: tuple[tuple[int, Link], ...] = ()

    @property
    def part_measured(self) -> float:
        """The part of the hops that goes over the measured link."""
        return 1 - sum(number for number, _ in self.others) / max(1, self.steps)

    def others_s(self, nbytes: float) -> float:
        """Return the seconds of the other hops with ``nbytes``, spread over all steps."""
        return sum(
            number * (link.overhead_s + link.latency_s + nbytes / link.available_bytes_per_s)
            for number, link in self.others
        ) / max(1, self.steps)


@dataclass(frozen=True, slots=True)
class Ring:
    """The hops of a ring: hop r from rank r to the next, None where it is the measured link."""

    hops: tuple[Link | None, ...]

    @property
    def world_size(self) -> int:
        """Number of ranks."""
        return len(self.hops)

    def slowest_path(self, steps: int) -> RingPath:
        """Return the ``steps`` hops in a row that go most often over the measured link."""
        return _slowest_path(self.hops, steps)


@lru_cache(maxsize=16)
def _slowest_path(hops: tuple[Link | None, ...], steps: int) -> RingPath:
    if steps < 1 or None not in hops:
        return RingPath(steps)
    around = np.resize(np.array([hop is None for hop in hops]), len(hops) + steps)
    passed = np.concatenate([[0], np.cumsum(around)])
    first = int(np.argmax(passed[steps : steps + len(hops)] - passed[: len(hops)]))
    path = Counter(hops[i % len(hops)] for i in range(first, first + steps))
    return RingPath(steps - 1, tuple((number, link) for link, number in path.items() if link))


ALIKE = Ring(())
"""A ring of which nothing is known but the measured link."""
