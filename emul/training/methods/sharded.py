"""Sharded data parallelism: the parameters of a unit are gathered where they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from emul.programs import Act, Issue
from emul.reading.checks import flag, one_of, whole
from emul.training.methods.buckets import GRADIENTS, by_turns, check_at_least_one
from emul.training.seat import Part, Seat
from emul.training.timed_ranks import DATA

__all__ = ["FSDP", "HSDP"]

SHARD, REPLICATE = "shard", "replicate"


@dataclass(frozen=True, slots=True)
class FSDP:
    """Fully sharded data parallelism, ZeRO stage 3: along replicate and shard, or shard alone.

    For each unit an all_gather before its forward pass and again before its backward pass, and a
    reduce_scatter of its gradients after; ``prefetch`` units are gathered ahead. The last unit
    stays gathered until its backward pass, as torchtitan has it; all of them do without
    ``reshard_after_forward``. Units are the layers of the model, or
    ``buckets`` of one size. ``algorithm`` and ``wire`` as of DDP. Raises ArgumentError.
    """

    buckets: int | None = None
    prefetch: int = 1
    reshard_after_forward: bool = True
    algorithm: str = "auto"
    wire: str | None = None
    axis: str = DATA

    name: ClassVar[str] = "fsdp"

    @property
    def keeps_shards(self) -> bool:
        """Whether the groups along shard have to be those of the mesh."""
        return self.axis != DATA

    def __post_init__(self) -> None:
        """Refuse numbers that no program has."""
        one_of(self.axis, "axis", (DATA, SHARD))
        check_gathering(self)

    def __call__(self, seat: Seat) -> Iterator[Act]:
        """Yield the acts of one step."""
        units = units_of(self, seat)
        yield from forward(self, seat, units)
        for unit, acts in backward(self, seat, units):
            yield from acts
            yield seat.backward(unit.compute)
            yield scattered(self, seat, unit, GRADIENTS)
        yield seat.wait(GRADIENTS)


@dataclass(frozen=True, slots=True)
class HSDP:
    """Hybrid sharding: FSDP along shard, and an all_reduce of each rank's shard along replicate.

    The all_reduce of a unit is issued when its reduce_scatter is done, as long as that takes if
    nothing else is under way; they go by turns over ``communicators``. Other fields as of FSDP;
    ``algorithm`` is that of the all_reduce.
    """

    buckets: int | None = None
    prefetch: int = 1
    reshard_after_forward: bool = True
    communicators: int = 1
    algorithm: str = "auto"
    wire: str | None = None

    name: ClassVar[str] = "hsdp"
    evenly: ClassVar[bool] = True
    axis: ClassVar[str] = SHARD
    keeps_shards: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse numbers that no program has."""
        check_at_least_one(self, "communicators")
        check_gathering(self)

    def __call__(self, seat: Seat) -> Iterator[Act]:
        """Yield the acts of one step."""
        units = units_of(self, seat)
        yield from forward(self, seat, units)
        before: list[Act] = []
        for at, (unit, acts) in enumerate(backward(self, seat, units)):
            yield from acts
            name = f"scatter {at}"
            yield from self._compute(seat, unit, before)
            yield scattered(self, seat, unit, name)
            share = seat.share(SHARD, unit.elements)
            across = by_turns(self, seat, "all_reduce", REPLICATE, share, GRADIENTS, at)
            before = [seat.wait(name), across]
        yield from before
        yield seat.wait(GRADIENTS)

    def _compute(self, seat: Seat, unit: Part, before: list[Act]) -> Iterator[Act]:
        """Yield the backward pass of a unit, in which the unit before goes across."""
        seconds = seat.backward_s * unit.compute
        first = 0.0
        if before:
            padded = seat.padded(SHARD, unit.elements)
            scattered_s = seat.alone_s("reduce_scatter", SHARD, padded)
            first = min(1.0, scattered_s / seconds) if seconds else 0.0
            yield seat.backward(unit.compute * first)
            yield from before
        yield seat.backward(unit.compute * (1 - first))


def check_gathering(method: FSDP | HSDP) -> None:
    """Refuse numbers by which no units are gathered: ArgumentError."""
    check_at_least_one(method, "buckets")
    whole(method.prefetch, "prefetch", least=0)
    flag(method.reshard_after_forward, "reshard_after_forward")


def units_of(method: FSDP | HSDP, seat: Seat) -> tuple[Part, ...]:
    """Return the units of a method in forward order."""
    return seat.equal_parts(method.buckets) if method.buckets else seat.layers()


def forward(method: FSDP | HSDP, seat: Seat, units: tuple[Part, ...]) -> Iterator[Act]:
    """Yield the forward pass, each unit gathered ahead of its compute."""
    for unit, acts in _gathered(method, seat, units, "forward"):
        yield from acts
        yield seat.forward(unit.compute)


def backward(
    method: FSDP | HSDP, seat: Seat, units: tuple[Part, ...]
) -> Iterator[tuple[Part, list[Act]]]:
    """Yield each unit in backward order, with the acts before its compute."""
    last_first = units[::-1]
    if not method.reshard_after_forward:
        return ((unit, []) for unit in last_first)
    return _gathered(method, seat, last_first, "backward", already=1)


def scattered(method: FSDP | HSDP, seat: Seat, unit: Part, name: str) -> Issue:
    """Return the reduce_scatter of the gradients of a unit."""
    return _along(method, seat, "reduce_scatter", unit.elements, name)


def _along(method: FSDP | HSDP, seat: Seat, collective: str, elements: int, name: str) -> Issue:
    """Return an issue along the axis of a method; inside replicas as the precision is, by auto."""
    across = {"wire": method.wire, "algorithm": method.algorithm} if method.axis == DATA else {}
    return seat.issue(collective, method.axis, elements, name=name, **across)


def _gathered(
    method: FSDP | HSDP, seat: Seat, units: tuple[Part, ...], phase: str, already: int = 0
) -> Iterator[tuple[Part, list[Act]]]:
    """Yield each unit with the acts before its compute; the first ``already`` are gathered."""
    issued = already
    for at, unit in enumerate(units):
        acts: list[Act] = []
        while issued < min(at + 1 + method.prefetch, len(units)):
            share = seat.share(method.axis, units[issued].elements)
            acts.append(_along(method, seat, "all_gather", share, f"{phase} {issued}"))
            issued += 1
        if at >= already:
            acts.append(seat.wait(f"{phase} {at}"))
        yield unit, acts
