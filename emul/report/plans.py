"""Plans as people read them: the list of all, and the steps of one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from rich import box
from rich.table import Table

from emul.plans import (
    COLLECTIVES,
    Plan,
    Program,
    Shape,
    Step,
    algorithms_for,
    collective_named,
)
from emul.topology import Network, Topology

__all__ = ["plan_list", "plan_sheet"]

MOST_ROWS = 8
"""Of one step; more say no more."""


def plan_list() -> Table:
    """Return a table with a line for each collective."""
    table = Table("collective", "algorithms", box=box.SIMPLE)
    for name in COLLECTIVES:
        table.add_row(name, " ".join(algorithms_for(name)))
    return table


def plan_sheet(plan: Plan, topology: Topology, steps: int) -> Iterator[str]:
    """Yield the lines that describe ``plan`` over the ranks of ``topology``.

    Bytes are given in buffers: of the whole vector that the collective works on.
    """
    # A width that every chunk of every plan divides well, so that shares come out round.
    vector = plan.partition.blocks * plan.partition.units * 1000
    program = Program.of(plan, Shape(collective_named(plan.collective), plan.world_size, vector), 1)
    number = sum(1 for _ in plan.steps())
    yield f"{plan}, proven: every output chunk holds every contribution exactly once"
    yield (
        f"{number} steps, {len(program)} transfers of {plan.partition.n_chunks} chunks, "
        f"{program.nbytes[program.src != program.dst].sum() / vector:.4g} buffers sent in all"
    )
    yield from _trunk_lines(program, topology, vector)
    for at, step in enumerate(islice(plan.steps(), steps)):
        yield from _step_lines(at, step)
    if number > steps:
        yield f"... and {number - steps} more steps"


def _trunk_lines(program: Program, topology: Topology, vector: int) -> Iterator[str]:
    carried = Network.of(topology).site_bytes(program.src, program.dst, program.nbytes) / vector
    sites = topology.sites
    for i, sender in enumerate(sites):
        for j, receiver in enumerate(sites):
            if i != j:
                yield f"trunk {sender.name} -> {receiver.name}: {carried[i, j]:.4g} buffers"


def _step_lines(at: int, step: Step) -> Iterator[str]:
    yield f"step {at}:"
    for row in range(min(len(step), MOST_ROWS)):
        verb = "reduces into" if step.reduce[row] else "to"
        chunk = _chunks(int(step.src_chunk[row]), int(step.nchunks[row]))
        into = "" if step.src_chunk[row] == step.dst_chunk[row] else (
            f" as {_chunks(int(step.dst_chunk[row]), int(step.nchunks[row]))}"
        )  # fmt: skip
        yield f"  rank {step.src[row]} {chunk} {verb} rank {step.dst[row]}{into}"
    if len(step) > MOST_ROWS:
        yield f"  ... and {len(step) - MOST_ROWS} more"


def _chunks(first: int, number: int) -> str:
    return f"chunk {first}" if number == 1 else f"chunks {first} to {first + number - 1}"
