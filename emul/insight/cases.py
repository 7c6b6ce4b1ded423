"""The cases of a search: topologies with and without upgrades, and the best found on each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from emul.errors import listed
from emul.insight.frontier import frontier
from emul.insight.upgrades import Change
from emul.reading.brief import brief, one_line
from emul.units import counted, format_time

__all__ = ["WORTH_TELLING", "Case", "Kind", "Tuning", "settings_words"]

Kind = Literal["today", "settings", "upgrade", "pair"]

WORTH_TELLING = 0.01
"""Of the time: less is left out of the words."""

NAMED = 3
"""Cases of a kind that the words name."""

PER_MONEY = 1000
"""The amount a month for which a gain is told."""


@dataclass(frozen=True, slots=True)
class Case:
    """A topology with or without upgrades, and the best that was found on it.

    ``kind``: ``today``, with the settings of today; ``settings``, the best ones on the same links;
    ``upgrade`` or ``pair``. ``name``: the ``changes`` in words. ``time_s``: modelled seconds, None
    where nothing could be timed, for the reason ``refusal``. ``saves_s``: less than the best
    settings take on the links as they are; None for ``today``, and where nothing could be timed.
    ``cost_per_month``: of the upgrades, None where it is not known. ``binds``: the place where most
    of the time passes then. ``limit``: the constraint of which the bound is the time then, in
    words. ``times_s``, ``bounds_s``: of each size. ``tried``: settings.
    """

    kind: Kind
    name: str
    changes: tuple[Change, ...]
    time_s: float | None
    saves_s: float | None
    cost_per_month: float | None
    settings: Mapping[str, str | int]
    binds: str
    limit: str
    times_s: tuple[float, ...]
    bounds_s: tuple[float, ...]
    tried: int
    refusal: str = ""

    __repr__ = brief

    @property
    def saved_s(self) -> float:
        """The seconds that it saves; 0 where they are not known."""
        return self.saves_s or 0.0

    @property
    def saved_per_1000(self) -> float | None:
        """The seconds that 1000 a month save; None without a cost, or where it costs nothing."""
        cost = self.cost_per_month
        return PER_MONEY * self.saved_s / cost if cost else None


@dataclass(frozen=True, slots=True)
class Tuning:
    """All cases of a search that are done, in the order in which they were.

    ``subject``: the matter that is tuned, in words. ``pairs_left_out``: how many pairs of upgrades
    were not solved, as they are too many. ``searched``: sentences about the settings that were
    searched. ``currency``: of the costs, empty where it is not said.
    """

    subject: str
    cases: tuple[Case, ...]
    pairs_left_out: int = 0
    searched: tuple[str, ...] = ()
    currency: str = ""

    def __repr__(self) -> str:
        """Say in one line the time, and the upgrade that saves most."""
        first = self.of_kind("upgrade")[:1]
        most = "".join(f"; {each.name} saves {format_time(each.saved_s)}" for each in first)
        time = format_time(self.best.time_s or 0.0)
        return one_line(f"<Tuning of {self.subject}: {time} at best{most}>")

    @property
    def today(self) -> Case:
        """The links and the settings as they are."""
        return self.cases[0]

    @property
    def best(self) -> Case:
        """The best settings on the links as they are, as far as the search has come."""
        return next((each for each in self.cases if each.kind == "settings"), self.today)

    def of_kind(self, kind: Kind) -> list[Case]:
        """Return the cases of a kind, those first that save most, of equal ones the cheaper."""
        found = [each for each in self.cases if each.kind == kind]
        return sorted(found, key=lambda each: (-each.saved_s, each.cost_per_month or 0.0))

    def worth_telling(self, case: Case) -> bool:
        """Say whether a case saves a hundredth of the time."""
        return case.saved_s > 0 and self.is_much(case.saved_s)

    @property
    def frontier(self) -> list[Case]:
        """The cases with a known cost that nothing beats in both time and money.

        The first is the best settings, which cost nothing.
        """
        points = [
            (each.cost_per_month, each.time_s, each)
            for each in self.cases
            if each is not self.today
            and each.cost_per_month is not None
            and each.time_s is not None
        ]
        found = frontier([(cost, time_s) for cost, time_s, _ in points])
        return [points[number][2] for number in found]

    @property
    def costs_known(self) -> bool:
        """Whether the cost of any upgrade that costs something is known."""
        return any(each.cost_per_month for each in self.cases)

    def chosen(self, *, within_budget: bool = False) -> Case | None:
        """Return the upgrade, or the two, that the search speaks for; None where none is worth it.

        With ``within_budget``, the one that saves most, for all were within it. Else the one that
        saves most per money, where costs are known, of those that cost something; and where none
        is known, the single upgrade that saves most.
        """
        single, pairs = self.of_kind("upgrade"), self.of_kind("pair")
        worth = [each for each in [*single, *pairs] if self.worth_telling(each)]
        if within_budget:
            return max(worth, key=lambda each: each.saved_s, default=None)
        paid = [each for each in worth if each.saved_per_1000 is not None]
        if paid:
            return max(paid, key=lambda each: each.saved_per_1000 or 0.0)
        return next((each for each in worth if each.kind == "upgrade"), None)

    def words(self) -> list[str]:
        """Return sentences: settings, upgrades, pairs, money, and the extent of the search."""
        if not self.best.time_s:
            return [f"Time: none passes in {self.subject}."]
        return [
            self._settings(),
            *self._upgrades(),
            *self._pairs(),
            *self._money(),
            *self._refused(),
            *self._extent(),
        ]

    def _settings(self) -> str:
        today_s, best_s = self.today.time_s or 0.0, self.best.time_s or 0.0
        if self.best is self.today:
            return f"Settings: {self.subject} takes {format_time(today_s)}; no other was tried."
        if today_s - best_s < WORTH_TELLING * today_s:
            return (
                f"Settings: {self.subject} takes {format_time(today_s)}, and no less than "
                f"{format_time(best_s)} with any of {counted(self.best.tried, 'setting')} tried."
            )
        return (
            f"Settings: {self.subject} takes {format_time(today_s)} as it is, and "
            f"{format_time(best_s)} with {settings_words(self.best.settings, self.today.settings)} "
            f"({self._part(today_s - best_s, today_s)} less)."
        )

    def _upgrades(self) -> Iterator[str]:
        upgrades = self.of_kind("upgrade")
        if not upgrades:
            return
        worth = [each for each in upgrades if self.worth_telling(each)]
        for each in worth[:1]:
            yield f"Upgrade: {each.name} saves {self._saved(each)}{_then(each)}."
        left = [each for each in upgrades if each.time_s is not None and each not in worth]
        slower = [each for each in left if each.saved_s < 0 and self.is_much(-each.saved_s)]
        little = [each.name for each in left if each not in slower]
        if little:
            yield f"Little: less than 1 % is saved by {listed(little)}."
        for each in slower:
            longer = format_time(-each.saved_s)
            yield f"Slower: with {each.name} the best that was found takes {longer} longer."

    def _pairs(self) -> Iterator[str]:
        alone = {each.changes: each.saved_s for each in self.cases if each.kind == "upgrade"}
        for pair in self.of_kind("pair"):
            parts = [alone.get((change,), 0.0) for change in pair.changes]
            if self.worth_telling(pair) and self.is_much(pair.saved_s - max(parts)):
                each = " and ".join(_signed(saved_s) for saved_s in parts)
                yield (
                    f"Two together: {pair.name} save {self._saved(pair)}; alone they save {each}"
                    f"{_then(pair)}."
                )
                return

    def _money(self) -> Iterator[str]:
        if len(self.cases) <= 2:
            return
        if not self.costs_known:
            yield (
                "Money: no cost is known; a table [cost] in the file of the topology, or --cost "
                "FILE, says some."
            )
            return
        each = self.chosen()
        if each is not None and each.saved_per_1000 is not None:
            yield (
                f"Money: most is saved per money by {each.name}: {format_time(each.saved_s)} for "
                f"{self.money(each.cost_per_month)} a month, {format_time(each.saved_per_1000)} "
                f"for each {self.money(PER_MONEY)}."
            )

    def _refused(self) -> Iterator[str]:
        refused = [each for each in self.cases if each.time_s is None]
        for each in refused[:NAMED]:
            yield f"Not timed: {each.name}: {each.refusal}."
        if len(refused) > NAMED:
            yield f"Not timed: {len(refused) - NAMED} more."

    def _extent(self) -> Iterator[str]:
        tried = sum(each.tried for each in self.cases)
        yield (
            f"Extent: {counted(len(self.cases), 'case')}, each solved on its own links, "
            f"{counted(tried, 'time')} worked out."
        )
        yield from self.searched
        if self.pairs_left_out:
            yield (
                f"Not searched: {counted(self.pairs_left_out, 'pair')} of upgrades that save less "
                "alone."
            )

    def money(self, amount: float | None) -> str:
        """Return an amount with its currency; empty where it is not known."""
        if amount is None:
            return ""
        return f"{amount:.2f}".removesuffix(".00") + f" {self.currency}".rstrip()

    def _saved(self, case: Case) -> str:
        best_s = self.best.time_s or 0.0
        return (
            f"{format_time(case.saved_s)} of {format_time(best_s)} "
            f"({self._part(case.saved_s, best_s)})"
        )

    def is_much(self, seconds: float) -> bool:
        """Say whether so many seconds are a hundredth of the time."""
        return seconds >= WORTH_TELLING * (self.best.time_s or 0.0)

    @staticmethod
    def _part(seconds: float, whole_s: float) -> str:
        return f"{100 * seconds / whole_s:.3g} %"


def settings_words(settings: Mapping[str, str | int], than: Mapping[str, str | int]) -> str:
    """Return those of ``settings`` in words that differ from others; empty where none does.

    >>> settings_words({"algorithm": "ring", "slots": 16}, {"algorithm": "ring", "slots": 8})
    'slots 16'
    """
    told = []
    for name, value in settings.items():
        if than.get(name) == value:
            continue
        by_itself = name.startswith("algorithm")
        label = name.removeprefix("algorithm").strip()
        told.append(" ".join(filter(None, [str(value), label])) if by_itself else f"{name} {value}")
    return ", ".join(told)


def _then(case: Case) -> str:
    """Return the next bottleneck in words."""
    if case.limit:
        return f"; then {case.limit}"
    return f"; then most of the time passes at {case.binds}" if case.binds else ""


def _signed(seconds: float) -> str:
    return f"-{format_time(-seconds)}" if seconds < 0 else format_time(seconds)
