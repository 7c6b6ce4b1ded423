"""The page of ``emul perf``: the time of a collective over its size, and the reasons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

from emul.links import EFFECTS
from emul.report.closing import Closing, OneCampus, Overflow
from emul.report.html.assumptions import counted_by_status, of_links, of_stack
from emul.report.html.cells import microseconds
from emul.report.html.effects import effects_figure
from emul.report.html.page import Assumptions, Figure, Origin, Page, Section, Table, Words, table
from emul.report.html.perf_pictures import binding_figure, map_figure, sizes_figure
from emul.report.perf_row import PerfRow
from emul.report.table import pieces
from emul.report.words import closing_words, overflow_sentence, sentences, wire_sentence
from emul.runtime.alternatives import Alternative
from emul.runtime.prediction import Prediction
from emul.stacks import IDEAL
from emul.topology import Document, Topology
from emul.units import counted, format_bytes, format_factor, format_time, times_as_long
from emul.world import World

__all__ = ["PerfFindings", "perf_page"]

TWICE = 2
"""A change is said in per cent of the time below this, and beyond as how many times as fast."""

WORTH_SAYING = 0.01
"""The least part of the time that a change in the answer brings, and by which changes differ."""

LITTLE = 1e-4
"""Changes of a smaller part are not told apart."""

NO_DIFFERENCE = 1e-6
"""A time that changes by less than this part is the same, but for rounding."""


@dataclass(frozen=True, slots=True)
class PerfFindings:
    """The findings of a sweep: ``rows`` by size, one at least, and ``prediction`` of the last.

    ``closing``: the conclusions about the last row, None of a sweep that was interrupted.
    ``changes``: the same with one thing changed. ``document``: the file of the topology, for the
    sources of its numbers; None for a topology that was made by a program. ``overflow``:
    whole numbers that their type cannot hold, None where none are added up or multiplied.
    """

    world: World
    rows: Sequence[PerfRow]
    prediction: Prediction
    closing: Closing | None = None
    changes: Sequence[Alternative] = ()
    document: Document | None = None
    overflow: Overflow | None = None


def perf_page(findings: PerfFindings, origin: Origin, *, interrupted: str = "") -> Page:
    """Return the page of a sweep.

    >>> import numpy as np
    >>> from emul import World
    >>> from emul.report import perf_row
    >>> world = World("three-campus")
    >>> run = world.all_reduce(np.ones((world.size, 1 << 20), np.float32))
    >>> row = perf_row(world, [run], redop="sum", root=0, seed=0, wrong=None)
    >>> made = Origin("a program", {}, "today")
    >>> perf_page(PerfFindings(world, [row], run.prediction), made).question
    'How long does all_reduce of 4 MiB take over 24 ranks at 3 sites (three-campus), and why?'
    """
    return Page(
        _question(findings), _answer(findings), tuple(_sections(findings)), origin, interrupted
    )


def _question(findings: PerfFindings) -> str:
    topology, rows = findings.world.topology, findings.rows
    sizes = format_bytes(rows[0].size_bytes)
    if len(rows) > 1:
        sizes = f"{sizes} to {format_bytes(rows[-1].size_bytes)}"
    ranks, sites = counted(topology.world_size, "rank"), counted(len(topology.sites), "site")
    return (
        f"How long does {rows[0].collective} of {sizes} take over {ranks} at {sites} "
        f"({topology.name}), and why?"
    )


def _answer(findings: PerfFindings) -> str:
    """Return the answer for the last size, in one sentence."""
    here, wrong = findings.prediction, sum(row.wrong or 0 for row in findings.rows)
    said = f"{format_time(here.time_s)} for {format_bytes(here.nbytes)} by {here.algorithm}"
    alone = _elsewhere(findings)
    if alone is not None:
        said += f", {times_as_long(alone.times)} as at one campus"
    path = here.critical_path
    if path.segments:
        place = path.binding_place
        said += f"; {format_time(path.spent_s(place))} of it are spent at {place}"
    if here.below_bound:
        said += ", which is below its bound, by a defect of emul: do not trust it"
    said += _best_change(findings)
    if wrong:
        said += f"; {wrong} elements were wrong"
    return f"{said}."


def _best_change(findings: PerfFindings) -> str:
    """Return, as the end of a sentence, the change that somebody can make and that brings most.

    Of changes that bring alike it is the first that was tried, which changes least.
    """
    now = findings.prediction.time_s
    possible = [
        (each.prediction.time_s, each.change)
        for each in findings.changes
        if each.effect is None and each.prediction is not None
    ]
    best = min((seconds for seconds, _ in possible), default=now)
    if best >= now * (1 - WORTH_SAYING):
        return ""
    seconds, change = next(each for each in possible if each[0] <= best + WORTH_SAYING * now)
    return f"; with {change} it would take {format_time(seconds)}"


def _elsewhere(findings: PerfFindings) -> OneCampus | None:
    """Return the time at one site; None where that is not known, or is that of today."""
    closing = findings.closing
    alone = closing.one_campus if closing else None
    return None if alone is None or alone.already or not alone.modelled_s else alone


def _sections(findings: PerfFindings) -> Iterator[Section]:
    here = findings.prediction
    yield from _figures(findings)
    if findings.changes:
        yield _changes(findings)
    if here.considered:
        yield _algorithms(here)
    yield _sizes(findings)
    closing = findings.closing
    words = sentences(closing) if closing else closing_words(findings.world, here, None)
    if findings.overflow is not None:
        words = [*words, overflow_sentence(findings.overflow)]
    if findings.rows[-1].wire is not None:
        words = [*words, wire_sentence(findings.rows[-1])]
    yield Words(f"In words, at {format_bytes(here.nbytes)}", tuple(words))
    yield _assumptions(findings)


def _figures(findings: PerfFindings) -> Iterator[Figure | Words]:
    here = findings.prediction
    if len(findings.world.topology.sites) > 1:
        yield map_figure(here)
    if not here.total_ps:
        yield Words("No time is modelled", ("Nothing is sent, so there is nothing to draw.",))
        return
    yield sizes_figure(findings.rows)
    yield effects_figure(here)
    yield binding_figure(here)


def _changes(findings: PerfFindings) -> Table:
    """Return each change with its time; the one that brings most comes first."""
    here = findings.prediction
    timed = [
        (then.time_s, each.change, then.algorithm, then.binding)
        for each in findings.changes
        if (then := each.prediction) is not None
    ]
    alone = _elsewhere(findings)
    if alone is not None:
        timed.append((alone.modelled_s, "all ranks at one site", alone.algorithm, "-"))
    rows = [
        (change, microseconds(seconds), _gain(here.time_s, seconds), algorithm, binding)
        for seconds, change, algorithm, binding in sorted(timed, key=lambda each: each[0])
    ]
    rows += [
        (each.change, "-", f"not timed: {each.refusal}", "-", "-")
        for each in findings.changes
        if each.prediction is None
    ]
    note = (
        f"Each was predicted anew, alone, at {format_bytes(here.nbytes)}, beside the "
        f"{microseconds(here.time_s)} us of today; their gains do not add up."
    )
    columns = ("change", "time (us)", "brings", "algorithm", "binding")
    return table(
        "What a change would bring", columns, rows, note=note,
        texts=("change", "brings", "algorithm", "binding"),
    )  # fmt: skip


def _gain(here_s: float, then_s: float) -> str:
    if abs(here_s - then_s) <= NO_DIFFERENCE * here_s:
        return "nothing"
    if not then_s:
        return "no time at all"
    ratio = here_s / then_s
    if ratio >= TWICE:
        return f"{format_factor(ratio)} times as fast"
    if abs(ratio - 1) < LITTLE:
        return f"less than {LITTLE:.2%}"
    return f"{100 * abs(1 - 1 / ratio):.3g}% {'less' if ratio > 1 else 'more'} time"


def _algorithms(here: Prediction) -> Table:
    """Return the algorithms that ``auto`` looked at, the quickest first."""
    rows = [
        (name, microseconds(seconds), _beside(here, name, seconds))
        for name, seconds in sorted(here.considered.items(), key=lambda each: (each[1], each[0]))
    ]
    for name, seconds in sorted(here.ruled_out.items(), key=lambda each: (each[1], each[0])):
        least = f"at least {microseconds(seconds)}" if seconds < inf else "dead by an outage"
        rows.append((name, least, "not timed: it cannot win"))
    rows += [(name, "-", f"not timed: {why}") for name, why in here.passed_over.items()
             if here.ruled_out.get(name) is None]  # fmt: skip
    return table(
        f"Algorithms at {format_bytes(here.nbytes)}",
        ("algorithm", "time (us)", "beside the choice"),
        rows,
        texts=("algorithm", "beside the choice"),
    )


def _beside(here: Prediction, name: str, seconds: float) -> str:
    """Return how many times as long an algorithm takes as the one that was chosen."""
    if name == here.algorithm or not here.total_ps:
        return "the choice"
    ratio = seconds / here.time_s
    return (
        f"{ratio:.3f} times as long" if ratio < TWICE else f"{format_factor(ratio)} times as long"
    )


def _sizes(findings: PerfFindings) -> Table:
    """Return the line of each size; measured figures only where a clock was waited for."""
    measured = any(row.lag_s is not None for row in findings.rows)
    checked = any(row.wrong is not None for row in findings.rows)
    columns = ["size (B)", "modelled (us)", "bound (us)", "times the bound", "busbw (GB/s)",
               "between sites (B)", "slowest trunk (GB/s)", "binding", "algorithm"]  # fmt: skip
    columns += ["measured (us)", "lag (us)"] * measured + ["#wrong"] * checked
    rows = [_size(row, measured, checked) for row in findings.rows]
    first = findings.rows[0]
    note = "Modelled: by the links. Bound: no algorithm is faster on these links."
    if measured and first.dilation != 1:
        note += f" Measured = {first.dilation:g} x modelled + lag."
    elif measured:
        note += " Measured = modelled + lag."
    return table("All sizes", columns, rows, texts=("binding", "algorithm"), note=note)


def _size(row: PerfRow, measured: bool, checked: bool) -> list[str]:
    cells = [
        f"{row.size_bytes:,}",
        microseconds(row.modelled_s),
        microseconds(row.bound_s),
        _figure(row.times_bound),
        _figure(row.busbw_GBps),
        f"{row.cross_site_bytes:,}",
        _figure(row.slowest_trunk_GBps),
        row.binding,
        row.algorithm,
    ]
    if measured:
        cells += [microseconds(row.wall_s), microseconds(row.lag_s)]
    return cells + ([_figure(row.wrong)] if checked else [])


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _assumptions(findings: PerfFindings) -> Assumptions:
    world, document = findings.world, findings.document
    placed, remarks_on_links = of_links(document.tables) if document else ([], [])
    if world.stack is not IDEAL:
        placed = [of_stack(world.stack), *placed]
    remarks = [
        "The time is modelled: a transfer takes the port of its sender, the trunk and the port of "
        "its receiver, and arithmetic takes no time.",
        _settings(findings),
        *_switched_off(world, document),
        *remarks_on_links,
    ]
    if document is None:
        remarks.append("The topology was made by a program, so no sources of its numbers are told.")
    counted = counted_by_status(placed)
    return Assumptions(
        "Assumptions and sources", tuple([*remarks, counted] if counted else remarks), tuple(placed)
    )


def _settings(findings: PerfFindings) -> str:
    """Return the settings on which the times depend beside the links."""
    row, world = findings.rows[-1], findings.world
    sent = f"in {pieces(world.slicing)}"
    if world.stack is not IDEAL:
        sent = f"as {findings.prediction.stack.name} sends them"
    chosen = (
        "; the algorithm is the quickest by the model" if findings.prediction.considered else ""
    )
    return (
        f"Data go {sent}; random draws have the seed {row.seed}; calls begin at {row.start_s:g} s"
        f"{chosen}; the clock is {row.clock}."
    )


def _switched_off(world: World, document: Document | None) -> Iterator[str]:
    """Yield the effects that the file has and the run left out."""
    if document is None:
        return
    there, used = document.topology, world.topology
    off = [
        effect
        for effect in EFFECTS
        if _links(there.without([effect])) != _links(there)
        and _links(used.without([effect])) == _links(used)
    ]
    if off:
        yield f"Left out, though the links below have it: {', '.join(off)}."


def _links(topology: Topology) -> tuple[object, object]:
    """Return sites and trunks, without the name, which tells what was left out."""
    return topology.places, (*topology.trunks, *topology.conduits)
