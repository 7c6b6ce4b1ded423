"""Output of ``emul info --clock``: the clock, the margin, and how exact waits are."""

from __future__ import annotations

import numpy as np

from emul.units import format_time
from emul.wall.pacer import calibrate, margin_ns, may_be_realtime, resolution_ns
from emul.wall.timer_accuracy import WaitErrors, clock_step_ns, measure_waits

__all__ = ["clock_lines"]

TIMES = 100
"""Of each wait: seven seconds in all."""

HEAD = ("wait", "median", "99 %", "at most", "time.sleep", "99 %", "times closer")
WIDTH = 13


def clock_lines() -> list[str]:
    """Return the lines, having measured for some seconds."""
    known, again = margin_ns(), calibrate()
    allowed = "allowed" if may_be_realtime() else "not allowed"
    return [
        f"monotonic clock     a step of {resolution_ns()} ns by the system, "
        f"{clock_step_ns()} ns between two looks",
        f"margin              {format_time(known / 1e9)} spun after a sleep "
        f"({format_time(again / 1e9)} measured again)",
        f"real-time priority  {allowed}, used when asked for",
        "",
        f"By how much {TIMES} waits of each length ended late:",
        _line(HEAD),
        *(_line(_row(errors)) for errors in measure_waits(TIMES)),
    ]


def _row(errors: WaitErrors) -> tuple[str, ...]:
    late, sleep_late = errors.late_ns, errors.sleep_late_ns
    times = [
        errors.wait_ns,
        *(np.quantile(late, share) for share in (0.5, 0.99, 1)),
        *(np.quantile(sleep_late, share) for share in (0.5, 0.99)),
    ]
    return (*(format_time(float(each) / 1e9) for each in times), f"{errors.times_closer:.0f}")


def _line(cells: tuple[str, ...]) -> str:
    return " ".join(f"{cell:>{WIDTH}}" for cell in cells)
