"""A training job: a model on hardware at places, by a method; its step is a program on a World."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from emul.errors import ArgumentError, shown
from emul.reading.brief import brief
from emul.reading.checks import finite, one_of
from emul.stacks import IDEAL, Stack
from emul.stacks.profile import load_stack
from emul.topology import Topology, topology_meant
from emul.training.hardware import Hardware
from emul.training.inverse import Needs, least_rate, needs_of
from emul.training.methods import DDP, FSDP, LocalSteps
from emul.training.methods.over_trunks import TIMED_OVER_TRUNKS, over_trunks
from emul.training.model import Model
from emul.training.placement import DATA_AXES, MODEL_AXES, Placement
from emul.training.protocols import Method
from emul.training.seat import Seat
from emul.training.step_report import StepReport
from emul.training.step_timer import StepTimer
from emul.training.timed_ranks import MOST_WHOLE, TimedRanks
from emul.units import PS_PER_S

__all__ = ["Job", "Method", "compare"]

PIPELINE = "pipeline"

PRECISIONS = ("bfloat16", "float16", "float32")


@dataclass(frozen=True, kw_only=True)
class Job:
    """A training job. ``run`` times a step of it.

    Parameters
    ----------
    model
        A Model, the name of a preset, or the path of a ``config.json``.
    world
        The places of the ranks: the name of a preset, the path of a file, or a Topology.
    mesh
        The sizes of the axes over all ranks, outermost first: replicate, shard, context, pipeline,
        tensor, expert. By default every rank is a replica.
    method
        What a step does: one of emul.training.methods, or a function that yields the acts of the
        rank at a seat. Attributes of it that count: ``period`` (the steps that it yields, 1),
        ``carries`` (whether an operation of a period is awaited in the next, False),
        ``keeps_shards`` (whether it uses the axes replicate and shard apart, True), ``evenly``
        (whether all operations between replicas are an all_reduce, False) and ``keeps`` (the axes
        of the model along which it sends, none).
    compute_s
        Seconds that a step computes where nothing is waited for, as measured. Without it, they
        follow from ``tokens``, ``hardware`` and ``mfu``.
    tokens
        Of a step of all ranks together.
    hardware, mfu
        The accelerator, by name or as Hardware, and the part of its peak that is reached where
        nothing is waited for.
    precision
        The type of parameters and gradients.
    stack, seed, start_s
        As of a World.
    inner_timers
        Steps inside replicas that were timed, shared by jobs that are made of this one.

    Raises ArgumentError for numbers that no job has, and all that models and topologies raise.

    >>> from emul import training
    >>> job = training.Job(model=training.Model(1e9, 24), world="three-campus", compute_s=0.5)
    >>> step = job.run()
    >>> step.time_s > 5, step.exposed_s == step.time_s - step.compute_s
    (True, True)
    """

    model: Model | str | Path
    world: Topology | str | Path = "three-campus"
    mesh: Mapping[str, int] | None = None
    method: Method = field(default_factory=DDP)
    compute_s: float | None = None
    tokens: float | None = None
    hardware: Hardware | str | None = None
    mfu: float | None = None
    precision: str = "bfloat16"
    stack: str | Stack = IDEAL
    seed: int = 0
    start_s: float = 0.0
    inner_timers: dict[Any, StepTimer] = field(default_factory=dict, repr=False, compare=False)

    __repr__ = brief

    def __post_init__(self) -> None:
        """Read the model, the topology and the hardware, and check the numbers."""
        hardware = None if self.hardware is None else Hardware.of(self.hardware)
        topology = topology_meant(self.world, "world")
        values = {"model": Model.of(self.model), "world": topology, "hardware": hardware}
        for name, value in values.items():
            object.__setattr__(self, name, value)
        one_of(self.precision, "precision", PRECISIONS)
        if not callable(self.method):
            raise ArgumentError(f"method {shown(self.method)}: needed a function of a seat")
        for name in ("compute_s", "tokens", "mfu"):
            _check_positive(name, getattr(self, name))
        if self.placement.crosses_trunk("context"):
            raise ArgumentError(
                f"{self.placement} over {topology.name}: context is at several sites, whose rings "
                "are not timed: needed it inside a site"
            )
        self.step_compute_s  # noqa: B018 (refused here, not in a run)

    @cached_property
    def placement(self) -> Placement:
        """The axes over the ranks."""
        topology = self.topology
        return Placement(topology, self.mesh or {"replicate": topology.world_size})

    @property
    def topology(self) -> Topology:
        """The places of the ranks."""
        assert isinstance(self.world, Topology)
        return self.world

    @cached_property
    def step_compute_s(self) -> float:
        """Seconds that a step computes where nothing is waited for."""
        if self.compute_s is not None:
            return self.compute_s
        if self.tokens is None or self.hardware is None or self.mfu is None:
            raise ArgumentError(
                "a job without compute_s: needed it as measured, or tokens, hardware and mfu"
            )
        assert isinstance(self.hardware, Hardware)
        return self.hardware.compute_s(
            self.model_read,
            self.tokens,
            self.topology.world_size,
            mfu=self.mfu,
            precision=self.precision,
        )

    @property
    def model_read(self) -> Model:
        """The model."""
        assert isinstance(self.model, Model)
        return self.model

    @property
    def hardware_read(self) -> Hardware | None:
        """The accelerator, where it is given."""
        assert self.hardware is None or isinstance(self.hardware, Hardware)
        return self.hardware

    @property
    def steps(self) -> int:
        """The steps of a period of the method."""
        return int(getattr(self.method, "period", 1))

    def run(self) -> StepReport:
        """Return the time of a step, from links at rest. Raises as World.run does."""
        return StepReport(self, self.timer.timed())

    def needs(self, utilisation: float) -> Needs:
        """Return the needs for a utilisation, each alone and by runs.

        The least rate of every trunk, as a factor in steps of 9 %; the longest delay, likewise; the
        fewest local steps; and buckets of one size. Utilisation is taken to rise with the rate, and
        so on. Raises ArgumentError for a utilisation that is no part below 1.
        """
        return needs_of(self, utilisation)

    def least_rate(
        self, targets: Sequence[float], grid: Sequence[float], *, below: bool = False
    ) -> list[float | None]:
        """Return for each utilisation the least rate of ``grid`` that reaches it; None for none.

        ``grid``: rates of every trunk in Gbit/s of payload, rising. With ``below``, the largest
        that does not reach it, as published tables print. Utilisation is taken to rise with the
        rate. Raises ArgumentError.
        """
        return least_rate(self, targets, grid, below=below)

    @cached_property
    def timer(self) -> StepTimer:
        """The program of the job."""
        keeps = bool(getattr(self.method, "keeps_shards", True))
        evenly = bool(getattr(self.method, "evenly", False))
        apart = getattr(self.method, "keeps", ())
        if self.placement.crosses_trunk(PIPELINE) and PIPELINE not in apart:
            raise ArgumentError(
                f"{self.placement} over {self.topology.name}: pipeline is at several sites: needed "
                "method pipeline, which sends from stage to stage, or the axis inside a site"
            )
        ranks = TimedRanks.of(self.placement, keeps_shards=keeps, evenly=evenly, keeps=apart)
        self._check_stack(ranks)
        return self._timer(ranks)

    def _check_stack(self, ranks: TimedRanks) -> None:
        """Refuse a library whose slots and sockets are of one connection, not of many at once."""
        stack = self.stack if isinstance(self.stack, Stack) else load_stack(self.stack)
        if ranks.bundled > 1 and stack != IDEAL:
            raise ArgumentError(
                f"stack {stack.name} over {self.topology.world_size:,} ranks, of which few are "
                f"timed: needed ideal, or at most {MOST_WHOLE} ranks"
            )

    def on_one_campus(self) -> StepTimer:
        """Return the program of the same job with all ranks at one site."""
        ranks = self.timer.ranks
        return self._timer(replace(ranks, topology=ranks.topology.in_one_place()))

    def at(self, topology: Topology) -> Job:
        """Return the job at other places."""
        return replace(self, world=topology)

    def with_method(self, method: Method) -> Job:
        """Return the job by another method."""
        return replace(self, method=method)

    def _timer(self, ranks: TimedRanks) -> StepTimer:
        inner = getattr(self.method, "inner", None)
        if inner is None and isinstance(self.method, LocalSteps) and ranks.size("shard") > 1:
            inner = FSDP(axis="shard")
        if inner is None:
            return self._timed(ranks, self.method, self.step_compute_s)
        before = self._inner_timer(ranks, inner)
        timed = self._timed(ranks, self.method, before.time.period_ps / PS_PER_S)
        return replace(timed, inner=before)

    def _inner_timer(self, ranks: TimedRanks, inner: Method) -> StepTimer:
        """Return the timer of a method inside replicas, shared by jobs with the same sites.

        Ranks that stand for others have their replicas inside sites; unless parts of the model
        are at several, no trunk counts.
        """
        crosses = any(self.placement.crosses_trunk(name) for name in MODEL_AXES)
        inside = ranks.bundled > 1 and not crosses
        key = (
            ranks.topology.sites if inside else ranks.topology,
            tuple(self.placement.axes.items()),
            getattr(self.method, "keeps", ()),
            inner,
            self.model,
            self.step_compute_s,
            self.precision,
            self.tokens,
            *self._settings.values(),
        )
        if key not in self.inner_timers:
            self.inner_timers[key] = self._timed(ranks, inner, self.step_compute_s)
        return self.inner_timers[key]

    def _timed(self, ranks: TimedRanks, method: Method, compute_s: float) -> StepTimer:
        def seat(rank: int, alone_s: Callable[[str, str, int], float]) -> Seat:
            model = self.model
            assert isinstance(model, Model)
            return Seat(
                rank,
                ranks,
                model,
                self.placement.ways,
                self.placement.size("pipeline"),
                self.placement.size("tensor"),
                compute_s,
                self.precision,
                alone_s,
                self._tokens,
            )

        crossing = [name for name in TIMED_OVER_TRUNKS if self.placement.crosses_trunk(name)]
        acts = over_trunks(method, crossing) if crossing else method
        return StepTimer(ranks, acts, seat, self._settings, carries=_carries(method))

    @property
    def _tokens(self) -> float | None:
        """The tokens of a step, of each rank along data axes."""
        return None if self.tokens is None else self.tokens / self.placement.size(*DATA_AXES)

    @property
    def _settings(self) -> dict[str, Any]:
        return {"stack": self.stack, "seed": self.seed, "start_s": self.start_s}


def _carries(method: Method) -> bool:
    return bool(getattr(method, "carries", False))


def compare(job: Job, methods: Iterable[Method]) -> list[StepReport]:
    """Return the step of the same job by each of some methods. Raises as ``Job.run`` does."""
    return [job.with_method(method).run() for method in methods]


def _check_positive(name: str, given: float | None) -> None:
    if given is not None and finite(given, name, "a finite number above 0", least=0) == 0:
        raise ArgumentError(f"{name} {shown(given)}: needed a finite number above 0")
