"""How the wall clock keeps step with the modelled one."""

from __future__ import annotations

import math

from emul.timing import now_ns, wait_until
from emul.units import PS_PER_S

__all__ = ["Pace"]


class Pace:
    """When modelled moments are due on the wall clock: counted from when nothing was under way."""

    def __init__(self, dilation: float) -> None:
        """Take by what factor modelled time is stretched."""
        self.dilation = dilation
        self._from_ns = 0
        self._from_ps = 0

    def start(self, started_ns: int, moment_ps: int) -> None:
        """Count from a moment that has come at ``started_ns`` of the monotonic clock."""
        self._from_ns, self._from_ps = started_ns, moment_ps

    def due_ns(self, moment_ps: int) -> int:
        """Return when a modelled moment is due on the monotonic clock."""
        return self._from_ns + math.ceil((moment_ps - self._from_ps) * self.dilation / 1000)

    def wait(self, moment_ps: int) -> tuple[int, float]:
        """Return when a modelled moment has come: the time then, and how many seconds late."""
        ended_ns = wait_until(self.due_ns(moment_ps))
        due_s = (moment_ps - self._from_ps) / PS_PER_S * self.dilation
        return ended_ns, (ended_ns - self._from_ns) / 1e9 - due_s

    def has_come(self, moment_ps: int) -> bool:
        """Say whether a modelled moment is due by now."""
        return now_ns() >= self.due_ns(moment_ps)
