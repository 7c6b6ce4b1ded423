"""Why a collective is slow: its time under every subset of the effects of the links."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from emul.communicator import Communicator
from emul.errors import EmulError
from emul.insight.attribution import Coalitions, shares_with_schedule
from emul.insight.explanation import ChainPart, Explanation, Plans, chain_of
from emul.insight.players import Advance, Player, effects_off, players_of
from emul.plans import Plan, packs
from emul.reading.checks import one_of
from emul.runtime.planner import MOST_RANKS_IN_FULL, Planner
from emul.runtime.prediction import Prediction
from emul.runtime.request import AUTO, Algorithm, Request
from emul.runtime.without_effects import without_effects
from emul.topology.bound_slopes import trunk_slopes
from emul.units import format_bytes

__all__ = ["PLANS", "explain", "explain_request"]

PLANS = ("kept", "again")
"""Whether each time is of the plan of today, or of the one that is chosen then."""


def explain(
    world: Communicator,
    collective: str,
    count: Any,
    *,
    dtype: str = "float32",
    algorithm: Algorithm = "auto",
    root: int = 0,
    shift: int = 1,
    wire: str | None = None,
    plan: Plans = "kept",
) -> Explanation:
    """Return why a collective takes its time: the share of each effect, which sum to it.

    Shares are Shapley values over all subsets of the effects that are there (latency, window, gap,
    loss, jitter, queue, load, outage, host; of more than eight, those that change least are
    switched together) and of the schedule; see emul.insight.attribution for their definition. Each
    subset costs a prediction. Nothing is run, and no clock goes on.

    Parameters
    ----------
    world
        A World, or a Group of one, whose ranks carry the collective out.
    collective, count, dtype, algorithm, root, shift, wire
        As for ``predict``. Worlds of more than 4096 ranks are timed by those that are alike.
    plan
        ``kept``: every time is of the plan of today, so shares are the cost of the effects for this
        schedule. ``again``: each is of the plan that ``algorithm`` chooses then; where that names
        one plan, it is kept.

    Returns
    -------
    Explanation
        Its ``shares``, in picoseconds, sum to ``time_ps``, the time that ``predict`` tells.

    Raises
    ------
    ArgumentError
        For an unknown ``plan``.
    EmulError
        All that ``predict`` raises, also of a subset of the effects, which the message then names.

    Examples
    --------
    >>> import emul
    >>> found = emul.explain(emul.World("three-campus"), "all_reduce", 262_144)
    >>> found.distance.split(":")[0]
    'Was it the distance? Hardly'

    """
    request = world.request(
        collective, count, dtype=dtype, algorithm=algorithm, root=root, shift=shift, wire=wire
    )
    return explain_request(world.planner, request, one_of(plan, "plan", PLANS))


def explain_request(
    planner: Planner, request: Request, plan: str, advance: Advance | None = None
) -> Explanation:
    """Return why ``request`` takes its time; ``advance`` is called with the progress."""
    today, asked = _predicted(planner, request), request
    if plan == "kept":
        request = request.by(today.of if isinstance(today.of, Plan) else today.algorithm)
    subsets = _Subsets(planner, request, {(): today}, advance or (lambda _: None))
    players = players_of(planner.topology, planner.timing, subsets.time_ps)
    coalitions = range(1 << len(players))
    subsets.expected = len(coalitions)
    found = [subsets.prediction(effects_off(players, each)) for each in coalitions]
    times_ps = [each.total_ps for each in found]
    names = [each.algorithm for each in found]
    bounds_ps = _bounds_ps(found)
    shares = shares_with_schedule(Coalitions(players, times_ps, names), bounds_ps)
    return Explanation(
        subject=f"{request.collective} of {format_bytes(today.nbytes)}",
        plan="again" if plan == "again" and _is_chosen(asked) else "kept",
        algorithm=today.algorithm,
        nbytes=today.nbytes,
        time_ps=today.total_ps,
        bound_ps=bounds_ps[-1],
        shares=shares,
        chain=_chain(today),
        sites=len(planner.topology.sites),
        times=len(subsets.known),
        algorithms=tuple(dict.fromkeys(reversed(names))),
        bound_reason=today.bounded.reason(),
        slopes=trunk_slopes(today.bounded),
    )


def _is_chosen(asked: Request) -> bool:
    """Say whether other links may bring another plan: by ``auto``, or by trees of the trunks."""
    return asked.algorithm == AUTO or packs(asked.collective, asked.algorithm)


@dataclass
class _Subsets:
    """The predictions without some effects, each made once."""

    planner: Planner
    request: Request
    known: dict[Player, Prediction]
    advance: Advance
    expected: int = field(default=0)

    def time_ps(self, off: Player) -> int:
        """Return the time without some effects."""
        return self.prediction(off).total_ps

    def prediction(self, off: Player) -> Prediction:
        """Return the prediction without some effects. Raises the errors of predictions."""
        if off not in self.known:
            of = f" of {self.expected}" if self.expected else ""
            self.advance(f"time {len(self.known) + 1}{of}")
            self.known[off] = self._predicted(off)
        return self.known[off]

    def _predicted(self, off: Player) -> Prediction:
        planner = self.planner
        try:
            changed = Planner(*without_effects(planner.topology, planner.timing, off))
            return _predicted(changed, self.request)
        except EmulError as error:
            raise type(error)(f"without {', '.join(off)}: {error}") from error


def _predicted(planner: Planner, request: Request) -> Prediction:
    return planner.predict(request, collapse=planner.topology.world_size > MOST_RANKS_IN_FULL)


def _bounds_ps(found: list[Prediction]) -> list[int]:
    """Return the bound of each prediction, below which no schedule is.

    All are lowered for the rounding of equally many transfers, so that none depends on a plan.
    """
    transfers = max(each.bounded.transfers for each in found)
    return [
        each.bound_ps
        if each.bounded.transfers == transfers
        else replace(each.bounded, transfers=transfers).by_links_ps()
        for each in found
    ]


def _chain(today: Prediction) -> tuple[ChainPart, ...]:
    spent: dict[tuple[str, str], int] = {}
    for each in today.critical_path.segments:
        key = each.place, each.term
        spent[key] = spent.get(key, 0) + each.duration_ps
    return chain_of(spent)
