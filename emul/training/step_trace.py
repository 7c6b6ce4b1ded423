"""The trace of a step: its collectives on the links, and the compute of each rank between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from emul.programs import Act, Compute, Mark
from emul.runtime.program_run import MarkRow
from emul.tracks import Event, Slice, Trace, Track, check_form, write_trace
from emul.units import PS_PER_S

if TYPE_CHECKING:
    from emul.training.step_timer import StepTimer

__all__ = ["write_step_trace"]

BEGINS, ENDS = "begins ", "ends "
"""Before the name of compute, in the marks around it."""


def write_step_trace(timer: StepTimer, path: Path) -> None:
    """Write a trace of the ranks that are timed, from links at rest.

    With work that is carried over, the period before is in it. Forms as of World.to_perfetto.
    Raises FileError.
    """
    check_form(path)
    timer.world.restart()
    run = timer.world.run(lambda rank: _with_marks(timer.acts(rank)))
    write_trace(path, _with_compute(timer.world.engine.clocks.trace(), run.marks))


def _with_marks(acts: Iterable[Act]) -> Iterator[Act]:
    for act in acts:
        if isinstance(act, Compute):
            yield from (Mark(f"{BEGINS}{act.name}"), act, Mark(f"{ENDS}{act.name}"))
        else:
            yield act


def _with_compute(trace: Trace, marks: Iterable[MarkRow]) -> Trace:
    """Return the trace with a track for the compute of each rank."""
    since: dict[int, int] = {}
    slices: list[tuple[int, int, int, str]] = []
    for row in marks:
        at_ps = round(row.at_s * PS_PER_S)
        if row.name.startswith(BEGINS):
            since[row.rank] = at_ps
        elif row.name.startswith(ENDS):
            slices.append((row.rank, since[row.rank], at_ps, row.name.removeprefix(ENDS)))
    first = 1 + max((track.number for track in trace.tracks), default=0)
    ranks = sorted(since)
    tracks = [Track(first, "compute")]
    tracks += [Track(first + 1 + rank, f"compute of rank {rank}", parent=first) for rank in ranks]

    def events() -> Iterator[Event]:
        yield from trace.events()
        for rank, start_ps, end_ps, name in slices:
            yield Slice(first + 1 + rank, start_ps, end_ps, name, {"rank": rank})

    return Trace((*trace.tracks, *tracks), events, trace.facts)
