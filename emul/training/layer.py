"""One layer of a model, as a training step sees it: its parameters, and what a token meets."""

from __future__ import annotations

from dataclasses import dataclass

from emul.errors import ArgumentError, shown
from emul.reading.brief import brief
from emul.reading.checks import whole

__all__ = ["EMBEDDING", "HEAD", "MOST_PARAMETERS", "Layer", "counts"]

MOST_PARAMETERS = 1 << 60
"""Of a model, and so of each number of a layer: beyond it, bytes do not fit in 64 bits."""

EMBEDDING, HEAD = "embedding", "head"
"""The names of the layers that are no transformer block."""

NUMBERS = ("parameters", "active", "hidden", "experts", "top_k", "expert_parameters", "kv_width")


@dataclass(frozen=True, slots=True)
class Layer:
    """One unit of a model: a transformer block, the embedding, the head, or a tensor.

    Parameters
    ----------
    name
        For reports.
    parameters
        All of them, those of every expert included.
    active
        Those that a token meets; in a dense layer, all. Of an embedding the whole table counts,
        though a token looks up one row. Where the head is the table of the embedding (tied), the
        table is active in the head, which multiplies with it, and a parameter of the embedding: so
        the head meets more than it has.
    hidden
        The width: elements that one token has between layers. 0: unknown.
    experts, top_k
        Routed experts, and how many of them a token meets; 0 in a dense layer. Experts that every
        token meets are not among them.
    expert_parameters
        Of all routed experts together.
    kv_width
        Keys and values of a token in this layer, in elements; with latent attention (MLA), the
        compressed vector and the rotary key. 0: unknown, or none.
    tensors
        The elements of each tensor in forward order, where they are known; their sum is
        ``parameters``.

    Raises ArgumentError for numbers that contradict each other.

    >>> Layer("block 0", 1000, 1000, 16)
    Layer(name='block 0', parameters=1000, active=1000, hidden=16)
    """

    name: str
    parameters: int
    active: int
    hidden: int
    experts: int = 0
    top_k: int = 0
    expert_parameters: int = 0
    kv_width: int = 0
    tensors: tuple[int, ...] = ()

    __repr__ = brief

    def __post_init__(self) -> None:
        """Keep whole numbers, and refuse those that cannot be together."""
        for key in NUMBERS:
            number = whole(getattr(self, key), f"{self._place} {key}", 0, MOST_PARAMETERS)
            object.__setattr__(self, key, number)
        object.__setattr__(self, "tensors", tuple(self.tensors))
        self._check_experts()
        if self.tensors and sum(self.tensors) != self.parameters:
            raise ArgumentError(
                f"{self._place} tensors of {sum(self.tensors)} elements together: needed the "
                f"{self.parameters} parameters"
            )

    @property
    def _place(self) -> str:
        return f"layer {shown(self.name)}:"

    def _check_experts(self) -> None:
        if self.top_k > self.experts:
            raise ArgumentError(
                f"{self._place} top_k {self.top_k}: needed at most the {self.experts} experts"
            )
        if self.expert_parameters > self.parameters or (
            self.expert_parameters and not self.experts
        ):
            raise ArgumentError(
                f"{self._place} expert_parameters {self.expert_parameters} of {self.experts} "
                f"experts: needed experts, and at most the {self.parameters} parameters"
            )


def counts(total: int, parts: int) -> list[int]:
    """Return ``total`` in ``parts`` that are equal, the remainder spread over the first ones.

    >>> counts(11, 4)
    [3, 3, 3, 2]
    """
    each, rest = divmod(total, parts)
    return [each + (part < rest) for part in range(parts)]
