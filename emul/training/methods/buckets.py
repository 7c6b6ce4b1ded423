"""Gradients by buckets: each goes as soon as the backward pass has made it (DDP, ZeRO 1 and 2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Protocol

from emul.programs import Act, Issue
from emul.reading.checks import whole
from emul.training.seat import Part, Seat
from emul.training.timed_ranks import DATA

__all__ = ["DDP", "ZeRO"]

BUCKET_BYTES = 25 << 20
FIRST_BUCKET_BYTES = 1 << 20
"""As in torch.nn.parallel.DistributedDataParallel: bucket_cap_mb, and the first bucket."""

GRADIENTS = "gradients"


@dataclass(frozen=True, slots=True)
class DDP:
    """Data parallelism: one all_reduce for each bucket of gradients, along replicate and shard.

    All are awaited before the optimizer. Buckets have ``bucket_bytes``, the first 1 MiB, as in
    torch; or there are ``buckets`` of one size. They go by turns over ``communicators``, one after
    the other on each. ``wire``: the type or format on the wire, the precision of the job by
    default. Raises ArgumentError.
    """

    buckets: int | None = None
    bucket_bytes: int = BUCKET_BYTES
    communicators: int = 1
    algorithm: str = "auto"
    wire: str | None = None

    name: ClassVar[str] = "ddp"
    evenly: ClassVar[bool] = True
    keeps_shards: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Refuse numbers below 1."""
        check_at_least_one(self, "buckets", "bucket_bytes", "communicators")

    def __call__(self, seat: Seat) -> Iterator[Act]:
        """Yield the acts of one step."""
        yield seat.forward()
        yield from self.backward(seat)
        yield seat.wait(GRADIENTS)

    def backward(self, seat: Seat, part: float = 1.0) -> Iterator[Act]:
        """Yield the backward pass of a part of the tokens, whose buckets go as they are ready."""
        for at, bucket in enumerate(parts_of(self, seat)):
            yield seat.backward(bucket.compute * part)
            yield by_turns(self, seat, "all_reduce", DATA, bucket.elements, GRADIENTS, at)


@dataclass(frozen=True, slots=True)
class ZeRO:
    """ZeRO stages 1 and 2 (arXiv 1910.02054): each data rank updates its share of the parameters.

    A reduce_scatter for each bucket behind the backward pass; after the optimizer an all_gather of
    the parameters for each, which the next forward pass awaits where it needs them. The stages
    differ in memory alone. Fields as of DDP.
    """

    buckets: int | None = None
    bucket_bytes: int = BUCKET_BYTES
    communicators: int = 1
    algorithm: str = "auto"
    wire: str | None = None

    name: ClassVar[str] = "zero"
    keeps_shards: ClassVar[bool] = False
    carries: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse numbers below 1."""
        check_at_least_one(self, "buckets", "bucket_bytes", "communicators")

    def __call__(self, seat: Seat) -> Iterator[Act]:
        """Yield the acts of one step."""
        buckets = parts_of(self, seat)
        for at, bucket in reversed(list(enumerate(buckets))):
            if seat.periods_before:
                yield seat.wait(f"parameters {at}")
            yield seat.forward(bucket.compute)
        for at, bucket in enumerate(buckets):
            yield seat.backward(bucket.compute)
            yield by_turns(self, seat, "reduce_scatter", DATA, bucket.elements, GRADIENTS, at)
        yield seat.wait(GRADIENTS)
        for at, bucket in reversed(list(enumerate(buckets))):
            share, name = seat.share(DATA, bucket.elements), f"parameters {at}"
            yield by_turns(self, seat, "all_gather", DATA, share, name, at)


class InLanes(Protocol):
    """A method whose operations go by turns over several communicators."""

    @property
    def communicators(self) -> int:
        """Their number."""

    @property
    def algorithm(self) -> str:
        """The algorithm of each operation."""

    @property
    def wire(self) -> str | None:
        """The type or format on the wire."""


def by_turns(
    method: InLanes, seat: Seat, collective: str, axis: str, elements: int, name: str, at: int
) -> Issue:
    """Return the issue of the ``at``-th operation of a method, on the communicator in turn."""
    return seat.issue(
        collective,
        axis,
        elements,
        name=name,
        wire=method.wire,
        lane=at % method.communicators,
        algorithm=method.algorithm,
    )


def parts_of(method: DDP | ZeRO, seat: Seat) -> tuple[Part, ...]:
    """Return the buckets of a method, in backward order."""
    if method.buckets is not None:
        return seat.equal_parts(method.buckets)
    return seat.buckets(method.bucket_bytes, min(FIRST_BUCKET_BYTES, method.bucket_bytes))


def check_at_least_one(method: object, *names: str) -> None:
    """Refuse fields that are not whole numbers from 1 on; None is left alone."""
    for name in names:
        if getattr(method, name) is not None:
            whole(getattr(method, name), name, least=1)
