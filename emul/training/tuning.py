"""A training job as a matter to be tuned: its method, the order of its axes, and upgrades."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from emul.errors import ArgumentError
from emul.insight.case_log import digest_of
from emul.insight.cases import Case, Tuning
from emul.insight.search import Facts, Settings
from emul.insight.tuning import Extent
from emul.insight.upgrades import KINDS
from emul.reading.checks import flag
from emul.topology import Topology
from emul.topology.costs import Costs
from emul.training.changes import COARSER
from emul.training.job import Job
from emul.training.methods import DDP, FSDP, HSDP, LocalSteps, ZeRO
from emul.training.specification import mesh_of, method_name, method_of
from emul.training.step_report import StepReport

__all__ = ["JobProblem", "JobSearch", "tune", "tune_job", "tuning_of_job"]

METHOD, MESH = "method", "mesh"
"""Settings: the method as text, and the axes in their order."""

MOST_BUCKETS = 256
MOST_COMMUNICATORS = 16
MOST_LOCAL_STEPS = 512
MOST_FRAGMENTS = 16
"""Bounds of the search."""


@dataclass(frozen=True, slots=True)
class JobSearch(Extent):
    """The extent of a search: see ``tune``."""

    other_training: bool = False

    def __post_init__(self) -> None:
        """Refuse flags that are none, and a budget below 0: ArgumentError."""
        Extent.__post_init__(self)
        flag(self.other_training, "other_training")


@dataclass(frozen=True)
class JobProblem:
    """The time of a step of ``job``, whose method and order of axes are searched.

    Methods that train alike: DDP, ZeRO, FSDP, HSDP, with their buckets and communicators. With
    ``other_training`` also wire formats and local steps, whose loss may differ.
    """

    job: Job
    other_training: bool = False

    def timed(self, topology: Topology, settings: Settings) -> float:
        """Return the modelled seconds of a step. Raises EmulError, as jobs do."""
        return self._step(topology, settings).time_s

    def starts(self, topology: Topology) -> Iterator[Settings]:
        """Yield the settings of today."""
        del topology  # which changes no setting of today
        yield {METHOD: method_name(self.job.method), MESH: _mesh_text(self.job.placement.axes)}

    def moves(self, topology: Topology, settings: Settings) -> Iterator[Settings]:
        """Yield settings with one thing changed: a number, the method, the order of two axes."""
        del topology  # which any setting may be tried on
        method = method_of(str(settings[METHOD]))
        for other in self._methods(method):
            yield {**settings, METHOD: method_name(other)}
        names = list(mesh_of(str(settings[MESH])).items())
        for at in range(len(names) - 1):
            turned = [*names[:at], names[at + 1], names[at], *names[at + 2 :]]
            yield {**settings, MESH: _mesh_text(dict(turned))}

    def kept(self, settings: Settings) -> Iterator[Settings]:
        """Yield nothing: settings go on as they are."""
        del settings
        yield from ()

    def facts(self, topology: Topology, settings: Settings) -> Facts:
        """Return the place at which most time is exposed."""
        exposed = self._step(topology, settings).exposed
        return Facts(next((place for _, place, _ in exposed), "compute"))

    def _step(self, topology: Topology, settings: Settings) -> StepReport:
        name, job = str(settings[METHOD]), self.job
        method = job.method if name == method_name(job.method) else method_of(name)
        mesh = mesh_of(str(settings[MESH]))
        return replace(job, world=topology, method=method, mesh=mesh).run()

    def _methods(self, method: Any) -> Iterator[Any]:
        for name, most in (("buckets", MOST_BUCKETS), ("communicators", MOST_COMMUNICATORS)):
            number = getattr(method, name, None)
            for more in (2 * number, number // 2) if number else ():
                if 1 <= more <= most:
                    yield replace(method, **{name: more})
        if isinstance(method, DDP | ZeRO | FSDP | HSDP):
            if method.buckets is None:
                yield replace(method, buckets=32)
            kinds = [DDP, ZeRO, FSDP, *([HSDP] if self.job.placement.size("shard") > 1 else [])]
            yield from (kind() for kind in kinds if not isinstance(method, kind))
        if self.other_training:
            yield from self._other_training(method)

    def _other_training(self, method: Any) -> Iterator[Any]:
        wire = getattr(method, "wire", "") or self.job.precision
        if hasattr(method, "wire") and wire in COARSER:
            yield replace(method, wire=COARSER[wire])
        if not isinstance(method, LocalSteps):
            yield LocalSteps(2, wire=wire)
            return
        for every in (2 * method.every, method.every // 2):
            if method.fragments <= every <= MOST_LOCAL_STEPS and method.delay < every:
                yield replace(method, every=every, fragments=1, delay=0)
        fragments = 2 * method.fragments
        if fragments <= min(MOST_FRAGMENTS, method.every // 2):
            yield replace(method, fragments=fragments, delay=min(1, method.every // fragments - 1))


def tune(
    job: Job,
    *,
    upgrades: Collection[str] = KINDS,
    pairs: bool = True,
    costs: Costs | None = None,
    budget_per_month: float | None = None,
    other_training: bool = False,
    state: str | Path | None = None,
) -> Tuning:
    """Return the best settings of a job, and the gain of each upgrade of its trunks.

    Every case is the job run again with the best settings that are found on its own links.

    Parameters
    ----------
    job
        The job.
    upgrades, pairs, costs, budget_per_month, state
        As of emul.tune.
    other_training
        Whether wire formats and local steps are searched too, whose loss may differ.

    Returns
    -------
    Tuning
        The cases: as it is, the best settings, then upgrades and pairs. Times are of a step.

    Raises
    ------
    ArgumentError
        For an unknown upgrade, a method of one's own, and a ``state`` of other inputs.
    EmulError
        All that ``Job.run`` raises.

    Examples
    --------
    >>> from emul import training
    >>> job = training.Job(model=training.Model(1e9, 8), world="three-campus", compute_s=0.5,
    ...                    method=training.DDP(buckets=8))
    >>> found = training.tune(job, upgrades=["rate"], pairs=False)
    >>> found.of_kind("upgrade")[0].saved_s > 0
    True

    """
    search = JobSearch(
        upgrades=tuple(upgrades),
        pairs=pairs,
        costs=costs,
        budget_per_month=budget_per_month,
        state=None if state is None else Path(state),
        other_training=other_training,
    )
    done = list(tune_job(job, search))
    return tuning_of_job(job, search, [case for case, _ in done], done[-1][1])


def tune_job(
    job: Job, search: JobSearch, advance: Callable[[str], None] | None = None
) -> Iterator[tuple[Case, int]]:
    """Yield the cases of a search as emul.insight.tuning.tuned does. Raises as ``tune`` does."""
    _check_known(job)
    problem = JobProblem(job, search.other_training)
    return search.cases(problem, job.topology, partial(_digest, job, search), advance)


def tuning_of_job(job: Job, search: JobSearch, cases: list[Case], pairs_left_out: int) -> Tuning:
    """Return the result of a search whose ``cases`` are done."""
    model = job.model_read
    more = "wire formats, local steps and fragments" if search.other_training else ""
    said = ["methods", "buckets", "communicators", "the order of axes", more]
    left = "" if search.other_training else " Wire formats and local steps, whose loss may differ."
    return Tuning(
        f"a step of {model.name or f'{model.parameters:.4g} parameters'}",
        tuple(cases),
        pairs_left_out,
        (
            f"Searched: {', '.join(each for each in said if each)}. Not searched:"
            f"{left or ' sizes of axes.'}",
        ),
        search.currency,
    )


def _check_known(job: Job) -> None:
    """Refuse a method whose text does not mean it: one of one's own, or around another."""
    try:
        known = method_of(method_name(job.method)) == job.method
    except ArgumentError:
        known = False
    if not known:
        raise ArgumentError(
            f"method {method_name(job.method)}: cannot be tuned: needed one by its name and fields"
        )


def _digest(job: Job, search: JobSearch) -> str:
    """Return the digest of all that the time of a case depends on."""
    said = [
        (each.name, getattr(job, each.name))
        for each in fields(job)
        if each.name not in ("world", "method", "mesh")
    ]
    asked = method_name(job.method), _mesh_text(job.placement.axes), search.other_training
    return digest_of(job.topology, said, asked)


def _mesh_text(axes: dict[str, int]) -> str:
    return ",".join(f"{name}={size}" for name, size in axes.items())
