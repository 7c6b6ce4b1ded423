"""Inverse questions about a job: its needs for a utilisation, each alone, by runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any

from emul.errors import ArgumentError, shown
from emul.links import Link
from emul.reading.checks import finite
from emul.topology import Topology, Trunk
from emul.training.methods import LocalSteps
from emul.training.protocols import AnyJob
from emul.units import format_rate, format_time

__all__ = ["Need", "Needs", "faster", "least_rate", "nearer", "needs_of"]

OCTAVE = 8
"""Points from one factor to its double, at which rates and distances are tried: 9 % apart."""

LARGEST = 4096
"""By which rates are raised and distances lowered at most."""

MOST_LOCAL_STEPS = 4096
MOST_BUCKETS = 1024

Holds = Callable[[int], bool]


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that would reach the utilisation, all else as it is.

    ``value``: None where it does not, as far as was tried. ``words``: a sentence.
    """

    name: str
    value: float | None
    words: str


@dataclass(frozen=True, slots=True)
class Needs:
    """The needs of a job for a ``utilisation``; ``now`` is that of today."""

    utilisation: float
    now: float
    needs: tuple[Need, ...]

    def __getitem__(self, name: str) -> float | None:
        """Return the value of a need by its name."""
        return next(need.value for need in self.needs if need.name == name)

    def words(self) -> list[str]:
        """Return a sentence for each need."""
        goal = f"{100 * self.utilisation:.3g} %"
        if self.now >= self.utilisation:
            return [f"Needs for {goal}: none, it is {100 * self.now:.3g} % today."]
        return [f"Needs for {goal}, each alone:", *(f"  {need.words}" for need in self.needs)]


def needs_of(job: AnyJob, utilisation: float) -> Needs:
    """Return the needs of a job for a utilisation: see Job.needs. Raises ArgumentError."""
    needed = "a part from 0 to less than 1"
    goal = finite(utilisation, "utilisation", needed, least=0)
    if goal >= 1:
        raise ArgumentError(f"utilisation {shown(utilisation)}: needed {needed}")
    now = job.run().utilisation
    reached = now >= goal
    return Needs(goal, now, () if reached else tuple(_needs(job, goal)))


def least_rate(
    job: AnyJob, targets: Sequence[float], grid: Sequence[float], *, below: bool = False
) -> list[float | None]:
    """Return the least rate of every trunk for each utilisation: see Job.least_rate."""
    rates = [float(rate) for rate in grid]
    if not rates or any(a >= b for a, b in pairwise(rates)) or rates[0] <= 0:
        raise ArgumentError(f"grid {shown(grid)}: needed rates above 0 in Gbit/s, rising")

    @cache
    def utilisation(at: int) -> float:
        changed = _with_rate(job.topology, rates[at] * 1e9 / 8)
        return job.at(changed).run().utilisation

    def reaches(target: float) -> Holds:
        return lambda at: utilisation(at) >= target

    found = [_first(len(rates), reaches(target)) for target in targets]
    if below:
        return [rates[at - 1] if at else None for at in found]
    return [rates[at] if at < len(rates) else None for at in found]


def _needs(job: AnyJob, goal: float) -> Iterator[Need]:
    def holds(changed: AnyJob) -> bool:
        return changed.run().utilisation >= goal

    if job.topology.trunks:
        yield _rate_needed(job, holds)
        yield _distance_needed(job, holds)
    if isinstance(job.method, LocalSteps):
        yield _steps_needed(job, job.method, holds)
    elif job.placement.size("replicate") > 1:
        yield _steps_needed(job, LocalSteps(1), holds)
    if hasattr(job.method, "buckets"):
        yield _buckets_needed(job, holds)


def _rate_needed(job: AnyJob, holds: Callable[[AnyJob], bool]) -> Need:
    factors = _factors()
    at = _first(len(factors), lambda at: holds(job.at(faster(job.topology, factors[at]))))
    if at == len(factors):
        return Need("rate", None, f"no rate: {LARGEST:,} times that of every trunk does not do")
    least = min(each.link.rate_bytes_per_s for each in job.topology.trunks) * factors[at]
    return Need(
        "rate",
        factors[at],
        f"{factors[at]:.3g} times the rate of every trunk, {format_rate(least)} for the slowest",
    )


def _distance_needed(job: AnyJob, holds: Callable[[AnyJob], bool]) -> Need:
    factors = _factors()
    at = _first(
        len(factors),
        lambda at: holds(job.at(nearer(job.topology, factors[at]))),
    )
    if at == len(factors):
        return Need("distance", None, f"no delay: 1/{LARGEST:,} of that of every trunk does not do")
    most = max(each.link.latency_s for each in job.topology.trunks) / factors[at]
    return Need(
        "distance",
        1 / factors[at],
        f"1/{factors[at]:.3g} of the delay of every trunk, at most {format_time(most)} one way",
    )


def _steps_needed(job: AnyJob, method: LocalSteps, holds: Callable[[AnyJob], bool]) -> Need:
    def enough(at: int) -> bool:
        every = at + 1
        fits = method.delay < every // method.fragments
        return fits and holds(job.with_method(replace(method, every=every)))

    first = method.fragments - 1
    at = first + _first(MOST_LOCAL_STEPS - first, lambda at: enough(first + at))
    if at == MOST_LOCAL_STEPS:
        return Need("local_steps", None, f"no local steps: {at:,} do not do")
    return Need("local_steps", at + 1, f"replicas that meet every {at + 1:,} steps (local steps)")


def _buckets_needed(job: AnyJob, holds: Callable[[AnyJob], bool]) -> Need:
    method: Any = job.method
    number = 1
    while number <= MOST_BUCKETS:
        if holds(job.with_method(replace(method, buckets=number))):
            return Need("buckets", number, f"{number} buckets of one size")
        number *= 2
    return Need("buckets", None, f"no number of buckets up to {MOST_BUCKETS:,}")


def _factors() -> list[float]:
    octaves = LARGEST.bit_length() - 1
    return [2 ** (at / OCTAVE) for at in range(octaves * OCTAVE + 1)]


def _first(number: int, holds: Holds) -> int:
    """Return the first of ``number`` places from which on ``holds`` is true, by halving."""
    low, high = 0, number
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def _with_rate(topology: Topology, bytes_per_s: float) -> Topology:
    """Return the topology with a rate of every trunk that is all the job's: without others."""

    def changed(trunk: Trunk) -> Link:
        others = replace(trunk.link.others, load=0.0)
        return replace(trunk.link, rate_bytes_per_s=bytes_per_s, others=others)

    return topology.with_trunk_links(changed)


def faster(topology: Topology, times: float) -> Topology:
    """Return the topology with ``times`` the rate of every trunk."""
    return topology.with_trunk_links(
        lambda trunk: replace(trunk.link, rate_bytes_per_s=trunk.link.rate_bytes_per_s * times)
    )


def nearer(topology: Topology, times: float) -> Topology:
    """Return the topology with the delay of every trunk divided by ``times``, on the same paths."""
    return topology.with_paths_kept.with_trunk_links(
        lambda trunk: replace(trunk.link, latency_s=trunk.link.latency_s / times)
    )
