"""A job and its step as the rooms see them that each ask the other: so no files go in a circle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from emul.programs import Act
from emul.topology import Topology
from emul.training.hardware import Hardware
from emul.training.model import Model
from emul.training.placement import Placement
from emul.training.seat import Seat
from emul.training.step_timer import Call, StepTimer

__all__ = ["AnyChange", "AnyJob", "AnyStep", "Method"]

Method = Callable[[Seat], Iterable[Act]]
"""The acts of a rank in a period: one step, or as many as its attribute ``period`` says."""


class AnyJob(Protocol):
    """A Job."""

    @property
    def method(self) -> Any:
        """The method of a step."""

    @property
    def precision(self) -> str:
        """The type of parameters and gradients."""

    @property
    def model_read(self) -> Model:
        """The model."""

    @property
    def hardware_read(self) -> Hardware | None:
        """The accelerator, where it is given."""

    @property
    def topology(self) -> Topology:
        """The places of the ranks."""

    @property
    def placement(self) -> Placement:
        """The axes over the ranks."""

    @property
    def steps(self) -> int:
        """The steps of a period of the method."""

    @property
    def tokens(self) -> float | None:
        """Of a step of all ranks together."""

    @property
    def mfu(self) -> float | None:
        """The part of the peak that is reached where nothing is waited for."""

    def with_method(self, method: Method) -> AnyJob:
        """Return the job by another method."""

    def at(self, topology: Topology) -> AnyJob:
        """Return the job at other places."""

    def run(self) -> AnyStep:
        """Return the time of a step."""

    def on_one_campus(self) -> StepTimer:
        """Return the program of the same job with all ranks at one site."""


class AnyChange(Protocol):
    """A JobChange."""

    @property
    def words(self) -> str:
        """The change in words."""

    @property
    def time_s(self) -> float:
        """The seconds of a step with it."""

    @property
    def saves_s(self) -> float:
        """The seconds that it saves."""


class AnyStep(Protocol):
    """A StepReport."""

    @property
    def job(self) -> AnyJob:
        """The job."""

    @property
    def timer(self) -> StepTimer:
        """Its program."""

    @property
    def time_s(self) -> float:
        """The time of a step."""

    @property
    def exposed_s(self) -> float:
        """The time of a step that is not compute."""

    @property
    def utilisation(self) -> float:
        """The part of the time that computes."""

    @property
    def exposed(self) -> Mapping[tuple[str, str, str], float]:
        """The exposed seconds by axis, place and term."""

    @property
    def calls(self) -> tuple[Call, ...]:
        """The collectives of a period."""

    @property
    def assumed(self) -> tuple[str, ...]:
        """Sentences about assumptions."""

    @property
    def memory_warning(self) -> str:
        """A sentence where memory does not do."""

    @property
    def one_campus(self) -> AnyStep:
        """The same at one site."""

    @property
    def changes(self) -> Sequence[AnyChange]:
        """Changes, the best first."""
