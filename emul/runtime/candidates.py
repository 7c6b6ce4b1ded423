"""The algorithms that ``auto`` chooses from, and why some of them cannot be timed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from emul.errors import CapacityError, EmulError, OutageError, TimeLimitError
from emul.plans import Plan, Program, Rounds, Shape, Step, passes, proof_bytes
from emul.runtime.prediction import by_reason
from emul.timing import Slicing, Timeline, transfers_in
from emul.units import format_bytes

__all__ = [
    "Best",
    "Candidate",
    "PassedOver",
    "check_transfers",
    "in_words",
    "is_outage",
    "nothing_timed",
    "passing_over",
    "within_bounds",
]

MOST_WORK_OF_AUTO = 1 << 24
"""Transfers or slices of an algorithm that ``auto`` proves and times: some 10 s, and 3 GB."""

MOST_PROOF_BYTES = 8 << 30
"""As emul.plans.proof.verify counts them, of a proof that is not cut up; it comes to some 5 GB."""

PART_FOR_COMPARISON = 8
"""By which both bounds are divided where a collective is only timed for the sake of comparison."""

TOO_MUCH_WORK = "too much for auto to time; name the algorithm to have it timed"


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """An algorithm that ``auto`` may choose, and the least picoseconds that it can take.

    ``plan`` is not proven. ``program``: None where it is too large to be kept, or was not needed.
    ``is_exact``: whether ``least_ps`` is the time itself.
    """

    least_ps: int
    algorithm: str
    plan: Plan
    program: Program | None
    is_exact: bool


@dataclass(frozen=True, slots=True, eq=False)
class Best:
    """A plan that is timed and proven."""

    plan: Plan
    program: Program
    timeline: Timeline


PassedOver = dict[str, Exception]
"""Why algorithms were not timed, by name."""


@contextmanager
def passing_over(algorithm: str, passed_over: PassedOver, *also: type[EmulError]) -> Iterator[None]:
    """Note why ``algorithm`` cannot be timed, if it cannot, and go on."""
    kinds: tuple[type[Exception], ...]
    kinds = (CapacityError, MemoryError, OutageError, TimeLimitError, *also)
    try:
        yield
    except kinds as error:
        passed_over[algorithm] = error


def within_bounds(plan: Plan, part: int = 1) -> Plan:
    """Return ``plan`` with its steps at hand, so that they are not made twice.

    Raises CapacityError for a plan whose proof and timing would take long, before they begin. Both
    bounds are divided by ``part``.
    """
    rows, most, steps = 0, MOST_WORK_OF_AUTO // part, []
    for step, number in _steps_and_rows(plan):
        rows += number
        if rows > most:
            raise CapacityError(f"more than {most} transfers: {TOO_MUCH_WORK}")
        steps.append(step)
    needed = proof_bytes(plan)
    if needed > MOST_PROOF_BYTES // part:
        raise CapacityError(f"{format_bytes(needed)} for its proof: {TOO_MUCH_WORK}")
    through = passes(plan)
    if rows * through > most:
        raise CapacityError(f"{rows} transfers, proven {through} times over: {TOO_MUCH_WORK}")
    return plan if isinstance(plan.steps, Rounds) else replace(plan, steps=partial(iter, steps))


def _steps_and_rows(plan: Plan) -> Iterator[tuple[Step | None, int]]:
    """Yield the steps with their numbers of rows; of rounds, which are cheap, one number only."""
    if isinstance(plan.steps, Rounds):
        yield None, len(plan.steps) * plan.steps.orders.size
        return
    for step in plan.steps():
        yield step, len(step)


def check_transfers(program: Program, slicing: Slicing | None, part: int = 1) -> int:
    """Return the transfers and slices of a program; raise CapacityError for too many to time."""
    transfers = transfers_in(program, slicing)
    if transfers > MOST_WORK_OF_AUTO // part:
        raise CapacityError(f"{transfers} transfers and slices: {TOO_MUCH_WORK}")
    return transfers


def nothing_timed(shape: Shape, passed_over: PassedOver) -> EmulError:
    """Return the one error that names why each algorithm cannot be timed."""
    kinds = (OutageError, TimeLimitError, CapacityError)
    kind = next(
        (kind for kind in kinds if all(isinstance(why, kind) for why in passed_over.values())),
        CapacityError,
    )
    return kind(
        f"auto: no algorithm for {shape.collective.name} can be timed: "
        f"{by_reason(in_words(passed_over))}"
    )


def in_words(passed_over: PassedOver) -> dict[str, str]:
    """Return why, in words, by name."""
    return {name: str(why) or "out of memory" for name, why in passed_over.items()}


def is_outage(why: Exception) -> bool:
    """Say whether an outage is why."""
    return isinstance(why, OutageError)
