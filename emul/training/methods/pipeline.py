"""Pipeline parallelism: micro-batches pass from stage to stage, forwards and backwards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from emul.errors import ArgumentError, shown
from emul.programs import Act
from emul.reading.checks import one_of, whole
from emul.training.methods.buckets import DDP, GRADIENTS
from emul.training.seat import Seat

__all__ = ["Pipeline"]

SCHEDULES = ("1f1b", "gpipe")
PIPELINE = "pipeline"
FORTH, BACK = 0, 1
"""Tags of messages: activations to the next stage, and their gradients to the one before."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline of the stages along the axis pipeline, with DDP between its copies.

    The tokens of a step pass in ``micro_batches``; between two stages each rank sends the
    activations of its tokens once forwards and their gradients once backwards, in whole messages.
    ``schedule``: ``1f1b``, a stage goes backwards as soon as it can (Narayanan et al., arXiv
    2104.04473), or ``gpipe``, after all forwards (arXiv 1811.06965). ``data``: the buckets of
    gradients, behind the last backward pass of a stage. The compute of a step is that of a stage
    that never waits. Raises ArgumentError.
    """

    micro_batches: int
    schedule: str = "1f1b"
    data: DDP = field(default_factory=DDP)

    name: ClassVar[str] = "pipeline"
    evenly: ClassVar[bool] = True
    keeps_shards: ClassVar[bool] = False
    keeps: ClassVar[tuple[str, ...]] = (PIPELINE,)

    def __post_init__(self) -> None:
        """Refuse what no pipeline has."""
        whole(self.micro_batches, "micro_batches", least=1)
        one_of(self.schedule, "schedule", SCHEDULES)
        if not isinstance(self.data, DDP):
            raise ArgumentError(f"data {shown(self.data)}: needed a DDP")

    def __call__(self, seat: Seat) -> Iterator[Act]:
        """Yield the acts of one step."""
        stages, stage = seat.size(PIPELINE), seat.place(PIPELINE)
        number = self.micro_batches
        ahead = number if self.schedule == "gpipe" else min(stages - stage - 1, number)
        for micro in range(ahead):
            yield from self._forth(seat, stage, stages, micro)
        for micro in range(ahead, number):
            yield from self._forth(seat, stage, stages, micro)
            yield from self._back(seat, stage, stages, micro - ahead)
        for micro in range(number - ahead, number):
            yield from self._back(seat, stage, stages, micro)
        if stages > 1:
            yield seat.wait("sent")
        yield seat.wait(GRADIENTS)

    def _forth(self, seat: Seat, stage: int, stages: int, micro: int) -> Iterator[Act]:
        if stage:
            name = f"activations {micro}"
            yield seat.receive(PIPELINE, -1, self.micro_batches, tag=FORTH, name=name)
            yield seat.wait(name)
        yield seat.forward(1 / self.micro_batches)
        if stage + 1 < stages:
            yield seat.send(PIPELINE, 1, self.micro_batches, tag=FORTH, name="sent")

    def _back(self, seat: Seat, stage: int, stages: int, micro: int) -> Iterator[Act]:
        if stage + 1 < stages:
            name = f"gradients of activations {micro}"
            yield seat.receive(PIPELINE, 1, self.micro_batches, tag=BACK, name=name)
            yield seat.wait(name)
        if micro + 1 < self.micro_batches:
            yield seat.backward(1 / self.micro_batches)
        else:
            yield from self.data.backward(seat, 1 / self.micro_batches)
        if stage:
            yield seat.send(PIPELINE, -1, self.micro_batches, tag=BACK, name="sent")
