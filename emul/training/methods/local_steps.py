"""Local steps: replicas go on by themselves and meet every so many steps (DiLoCo and its kin)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from emul.errors import ArgumentError
from emul.plans import wire_named
from emul.programs import Act
from emul.reading.checks import one_of, whole
from emul.training.methods.sharded import REPLICATE, SHARD
from emul.training.seat import Part, Seat

__all__ = ["LocalSteps"]

OVERLAPS = ("backward", "none")


@dataclass(frozen=True, slots=True)
class LocalSteps:
    """Steps inside each replica, and an all_reduce of its change along replicate every so many.

    ``every``: the steps between two meetings (``sync_every`` of torchft). ``fragments``: the parts
    of the model that go one by one, at equal distances in the ``every`` steps; layer i is in the
    i-th of them, and so on in turns (arXiv 2501.18512). ``delay``: the steps for which replicas go
    on before a fragment is awaited (``fragment_sync_delay``). ``wire``: the type or format of all
    that is sent. ``overlap``: ``backward``, a layer goes when its last backward pass ends, or
    ``none``, all go after the step. ``inner``: the method inside a replica, by default FSDP where
    it is sharded. An inner step is timed alone. Local SGD (arXiv 1805.09767) and DiLoCo (arXiv
    2311.08105) differ in the optimizer alone. Raises ArgumentError.
    """

    every: int
    fragments: int = 1
    delay: int = 0
    wire: str = "bfloat16"
    overlap: str = "backward"
    algorithm: str = "auto"
    inner: object = None

    name: ClassVar[str] = "local"
    evenly: ClassVar[bool] = True
    keeps_shards: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse numbers that no program has."""
        whole(self.every, "every", least=1)
        whole(self.fragments, "fragments", least=1, most=self.every)
        whole(self.delay, "delay", least=0)
        object.__setattr__(self, "wire", wire_named(self.wire).name)
        one_of(self.overlap, "overlap", OVERLAPS)
        shortest = self.every // self.fragments
        if self.delay and self.delay >= shortest:
            raise ArgumentError(
                f"delay {self.delay} of fragments of which one goes every {shortest} steps: needed "
                "less"
            )

    @property
    def period(self) -> int:
        """The steps after which all comes again: ``every``."""
        return self.every

    def steps_before(self, fragment: int) -> int:
        """Return the steps from the last fragment to the step of ``fragment``, with that one."""
        at = self.every * fragment // self.fragments
        return self.every * (fragment + 1) // self.fragments - at

    @property
    def carries(self) -> bool:
        """Whether a fragment may be under way from one period to the next."""
        return self.delay > 0

    def __call__(self, seat: Seat) -> Iterator[Act]:
        """Yield the acts of the steps of a period."""
        layers = seat.layers()
        for fragment in range(self.fragments):
            yield from self._alone(seat, fragment)
            part = set(range(len(layers))[fragment :: self.fragments])
            yield from self._meeting(seat, layers, part, str(fragment))
            if not self.delay:
                yield seat.wait(str(fragment))

    def _alone(self, seat: Seat, fragment: int) -> Iterator[Act]:
        """Yield the steps before a fragment goes; in one of them the last one is awaited."""
        awaited, steps = (fragment - 1) % self.fragments, self.steps_before(fragment) - 1
        if self.delay and (seat.periods_before or fragment):
            yield from seat.steps(min(self.delay, steps))
            yield seat.wait(str(awaited))
            steps -= min(self.delay, steps)
        yield from seat.steps(steps)

    def _meeting(
        self, seat: Seat, layers: tuple[Part, ...], part: set[int], name: str
    ) -> Iterator[Act]:
        """Yield the step after which some layers go, or in whose backward pass they do."""
        last_first = list(enumerate(layers))[::-1]
        going = [self._issue(seat, layer, name) for at, layer in last_first if at in part]
        if self.overlap == "none":
            yield from seat.steps(1)
            yield from going
            return
        yield seat.forward()
        computed = 0.0
        for at, layer in last_first:
            computed += layer.compute
            if at in part:
                yield seat.backward(computed)
                yield going.pop(0)
                computed = 0.0
        yield seat.backward(computed)

    def _issue(self, seat: Seat, layer: Part, name: str) -> Act:
        return seat.issue(
            "all_reduce",
            REPLICATE,
            seat.share(SHARD, layer.elements),
            name=name,
            wire=self.wire,
            algorithm=self.algorithm,
        )
