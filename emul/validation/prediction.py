"""Predicts measured rows, one by one, from the measurements of the links and a stack."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from emul.plans import COLLECTIVES, Program, Shape
from emul.stacks import Stack
from emul.stacks.nccl_levers import levers_of
from emul.stacks.nccl_tuner import Nodes
from emul.stacks.profile import load_stack
from emul.stacks.transport import as_sent, resolved
from emul.timing import Slicing, Timeline, critical_path, time_plan
from emul.topology import Network
from emul.validation.algorithms import NCCL, STACK_OF, Chosen, chosen
from emul.validation.campuses import Campuses, campuses_of, payload_bytes_per_s
from emul.validation.columns import MeasuredLinks, MeasuredRow
from emul.validation.textbook import textbook_s

__all__ = ["Predicted", "Predictor"]

ITEM_BYTES = 4
"""Of the elements that are timed; rows do not say."""

DRAWS = 9
"""Calls of which the median is taken where packets are lost by chance."""


@dataclass(frozen=True, slots=True)
class Predicted:
    """A row and its prediction, in seconds; ``binding`` rules the predicted time."""

    row: MeasuredRow
    predicted_s: float
    textbook_s: float
    binding: str
    notes: tuple[str, ...]

    @property
    def error(self) -> float:
        """Predicted over measured, less one."""
        return self.predicted_s / self.row.measured_s - 1

    @property
    def textbook_error(self) -> float:
        """The same of the textbook formula."""
        return self.textbook_s / self.row.measured_s - 1


class Predictor:
    """Predicts rows over the links of a table.

    ``stacks``: those to take in place of the built-in ones, by name; ``stack``: the one of all
    rows, in place of their own.
    """

    def __init__(
        self,
        table: MeasuredLinks,
        stack: Stack | None = None,
        stacks: dict[str, Stack] | None = None,
    ) -> None:
        """Take the links, and the stacks that are not the built-in ones."""
        self.table = table
        self.stack = stack
        self.stacks = stacks or {}

    def stack_of(self, row: MeasuredRow) -> Stack:
        """Return the stack of a row; raises MeasurementError when there is none of that name."""
        if self.stack is not None:
            return self.stack
        name = STACK_OF.get(row.sw, row.sw)
        if name in self.stacks:
            return self.stacks[name]
        try:
            return load_stack(name)
        except ValueError as error:
            raise row.place.at("sw").complaint(f"{error}; or give --stack") from None

    def predict(self, row: MeasuredRow) -> Predicted:
        """Return the prediction of ``row``."""
        found, there, timeline = self._timed(row)
        known = self.table.links.get(row.link)
        delays = [trunk.link.latency_s for trunk in there.topology.trunks]
        return Predicted(
            row,
            timeline.total_s,
            textbook_s(
                row.collective,
                found.family,
                row.ranks,
                row.nbytes,
                alpha_s=median(delays) if delays else 0.0,
                beta=payload_bytes_per_s(row, known),
            ),
            critical_path(timeline).binding,
            there.notes,
        )

    def seconds(self, row: MeasuredRow) -> float:
        """Return the predicted seconds of ``row``, without the term that binds."""
        return self._timed(row)[2].total_s

    def _timed(self, row: MeasuredRow) -> tuple[Chosen, Campuses, Timeline]:
        """Return how ``row`` was carried out, where, and its timeline."""
        stack = self.stack_of(row)
        if stack.tuner == NCCL:
            there = campuses_of(row, self.table, float(row.nbytes))
            stack = resolved(stack, there.topology)
            levers = levers_of(stack.options)
            found = chosen(row, stack, Nodes.of(there.topology, levers))
            there = replace(there, topology=as_sent(there.topology, stack))
            program = _program(row, found)
        else:
            found = chosen(row, stack)
            program = _program(row, found)
            flight_bytes = float(program.nbytes.max(initial=0)) * program.under_way
            there = campuses_of(row, self.table, flight_bytes)
            there = replace(there, topology=as_sent(there.topology, stack))
        return found, there, self._timeline(row, program, found.stack, there)

    def _timeline(
        self, row: MeasuredRow, program: Program, stack: Stack, there: Campuses
    ) -> Timeline:
        """Return the timeline of the program of ``row``, whose ranks live ``there``."""
        network = Network.of(there.topology)
        rank = np.array(there.rank, dtype=np.int32)
        program = replace(
            program,
            row_src=rank[program.row_src],
            row_dst=rank[program.row_dst],
            src=rank[program.src],
            dst=rank[program.dst],
        )
        timelines = [
            time_plan(program, network, Slicing.of(stack, None), seed=seed, stack=stack)
            for seed in range(DRAWS if row.loss or row.jitter_s else 1)
        ]
        return _middle(timelines)


def _program(row: MeasuredRow, found: Chosen) -> Program:
    """Return the program of ``row``, whose ranks are numbered as in the row."""
    promise = COLLECTIVES[row.collective]
    width = -(-row.nbytes // ITEM_BYTES)
    if promise.in_blocks:
        width = -(-width // row.ranks) * row.ranks
    return Program.of(found.plan, Shape(promise, row.ranks, width), ITEM_BYTES)


def _middle(timelines: list[Timeline]) -> Timeline:
    """Return the timeline of the median time."""
    return sorted(timelines, key=lambda timeline: timeline.total_ps)[len(timelines) // 2]
