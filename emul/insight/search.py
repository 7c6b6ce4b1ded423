"""The best settings for a topology, step by step from a start: no step is kept that saves nothing.

Everything to be tuned is told as a ``Problem``: a function that returns the seconds for a topology
and some settings, the settings to start from, and those that are one step away from others. So
a collective and a job are searched alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Protocol

from emul.errors import EmulError
from emul.topology import Topology

__all__ = ["Facts", "Problem", "Settings", "Solution", "best_settings"]

Settings = Mapping[str, str | int]
"""By name; they can be written as JSON."""

WORTH = 5e-4
"""The part of the time that a step has to save to be kept."""

MOST_TRIED = 400
"""Settings of one topology."""

Advance = Callable[[str], None]
"""Is called with the progress of long work."""


@dataclass(frozen=True, slots=True)
class Facts:
    """More about some settings on a topology: ``binds``, the place where most of the time passes.

    ``limit``: the constraint below whose time no settings lead, in words, empty where none is
    known. ``times_s`` and ``bounds_s``: of each part that the time is the sum of, none where it has
    no parts, or no bound.
    """

    binds: str
    limit: str = ""
    times_s: tuple[float, ...] = ()
    bounds_s: tuple[float, ...] = ()


class Problem(Protocol):
    """A matter to be tuned."""

    def timed(self, topology: Topology, settings: Settings) -> float:
        """Return the modelled seconds. Raises EmulError where they cannot be told."""

    def starts(self, topology: Topology) -> Iterable[Settings]:
        """Yield the settings to start from, those of today first. Raises EmulError."""

    def moves(self, topology: Topology, settings: Settings) -> Iterable[Settings]:
        """Yield the settings that are one step away."""

    def kept(self, settings: Settings) -> Iterable[Settings]:
        """Yield the settings by which an upgraded topology goes on as ``settings`` do today."""

    def facts(self, topology: Topology, settings: Settings) -> Facts:
        """Return more about settings that were timed."""


@dataclass(frozen=True, slots=True)
class Solution:
    """The best settings that were found, their seconds, and how many settings were ``tried``."""

    settings: Settings
    time_s: float
    tried: int


def best_settings(
    problem: Problem,
    topology: Topology,
    also: Iterable[Settings] = (),
    advance: Advance | None = None,
) -> Solution:
    """Return the best settings that steps from the best start lead to.

    ``also``: more settings to start from. Settings that cannot be timed are passed over. Raises
    the error of the first start where none can.
    """
    trials = _Trials(problem, topology, advance)
    best = min((*problem.starts(topology), *also), key=trials.seconds)
    if trials.seconds(best) == inf:
        raise trials.errors[0]
    following: Settings | None = best
    while following is not None and len(trials.times_s) < MOST_TRIED:
        best = following
        enough_s = trials.seconds(best) * (1 - WORTH)
        moves = problem.moves(topology, best)
        following = next((each for each in moves if trials.seconds(each) < enough_s), None)
    return Solution(best, trials.seconds(best), len(trials.times_s))


class _Trials:
    """The settings of a topology that were timed, each once."""

    def __init__(self, problem: Problem, topology: Topology, advance: Advance | None) -> None:
        self.problem, self.topology, self.advance = problem, topology, advance
        self.times_s: dict[tuple[tuple[str, str | int], ...], float] = {}
        self.errors: list[EmulError] = []

    def seconds(self, settings: Settings) -> float:
        """Return the time with some settings; infinity where it cannot be told."""
        key = tuple(sorted(settings.items()))
        if key not in self.times_s:
            try:
                self.times_s[key] = self.problem.timed(self.topology, settings)
            except EmulError as error:
                self.errors.append(error)
                self.times_s[key] = inf
            if self.advance is not None:
                self.advance(f"{len(self.times_s)} settings")
        return self.times_s[key]
