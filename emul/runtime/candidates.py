"""The algorithms that ``auto`` chooses from, and why some of them cannot be timed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from emul.errors import CapacityError, EmulError, OutageError, TimeLimitError
from emul.plans import Plan, Program, Rounds, Shape, Step, passes, proof_bytes
from emul.plans.algorithms.packed import is_packed
from emul.runtime.prediction import by_reason
from emul.timing import Slicing, transfers_in
from emul.units import format_bytes

__all__ = [
    "Candidate",
    "PassedOver",
    "check_rounds",
    "check_transfers",
    "checked_steps",
    "in_words",
    "is_outage",
    "nothing_timed",
    "passing_over",
]

MOST_WORK_OF_AUTO = 1 << 24
"""Transfers or slices of an algorithm that ``auto`` proves and times: some 10 s, and 3 GB."""

MOST_OF_A_LIBRARY = 1 << 23
"""Transfers of rings that a library chooses: a minute, and some GB."""

MOST_PROOF_BYTES = 8 << 30
"""As emul.plans.proof.verify counts them, of a proof that is not cut up; it comes to some 5 GB."""

PART_FOR_COMPARISON = 8
"""By which both bounds are divided where a collective is only timed for the sake of comparison."""

TOO_MUCH_WORK = "too much for auto to time; name the algorithm to have it timed"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An algorithm that ``auto`` may choose, its least time, and its program if that is small.

    ``plan`` is not proven yet. ``is_exact``: whether the least time is the time itself, known
    without any table.
    """

    least_ps: int
    algorithm: str
    plan: Plan
    program: Program | None = None
    is_exact: bool = False

    @property
    def asked(self) -> str | Plan:
        """The name that the plan is built anew from; the plan itself where rates made it."""
        return self.plan if is_packed(self.algorithm) else self.algorithm


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


def checked_steps(plan: Plan, part: int = 1) -> list[Step]:
    """Return the steps of a plan, whose proof and timing would not take long.

    Raises CapacityError for a plan that is more work, before it begins. Both bounds are divided by
    ``part``.
    """
    most = MOST_WORK_OF_AUTO // part
    steps, rows = [], _rows_of_rounds(plan)
    if rows <= most:
        rows = 0
        for step in plan.steps():
            steps.append(step)
            rows += len(step)
            if rows > most:
                break
    if rows > most:
        raise CapacityError(f"more than {most} transfers: {TOO_MUCH_WORK}")
    needed = proof_bytes(plan)
    if needed > MOST_PROOF_BYTES // part:
        raise CapacityError(f"{format_bytes(needed)} for its proof: {TOO_MUCH_WORK}")
    through = passes(plan)
    if rows * through > most:
        raise CapacityError(f"{rows} transfers, proven {through} times over: {TOO_MUCH_WORK}")
    return steps


def check_rounds(plan: Plan) -> None:
    """Refuse rings over so many ranks that none would wait for their time: CapacityError.

    Of a library's own choice, which no other algorithm takes the place of. Nothing is built yet.
    """
    rows = _rows_of_rounds(plan)
    if rows > MOST_OF_A_LIBRARY:
        raise CapacityError(
            f"{plan.collective} over {plan.world_size} ranks by {plan.algorithm}, as the stack "
            f"does: {rows} transfers: needed at most {MOST_OF_A_LIBRARY}, by fewer ranks, by "
            "--stack ideal with --no-data, which times ranks that are alike once, or, of an "
            "all_reduce, by NCCL_ALGO=Tree"
        )


def _rows_of_rounds(plan: Plan) -> int:
    """Return the rows of a plan in Rounds, whose steps need not be made to count them; else 0."""
    return len(plan.steps) * plan.steps.orders.size if isinstance(plan.steps, Rounds) else 0


def check_transfers(program: Program, slicing: Slicing | None, part: int = 1) -> int:
    """Return the transfers and slices of a program; raise CapacityError for too many to time."""
    growth = 1 if slicing is None else slicing.growth(program)
    transfers = transfers_in(program, slicing, growth)
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
