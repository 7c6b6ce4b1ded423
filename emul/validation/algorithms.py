"""From the words of a measured row to a stack and the plan of its algorithm."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from emul.errors import ArgumentError
from emul.plans import ALGORITHMS, Plan, algorithms_for, build_plan
from emul.plans.libraries import library_algorithms
from emul.stacks import Stack
from emul.stacks.nccl import choose, stack_for
from emul.stacks.nccl_levers import FAMILIES
from emul.stacks.nccl_tuner import Nodes
from emul.stacks.transport import with_options
from emul.units import parse_size
from emul.validation.columns import MeasuredRow

__all__ = ["STACK_OF", "Chosen", "chosen"]

STACK_OF = {"ompi": "openmpi"}
"""Stacks that go by another name in the files."""

SAME = {
    "bmtree": "binomial",
    "redscat_allgather": "rabenseifner",
    "ring_segmented": "segmented_ring",
    "pipeline": "chain",
    "recursive_doubling_allgather": "bruck",
}
"""Names of one algorithm, and the one that is used here."""

EAGER = re.compile(r"_eager(\d+[KMG]?)$", re.IGNORECASE)
SEGMENT = re.compile(r"_(\d+[KMG]?)$", re.IGNORECASE)
DEFAULT = "default"
NCCL = "nccl"
NCCL_ALGO = {family: name for name, family in FAMILIES.items()}
"""Its values, by their names in small letters, as logs have them too."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The plan of a row, the name of its family, and the stack with the changes of the row."""

    plan: Plan
    family: str
    stack: Stack


def chosen(row: MeasuredRow, stack: Stack, nodes: Nodes | None = None) -> Chosen:
    """Return how ``row`` was carried out; raises MeasurementError for names that are none.

    ``nodes``: where its ranks live, by which NCCL chooses, as in ``emul perf``.
    """
    name, stack = _without_eager(row.algorithm, stack)
    if stack.tuner == NCCL and nodes is not None:
        return _as_nccl(name, row, stack, nodes)
    if name == DEFAULT:
        algorithm = stack.algorithm_for(row.collective, row.ranks, row.nbytes)
        if algorithm is None:
            raise row.place.at("algo").refusal(
                name, f"a name: stack {stack.name} does not say what it takes for {row.collective}"
            )
    else:
        algorithm = _named(name, row, stack)
    try:
        plan = build_plan(row.collective, algorithm, [row.ranks])
    except ArgumentError as error:
        raise row.place.at("algo").complaint(str(error)) from None
    return Chosen(plan, _family(algorithm), stack.for_call(row.collective))


def _as_nccl(name: str, row: MeasuredRow, stack: Stack, nodes: Nodes) -> Chosen:
    """Return how NCCL carries a row out: by its own choice, by a family of its own, or as named."""
    try:
        family = NCCL_ALGO.get(name.lower())
        if family is not None:
            stack, algorithm = with_options(stack, {"NCCL_ALGO": family}, net=stack.net), None
        else:
            algorithm = None if name == DEFAULT else _named(name, row, stack)
        setting = choose(row.collective, nodes, row.nbytes, algorithm, stack)
        plan = build_plan(row.collective, setting.algorithm, [row.ranks])
    except ArgumentError as error:
        raise row.place.at("algo").complaint(str(error)) from None
    return Chosen(plan, setting.family, stack_for(stack, setting, nodes, row.nbytes))


def _without_eager(name: str, stack: Stack) -> tuple[str, Stack]:
    """Return the name without an eager limit at its end, and the stack with that limit."""
    eager = EAGER.search(name)
    if eager is None:
        return name, stack
    return name[: eager.start()], replace(stack, eager_bytes=parse_size(eager[1]))


def _named(name: str, row: MeasuredRow, stack: Stack) -> str:
    segment = SEGMENT.search(name)
    base = name[: segment.start()] if segment else name
    base = SAME.get(base, base)
    segments = 1
    if segment:
        segments = _segments(row, parse_size(segment[1]))
    if base == "segmented_ring":
        base = "ring"
    library = f"{stack.name}:{base}"
    if library in library_algorithms(row.collective):
        return f"{library},segments={segments}" if segments > 1 else library
    if base in ALGORITHMS:
        return base
    known = [each.partition(":")[2] for each in library_algorithms(row.collective)
             if each.startswith(f"{stack.name}:")]  # fmt: skip
    raise row.place.at("algo").refusal(
        row.algorithm, f"one of {', '.join([DEFAULT, *known, *algorithms_for(row.collective)])}"
    )


def _segments(row: MeasuredRow, segment_bytes: int) -> int:
    """Return the phases of a ring in segments, or the segments of a chain.

    Open MPI counts whole segments of all blocks, and one more for more than half of another
    (coll_base_allreduce.c).
    """
    if row.collective == "broadcast":
        return max(1, -(-row.nbytes // segment_bytes))
    whole, rest = divmod(row.nbytes, row.ranks * segment_bytes)
    return max(1, whole + (whole > 0 and 2 * rest > row.ranks * segment_bytes))


def _family(algorithm: str) -> str:
    """Return the algorithm without library, variant and segments."""
    base = algorithm.partition(",")[0]
    first, _, rest = base.partition(":")
    return rest if first in ("gloo", "openmpi") else first
