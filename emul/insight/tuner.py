"""Tune a collective: its settings, the upgrades of its links, and every two of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from emul.communicator import Communicator
from emul.errors import ArgumentError
from emul.insight.case_log import digest_of
from emul.insight.cases import Case, Tuning
from emul.insight.collective_tuning import IN_BLOCKS, CollectiveProblem
from emul.insight.tuning import Extent
from emul.insight.upgrades import KINDS
from emul.plans import Plan, is_plan_file, is_user_code, plan_xml, user_file
from emul.reading.checks import flag
from emul.runtime.planner import Planner
from emul.runtime.request import AUTO, Algorithm, Request
from emul.topology.costs import Costs
from emul.topology.toml.cost_tables import read_costs
from emul.units import format_bytes

__all__ = ["Search", "plan_of", "tune", "tune_requests", "tuning_of"]


@dataclass(frozen=True, slots=True)
class Search(Extent):
    """The extent of a search: see ``tune``."""

    any_root: bool = False
    any_shares: bool = False

    def __post_init__(self) -> None:
        """Refuse flags that are none, and a budget below 0: ArgumentError."""
        Extent.__post_init__(self)
        flag(self.any_root, "any_root")
        flag(self.any_shares, "any_shares")


def tune(
    world: Communicator,
    collective: str,
    count: Any,
    *more_counts: Any,
    dtype: str = "float32",
    algorithm: Algorithm = "auto",
    root: int = 0,
    shift: int = 1,
    upgrades: Collection[str] = KINDS,
    pairs: bool = True,
    costs: Costs | str | Path | None = None,
    budget_per_month: float | None = None,
    any_root: bool = False,
    any_shares: bool = False,
    state: str | Path | None = None,
) -> Tuning:
    """Return the best settings of a collective, and the gain of each upgrade of its links.

    Every time is modelled with the best settings found on the links of its case, none extrapolated.

    Parameters
    ----------
    world
        A World, or a Group of one, whose ranks carry the collective out.
    collective, count, more_counts, dtype, algorithm, root, shift
        As for ``predict``; of several counts, the time is the sum. Algorithms are searched where
        ``algorithm`` is ``auto`` and the stack ideal; with ``any_root``, also another root; with
        ``any_shares``, also blocks that differ from site to site.
    upgrades, pairs
        Kinds of upgrades, some of emul.insight.upgrades.KINDS; whether two are solved together too.
    costs, budget_per_month
        Money per month of more capacity, or the path of a TOML file that says it. Upgrades that
        cost more than the budget, or have no known cost then, are left out.
    state
        The path of a file that keeps each case at once. Those that are in it are not solved again.

    Raises
    ------
    ArgumentError
        For an unknown upgrade and a ``state`` of other inputs; and all that ``predict`` raises.

    Examples
    --------
    >>> import emul
    >>> found = emul.tune(emul.World("three-campus"), "all_reduce", 1 << 23, upgrades=[])
    >>> found.best.time_s < found.today.time_s
    True

    """
    requests = [
        world.request(collective, each, dtype=dtype, algorithm=algorithm, root=root, shift=shift)
        for each in (count, *more_counts)
    ]
    if isinstance(costs, str | Path):
        costs = read_costs(Path(costs), [each.name for each in world.planner.topology.places])
    path = None if state is None else Path(state)
    search = Search(tuple(upgrades), pairs, costs, budget_per_month, path, any_root, any_shares)
    cases, left_out = zip(*tune_requests(world.planner, requests, search), strict=True)
    return tuning_of(world.planner, requests, search, cases, left_out[-1])


def tuning_of(
    planner: Planner,
    requests: Sequence[Request],
    search: Search,
    cases: Sequence[Case],
    pairs_left_out: int,
) -> Tuning:
    """Return the result of a search whose ``cases`` are done."""
    return Tuning(
        _subject(requests),
        tuple(cases),
        pairs_left_out,
        tuple(_searched(planner, requests, search)),
        search.currency,
    )


def tune_requests(
    planner: Planner,
    requests: Sequence[Request],
    search: Search,
    advance: Callable[[str], None] | None = None,
) -> Iterator[tuple[Case, int]]:
    """Yield the cases of a search as emul.insight.tuning.tuned does. Raises as ``tune`` does."""
    problem = CollectiveProblem(planner, requests, search.any_root, search.any_shares)
    digest = partial(_digest, planner, requests, search)
    return search.cases(problem, planner.topology, digest, advance)


def plan_of(planner: Planner, requests: Sequence[Request], search: Search, case: Case) -> Plan:
    """Return the plan of the last request with the settings of a case of the links as they are.

    Raises ArgumentError where only some of the ranks were timed.
    """
    problem = CollectiveProblem(planner, requests, search.any_root, search.any_shares)
    return problem.predictions(planner.topology, case.settings)[-1].plan


def _digest(planner: Planner, requests: Sequence[Request], search: Search) -> str:
    """Return the digest of all that the time of a case depends on."""
    asked = [
        (each.collective, each.shape.world_size, each.shape.width, each.shape.counts,
         each.itemsize, each.root, _told(each.algorithm))
        for each in requests
    ]  # fmt: skip
    free = search.any_root, search.any_shares
    return digest_of(planner.topology, planner.timing, asked, free)


def _told(algorithm: Algorithm) -> str:
    """Return an algorithm as text, also the contents of its file."""
    if isinstance(algorithm, Plan):
        return plan_xml(algorithm)
    if not isinstance(algorithm, str):
        raise ArgumentError("state: needed an algorithm by its name, a Plan or the path of a file")
    if is_plan_file(algorithm) or is_user_code(algorithm):
        path = user_file(algorithm) if is_user_code(algorithm) else algorithm
        return Path(path).read_text(encoding="utf-8", errors="replace")
    return algorithm


def _searched(planner: Planner, requests: Sequence[Request], search: Search) -> list[str]:
    """Return sentences: the settings that are searched, and those that are not."""
    problem = CollectiveProblem(planner, requests, search.any_root, search.any_shares)
    searched, left = [], []
    if problem.chooses:
        searched.append("algorithms with their pieces, leaders, channels and levels")
    elif requests[0].algorithm != AUTO:
        left.append("algorithms, for one is named")
    else:
        left.append(f"algorithms, which the stack {planner.timing.stack.name} chooses itself")
    for there, words in (
        (problem.cuts, "slices and slots"),
        (problem.has_streams, "streams"),
        (problem.has_roots, "the root"),
        (problem.has_shares, "shares of blocks"),
    ):
        (searched if there else left).append(words)
    if not requests[0].shape.collective.rooted:
        left.remove("the root")
    if requests[0].collective not in IN_BLOCKS:
        left.remove("shares of blocks")
    left.append("the order of transfers")
    said = f"Searched: {', '.join(searched)}" if searched else "Searched: no setting"
    upgraded = ""
    if problem.cuts:
        upgraded = "; on upgraded links slices and slots stay as they are best today"
    return [f"{said}{upgraded}. Not searched: {', '.join(left)}."]


def _subject(requests: Sequence[Request]) -> str:
    """Return the calls in words."""
    first, last = requests[0], requests[-1]
    if len(requests) == 1:
        return f"{first.collective} of {format_bytes(first.nbytes)}"
    sizes = f"{format_bytes(first.nbytes)} to {format_bytes(last.nbytes)}"
    return f"{first.collective} of {len(requests)} sizes, {sizes}, in all"
