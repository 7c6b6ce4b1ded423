"""A workload: the compute and the collectives of each layer, as another tool worked them out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from emul.reading.brief import brief

__all__ = ["Communication", "WorkLayer", "Workload"]


@dataclass(frozen=True, slots=True)
class Communication:
    """A collective of one group of ranks.

    ``nbytes``: of the whole vector, as the sizes of nccl-tests: for an all_gather the gathered one.
    ``group``: ``tensor``, ``data``, ``expert``, ``expert_data`` (ranks that hold the same experts),
    or ``pipeline``; the ranks of each follow from the sizes of the Workload.
    """

    collective: str
    nbytes: int
    group: str


@dataclass(frozen=True, slots=True)
class WorkLayer:
    """One layer: seconds of computing in each pass, and the collectives after it.

    ``update_s``: of the optimizer, as far as the file has it.
    """

    name: str
    forward_s: float
    forward: tuple[Communication, ...]
    input_grad_s: float
    input_grad: tuple[Communication, ...]
    weight_grad_s: float
    weight_grad: tuple[Communication, ...]
    update_s: float = 0.0

    __repr__ = brief

    @property
    def compute_s(self) -> float:
        """The seconds of all three passes."""
        return self.forward_s + self.input_grad_s + self.weight_grad_s

    @property
    def communications(self) -> tuple[Communication, ...]:
        """The collectives of all three passes."""
        return self.forward + self.input_grad + self.weight_grad


@dataclass(frozen=True, slots=True)
class Workload:
    """The layers of one rank's step in forward order, and the sizes of its groups.

    Parameters
    ----------
    kind
        How the file calls its loop, such as ``HYBRID_TRANSFORMER_FWD_IN_BCKWD``.
    layers
        In forward order; each micro-batch has layers of its own.
    tensor, expert, pipeline
        Ranks of each group; 1 where the file does not say it.
    virtual_stages, micro_batches, ranks
        Parts of the pipeline on one rank, micro-batches of a step, and ranks of the world; 0 where
        the file does not say it.
    pipeline_bytes
        Of the message between stages of the pipeline, for one micro-batch.
    checkpoints, recomputing
        Layers, counted from 0, that keep their input, and those at which layers are computed again.
    notes
        Sentences about parts of the file that were left out.
    """

    kind: str
    layers: tuple[WorkLayer, ...]
    tensor: int = 1
    expert: int = 1
    pipeline: int = 1
    virtual_stages: int = 0
    micro_batches: int = 0
    ranks: int = 0
    pipeline_bytes: int = 0
    checkpoints: tuple[int, ...] = ()
    recomputing: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    __repr__ = brief

    @property
    def compute_s(self) -> float:
        """The seconds of computing in all layers and passes."""
        return sum(layer.compute_s for layer in self.layers)

    @property
    def nbytes(self) -> dict[str, int]:
        """The bytes of all collectives, by group."""
        found: dict[str, int] = {}
        for each in self._communications():
            found[each.group] = found.get(each.group, 0) + each.nbytes
        return found

    def _communications(self) -> Iterator[Communication]:
        for layer in self.layers:
            yield from layer.communications
