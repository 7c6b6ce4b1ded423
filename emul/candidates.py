"""The algorithms that ``auto`` chooses from, and why some of them cannot be timed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from emul.errors import CapacityError, EmulError, OutageError, TimeLimitError
from emul.plans import Plan, Program, Shape, passes
from emul.run import by_reason

__all__ = [
    "MOST_WORK_OF_AUTO",
    "TOO_MUCH_WORK",
    "Candidate",
    "PassedOver",
    "check_work",
    "in_words",
    "is_outage",
    "nothing_timed",
    "passing_over",
]

MOST_WORK_OF_AUTO = 1 << 24
"""Transfers or slices of an algorithm that ``auto`` proves and times: some 10 s, and 3 GB."""

TOO_MUCH_WORK = "too much for auto to time; name the algorithm to have it timed"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An algorithm that ``auto`` may choose; its program, if that takes little memory."""

    least_ps: int
    algorithm: str
    transfers: int
    program: Program | None


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


def check_work(plan: Plan) -> None:
    """Raise CapacityError for a plan whose proof and timing would take long, before they begin."""
    rows, through = 0, passes(plan)
    for step in plan.steps():
        rows += len(step)
        if rows * through > MOST_WORK_OF_AUTO:
            raise CapacityError(
                f"more than {MOST_WORK_OF_AUTO // through} transfers: {TOO_MUCH_WORK}"
            )


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
