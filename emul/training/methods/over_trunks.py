"""Axes of a model that cross trunks: the operations of tensor and expert parallelism in a step."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from emul.programs import Act, Compute
from emul.training.seat import BACKWARD, FORWARD, Seat

__all__ = ["TIMED_OVER_TRUNKS", "over_trunks"]

TENSOR, EXPERT = "tensor", "expert"

TIMED_OVER_TRUNKS = (TENSOR, EXPERT)
"""Axes of which each operation is timed where they cross trunks."""

ALL_REDUCES = 2
"""Of activations for each layer and direction: attention, MLP (Shoeybi et al., 1909.08053)."""

ALL_TO_ALLS = 2
"""For each layer with experts and direction: there and back (Lepikhin et al., 2006.16668)."""

Method = Callable[[Seat], Iterable[Act]]


def over_trunks(method: Method, axes: Collection[str]) -> Method:
    """Return ``method`` with the operations of some axes behind each part of its compute.

    Nothing hides them: the next layer needs what they bring. A part of the compute has them for its
    part of the layers; of a pipeline, each micro-batch for all layers of a stage.
    """

    def acts(seat: Seat) -> Iterator[Act]:
        micro = int(getattr(method, "micro_batches", 1))
        passes = {FORWARD: seat.forward_s, BACKWARD: seat.backward_s}
        for act in method(seat):
            yield act
            if isinstance(act, Compute) and act.seconds and act.name in passes:
                part = act.seconds / passes[act.name] * micro
                for axis in axes:
                    yield from _operations(seat, axis, part, micro)

    return acts


def _operations(seat: Seat, axis: str, part: float, micro: int) -> Iterator[Act]:
    """Yield the operations of an axis for a ``part`` of the layers, each awaited."""
    elements = seat.activations(micro) * seat.tensor
    if axis == TENSOR:
        number, collective = ALL_REDUCES * seat.model.blocks / seat.stages, "all_reduce"
    else:
        mixed = [layer for layer in seat.model.layers if layer.experts]
        number, collective = ALL_TO_ALLS * len(mixed) / seat.stages, "all_to_all"
        elements *= max((layer.top_k for layer in mixed), default=0)
        elements = seat.padded(axis, elements)
    whole = max(1, round(number * part)) if number and elements else 0
    for _ in range(whole):
        yield seat.issue(collective, axis, elements, name=axis)
        yield seat.wait(axis)
