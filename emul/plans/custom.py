"""Plans from a Python function: a way to bring an algorithm of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from emul.errors import PlanError
from emul.plans.collectives import collective_named
from emul.plans.plan import Partition, Plan, Step

__all__ = ["Schedule", "Send", "plan_from"]


class Send(NamedTuple):
    """One row of a step: ``nchunks`` chunks from ``chunk`` on, from rank ``src`` to ``dst``.

    They are combined with what ``dst`` holds (``reduce``) or replace it, at ``into`` or, without
    it, in the chunks of the same number.
    """

    src: int
    dst: int
    chunk: int
    reduce: bool = False
    into: int | None = None
    nchunks: int = 1


Schedule = Callable[[int], Iterable[Iterable[Send]]]
"""Yields, for a number of ranks, the steps of a plan, each an iterable of Send."""


def plan_from(schedule: Schedule, collective: str, world_size: int, *, root: int = 0) -> Plan:
    """Return the plan that ``schedule`` yields; it is not verified yet.

    The vector is cut into one chunk per rank; all_to_all has as many for what is received behind
    those for what is sent, and send_recv one each.

    >>> def star(n):
    ...     for rank in range(1, n):
    ...         yield [Send(rank, 0, chunk, reduce=True) for chunk in range(n)]
    ...     yield [Send(0, rank, chunk) for rank in range(1, n) for chunk in range(n)]
    >>> plan = plan_from(star, "all_reduce", 4)
    >>> len(list(plan.steps()))
    4
    """
    promise = collective_named(collective)
    chunks = promise.regions * (1 if collective == "send_recv" else world_size)
    name = getattr(schedule, "__name__", "custom")

    def steps() -> Iterator[Step]:
        for number, sends in enumerate(schedule(world_size)):
            yield _step(name, number, list(sends))

    return Plan(collective, name, world_size, root, Partition.uniform(chunks), steps)


def _step(name: str, number: int, sends: list[Send]) -> Step:
    for row, send in enumerate(sends):
        if not isinstance(send, Send):
            raise PlanError(f"{name}: step {number}, row {row} is {send!r}: needed a Send")
    into = [send.chunk if send.into is None else send.into for send in sends]
    columns = (
        [send.src for send in sends],
        [send.dst for send in sends],
        [send.chunk for send in sends],
        into,
        [send.nchunks for send in sends],
    )
    try:
        numbers = [np.array(column, dtype=np.int32) for column in columns]
    except (OverflowError, TypeError, ValueError) as error:
        raise PlanError(
            f"{name}: step {number}: needed whole numbers in every Send: {error}"
        ) from None
    reduce = np.array([send.reduce for send in sends], dtype=bool)
    return Step(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], reduce)
