"""A search over settings and upgrades: tables of its cases, and the words below."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from emul.insight import Case, Tuning
from emul.insight.cases import PER_MONEY
from emul.insight.upgrades import Change
from emul.plans import Plan
from emul.report.documents import document
from emul.report.text_table import TextTable
from emul.topology import Document
from emul.units import counted
from emul.world import World

__all__ = [
    "ShownTable",
    "TuneContents",
    "TuneResult",
    "TunedCase",
    "shown_tables",
    "tune_document",
    "tune_head",
    "tune_rows",
    "tune_tables",
]

MOST_PAIRS_SHOWN = 8
"""Of a table; the JSON has all."""


@dataclass(frozen=True, slots=True)
class TunedCase:
    """One case: a line of a table, an object of the JSON.

    ``kind``: ``today``, the links and the settings as they are; ``settings``, the best settings on
    the same links; ``upgrade``, or ``pair`` of two. ``changes``: in numbers; ``name``: in words.
    ``modelled_s``: of all sizes together; null where nothing could be timed, for the reason
    ``refusal``. ``saves_s``: less than the best settings on the same links take, and ``saves`` as a
    part of that time; null for ``today``. ``cost_per_month``: null where it is not known.
    ``saves_s_per_1000``: for each 1000 a month. ``on_frontier``: no other case is quicker for as
    little. ``binds``: the place where most of the time passes then. ``limit``: the constraint of
    which the bound is the time then, in words. ``times_s``, ``bounds_s``: of each size. ``tried``:
    how many settings were timed.
    """

    kind: str
    name: str
    changes: Sequence[Change]
    modelled_s: float | None
    saves_s: float | None
    saves: float | None
    cost_per_month: float | None
    saves_s_per_1000: float | None
    on_frontier: bool
    binds: str
    limit: str
    settings: Mapping[str, str | int]
    times_s: Sequence[float]
    bounds_s: Sequence[float]
    tried: int
    refusal: str


@dataclass(frozen=True, slots=True)
class TuneContents:
    """The cases of a search over settings and upgrades, in the order in which they were solved.

    ``sizes_bytes``: of the whole vector; times are sums over them. ``root``: -1 where there is
    none. ``currency``: of the costs. ``pairs_left_out``: pairs of upgrades that were not solved.
    ``words``: all in sentences.
    """

    SCHEMA: ClassVar[str] = "emul-tune-1"

    collective: str
    topology: str
    description: str
    world_size: int
    stack: str
    dtype: str
    root: int
    seed: int
    start_s: float
    sizes_bytes: Sequence[int]
    currency: str
    rows: Sequence[TunedCase]
    pairs_left_out: int
    words: Sequence[str]


@dataclass(frozen=True, slots=True)
class TuneResult:
    """The cases of a search, or those before it was ``interrupted``.

    ``root``: -1 where the collective has none. ``best_plan``: returns the plan of the last size
    with the best settings. ``command``: the words of the command line. ``document``: the topology
    with the tables of its links and the costs; ``topology_source``: the name by which it was read.
    ``within_budget``: whether all cases are within a budget.
    """

    world: World
    collective: str
    dtype: str
    root: int
    sizes_bytes: Sequence[int]
    tuning: Tuning
    best_plan: Callable[[], Plan]
    command: Sequence[str] = ()
    document: Document | None = None
    topology_source: str = ""
    within_budget: bool = False
    interrupted: bool = False

    @property
    def chosen(self) -> Case | None:
        """The upgrade that the search speaks for."""
        return self.tuning.chosen(within_budget=self.within_budget)


def tune_document(version: str, result: TuneResult) -> dict[str, Any]:
    """Return the JSON of ``emul tune``."""
    world, tuning = result.world, result.tuning
    contents = TuneContents(
        collective=result.collective,
        topology=world.topology.name,
        description=world.topology.description,
        world_size=world.size,
        stack=world.stack.name,
        dtype=result.dtype,
        root=result.root,
        seed=world.seed,
        start_s=world.start_s,
        sizes_bytes=result.sizes_bytes,
        currency=tuning.currency,
        rows=tune_rows(result),
        pairs_left_out=tuning.pairs_left_out,
        words=tuning.words(),
    )
    return document(version, contents, interrupted=result.interrupted)


def tune_rows(result: TuneResult) -> list[TunedCase]:
    """Return the cases in the order in which they were solved."""
    tuning = result.tuning
    best_s, on_it = tuning.best.time_s, tuning.frontier
    return [
        TunedCase(
            kind=each.kind,
            name=each.name,
            changes=each.changes,
            modelled_s=each.time_s,
            saves_s=each.saves_s,
            saves=each.saves_s / best_s if best_s and each.saves_s is not None else None,
            cost_per_month=each.cost_per_month,
            saves_s_per_1000=each.saved_per_1000,
            on_frontier=each in on_it,
            binds=each.binds,
            limit=each.limit,
            settings=each.settings,
            times_s=each.times_s,
            bounds_s=each.bounds_s,
            tried=each.tried,
            refusal=each.refusal,
        )
        for each in tuning.cases
    ]


def tune_head(world: World, dtype: str, subject: str) -> str:
    """Return the line above the tables."""
    topology = world.topology
    said = f" ({topology.description})" if topology.description.startswith("assumed") else ""
    stack = "" if world.stack.name == "ideal" else f", stack {world.stack.told}"
    return (
        f"{subject} of {dtype} over {counted(world.size, 'rank')} of {topology.name}{said}{stack}; "
        "times are modelled, each with the best settings that were found"
    )


@dataclass(frozen=True, slots=True)
class ShownTable:
    """Cases as a table of text: the first and the last column are words, the others numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def tune_tables(tuning: Tuning) -> list[tuple[str, TextTable]]:
    """Return the tables of ``shown_tables`` for a terminal, with their titles."""
    found = []
    for each in shown_tables(tuning):
        first, *numbers, last = each.columns
        table = TextTable(
            *each.columns, right=numbers, prose=[first, last], give_way=[last, numbers[0]]
        )
        for row in each.rows:
            table.row(*row)
        found.append((each.title, table))
    return found


def shown_tables(tuning: Tuning) -> list[ShownTable]:
    """Return upgrades, pairs and the frontier, those that are there.

    Of pairs the best, and of all those that save less than a hundredth none.
    """
    found = []
    upgrades, pairs = ([each for each in tuning.of_kind(kind) if tuning.worth_telling(each)]
                       for kind in ("upgrade", "pair"))  # fmt: skip
    if upgrades:
        found.append(_shown("One upgrade", tuning, upgrades))
    if pairs:
        title = "Two upgrades"
        if len(pairs) > MOST_PAIRS_SHOWN:
            title += f": the best {MOST_PAIRS_SHOWN} of {len(pairs)}"
        found.append(_shown(title, tuning, pairs[:MOST_PAIRS_SHOWN]))
    on_it = _apart(tuning)
    if tuning.costs_known and len(on_it) > 1:
        found.append(_shown("The frontier: nothing is quicker for as little", tuning, on_it))
    return found


def _apart(tuning: Tuning) -> list[Case]:
    """Return the points of the frontier that save a hundredth more than the one before them."""
    apart: list[Case] = []
    for each in tuning.frontier:
        if not apart or tuning.is_much(each.saved_s - apart[-1].saved_s):
            apart.append(each)
    return apart


def _shown(title: str, tuning: Tuning, cases: Sequence[Case]) -> ShownTable:
    money = tuning.costs_known
    columns = ["change", "time (us)", "saves (us)", "saves (%)"]
    if money:
        columns += ["a month", f"per {PER_MONEY} (us)"]
    best_s = tuning.best.time_s or 0.0
    rows = []
    for each in cases:
        part = f"{100 * each.saved_s / best_s:.1f}" if best_s else ""
        cells = [each.name, _micro(each.time_s), _micro(each.saves_s), part]
        if money:
            cells += [tuning.money(each.cost_per_month), _micro(each.saved_per_1000)]
        rows.append([*cells, each.binds])
    return ShownTable(title, [*columns, "then binds"], rows)


def _micro(seconds: float | None) -> str:
    """Return seconds in microseconds; a dash where they are not known."""
    return "-" if seconds is None else f"{seconds * 1e6:.2f}"
