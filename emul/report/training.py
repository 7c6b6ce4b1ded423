"""The steps of a training job by several methods: a table, the words below, and the JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import floor, log10
from typing import Any, ClassVar

from emul.insight.shapley import whole_parts
from emul.report.documents import document
from emul.report.text_table import TextTable
from emul.topology import Document
from emul.topology.costs import Costs
from emul.training import Job, Needs, StepReport
from emul.training.money import ChangeMoney, Prices, change_money, step_cost
from emul.training.specification import method_name
from emul.training.words import assumed_words, change_words, finding_words, placement_words
from emul.units import PS_PER_S, counted, format_time

__all__ = [
    "KINDS",
    "ExposedPart",
    "TrainChange",
    "TrainContents",
    "TrainDetail",
    "TrainNeed",
    "TrainResult",
    "TrainRow",
    "TrainedMethod",
    "engineering",
    "kind_of",
    "method_words",
    "split_ps",
    "train_document",
    "train_head",
    "train_rows",
    "train_table",
    "train_words",
]

KINDS = ("trunk", "site", "node", "rank")
"""Of the causes of exposed time: a trunk or conduit between sites; the network of a site;
links within a node; and the compute of another rank."""

BETWEEN_SITES = ("trunk ", "conduit ", "path ")
"""How the names of places between sites begin."""

NODE_LINKS = "node links of "

DIGITS = 4
"""Of the shortest step in a table, by which all its times are rounded."""

MOST_CHANGES = 4
"""Whose money is told in words; the JSON has all."""


@dataclass(frozen=True, slots=True)
class TrainRow:
    """The mean step of a job by one method: a line of the table, an object of the JSON.

    Times are modelled. ``compute_s`` and ``exposed_s`` sum to ``time_s``; ``trunk_s``, ``site_s``,
    ``node_s`` and ``rank_s`` to ``exposed_s``: the causes of waiting, as KINDS of
    emul.report.training has them. ``mfu``: communication and all. ``crossing_bytes``: over all
    trunks and both directions. ``binding_axis``, ``binding`` and ``binding_term``: the cause of the
    longest exposed time; empty where none is exposed, the axis also where another rank is awaited.
    ``one_campus_s``: of the same job at one site. ``cost_per_step``: null without prices.
    ``ranks_timed``: those that stand for all.
    """

    method: str
    time_s: float
    compute_s: float
    exposed_s: float
    trunk_s: float
    site_s: float
    node_s: float
    rank_s: float
    utilisation: float
    mfu: float | None
    tokens_per_day: float | None
    crossing_bytes: float
    binding: str
    binding_axis: str
    binding_term: str
    one_campus_s: float
    cost_per_step: float | None
    ranks_timed: int


@dataclass(frozen=True, slots=True)
class ExposedPart:
    """Exposed seconds of a step at one place of the network, along an axis, doing a term."""

    axis: str
    place: str
    term: str
    seconds: float


@dataclass(frozen=True, slots=True)
class TrainChange:
    """The same job with one thing changed, run again.

    ``effort``: 0 a setting, 1 another format on the wire, 2 another link, 3 another way to train, 4
    an effect that nobody turns off. ``saves_per_month``: money of the steps of a month of today;
    ``costs_per_month``: of the upgrade; null where that is not known.
    """

    words: str
    method: str
    time_s: float
    saves_s: float
    effort: int
    saves_per_month: float | None
    costs_per_month: float | None


@dataclass(frozen=True, slots=True)
class TrainNeed:
    """One thing that alone would reach the utilisation; ``value`` is null where it does not."""

    name: str
    value: float | None
    words: str


@dataclass(frozen=True, slots=True)
class TrainDetail:
    """All else about one method.

    ``exposed``: parts that sum to the exposed time. ``trunk_bytes``: of a step over each trunk and
    direction. ``changes``: the best first, null where none was tried. ``needs``: null where they
    were not asked for. ``words``: in sentences, with the assumptions.
    """

    method: str
    exposed: Sequence[ExposedPart]
    trunk_bytes: Mapping[str, float]
    changes: Sequence[TrainChange] | None
    needs: Sequence[TrainNeed] | None
    words: Sequence[str]


@dataclass(frozen=True, slots=True)
class TrainContents:
    """A step of a training job by each of some methods.

    ``active``: the parameters that a token meets. ``mesh``: the sizes of the axes, outermost first;
    ``crossings``: the widest links that each crosses. ``compute_s``: of a step where nothing is
    waited for. ``needed_utilisation``: null where it was not asked for. ``currency``: of all money.
    ``rows`` and ``methods``: of each method, in the order of the command line.
    """

    SCHEMA: ClassVar[str] = "emul-train-1"

    model: str
    parameters: int
    active: int
    layers: int
    topology: str
    description: str
    world_size: int
    mesh: Mapping[str, int]
    crossings: Mapping[str, str]
    tokens: float | None
    hardware: str | None
    mfu: float | None
    precision: str
    compute_s: float
    stack: str
    seed: int
    start_s: float
    needed_utilisation: float | None
    currency: str
    rows: Sequence[TrainRow]
    methods: Sequence[TrainDetail]


@dataclass(frozen=True)
class TrainedMethod:
    """The step of a job by one method; ``needs`` and ``tries_changes``: as they were asked for."""

    step: StepReport
    needs: Needs | None = None
    tries_changes: bool = True

    @cached_property
    def name(self) -> str:
        """The method as text."""
        return method_name(self.step.job.method)

    def work_out(self) -> None:
        """Work out all that is told, so that nothing is left for the printing."""
        step = self.step
        step.exposed  # noqa: B018
        step.trunk_bytes  # noqa: B018
        step.one_campus.time_s  # noqa: B018
        if self.tries_changes:
            step.changes  # noqa: B018


@dataclass(frozen=True, slots=True)
class TrainResult:
    """The methods that are done, all or those before it was ``interrupted``.

    ``command``: the words of the command line. ``document``: the topology with the tables of its
    links and the costs of upgrades.
    """

    methods: Sequence[TrainedMethod]
    prices: Prices | None = None
    command: Sequence[str] = ()
    document: Document | None = None
    interrupted: bool = False

    @property
    def job(self) -> Job:
        """The job by the first of the methods."""
        job = self.methods[0].step.job
        assert isinstance(job, Job)
        return job

    @property
    def costs(self) -> Costs | None:
        """The costs of upgrades, as the file of the topology says them."""
        return None if self.document is None else self.document.costs


def train_document(version: str, result: TrainResult) -> dict[str, Any]:
    """Return the JSON of ``emul train``: all that is printed, and the causes one by one."""
    job = result.job
    model, hardware = job.model_read, job.hardware_read
    needs = result.methods[0].needs
    contents = TrainContents(
        model=model.name,
        parameters=model.parameters,
        active=model.active,
        layers=len(model.layers),
        topology=job.topology.name,
        description=job.topology.description,
        world_size=job.topology.world_size,
        mesh=job.placement.axes,
        crossings=job.placement.crossings,
        tokens=job.tokens,
        hardware=hardware.name if hardware else None,
        mfu=job.mfu,
        precision=job.precision,
        compute_s=job.step_compute_s,
        stack=job.stack if isinstance(job.stack, str) else job.stack.name,
        seed=job.seed,
        start_s=job.start_s,
        needed_utilisation=needs.utilisation if needs else None,
        currency=result.prices.currency if result.prices else "",
        rows=train_rows(result),
        methods=[_detail(result, each) for each in result.methods],
    )
    return document(version, contents, interrupted=result.interrupted)


def train_rows(result: TrainResult) -> list[TrainRow]:
    """Return the line of each method."""
    return [_row(each, result.prices) for each in result.methods]


def _row(method: TrainedMethod, prices: Prices | None) -> TrainRow:
    step = method.step
    spent = dict.fromkeys(KINDS, 0.0)
    for (axis, place, _), seconds in step.exposed.items():
        spent[kind_of(axis, place)] += seconds
    axis, place, term = next(iter(step.exposed), ("", "", ""))
    return TrainRow(
        method=method.name,
        time_s=step.time_s,
        compute_s=step.compute_s,
        exposed_s=step.exposed_s,
        **{f"{kind}_s": seconds for kind, seconds in spent.items()},
        utilisation=step.utilisation,
        mfu=step.mfu,
        tokens_per_day=step.tokens_per_day,
        crossing_bytes=sum(step.trunk_bytes.values()),
        binding=place,
        binding_axis=axis,
        binding_term=term,
        one_campus_s=step.one_campus.time_s,
        cost_per_step=step_cost(step, prices) if prices else None,
        ranks_timed=step.timer.world.size,
    )


def kind_of(axis: str, place: str) -> str:
    """Return which of KINDS an exposed time is caused by."""
    if not axis:
        return "rank"
    if place.startswith(BETWEEN_SITES):
        return "trunk"
    return "node" if place.startswith(NODE_LINKS) else "site"


def _detail(result: TrainResult, method: TrainedMethod) -> TrainDetail:
    step, needs = method.step, method.needs
    return TrainDetail(
        method=method.name,
        exposed=[ExposedPart(*key, seconds) for key, seconds in step.exposed.items()],
        trunk_bytes=step.trunk_bytes,
        changes=list(_changes(result, method)) if method.tries_changes else None,
        needs=None if needs is None else [TrainNeed(n.name, n.value, n.words) for n in needs.needs],
        words=[*method_words(result, method), *assumed_words(step)],
    )


def _changes(result: TrainResult, method: TrainedMethod) -> Iterator[TrainChange]:
    for each in method.step.changes:
        prices = result.prices
        money = change_money(method.step, each, prices, result.costs) if prices else None
        yield TrainChange(
            each.words,
            method_name(each.job.method),
            each.time_s,
            each.saves_s,
            each.effort,
            money.saves if money else None,
            money.costs if money else None,
        )


def train_head(job: Job) -> str:
    """Return the line above the table."""
    topology, model = job.topology, job.model_read
    said = f" ({topology.description})" if topology.description.startswith("assumed") else ""
    name = model.name or "model"
    met = "" if model.active == model.parameters else f", {engineering(model.active)} active"
    layers = counted(len(model.layers), "layer")
    batch = "" if job.tokens is None else f" of {engineering(job.tokens)} tokens"
    hardware = job.hardware_read.name if job.hardware_read else ""
    reached = f" ({hardware} at MFU {job.mfu:g})" if job.compute_s is None else ""
    return (
        f"{name} of {engineering(model.parameters)} parameters{met} in {layers} over "
        f"{counted(topology.world_size, 'rank')} of {topology.name}{said}; a step{batch} computes "
        f"{format_time(job.step_compute_s)}{reached}; times are modelled"
    )


def train_table(rows: Sequence[TrainRow]) -> TextTable:
    """Return the table, whose times add up as they are printed: compute and exposed to the step,
    and the causes to exposed.
    """
    kinds = [kind for kind in KINDS if kind != "rank" or any(row.rank_s for row in rows)]
    of_mfu = any(row.mfu is not None for row in rows)
    of_tokens = any(row.tokens_per_day is not None for row in rows)
    numbers = [
        "step (s)",
        "compute (s)",
        "exposed (s)",
        *(f"{kind} (s)" for kind in kinds),
        "used (%)",
        *["MFU (%)"] * of_mfu,
        *["tokens a day"] * of_tokens,
        "crossing (GB)",
    ]
    table = TextTable(
        "method",
        *numbers,
        "binding",
        right=numbers,
        prose=["method", "binding"],
        give_way=["node (s)", "site (s)", "crossing (GB)", "compute (s)", "binding", "MFU (%)"],
    )
    decimals = _decimals(rows)
    for row in rows:
        table.row(
            row.method,
            *_times(row, kinds, decimals),
            f"{100 * row.utilisation:.1f}",
            *[_percent(row.mfu)] * of_mfu,
            *[engineering(row.tokens_per_day)] * of_tokens,
            f"{row.crossing_bytes / 1e9:.4g}",
            row.binding or "compute",
        )
    return table


def split_ps(row: TrainRow) -> list[int]:
    """Return the picoseconds of compute and of each of KINDS."""
    seconds = [row.compute_s, *(getattr(row, f"{kind}_s") for kind in KINDS)]
    return [round(each * PS_PER_S) for each in seconds]


def _times(row: TrainRow, kinds: Sequence[str], decimals: int) -> list[str]:
    """Return step, compute, exposed and its causes, rounded so that they add up."""
    compute, *causes = whole_parts(split_ps(row), 10 ** (12 - decimals))
    exposed = sum(causes)
    shown = dict(zip(KINDS, causes, strict=True))
    units = [compute + exposed, compute, exposed, *(shown[kind] for kind in kinds)]
    return [f"{each / 10**decimals:.{decimals}f}" for each in units]


def _decimals(rows: Sequence[TrainRow]) -> int:
    """Return the digits behind the point by which the shortest step has DIGITS."""
    shortest = min(row.time_s for row in rows)
    return max(0, min(12, DIGITS - 1 - floor(log10(shortest))))


def train_words(result: TrainResult) -> list[str]:
    """Return the words under the table: the mesh, each method, and all assumptions once."""
    lines = [placement_words(result.methods[0].step)]
    for each in result.methods:
        lines += ["", f"{each.name}, {format_time(each.step.time_s)} a step"]
        lines += method_words(result, each)
    assumed = dict.fromkeys(line for each in result.methods for line in assumed_words(each.step))
    return [*lines, *([""] if assumed else []), *assumed]


def method_words(result: TrainResult, method: TrainedMethod) -> list[str]:
    """Return the sentences about one method, without its assumptions."""
    step = method.step
    lines = finding_words(step)
    if method.tries_changes:
        lines += change_words(step)
    if result.prices is not None:
        lines.append(_money(result, method, result.prices))
    return lines + (method.needs.words() if method.needs else [])


def _money(result: TrainResult, method: TrainedMethod, prices: Prices) -> str:
    step = method.step
    said = f"Money: {prices.told(step_cost(step, prices))} a step"
    if step.tokens_per_day is not None and step.job.tokens:
        each = 1e9 * step_cost(step, prices) / step.job.tokens
        said += f", {prices.told(each)} for 1e9 tokens"
    if not method.tries_changes or not step.changes:
        return f"{said}."
    told = (
        f"{each.words} {_change_money(change_money(step, each, prices, result.costs), prices)}"
        for each in step.changes[:MOST_CHANGES]
    )
    return f"{said}; a month, {'; '.join(told)}."


def _change_money(money: ChangeMoney, prices: Prices) -> str:
    saves = f"saves {prices.told(money.saves)} of rank hours"
    if money.costs is None:
        return f"{saves}, and its cost is not known"
    return f"{saves} and costs {prices.told(money.costs)}" if money.costs else saves


def _percent(part: float | None) -> str:
    return "-" if part is None else f"{100 * part:.1f}"


def engineering(number: float | None) -> str:
    """Return a number with four digits and a power of ten that is a multiple of three.

    >>> engineering(405e9), engineering(48e6), engineering(620.14e9), engineering(12)
    ('405e9', '48e6', '620.1e9', '12')
    """
    if number is None:
        return "-"
    power = 3 * floor(log10(float(f"{number:.4g}")) / 3) if number >= 1 else 0
    return f"{number / 10**power:.4g}" + (f"e{power}" if power else "")
