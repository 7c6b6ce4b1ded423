"""Plans from a Python function: a way to bring an algorithm of one's own.

The function yields steps, and each step is a list of Send. All rows of a step read the state before
the step, so their order is free and two ranks may exchange chunks; and a chunk of a rank is written
by one row of a step at most. A second row that writes or reduces into it belongs in a later step.
"""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from importlib import import_module
from itertools import islice
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from emul.arrays import Int32Array
from emul.errors import ArgumentError, PlanError, shown
from emul.memory import check_fits
from emul.plans.collectives import Collective, collective_named
from emul.plans.places import Places
from emul.plans.plan import BYTES_PER_ROW, Partition, Plan, RecordedSteps, Step

__all__ = ["CustomAlgorithm", "Schedule", "Send", "algorithm", "check_pickles", "plan_from"]

MOST_CHUNKS = 1 << 20
"""Of a vector, as in plan files: far more than anybody pipelines."""

MOST_STEPS = 1 << 16
"""Of a function: one that yields more does not end, or its proof would not end soon."""

MOST_ROWS = 1 << 24
"""Of a step, likewise."""


class Send(NamedTuple):
    """One row of a step: ``nchunks`` chunks from ``chunk`` on, from rank ``src`` to ``dst``.

    They are combined with the chunks of ``dst`` (``reduce``) or replace them, at ``into`` or,
    without it, in the chunks of the same number. ``channel``: the connection that they take.

    A row reads the state before its step, never the result of another row of the step. In one step
    a chunk of a rank may be written only once: three ranks that reduce into chunk 0 of rank 0
    need three steps. A rank that is sent to in a step still sends its old values in that step.
    """

    src: int
    dst: int
    chunk: int
    reduce: bool = False
    into: int | None = None
    nchunks: int = 1
    channel: int = 0


Schedule = Callable[..., Iterable[Iterable[Send]] | Plan]
"""Yields, for a number of ranks, the steps of a plan, each an iterable of Send.

A step is a set of rows that all read the state before the step, and no two of which write the same
chunk of a rank. Steps are carried out one after the other, but no rank waits for a step to end: a
transfer starts when the chunks that it reads are there.

Parameters beyond the number of ranks are filled by their names, each as wanted: ``sites``, the
ranks of each site, such as (6, 2); ``nodes``, the ranks of each node of each site, ((4, 2), (2,));
``root``; ``chunks``, the number of chunks. A function may also return a Plan.
"""

Number = int | Callable[..., int]
"""A number, or a function of the same parameters as the schedule that returns it."""


@dataclass(frozen=True, slots=True)
class CustomAlgorithm:
    """A function that yields steps, and what it says of itself: see `algorithm`.

    ``collective`` is None where the function says nothing. It may be called as the function. It is
    pickled as the name by which its module has it, or else with its functions, which must be
    importable: ArgumentError.
    """

    schedule: Schedule
    collective: str | None = None
    chunks: Number | None = None
    scratch: Number = 0
    root: int | None = None

    @property
    def name(self) -> str:
        """The name of the function."""
        return str(getattr(self.schedule, "__name__", "custom"))

    def __call__(self, *args: Any, **more: Any) -> Iterable[Iterable[Send]] | Plan:
        """Return the steps for the arguments of the function."""
        return self.schedule(*args, **more)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the name in its module, where a decorator put it, or all fields."""
        name = getattr(self.schedule, "__module__", ""), getattr(self.schedule, "__qualname__", "")
        if _imported(*name) is self:
            return _imported, name
        for part in (self.schedule, self.chunks, self.scratch):
            check_pickles(part, self.name)
        return CustomAlgorithm, tuple(getattr(self, each.name) for each in fields(self))


def _imported(module: str, name: str) -> Any:
    """Return the object called ``name`` in ``module``; None where there is none."""
    try:
        return attrgetter(name)(import_module(module))
    except (AttributeError, ImportError, ValueError):
        return None


def check_pickles(function: object, name: str) -> None:
    """Raise ArgumentError where ``function``, of the algorithm ``name``, cannot be pickled."""
    try:
        pickle.dumps(function)
    except (AttributeError, TypeError, pickle.PicklingError) as error:
        raise ArgumentError(
            f"algorithm {name} cannot be pickled ({error}): needed a function at the top of a "
            "module that can be imported, FILE.py:NAME, or its Plan (emul.plans.plan_from)"
        ) from None


def algorithm(
    collective: str,
    *,
    chunks: Number | None = None,
    scratch: Number = 0,
    root: int | None = None,
) -> Callable[[Schedule], CustomAlgorithm]:
    """Return a decorator by which a function says the collective that its steps do.

    ``chunks``: into how many chunks the vector is cut, ``scratch``: the places of scratch behind
    them, as in `plan_from`; a function of the same parameters may work them out. ``root``: the root
    of commands that are given none; of send_recv how far along each rank sends.

    >>> from math import lcm
    >>> @algorithm("all_reduce", chunks=lambda n, sites: lcm(*sites))
    ... def mine(n, sites):
    ...     yield []
    >>> mine.collective
    'all_reduce'

    Raises ArgumentError for a collective that does not exist, for a root that is no whole number,
    and for a function that says a collective already.
    """
    collective_named(collective)

    if root is not None and (isinstance(root, bool) or not isinstance(root, int | np.integer)):
        raise ArgumentError(f"root {shown(root)} of an algorithm: needed a whole number, or None")

    def decorate(schedule: Schedule) -> CustomAlgorithm:
        if isinstance(schedule, CustomAlgorithm):
            raise ArgumentError(
                f"{schedule.name} says already that it does {schedule.collective}: needed "
                "@algorithm once"
            )
        if not callable(schedule):
            raise ArgumentError(f"algorithm {shown(schedule)}: needed a function that yields steps")
        return CustomAlgorithm(schedule, collective, chunks, scratch, root)

    return decorate


def plan_from(
    schedule: Schedule,
    collective: str | None,
    world_size: int,
    *,
    sites: Sequence[int | Sequence[int]] | None = None,
    chunks: Number | None = None,
    root: int = 0,
    scratch: Number | None = None,
) -> Plan:
    """Return the plan that ``schedule`` yields; it is not verified yet.

    All rows of a step read the state before it; no two of them may write the same chunk of a rank.
    The function is called once, and its steps are kept.

    Parameters
    ----------
    schedule
        Yields steps for a number of ranks; see Schedule. A CustomAlgorithm brings its own
        collective, chunks and scratch; arguments come before them.
    collective
        None: that of the algorithm, or of the Plan that the function returns, or all_reduce.
    sites
        The ranks of each site, or of each of its nodes, as in build_plan; without, one site.
    chunks
        Into how many equal chunks the vector is cut, the first ones an element longer where they
        do not come out even: as many as ranks, in send_recv 1. Where each rank has a block
        (reduce_scatter, all_gather, gather, scatter, all_to_all), k for every rank: the block of
        rank r is chunks r * k to r * k + k - 1.
    root
        Of broadcast, reduce, gather and scatter; of send_recv how far along each rank sends.
    scratch
        Places behind the chunks, each as long as chunk 0. In all_to_all and send_recv, as many
        chunks of the output come first.

    Raises PlanError for a function that yields no steps, does not end, or is for another
    collective, and for chunks that do not fit; ArgumentError for a root that is no rank.

    Examples
    --------
    >>> def star(n):
    ...     for rank in range(1, n):
    ...         yield [Send(rank, 0, chunk, reduce=True) for chunk in range(n)]
    ...     yield [Send(0, rank, chunk) for rank in range(1, n) for chunk in range(n)]
    >>> len(list(plan_from(star, "all_reduce", 4).steps()))
    4
    """
    mine = schedule if isinstance(schedule, CustomAlgorithm) else CustomAlgorithm(schedule)
    mine = replace(
        mine,
        chunks=mine.chunks if chunks is None else chunks,
        scratch=mine.scratch if scratch is None else scratch,
    )
    return _plan(mine, collective, _places(world_size, sites), root)


def _plan(mine: CustomAlgorithm, asked: str | None, places: Places, root: int) -> Plan:
    """Return the plan of an algorithm, for a collective if one is ``asked`` for."""
    collective, n = asked or mine.collective or "all_reduce", places.world_size
    promise = collective_named(collective)
    if mine.collective not in (None, collective):
        raise PlanError(
            f"{mine.name} does {mine.collective}, as it says: needed a function for {collective}, "
            f"or to ask for {mine.collective}"
        )
    if not 0 <= root < n:
        raise ArgumentError(f"root {shown(root)} of {mine.name}: needed a rank from 0 to {n - 1}")
    known = {"sites": places.sites, "nodes": places.nodes, "root": root}
    n_chunks = _chunks(mine.name, promise, n, _number(mine, "chunks", n, known))
    aside = _number(mine, "scratch", n, known) or 0
    if not 0 <= aside <= MOST_CHUNKS:
        raise PlanError(f"{mine.name}: {shown(aside)} places of scratch: needed 0 to {MOST_CHUNKS}")
    found = _called(mine.schedule, mine.name, n, known | {"chunks": n_chunks})
    if isinstance(found, Plan):
        return _checked(found, mine.name, asked or mine.collective, n)
    return Plan(
        collective,
        mine.name,
        n,
        root,
        Partition.uniform(n_chunks),
        RecordedSteps(tuple(_steps(mine.name, found))),
        apart=collective in ("all_to_all", "send_recv"),
        scratch=np.zeros((1, aside), dtype=np.int32),
    )


def _places(world_size: int, sites: Sequence[int | Sequence[int]] | None) -> Places:
    """Return where ``world_size`` ranks live: at ``sites``, or else all at one."""
    places = Places.of([world_size] if sites is None else sites)
    if places.world_size != world_size:
        raise ArgumentError(
            f"sites of {shown(places.sites)} ranks for a world of {world_size}: needed the same "
            "number of ranks"
        )
    return places


def _number(
    mine: CustomAlgorithm, what: str, world_size: int, known: Mapping[str, object]
) -> int | None:
    """Return the number of chunks, or of scratch, that an algorithm says."""
    number: Any = getattr(mine, what)
    if callable(number):
        number = _bound(number, f"{what} of {mine.name}", world_size, known)
    if number is None:
        return None
    if isinstance(number, bool) or not isinstance(number, int | np.integer):
        raise PlanError(f"{mine.name}: {what} is {shown(number)}: needed a whole number")
    return int(number)


def _chunks(name: str, promise: Collective, world_size: int, cut: int | None) -> int:
    """Return the number of chunks; raises PlanError for one that the collective cannot have."""
    if cut is None:
        return 1 if promise.name == "send_recv" else world_size
    if not 1 <= cut <= MOST_CHUNKS:
        raise PlanError(f"{name}: {shown(cut)} chunks: needed 1 to {MOST_CHUNKS}")
    if promise.in_blocks and cut % world_size:
        raise PlanError(
            f"{name}: {cut} chunks for {promise.name} over {world_size} ranks: needed a multiple "
            f"of {world_size}, as many for the block of each rank"
        )
    return cut


def _called(
    schedule: Schedule, name: str, world_size: int, known: Mapping[str, object]
) -> Iterable[Iterable[Send]] | Plan:
    """Return the steps of ``schedule``; raises PlanError where it is no function that has some."""
    found: Any = _bound(schedule, name, world_size, known)
    if inspect.iscoroutine(found):
        found.close()  # or Python warns that nobody awaited it
    if not isinstance(found, Iterable | Plan):
        raise PlanError(
            f"{name} returns {shown(found)}: needed steps, each an iterable of Send, or a Plan"
        )
    return found


def _bound(
    function: Callable[..., Any], name: str, world_size: int, known: Mapping[str, object]
) -> Any:
    """Call ``function`` with the number of ranks, and all of ``known`` that it names."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some builtins have none to look at
        return function(world_size)
    args: list[object] = []
    more: dict[str, object] = {}
    of_ranks = _parameter_of_ranks(parameters, known)
    for each in parameters:
        if each is of_ranks:
            value: object = world_size
        elif each.name in known:
            value = known[each.name]
        elif each.default is not each.empty or each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD):
            continue
        else:
            raise PlanError(
                f"{name} has a parameter {each.name!r}: needed the number of ranks first, then any "
                f"of {', '.join(known)}, or a default"
            )
        if each.kind in (each.POSITIONAL_ONLY, each.VAR_POSITIONAL):
            args.append(value)
        else:
            more[each.name] = value
    if not (args or more):
        raise PlanError(f"{name} takes no parameter: needed one for the number of ranks")
    return function(*args, **more)


def _parameter_of_ranks(
    parameters: list[inspect.Parameter], known: Mapping[str, object]
) -> inspect.Parameter | None:
    """Return the parameter that takes the number of ranks: the first, if it has its own name."""
    first = parameters[0] if parameters else None
    if first is None or first.name in known or first.kind == first.VAR_KEYWORD:
        return None
    return first


def _checked(plan: Plan, name: str, collective: str | None, world_size: int) -> Plan:
    """Return a plan that a function returned; raises PlanError when it is for something else."""
    if collective in (None, plan.collective) and plan.world_size == world_size:
        return plan
    needed = collective or plan.collective
    raise PlanError(f"{name} returns {plan}: needed a plan for {needed} over {world_size} ranks")


def _steps(name: str, found: Iterable[Iterable[Send]]) -> Iterator[Step]:
    """Yield the steps of a function; raises CapacityError for more than fit in memory."""
    rows, asked = 0, 1
    for number, sends in enumerate(found):
        if number >= MOST_STEPS:
            raise PlanError(
                f"{name} yields more than {MOST_STEPS} steps: needed a function that ends"
            )
        if isinstance(sends, Send) or not isinstance(sends, Iterable):
            raise PlanError(
                f"{name}: step {number} is {shown(sends)}: needed an iterable of Send, as "
                "[Send(0, 1, 2)]"
            )
        taken = list(islice(sends, MOST_ROWS + 1))
        if len(taken) > MOST_ROWS:
            raise PlanError(f"{name}: step {number} has more than {MOST_ROWS} rows: needed fewer")
        yield _step(name, number, taken)
        rows += len(taken)
        if rows > asked:
            asked = 2 * rows
            check_fits(rows * BYTES_PER_ROW, f"recording {name}, of {rows} rows and more")


def _step(name: str, number: int, sends: list[Send]) -> Step:
    for row, send in enumerate(sends):
        if not isinstance(send, Send):
            raise PlanError(f"{name}: step {number}, row {row} is {shown(send)}: needed a Send")
        if not isinstance(send.reduce, bool | np.bool_):
            raise PlanError(
                f"{name}: step {number}, row {row}: reduce is {shown(send.reduce)}: needed True or "
                "False (into= and channel= go by their names)"
            )
    into = [send.chunk if send.into is None else send.into for send in sends]
    columns = {
        "src": [send.src for send in sends],
        "dst": [send.dst for send in sends],
        "chunk": [send.chunk for send in sends],
        "into": into,
        "nchunks": [send.nchunks for send in sends],
        "channel": [send.channel for send in sends],
    }
    at = f"{name}: step {number}"
    src, dst, chunk, written, nchunks, channel = (
        _whole_numbers(at, field, column) for field, column in columns.items()
    )
    reduce = np.array([send.reduce for send in sends], dtype=bool)
    return Step(src, dst, chunk, written, nchunks, reduce, channel)


def _whole_numbers(at: str, field: str, column: list[Any]) -> Int32Array:
    """Return the numbers of one field of all rows; a fraction would be cut off in silence."""
    for row, value in enumerate(column):
        if not isinstance(value, int | np.integer) or isinstance(value, bool):
            raise PlanError(
                f"{at}, row {row}: {field} is {shown(value)}: needed a whole number, as n // 2 is "
                "and n / 2 is not"
            )
    try:
        return np.array(column, dtype=np.int32)
    except OverflowError as error:
        raise PlanError(f"{at}: {field}: {error}: needed numbers of 32 bits") from None
