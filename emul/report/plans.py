"""Plans as people read them: the list of all, and the steps of one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

from emul.errors import ArgumentError
from emul.plans import (
    COLLECTIVES,
    Expressions,
    Plan,
    Program,
    Shape,
    Step,
    algorithms_for,
    collective_named,
)
from emul.plans.libraries import library_algorithms
from emul.report.packed_plans import packed_lines
from emul.report.text_table import TextTable
from emul.topology import Network, Topology, world_of

__all__ = ["plan_list", "plan_sheet", "plan_words"]

MOST_ROWS = 8
"""Of one step; more say no more."""

MOST_TERMS = 32
"""Of an order of reduction, likewise."""

MOST_MOVES = 1 << 20
"""Chunks moved by a plan whose order of reduction is worked out, which takes 1 us for each."""


def plan_list() -> TextTable:
    """Return a table with a line for each collective."""
    columns = ("collective", "algorithms", "as libraries do them")
    table = TextTable(*columns, prose=columns[1:])
    for name in COLLECTIVES:
        table.row(name, " ".join(algorithms_for(name)), " ".join(library_algorithms(name)))
    return table


def plan_sheet(plan: Plan, topology: Topology, steps: int) -> Iterator[str]:
    """Yield the lines that describe ``plan`` over the ranks of ``topology``.

    Bytes are given in buffers: of the whole vector that the collective works on. Raises
    ArgumentError when the plan is for another number of ranks.
    """
    if plan.world_size != topology.world_size:
        raise ArgumentError(
            f"{plan} on {topology.name}, which has {topology.world_size}: needed "
            f"{world_of(plan.world_size)}"
        )
    yield f"{plan}, proven: every output chunk holds every contribution exactly once"
    program, vector = _program(plan)
    yield from _words(plan, program, vector)
    yield from packed_lines(plan, [site.name for site in topology.sites])
    yield from _link_lines(program, vector, topology)
    number = sum(1 for _ in plan.steps())
    for at, step in enumerate(islice(plan.steps(), steps)):
        yield from _step_lines(at, step, plan)
    if number > steps:
        yield f"... and {number - steps} more steps"


def _program(plan: Plan) -> tuple[Program, int]:
    """Return ``plan`` at a width, and the width, at which shares of every plan come out round."""
    vector = plan.partition.blocks * plan.partition.units * 1000
    shape = Shape(collective_named(plan.collective), plan.world_size, vector)
    return Program.of(plan, shape, 1), vector


def plan_words(plan: Plan) -> Iterator[str]:
    """Yield the result of ``plan``, the bytes that it moves, and its order of reduction."""
    yield from _words(plan, *_program(plan))


def _words(plan: Plan, program: Program, vector: int) -> Iterator[str]:
    promise = collective_named(plan.collective)
    where = "out of place" if plan.apart else "in place"
    yield f"computes {plan.collective}, {where}: {promise.promises}"
    number, away = sum(1 for _ in plan.steps()), program.src != program.dst
    scratch = f" and {plan.scratch.shape[1]} of scratch" if plan.scratch.size else ""
    channels = 1 + int(program.channel.max(initial=0))
    yield (
        f"{_many(number, 'step')}, {_many(int(away.sum()), 'transfer')} on "
        f"{_many(channels, 'channel')}; {_many(plan.partition.n_chunks, 'chunk')}{scratch}; "
        f"{program.nbytes[away].sum() / vector:.4g} buffers sent in all"
    )
    if promise.reduces and np.diff(program.layout.edges).sum() and _small(program):
        yield from _order_lines(plan)
    yield from plan.notes


def _many(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _small(program: Program) -> bool:
    return int(program.nplaces.sum()) <= MOST_MOVES


def _order_lines(plan: Plan) -> Iterator[str]:
    expressions = Expressions(plan)
    result = expressions.result
    yield (
        f"order: chunk {plan.received} is reduced as {expressions.text(result, MOST_TERMS)}, "
        f"{expressions.depth(result)} deep"
    )
    if plan.collective == "all_reduce":
        alike = "the same" if expressions.alike else "not the same"
        yield f"every rank ends with {alike} bits"


def _link_lines(program: Program, vector: int, topology: Topology) -> Iterator[str]:
    network, sites = Network.of(topology), topology.sites
    crossing = network.site_bytes(program.src, program.dst, program.nbytes) / vector
    for i, sender in enumerate(sites):
        for j, receiver in enumerate(sites):
            if i != j:
                yield f"trunk {sender.name} -> {receiver.name}: {crossing[i, j]:.4g} buffers"
    ports = network.port_bytes(program.src, program.dst, program.nbytes) / vector
    for what, columns in (("node links", ports[:, :2]), ("NICs", ports[:, 2:])):
        for i, site in enumerate(sites):
            carried = columns[network.site_of == i]
            out, into = carried.max(axis=0).tolist()
            if (carried == (out, into)).all(axis=1).any():
                said = f"the busiest rank sends {out:.4g} and receives {into:.4g} buffers"
            else:
                said = f"a rank sends at most {out:.4g} buffers, another receives {into:.4g}"
            if out or into:
                yield f"{what} of {site.name}: {said}"


def _step_lines(at: int, step: Step, plan: Plan) -> Iterator[str]:
    yield f"step {at}:"
    for row in range(min(len(step), MOST_ROWS)):
        verb = "reduces into" if step.reduce[row] else "to"
        chunk = _chunks(plan, int(step.src_chunk[row]), int(step.nchunks[row]))
        into = "" if step.src_chunk[row] == step.dst_chunk[row] else (
            f" as {_chunks(plan, int(step.dst_chunk[row]), int(step.nchunks[row]))}"
        )  # fmt: skip
        yield f"  rank {step.src[row]} {chunk} {verb} rank {step.dst[row]}{into}"
    if len(step) > MOST_ROWS:
        yield f"  ... and {len(step) - MOST_ROWS} more"


def _chunks(plan: Plan, first: int, number: int) -> str:
    named = plan.place_name(first)
    return named if number == 1 else f"{named} to {plan.place_name(first + number - 1)}"
