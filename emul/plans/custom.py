"""Plans from a Python function: a way to bring an algorithm of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from emul.errors import PlanError, shown
from emul.plans.collectives import collective_named
from emul.plans.plan import Partition, Plan, Step

__all__ = ["Schedule", "Send", "plan_from"]


class Send(NamedTuple):
    """One row of a step: ``nchunks`` chunks from ``chunk`` on, from rank ``src`` to ``dst``.

    They are combined with the chunks of ``dst`` (``reduce``) or replace it, at ``into`` or, without
    it, in the chunks of the same number. ``channel``: the connection that they take.
    """

    src: int
    dst: int
    chunk: int
    reduce: bool = False
    into: int | None = None
    nchunks: int = 1
    channel: int = 0


Schedule = Callable[[int], Iterable[Iterable[Send]]]
"""Yields, for a number of ranks, the steps of a plan, each an iterable of Send."""


def plan_from(
    schedule: Schedule, collective: str, world_size: int, *, root: int = 0, scratch: int = 0
) -> Plan:
    """Return the plan that ``schedule`` yields; it is not verified yet.

    The vector is cut into one chunk per rank; all_to_all has as many for its output behind
    those of its input, and send_recv one each. Number n and following (2n in all_to_all, 2 in
    send_recv) are ``scratch`` places, each as long as chunk 0.

    >>> def star(n):
    ...     for rank in range(1, n):
    ...         yield [Send(rank, 0, chunk, reduce=True) for chunk in range(n)]
    ...     yield [Send(0, rank, chunk) for rank in range(1, n) for chunk in range(n)]
    >>> plan = plan_from(star, "all_reduce", 4)
    >>> len(list(plan.steps()))
    4
    """
    collective_named(collective)
    partition = Partition.uniform(1 if collective == "send_recv" else world_size)
    name = getattr(schedule, "__name__", "custom")

    def steps() -> Iterator[Step]:
        for number, sends in enumerate(_called(schedule, name, world_size)):
            if not isinstance(sends, Iterable):
                raise PlanError(
                    f"{name}: step {number} is {shown(sends)}: needed an iterable of Send"
                )
            yield _step(name, number, list(sends))

    return Plan(
        collective,
        name,
        world_size,
        root,
        partition,
        steps,
        apart=collective in ("all_to_all", "send_recv"),
        scratch=np.zeros((1, scratch), dtype=np.int32),
    )


def _called(schedule: Schedule, name: str, world_size: int) -> Iterable[Iterable[Send]]:
    """Return the steps of ``schedule``; raises PlanError where it is no function that has some."""
    try:
        found = schedule(world_size)
    except TypeError as error:
        raise PlanError(
            f"{name} cannot be called with a number of ranks ({error}): needed a function of one "
            "that yields steps"
        ) from error
    if not isinstance(found, Iterable):
        raise PlanError(f"{name} returns {shown(found)}: needed steps, each an iterable of Send")
    return found


def _step(name: str, number: int, sends: list[Send]) -> Step:
    for row, send in enumerate(sends):
        if not isinstance(send, Send):
            raise PlanError(f"{name}: step {number}, row {row} is {shown(send)}: needed a Send")
    into = [send.chunk if send.into is None else send.into for send in sends]
    columns = (
        [send.src for send in sends],
        [send.dst for send in sends],
        [send.chunk for send in sends],
        into,
        [send.nchunks for send in sends],
        [send.channel for send in sends],
    )
    try:
        numbers = [np.array(column, dtype=np.int32) for column in columns]
    except (OverflowError, TypeError, ValueError) as error:
        raise PlanError(
            f"{name}: step {number}: needed whole numbers in every Send: {error}"
        ) from None
    reduce = np.array([send.reduce for send in sends], dtype=bool)
    src, dst, chunk, written, nchunks, channel = numbers
    return Step(src, dst, chunk, written, nchunks, reduce, channel)
