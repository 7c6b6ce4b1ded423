"""The search over settings and upgrades: each upgrade, and every two, solved again.

No time is extrapolated: every case is the best settings that are found on the changed topology,
which start from those of the links as they are and from those that are chosen anew.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from emul.errors import ArgumentError, EmulError
from emul.insight.case_log import CaseLog
from emul.insight.cases import Case, Kind
from emul.insight.search import Advance, Problem, Solution, best_settings
from emul.insight.upgrades import KINDS, Change, Upgrade, pairs_of, upgrades_of
from emul.reading.checks import finite, flag
from emul.topology import Topology
from emul.topology.costs import Costs

__all__ = ["MOST_PAIRS", "TODAY", "Extent", "tuned"]

TODAY, SETTINGS = "as it is", "best settings"
"""The names of the two cases without an upgrade."""

MOST_PAIRS = 300
"""Pairs of upgrades that are solved; of more, those of the upgrades that save most alone."""


@dataclass(frozen=True, slots=True)
class Extent:
    """The extent of a search: kinds of ``upgrades``, whether ``pairs`` of them, their ``costs``.

    ``budget_per_month``: see ``tuned``. ``state``: the path of a file that keeps each case at once.
    Raises ArgumentError for a flag that is none, and a budget below 0.
    """

    upgrades: Collection[str] = KINDS
    pairs: bool = True
    costs: Costs | None = None
    budget_per_month: float | None = None
    state: Path | None = None

    def __post_init__(self) -> None:
        """Check the flag and the budget."""
        flag(self.pairs, "pairs")
        if self.budget_per_month is not None:
            finite(self.budget_per_month, "budget_per_month", "money, 0 or more", least=0)

    @property
    def currency(self) -> str:
        """The currency of the costs, empty where it is not said."""
        return "" if self.costs is None else self.costs.currency

    def cases(
        self,
        problem: Problem,
        topology: Topology,
        digest: Callable[[], str],
        advance: Advance | None = None,
    ) -> Iterator[tuple[Case, int]]:
        """Yield the cases of ``problem`` as ``tuned`` does; ``digest``: of all inputs."""
        return tuned(
            problem,
            topology,
            upgrades_of(topology, self.costs, self.upgrades),
            log=CaseLog(self.state, "" if self.state is None else digest()),
            pairs=self.pairs,
            budget_per_month=self.budget_per_month,
            advance=advance,
        )


def tuned(
    problem: Problem,
    topology: Topology,
    upgrades: Sequence[Upgrade],
    *,
    log: CaseLog,
    pairs: bool = True,
    budget_per_month: float | None = None,
    advance: Advance | None = None,
) -> Iterator[tuple[Case, int]]:
    """Yield each case when it is done, and the number of pairs that are left out.

    First as it is, then the best settings, then each of ``upgrades`` (of ``topology``) and every
    two. Those beyond ``budget_per_month``, or without a known cost where there is a budget, are
    left out. Cases of ``log`` are not solved again; it gets those that are. Raises EmulError where
    the links as they are cannot be timed.
    """
    say = advance or (lambda _: None)
    run = _Run(problem, log, say)
    yield run.today(topology), 0
    best = run.best(topology)
    yield best, 0
    allowed = [each for each in upgrades if _within(each, budget_per_month)]
    for number, each in enumerate(allowed, start=1):
        run.at = f"upgrade {number} of {len(allowed)}"
        yield run.upgraded("upgrade", each), 0
    if not pairs:
        return
    both = [each for each in pairs_of(topology, allowed) if _within(each, budget_per_month)]
    chosen = sorted(both, key=run.saved_alone)[:MOST_PAIRS]
    for number, each in enumerate(chosen, start=1):
        run.at = f"pair {number} of {len(chosen)}"
        yield run.upgraded("pair", each), len(both) - len(chosen)


def _within(upgrade: Upgrade, budget_per_month: float | None) -> bool:
    cost = upgrade.cost_per_month
    return budget_per_month is None or (cost is not None and cost <= budget_per_month)


class _Run:
    """The cases so far, as far as later ones go by them."""

    def __init__(self, problem: Problem, log: CaseLog, advance: Callable[[str], None]) -> None:
        self.problem, self.log, self.advance = problem, log, advance
        self.at = ""
        self.base: Case | None = None
        self.saved: dict[str, float] = {}

    def today(self, topology: Topology) -> Case:
        """Return the case of the first settings to start from."""

        def solved() -> Solution:
            first = next(iter(self.problem.starts(topology)))
            return Solution(first, self.problem.timed(topology, first), 1)

        self.at = TODAY
        return self._case("today", TODAY, Upgrade((), topology, 0.0), solved)

    def best(self, topology: Topology) -> Case:
        """Return the case of the best settings on the same links."""
        self.at = SETTINGS
        self.base = self._case(
            "settings",
            SETTINGS,
            Upgrade((), topology, 0.0),
            lambda: best_settings(self.problem, topology, advance=self._tell),
        )
        return self.base

    def upgraded(self, kind: Kind, upgrade: Upgrade) -> Case:
        """Return the case of an upgrade, also where it cannot be timed."""
        assert self.base is not None
        settings, name = self.base.settings, upgrade.words
        also = [settings, *self.problem.kept(settings)]
        try:
            found = self._case(
                kind,
                name,
                upgrade,
                lambda: best_settings(self.problem, upgrade.topology, also, self._tell),
            )
        except EmulError as error:
            cost, why = upgrade.cost_per_month, str(error)
            found = Case(kind, name, upgrade.changes, None, None, cost, {}, "", "", (), (), 0, why)
            self._keep(found)
        self.saved[name] = found.saved_s
        return found

    def saved_alone(self, both: Upgrade) -> float:
        """Return minus the seconds that the parts of a pair save alone, in all."""
        return -sum(self.saved[each.words] for each in both.changes)

    def _tell(self, doing: str) -> None:
        self.advance(f"{self.at}: {doing}")

    def _case(self, kind: Kind, name: str, upgrade: Upgrade, solve: Callable[[], Solution]) -> Case:
        """Return a case from the log, or solve it and put it there."""
        known = self.log.known(name)
        if known is not None:
            return _read(known, upgrade.cost_per_month)
        self.advance(self.at)
        solution = solve()
        facts = self.problem.facts(upgrade.topology, solution.settings)
        saves_s = None if kind == "today" else 0.0
        if self.base is not None and self.base.time_s is not None:
            saves_s = self.base.time_s - solution.time_s
        found = Case(
            kind,
            name,
            upgrade.changes,
            solution.time_s,
            saves_s,
            upgrade.cost_per_month,
            dict(solution.settings),
            facts.binds,
            facts.limit,
            facts.times_s,
            facts.bounds_s,
            solution.tried,
        )
        self._keep(found)
        return found

    def _keep(self, case: Case) -> None:
        record = asdict(case)
        del record["cost_per_month"]  # other costs are no other cases
        self.log.add(case.name, record)


def _read(record: Mapping[str, Any], cost_per_month: float | None) -> Case:
    """Return the case of a record of the log. Raises ArgumentError."""
    try:
        changes = tuple(
            Change(each["kind"], tuple(each["place"]), each["by"], tuple(each["like"]))
            for each in record["changes"]
        )
        own = {name: tuple(record[name]) for name in ("times_s", "bounds_s")}
        return Case(**{**record, **own, "changes": changes, "cost_per_month": cost_per_month})
    except (KeyError, TypeError) as error:
        raise ArgumentError(
            f"case {record.get('name')!r} of the file of cases cannot be read: needed one that "
            "emul tune wrote"
        ) from error
