"""Links that change while messages are in flight: traces, the time of day, outages.

All three become one list of states, each of which holds until the next.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from emul.errors import ArgumentError
from emul.links.draws import exponential, key_of
from emul.reading.brief import brief
from emul.reading.checks import fraction, loss_probability, not_negative, positive

__all__ = [
    "BUSIEST_HOUR",
    "CONSTANT",
    "Changes",
    "Diurnal",
    "Outages",
    "State",
    "diurnal_rate_bytes_per_s",
]

SECONDS_PER_HOUR = 3600.0
DIURNAL_STEP_S = 900.0
"""How long the load of an hour of the day is taken to be constant."""

BUSIEST_HOUR = 14.0
"""Hour of the day of most other traffic; assumed."""


def diurnal_rate_bytes_per_s(
    rate_bytes_per_s: float,
    hour: float,
    *,
    least_load: float,
    most_load: float,
    busiest_hour: float = BUSIEST_HOUR,
) -> float:
    """Return C (1 - b), the rate beside other traffic at an hour of the day.

    b = b0 + (b1 - b0) (1 + cos(2 pi (h - h1) / 24)) / 2 between the least and the most load,
    which are fractions of the rate; the shape is assumed.

    >>> round(diurnal_rate_bytes_per_s(100.0, 14, least_load=0.1, most_load=0.6), 9)
    40.0
    """
    positive("bytes per second", rate_bytes_per_s=rate_bytes_per_s)
    fraction(least_load=least_load, most_load=most_load)
    not_negative("hours", hour=hour, busiest_hour=busiest_hour)
    swing = (1 + math.cos(2 * math.pi * (hour - busiest_hour) / 24)) / 2
    return rate_bytes_per_s * (1 - least_load - (most_load - least_load) * swing)


@dataclass(frozen=True, slots=True)
class State:
    """The state of a link from ``from_s`` on.

    Its rate is multiplied by ``rate_factor``, its delay grows by ``extra_delay_s``; ``loss`` is
    the packet loss, None for the loss of the link's transport; nothing passes unless it is ``up``.
    """

    from_s: float = 0.0
    rate_factor: float = 1.0
    extra_delay_s: float = 0.0
    loss: float | None = None
    up: bool = True

    __repr__ = brief

    def __post_init__(self) -> None:
        """Refuse numbers that no state can have."""
        not_negative("seconds", from_s=self.from_s, extra_delay_s=self.extra_delay_s)
        not_negative("parts of the rate", rate_factor=self.rate_factor)
        if self.loss is not None:
            loss_probability(loss=self.loss)


@dataclass(frozen=True, slots=True)
class Diurnal:
    """Load by the hour of the day, ``least_load`` to ``most_load``, most at ``busiest_hour``."""

    least_load: float
    most_load: float
    busiest_hour: float = BUSIEST_HOUR

    __repr__ = brief

    def __post_init__(self) -> None:
        """Refuse loads that are no parts of a rate, or leave nothing."""
        fraction(least_load=self.least_load, most_load=self.most_load)
        not_negative("hours", busiest_hour=self.busiest_hour)
        if self.most_load == 1 or self.least_load > self.most_load:
            raise ArgumentError(
                f"loads {self.least_load} to {self.most_load}: needed two fractions below 1, the "
                "smaller first"
            )

    def states(self) -> Iterator[State]:
        """Yield the parts of the rate that are left, from midnight on, without end."""
        number = 0
        while True:
            from_s = number * DIURNAL_STEP_S
            hour = (from_s + DIURNAL_STEP_S / 2) / SECONDS_PER_HOUR % 24
            left = diurnal_rate_bytes_per_s(
                1.0,
                hour,
                least_load=self.least_load,
                most_load=self.most_load,
                busiest_hour=self.busiest_hour,
            )
            yield State(from_s, left)
            number += 1


@dataclass(frozen=True, slots=True)
class Outages:
    """When the link is down: a ``schedule`` of (from, seconds), or drawn.

    Drawn ones alternate with up times; both are exponential, with means of
    ``between_failures_s`` and ``repair_s``.
    """

    schedule: tuple[tuple[float, float], ...] = ()
    between_failures_s: float = 0.0
    repair_s: float = 0.0

    __repr__ = brief

    def __post_init__(self) -> None:
        """Refuse outages that overlap, run backwards or have no length."""
        end_s = 0.0
        for from_s, lasting_s in self.schedule:
            not_negative("seconds", outage_from_s=from_s)
            positive("seconds", outage_lasting_s=lasting_s)
            if from_s < end_s:
                raise ArgumentError(
                    f"outage from {from_s} s, while the one before lasts to {end_s} s: needed "
                    "outages in order of time"
                )
            end_s = from_s + lasting_s
        not_negative("seconds", between_failures_s=self.between_failures_s, repair_s=self.repair_s)
        if bool(self.between_failures_s) != bool(self.repair_s):
            raise ArgumentError(
                f"between_failures_s = {self.between_failures_s}, repair_s = {self.repair_s}: "
                "needed both above 0, or neither"
            )

    def states(self, seed: int, link: str) -> Iterator[State]:
        """Yield up and down in turn, in order of time; draws are keyed by ``seed`` and link."""
        yield State(0.0)
        for from_s, lasting_s in self.schedule:
            yield State(from_s, up=False)
            yield State(from_s + lasting_s)
        if self.between_failures_s:
            yield from self._drawn(seed, link)

    def _drawn(self, seed: int, link: str) -> Iterator[State]:
        key, number = key_of(seed, "outages", link), 0
        now_s = max((sum(each) for each in self.schedule), default=0.0)
        while True:
            down, up = (float(exponential(key, number + i)) for i in (0, 1))
            now_s += down * self.between_failures_s
            yield State(now_s, up=False)
            now_s += up * self.repair_s
            yield State(now_s)
            number += 2


@dataclass(frozen=True, slots=True)
class Changes:
    """A ``trace`` of states, by time, repeated every ``repeat_s`` (0: the last one holds).

    Its times, and the times of ``diurnal`` load and of ``outages``, count from midnight of the
    first day; a World is made ``start_s`` after it, and goes on from there.
    """

    trace: tuple[State, ...] = ()
    repeat_s: float = 0.0
    diurnal: Diurnal | None = None
    outages: Outages | None = None

    __repr__ = brief

    def __post_init__(self) -> None:
        """Refuse a trace that runs backwards, or is longer than its period."""
        for before, after in zip(self.trace, self.trace[1:], strict=False):
            if after.from_s <= before.from_s:
                raise ArgumentError(
                    f"trace goes back from {before.from_s} s to {after.from_s} s: needed times "
                    "that rise"
                )
        if self.trace and self.trace[0].from_s:
            raise ArgumentError(
                f"trace begins at {self.trace[0].from_s} s: needed a first state from 0 s, such as "
                "with the first time taken off all of them"
            )
        not_negative("seconds", repeat_s=self.repeat_s)
        if self.repeat_s and self.trace and self.repeat_s <= self.trace[-1].from_s:
            raise ArgumentError(
                f"trace of {self.trace[-1].from_s} s repeated every {self.repeat_s} s: needed a "
                "longer period"
            )

    @property
    def any(self) -> bool:
        """Whether there is any change at all."""
        return bool(self.trace or self.diurnal or self.outages)

    @property
    def best_rate_factor(self) -> float:
        """The largest part of the rate that the link ever has."""
        by_trace = max((state.rate_factor for state in self.trace if state.up), default=1.0)
        return by_trace * (1 - self.diurnal.least_load if self.diurnal else 1.0)

    @property
    def least_extra_delay_s(self) -> float:
        """The extra delay of the best state, in seconds."""
        return min((state.extra_delay_s for state in self.trace), default=0.0)

    def without(self, effects: frozenset[str]) -> Changes:
        """Return the changes without some effects: ``load``, ``loss``, ``latency``, ``outage``."""
        trace = tuple(_state_without(state, effects) for state in self.trace)
        return replace(
            self,
            trace=trace,
            diurnal=None if "load" in effects else self.diurnal,
            outages=None if "outage" in effects else self.outages,
        )

    def states(self, seed: int, link: str, until_s: float) -> Iterator[State]:
        """Yield the states of the link called ``link``, by time, from 0 s on.

        The last state is the first one that begins after ``until_s``, if there is any.
        """
        sources = [_repeated(self.trace, self.repeat_s)]
        sources += [self.diurnal.states()] if self.diurnal else []
        sources += [self.outages.states(seed, link)] if self.outages else []
        return _joined(sources, until_s)


CONSTANT = Changes()


def _state_without(state: State, effects: frozenset[str]) -> State:
    return replace(
        state,
        rate_factor=1.0 if "load" in effects else state.rate_factor,
        extra_delay_s=0.0 if "latency" in effects else state.extra_delay_s,
        loss=None if "loss" in effects else state.loss,
        up=True if "outage" in effects else state.up,
    )


def _repeated(trace: tuple[State, ...], repeat_s: float) -> Iterator[State]:
    if not trace:
        yield State()
        return
    period = 0
    while True:
        for state in trace:
            yield replace(state, from_s=state.from_s + period * repeat_s) if period else state
        if not repeat_s:
            return
        period += 1


def _joined(sources: list[Iterator[State]], until_s: float) -> Iterator[State]:
    """Yield the state that all sources together make, at every change of one of them."""
    current = [next(source) for source in sources]
    following = [next(source, None) for source in sources]
    now_s = 0.0
    while True:
        yield _together(current, now_s)
        times = [state.from_s for state in following if state is not None]
        if not times or now_s > until_s:
            return
        now_s = min(times)
        for i, source in enumerate(sources):
            while (state := following[i]) is not None and state.from_s <= now_s:
                current[i], following[i] = state, next(source, None)


def _together(states: list[State], from_s: float) -> State:
    if len(states) == 1 and states[0].from_s == from_s:
        return states[0]
    lost = [state.loss for state in states if state.loss is not None]
    return State(
        from_s,
        math.prod(state.rate_factor for state in states),
        sum(state.extra_delay_s for state in states),
        lost[0] if lost else None,
        all(state.up for state in states),
    )
