"""How exact waits are on this machine, beside those of time.sleep: for ``emul info`` and bench."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from emul.wall.pacer import now_ns, wait_until

__all__ = ["WAITS_NS", "WaitErrors", "clock_step_ns", "measure_waits"]

WAITS_NS = tuple(us * 1000 for us in (20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000))

LOOKS = 2000


@dataclass(frozen=True, slots=True)
class WaitErrors:
    """By how many nanoseconds waits of ``wait_ns`` ended late, and as many of time.sleep.

    Each by the first look at the clock when Python goes on: that of ``wait_until`` is its own.
    """

    wait_ns: int
    late_ns: npt.NDArray[np.int64]
    sleep_late_ns: npt.NDArray[np.int64]

    @property
    def times_closer(self) -> float:
        """How many times as far off time.sleep is, in the median."""
        return float(np.median(self.sleep_late_ns) / max(1.0, np.median(self.late_ns)))


def measure_waits(
    times: int, waits_ns: Sequence[int] = WAITS_NS, *, realtime: bool = False
) -> list[WaitErrors]:
    """Return the errors of so many waits of each length, in turn with those of time.sleep."""
    found = []
    for wait_ns in waits_ns:
        late, sleep_late = (np.empty(times, dtype=np.int64) for _ in range(2))
        for number in range(times):
            due_ns = now_ns() + wait_ns
            late[number] = wait_until(due_ns, realtime=realtime) - due_ns
            due_ns = now_ns() + wait_ns
            sleep_late[number] = _slept_until(due_ns) - due_ns
        found.append(WaitErrors(wait_ns, late, sleep_late))
    return found


def _slept_until(due_ns: int) -> int:
    time.sleep(max(0, due_ns - now_ns()) / 1e9)
    return now_ns()


def clock_step_ns() -> int:
    """Return the least by which the clock was seen to move on, in nanoseconds."""
    looks = np.array([now_ns() for _ in range(LOOKS)])
    steps = np.diff(looks)
    return int(steps[steps > 0].min(initial=1 << 62))
