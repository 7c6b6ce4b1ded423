"""Why a program is slow: the time between two marks under every subset of the effects of links."""

from __future__ import annotations

from emul.errors import EmulError
from emul.insight.attribution import Coalitions, program_shares
from emul.insight.explanation import ChainPart, Explanation, chain_of
from emul.insight.players import Player, effects_off, players_of
from emul.runtime.engine import Engine
from emul.runtime.program_path import ProgramPath
from emul.runtime.record import Mark, RecordedProgram
from emul.runtime.replay import replayed_ps
from emul.runtime.without_effects import free_links, without_effects

__all__ = ["explain_program"]


def explain_program(
    engine: Engine,
    since: Mark | str | None,
    until: Mark | str | None,
    plan: str,
) -> Explanation:
    """Return why the program takes its time from one mark to another: see World.explain."""
    recorded = engine.clocks.recorded(since, until)
    path = engine.clocks.critical_path(since, until)
    times = _Times(engine, recorded, keeps_plans=plan == "kept")
    times.known[()] = path.total_ps
    players = players_of(engine.topology, engine.timing, times.without)
    coalitions = range(1 << len(players))
    times_ps = [times.without(effects_off(players, each)) for each in coalitions]
    shares = program_shares(
        Coalitions(players, times_ps, [""] * len(times_ps)), times.without_links()
    )
    return Explanation(
        subject=f"the program from {path.since} to {path.until}",
        plan="kept" if plan == "kept" else "again",
        algorithm="",
        nbytes=0,
        time_ps=path.total_ps,
        bound_ps=None,
        shares=shares,
        chain=_chain(path),
        sites=len(engine.topology.sites),
        times=len(times.known),
    )


class _Times:
    """The times of a stretch of a program without some effects, each worked out once."""

    def __init__(self, engine: Engine, recorded: RecordedProgram, *, keeps_plans: bool) -> None:
        self.engine, self.recorded, self.keeps_plans = engine, recorded, keeps_plans
        self.known: dict[Player, int] = {}

    def without(self, off: Player) -> int:
        """Return the picoseconds without some effects. Raises as predictions do."""
        if off not in self.known:
            engine = self.engine
            try:
                links = without_effects(engine.topology, engine.timing, off)
                self.known[off] = replayed_ps(self.recorded, *links, keeps_plans=self.keeps_plans)
            except EmulError as error:
                raise type(error)(f"without {', '.join(off)}: {error}") from error
        return self.known[off]

    def without_links(self) -> int:
        """Return the picoseconds where every message takes none."""
        engine = self.engine
        links = free_links(engine.topology, engine.timing)
        return replayed_ps(self.recorded, *links, keeps_plans=True)


def _chain(path: ProgramPath) -> tuple[ChainPart, ...]:
    spent: dict[tuple[str, str], int] = {}
    for part in path.parts:
        key = part.place, part.term
        spent[key] = spent.get(key, 0) + part.duration_ps
    return chain_of(spent)
