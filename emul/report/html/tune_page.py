"""The page of ``emul tune``: which settings and upgrades would make a collective quicker."""

from __future__ import annotations

from collections.abc import Iterator

from emul.drawing.scales import even_ticks
from emul.insight import Tuning
from emul.insight.cases import settings_words
from emul.report.html.assumptions import counted_by_status, of_links, of_stack
from emul.report.html.chart import ChartAxis, Series, chart
from emul.report.html.page import Assumptions, Figure, Origin, Page, Section, Words, table
from emul.report.html.time_bars import TimeBar, time_bars
from emul.report.tuning import TuneResult, shown_tables
from emul.stacks import IDEAL
from emul.units import counted, format_time

__all__ = ["tune_page"]

MOST_BARS = 5
"""Of upgrades, and of pairs."""


def tune_page(result: TuneResult, origin: Origin) -> Page:
    """Return the page of a search; its answer is the settings, and the upgrade that saves most."""
    words = result.tuning.words()
    done = counted(len(result.tuning.cases), "case")
    cut = f"Interrupted after {done}: the others are missing." if result.interrupted else ""
    answer = [
        _without_label(line) for line in words if line.startswith(("Settings: ", "Upgrade: "))
    ]
    return Page(
        _question(result),
        " ".join(answer or [_without_label(words[0])]),
        tuple(_sections(result, words)),
        origin,
        cut,
    )


def _question(result: TuneResult) -> str:
    topology = result.world.topology
    ranks, sites = counted(topology.world_size, "rank"), counted(len(topology.sites), "site")
    return (
        f"Which change would make {result.tuning.subject} quicker over {ranks} at {sites} "
        f"({topology.name})?"
    )


def _without_label(sentence: str) -> str:
    """Return a sentence of the words without the word before its colon."""
    _, _, said = sentence.partition(": ")
    return said


def _sections(result: TuneResult, words: list[str]) -> Iterator[Section]:
    tuning = result.tuning
    if tuning.best.time_s:
        yield _times(tuning)
    if tuning.costs_known and len(tuning.frontier) > 1:
        yield _against_money(tuning)
    for each in shown_tables(tuning):
        first, *_, last = each.columns
        yield table(
            each.title,
            each.columns,
            each.rows,
            texts=(first, last),
            note="Saved: less than the best settings take on the links as they are. Each case is "
            "solved again, with the best settings that were found on its own links.",
        )
    yield table(
        "Settings",
        ("case", "time", "settings"),
        [
            (each.name, format_time(each.time_s), settings_words(each.settings, {}))
            for each in (tuning.today, tuning.best)
            if each.time_s is not None
        ],
        texts=("case", "settings"),
    )
    yield Words("In words", tuple(words))
    yield _assumptions(result)


def _times(tuning: Tuning) -> Figure:
    """Return the times of today, of the best settings, and of the best upgrades and pairs."""
    upgrades, pairs = (
        [each for each in tuning.of_kind(kind) if tuning.worth_telling(each)][:MOST_BARS]
        for kind in ("upgrade", "pair")
    )
    bars = [
        TimeBar(each.name, each.time_s or 0.0, color)
        for color, cases in ((7, [tuning.today]), (1, [tuning.best]), (3, upgrades), (4, pairs))
        for each in cases
    ]
    said = "; ".join(f"{bar.name} {format_time(bar.seconds)}" for bar in bars)
    return Figure(
        "Times",
        time_bars(bars),
        f"{said}.",
        "The time as it is, with the best settings on the same links, with the best single "
        "upgrades, and with the best two together.",
    )


def _against_money(tuning: Tuning) -> Figure:
    """Return the frontier as a curve, among all cases with a known cost."""
    points = tuple((each.cost_per_month or 0.0, each.time_s or 0.0) for each in tuning.frontier)
    others = tuple(
        (each.cost_per_month, each.time_s)
        for each in tuning.cases
        if each.cost_per_month is not None and each.time_s is not None
    )
    first, last = tuning.frontier[0], tuning.frontier[-1]
    return Figure(
        "Time against money",
        chart(
            ChartAxis("a month", tuning.money, even_ticks, is_log=False),
            ChartAxis("time", _seconds, even_ticks, is_log=False),
            [Series("all cases", others, "dots", 4), Series("the frontier", points, "curve", 1)],
        ),
        f"From {format_time(first.time_s or 0.0)} for nothing to "
        f"{format_time(last.time_s or 0.0)} for {tuning.money(last.cost_per_month)} a month.",
        "Of cases above and to the right of the curve, another one is quicker for as little money.",
    )


def _seconds(seconds: float) -> str:
    return format_time(seconds) if seconds else "0"


def _assumptions(result: TuneResult) -> Assumptions:
    world, document = result.world, result.document
    placed, remarks = of_links(document.tables) if document else ([], [])
    if world.stack is not IDEAL:
        placed = [of_stack(world.stack), *placed]
    said = [
        "Times are modelled: a transfer takes the port of its sender, the trunk and the port of "
        "its receiver, and arithmetic takes no time.",
        "Others keep their part of a rate that is raised. A new trunk is like the slowest one at "
        "either of its ends, and as long as the path of today.",
        f"Random draws have the seed {world.seed}; calls begin at {world.start_s:g} s.",
        *remarks,
    ]
    counts = counted_by_status(placed)
    return Assumptions(
        "Assumptions and sources", tuple([*said, counts] if counts else said), tuple(placed)
    )
