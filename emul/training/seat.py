"""The seat of one rank in a job: all that a method asks for when it yields the acts of a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any

from emul.errors import ArgumentError
from emul.plans import wire_bytes, wire_named
from emul.programs import Compute, Issue, Recv, Send, Wait
from emul.training.model import Model
from emul.training.timed_ranks import TimedRanks

__all__ = ["BACKWARD", "FORWARD", "FORWARD_PART", "Part", "Seat"]

FORWARD_PART = 1 / 3
"""Of the compute of a step: two of six operations for each parameter and token (Kaplan et al.,
arXiv 2001.08361), and the rule of arXiv 2501.18512."""

FORWARD, BACKWARD = "forward", "backward"
"""The names of compute in acts."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the model that is sent as one: its ``elements``, and its part of the compute."""

    elements: int
    compute: float


@dataclass(frozen=True, slots=True)
class Seat:
    """A rank that carries a job out.

    ``rank``: its number among the ranks that are timed. ``ways``: the ranks that share the
    parameters of one copy of the model, beside data axes; ``stages`` and ``tensor``: along its
    pipeline and tensor. ``compute_s``: the seconds of compute of a step. ``precision``: the type of
    parameters and gradients. ``alone_s``: the seconds of a collective of its own along an axis, of
    some elements of each rank, with nothing else under way. ``tokens``: of a step, of each rank
    along data axes. ``periods_before``: how many periods of the method were carried out before.
    """

    rank: int
    ranks: TimedRanks
    model: Model
    ways: int
    stages: int
    tensor: int
    compute_s: float
    precision: str
    alone_s: Callable[[str, str, int], float]
    tokens: float | None = None
    periods_before: int = 0

    @property
    def forward_s(self) -> float:
        """Seconds of the forward pass."""
        return self.compute_s * FORWARD_PART

    @property
    def backward_s(self) -> float:
        """Seconds of the backward pass."""
        return self.compute_s - self.forward_s

    def forward(self, part: float = 1.0) -> Compute:
        """Return the forward pass of a part of the model."""
        return Compute(self.forward_s * part, name=FORWARD)

    def backward(self, part: float = 1.0) -> Compute:
        """Return the backward pass of a part of the model."""
        return Compute(self.backward_s * part, name=BACKWARD)

    def steps(self, number: int) -> Iterator[Compute]:
        """Yield the compute of some whole steps, if any."""
        if number:
            yield Compute(self.compute_s * number, name="steps")

    def size(self, axis: str) -> int:
        """Return the ranks along an axis: replicate, shard, data (both), or one of the model."""
        return self.ranks.size(axis)

    def layers(self) -> tuple[Part, ...]:
        """Return the layers in forward order, by the parameters that each has.

        Compute is spread as the parameters that a token meets. Of the stages of a pipeline side by
        side, the first layers are one part, the second ones another.
        """
        if self.stages > 1:
            return self.equal_parts(-(-len(self.model.layers) // self.stages))
        active = self.model.active
        return tuple(
            Part(self._elements(layer.parameters), layer.active / active)
            for layer in self.model.layers
        )

    def equal_parts(self, number: int) -> tuple[Part, ...]:
        """Return ``number`` equal parts of the model, of which the last may be padded."""
        elements = -(-self._elements(self.model.parameters) // number)
        return (Part(elements, 1 / number),) * number

    def buckets(self, nbytes: int, first_nbytes: int) -> tuple[Part, ...]:
        """Return the parts in backward order: the first of at most ``first_nbytes``, then others.

        Bytes are those of one rank of the job, in its precision.
        """
        every = self.model.parameters / self.ways * wire_bytes(1, self.precision)
        first = min(first_nbytes, every)
        more = every - first
        number = ceil(more / nbytes)
        sizes = [first, *(more / number for _ in range(number))]
        total = self._elements(self.model.parameters)
        return tuple(Part(round(total * size / every), size / every) for size in sizes)

    def issue(self, collective: str, axis: str, elements: int, *, name: str, **how: Any) -> Issue:
        """Return the issue of a collective among the ranks along ``axis``.

        ``elements``: of this rank's input, which a reduce_scatter pads to equal blocks. ``how``:
        the ``wire`` (the type or format of all that is sent, the precision by default), the
        ``lane`` (which of several communicators) and the ``algorithm``.
        """
        wire, lane = how.pop("wire", None) or self.precision, how.pop("lane", 0)
        group = self.ranks.group(axis, self.rank, lane)
        if collective == "reduce_scatter":
            elements = self.padded(axis, elements)
        if axis == "shard" and self.ranks.bundled > 1:
            how["algorithm"] = "ring"  # of two ranks, whose link takes as long as all of them do
        if wire_named(wire).block == 0:
            return Issue(collective, elements, group=group, dtype=wire, name=name, **how)
        nbytes = wire_bytes(elements, wire)
        return Issue(collective, nbytes, group=group, dtype="uint8", name=name, **how)

    def place(self, axis: str) -> int:
        """Return the place of this rank along an axis, from 0 on."""
        return (self.ranks.group(axis, self.rank).ranks or ()).index(self.rank)

    def send(self, axis: str, distance: int, parts: int, *, tag: int, name: str) -> Send:
        """Return the send of activations to the rank so far along ``axis``.

        They are those of a part of the tokens of a step: one of ``parts`` equal ones. Raises
        ArgumentError where tokens or the width of the model are not known.
        """
        to, count = self.ranks.peer(axis, self.rank, distance), self.activations(parts)
        group = self.ranks.group(axis, self.rank)
        return Send(to, count, dtype=self.precision, tag=tag, name=name, group=group)

    def receive(self, axis: str, distance: int, parts: int, *, tag: int, name: str) -> Recv:
        """Return the other end of ``send``: from the rank so far along ``axis``."""
        source, count = self.ranks.peer(axis, self.rank, distance), self.activations(parts)
        group = self.ranks.group(axis, self.rank)
        return Recv(source, count, dtype=self.precision, tag=tag, name=name, group=group)

    def activations(self, parts: int = 1) -> int:
        """Return the elements between two layers of one of ``parts`` equal parts of the tokens.

        Ranks along tensor have a part each. Raises ArgumentError where tokens or the width of the
        model are not known.
        """
        if self.tokens is None or not self.model.hidden:
            raise ArgumentError(
                "activations between ranks: needed the tokens of a step, and a model with hidden, "
                "as Model(405e9, 126, hidden=16384)"
            )
        return round(self.tokens / parts * self.model.hidden * self.ranks.bundled / self.tensor)

    def padded(self, axis: str, elements: int) -> int:
        """Return the least number of elements from ``elements`` on that makes equal blocks."""
        return self.share(axis, elements) * self.size(axis)

    def share(self, axis: str, elements: int) -> int:
        """Return the elements of each rank along ``axis`` that come to ``elements`` or more."""
        return -(-elements // self.size(axis))

    def wait(self, name: str) -> Wait:
        """Return the wait for all operations of a name."""
        return Wait(name)

    def _elements(self, parameters: int) -> int:
        return round(parameters * self.ranks.columns / self.ways)
