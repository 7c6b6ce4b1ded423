"""The states of a link on one line of time, worked out apart from ``emul.links.changes``.

Only the numbers of a ``Changes`` are read: its trace, its load by the hour, its scheduled outages.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass

QUARTER_S = 900.0


@dataclass(frozen=True, slots=True)
class Now:
    """A state from ``from_ps`` on: a factor of the rate, picoseconds of extra delay, up or not."""

    from_ps: int
    factor: float
    extra_ps: int
    up: bool


class LineOfStates:
    """The states of a link from ``start_s`` on; its moments count in picoseconds from there.

    States are worked out up to a horizon, further than an outage of a trace may last.
    """

    def __init__(self, changes, start_s=0.0):
        self.changes, self.start_s = changes, start_s
        self.ahead_s = -1.0
        self.reach(0)

    def until(self, ahead_s):
        """Return the states from the start on, the last of them ``ahead_s`` after it or later."""
        last_s = self.start_s + ahead_s
        moments = {self.start_s, *(s for s in self.moments(last_s) if s > self.start_s)}
        return [self.state(moment_s) for moment_s in sorted(moments)]

    def moments(self, last_s):
        """Yield the seconds up to ``last_s`` at which anything changes."""
        changes = self.changes
        period_s = changes.repeat_s if changes.trace else 0.0
        for number in range(1 + int(last_s // period_s if period_s else 0)):
            for state in changes.trace:
                yield state.from_s + number * period_s if number else state.from_s
        for number in range(int(last_s // QUARTER_S) + 1 if changes.diurnal else 0):
            yield number * QUARTER_S
        for from_s, lasting_s in changes.outages.schedule if changes.outages else ():
            yield from (from_s, from_s + lasting_s)

    def state(self, at_s):
        """Return the state that begins at ``at_s``, as trace, hour and outages make it together."""
        traced = self.traced(at_s)
        factor = traced.rate_factor if traced else 1.0
        if self.changes.diurnal:
            factor *= self.left_by_others(at_s)
        schedule = self.changes.outages.schedule if self.changes.outages else ()
        dark = any(from_s <= at_s < from_s + lasting_s for from_s, lasting_s in schedule)
        return Now(
            round((at_s - self.start_s) * 1e12),
            factor,
            round(traced.extra_delay_s * 1e12) if traced else 0,
            (traced.up if traced else True) and not dark,
        )

    def traced(self, at_s):
        """Return the state of the trace at ``at_s``; None where there is no trace."""
        found, period_s = None, self.changes.repeat_s
        number = int(at_s // period_s) if period_s else 0
        for each in (number - 1, number, number + 1) if period_s else (0,):
            for state in self.changes.trace:
                from_s = state.from_s + each * period_s if each else state.from_s
                if each >= 0 and from_s <= at_s:
                    found = state
        return found

    def left_by_others(self, at_s):
        """Return the part of the rate that others leave in the quarter of an hour of ``at_s``."""
        day = self.changes.diurnal
        hour = (at_s // QUARTER_S * QUARTER_S + QUARTER_S / 2) / 3600 % 24
        height = (1 + math.cos(2 * math.pi * (hour - day.busiest_hour) / 24)) / 2
        return 1 - day.least_load - (day.most_load - day.least_load) * height

    def reach(self, now_ps):
        """Work out the states of the next periods and quarters of an hour, if they are not there.

        Those that are keep their numbers.
        """
        quarters_s = 2 * QUARTER_S if self.changes.diurnal else 0.0
        least_s = now_ps / 1e12 + quarters_s + 2 * self.changes.repeat_s
        if least_s > self.ahead_s:
            self.ahead_s = 2 * least_s
            self.states = self.until(self.ahead_s)

    def at(self, now_ps):
        """Return the number of the state at ``now_ps``."""
        self.reach(now_ps)
        return bisect_right(self.states, now_ps, key=lambda each: each.from_ps) - 1

    def next_from_ps(self, number):
        """Return when the state after state ``number`` begins; None if that one lasts."""
        return self.first_after(number, lambda state: True)

    def next_down_ps(self, number):
        """Return when the link goes down next after state ``number``; None if it never does."""
        return self.first_after(number, lambda state: not state.up)

    def up_again_ps(self, number):
        """Return when the link is up again after the outage that is, or comes next."""
        self.reach(self.states[number].from_ps)
        while self.states[number].up and number + 1 < len(self.states):
            number += 1
        return self.first_after(number, lambda state: state.up)

    def first_after(self, number, holds):
        """Return when the first state after state ``number`` begins of which ``holds`` is true."""
        self.reach(self.states[number].from_ps)
        later = self.states[number + 1 :]
        return next((state.from_ps for state in later if holds(state)), None)
