"""The page of ``emul train``: the time of a training step across campuses, by each method."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from emul.drawing.positions import positions_of
from emul.insight.shapley import whole_parts
from emul.report.html.assumptions import counted_by_status, of_links, of_stack
from emul.report.html.cells import share
from emul.report.html.page import (
    Assumption,
    Assumptions,
    Figure,
    Origin,
    Page,
    Section,
    Table,
    Words,
    table,
)
from emul.report.html.shares import Part, share_bar
from emul.report.html.site_map import MapTrunk, site_map
from emul.report.training import (
    KINDS,
    TrainedMethod,
    TrainResult,
    TrainRow,
    engineering,
    method_words,
    split_ps,
    train_head,
    train_rows,
)
from emul.stacks import IDEAL, Stack
from emul.training import Hardware, Job, StepReport
from emul.training.model import source_of
from emul.training.specification import method_name
from emul.training.words import assumed_words, placement_words
from emul.units import PS_PER_S, counted, format_bytes, format_rate, format_time, times_as_long

__all__ = ["train_page"]

COLORS = {"compute": 1, "trunk": 2, "site": 3, "node": 4, "rank": 6}
"""Of the parts of a step in its bar."""

NAMES = {"trunk": "waiting for trunks", "site": "for the network of a site",
         "node": "for links of a node", "rank": "for another rank"}  # fmt: skip

PERMILLE = 1000
GIVEN = "given"


def train_page(result: TrainResult, origin: Origin) -> Page:
    """Return the page of the methods that are done; its answer is the quickest of them."""
    done = counted(len(result.methods), "method")
    cut = f"Interrupted after {done}: the others are missing." if result.interrupted else ""
    return Page(_question(result.job), _answer(result), tuple(_sections(result)), origin, cut)


def _question(job: Job) -> str:
    topology = job.topology
    ranks, sites = counted(topology.world_size, "rank"), counted(len(topology.sites), "site")
    model = job.model_read.name or f"{engineering(job.model_read.parameters)} parameters"
    return (
        f"How long is a training step of {model} over {ranks} at {sites} ({topology.name}), and on "
        "what does it wait?"
    )


def _answer(result: TrainResult) -> str:
    best = min(result.methods, key=lambda each: each.step.time_s)
    step = best.step
    said = (
        f"{format_time(step.time_s)} by {best.name}, of which {format_time(step.compute_s)} are "
        f"compute ({share(step.utilisation)})"
    )
    if len(step.job.topology.sites) > 1:
        longer = times_as_long(step.time_s / step.one_campus.time_s)
        said += f"; {longer} as at one campus"
    if best.tries_changes and step.changes:
        change = step.changes[0]
        said += f"; {change.words} would make it {format_time(change.time_s)}"
    return f"{said}."


def _sections(result: TrainResult) -> Iterator[Section]:
    rows = train_rows(result)
    yield _lines(rows, with_cost=result.prices is not None)
    for method, row in zip(result.methods, rows, strict=True):
        yield _bar(row)
        if len(result.job.topology.sites) > 1:
            yield _map(method)
        yield Words(f"In words: {method.name}", tuple(method_words(result, method)))
        if method.tries_changes and method.step.changes:
            yield _changes(method)
    yield _axes(result.job)
    yield _assumptions(result)


def _lines(rows: list[TrainRow], *, with_cost: bool) -> Table:
    columns = ["method", "step", "compute", "exposed", *KINDS, "used", "MFU", "tokens a day",
               "crossing", *["cost of a step"] * with_cost, "binding"]  # fmt: skip
    told = [
        [
            row.method,
            *map(format_time, (row.time_s, row.compute_s, row.exposed_s)),
            *(format_time(getattr(row, f"{kind}_s")) for kind in KINDS),
            share(row.utilisation),
            "-" if row.mfu is None else share(row.mfu),
            engineering(row.tokens_per_day),
            format_bytes(row.crossing_bytes),
            *[f"{row.cost_per_step or 0:,.2f}"] * with_cost,
            row.binding or "compute",
        ]
        for row in rows
    ]
    return table(
        "A step by each method",
        columns,
        told,
        texts=("method", "binding"),
        note="Exposed: the part of a step that is not compute; trunk, site, node and rank add up "
        "to it. Used: compute over step. Crossing: over all trunks, both directions.",
    )


def _bar(row: TrainRow) -> Figure:
    """Return compute and the causes of waiting side by side, those that are above 0."""
    values = dict(zip(COLORS, split_ps(row), strict=True))
    drawn = {name: ps for name, ps in values.items() if ps > 0}
    permilles = whole_parts([PERMILLE * ps for ps in drawn.values()], sum(drawn.values()))
    parts = [
        Part(NAMES.get(name, name), ps, format_time(ps / PS_PER_S), share(permille / PERMILLE),
             COLORS[name])
        for (name, ps), permille in zip(drawn.items(), permilles, strict=True)
    ]  # fmt: skip
    whole = format_time(row.time_s)
    said = "; ".join(f"{part.name} {part.said}, {part.share}" for part in parts)
    return Figure(
        f"A step by {row.method}",
        share_bar(parts, ("0", whole)),
        f"Of {whole}: {said}.",
        "Waiting is told at the place of the critical path at each moment. The parts add up to "
        "the step.",
    )


def _map(method: TrainedMethod) -> Figure:
    """Return the map of the sites; a trunk is used by the bytes of a step over its time."""
    step = method.step
    topology = step.job.topology
    numbers = {place.name: at for at, place in enumerate(topology.places)}
    trunks, rows = [], []
    for trunk in topology.trunks:
        a, b = trunk.sites
        rate = trunk.link.available_bytes_per_s
        uses = {way: _use(step, way, rate) for way in (f"trunk {a} -> {b}", f"trunk {b} -> {a}")}
        said = "; ".join(f"{way} {share(use)}" for way, use in uses.items())
        trunks.append(MapTrunk((numbers[a], numbers[b]), max(uses.values()), said))
        for way, use in uses.items():
            nbytes = step.trunk_bytes.get(way, 0.0)
            rows.append((way, format_bytes(nbytes), format_rate(rate), share(use)))
    sites = [(site.name, counted(site.ranks, "rank")) for site in topology.sites]
    sites += [(place.name, "no ranks") for place in topology.waypoints]
    positions = positions_of(topology)
    return Figure(
        f"Sites and trunks by {method.name}",
        site_map(sites, positions, trunks),
        f"{len(sites)} sites. {'; '.join(trunk.said for trunk in trunks)}.",
        f"Use: bytes of a step, divided by its time and the rate. {positions.said}",
        table("Both directions of each trunk", ("trunk", "bytes", "rate beside others", "use"),
              rows, texts=("trunk",)),
    )  # fmt: skip


def _use(step: StepReport, way: str, rate_bytes_per_s: float) -> float:
    return step.trunk_bytes.get(way, 0.0) / (rate_bytes_per_s * step.time_s)


def _changes(method: TrainedMethod) -> Table:
    step = method.step
    rows = [
        (each.words, format_time(each.time_s), format_time(each.saves_s),
         share(each.saves_s / step.time_s), method_name(each.job.method))
        for each in step.changes
    ]  # fmt: skip
    return table(
        f"Changes of {method.name}",
        ("change", "step", "saves", "part of the step", "method"),
        rows,
        texts=("change", "method"),
        note="Each is the same job run again with one thing changed. Gains do not add up.",
    )


def _axes(job: Job) -> Table:
    crossings: Mapping[str, str] = job.placement.crossings
    return table(
        "Axes of the mesh",
        ("axis", "ranks", "widest link between neighbours"),
        [(name, f"{size:,}", crossings[name]) for name, size in job.placement.axes.items()],
        texts=("axis", "widest link between neighbours"),
        note=placement_words(job.run()),
    )


def _assumptions(result: TrainResult) -> Assumptions:
    job, document = result.job, result.document
    placed, remarks = of_links(document.tables) if document else ([], [])
    stack = job.stack
    if isinstance(stack, Stack) and stack is not IDEAL:
        placed = [of_stack(stack), *placed]
    placed = [("job", tuple(_of_job(job))), *placed]
    assumed = dict.fromkeys(line for each in result.methods for line in assumed_words(each.step))
    said = [
        f"{train_head(job)}.",
        "A step is a program of all ranks on one virtual clock. The optimizer takes no time, all "
        "ranks compute equally fast, and nothing fails.",
        *assumed,
        f"Random draws have the seed {job.seed}; the step begins at {job.start_s:g} s.",
        *remarks,
    ]
    counts = counted_by_status(placed)
    return Assumptions(
        "Assumptions and sources", tuple([*said, counts] if counts else said), tuple(placed)
    )


def _of_job(job: Job) -> Iterator[Assumption]:
    """Yield the numbers of model and hardware, with their sources."""
    yield _sourced("parameters", f"{job.model_read.parameters:,}", source_of(job.model_read.name))
    hardware = job.hardware_read
    if job.compute_s is not None:
        yield Assumption("compute of a step", format_time(job.compute_s), GIVEN, "")
    elif isinstance(hardware, Hardware):
        peak = f"{hardware.peak(job.precision) / 1e12:g} Tflop/s of {job.precision}"
        yield _sourced(f"peak of {hardware.name}", peak, hardware.source)
        yield Assumption("MFU without waiting", f"{job.mfu:g}", GIVEN, "")
    if job.tokens is not None:
        yield Assumption("tokens of a step", engineering(job.tokens), GIVEN, "")


def _sourced(name: str, value: str, text: str) -> Assumption:
    status, _, source = text.partition(": ")
    return Assumption(name, value, status if source else GIVEN, source)
