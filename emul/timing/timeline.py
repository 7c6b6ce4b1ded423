"""The timeline of one collective: when each transfer starts, arrives and is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from emul.arrays import Float64Array, Int64Array
from emul.errors import EmulError, OutageError, ShapeError, TimeLimitError
from emul.plans import Multiplicity, Program
from emul.reading.brief import one_line
from emul.stacks import IDEAL, Stack
from emul.timing.effects.connection_table import ConnectionTable
from emul.timing.effects.link_states import NEVER, LinkStates
from emul.timing.engine.dependencies import Edges, dependencies
from emul.timing.engine.operations import EVER_DRY
from emul.timing.engine.ordered import times_in_order
from emul.timing.engine.scheduler import TOO_LATE
from emul.timing.engine.tables import Tables
from emul.timing.protocol import (
    on_the_wire,
    windows_of,
    with_hop_costs,
    without_windows,
)
from emul.timing.schedule import schedule
from emul.timing.traffic import Slicing, Traffic, Transfers
from emul.timing.transfer_times import TransferTimes
from emul.topology import Network
from emul.units import MOST_BYTES, PS_PER_S, format_bytes, format_time

__all__ = [
    "Made",
    "Timeline",
    "check_carried",
    "maker",
    "scheduled",
    "simulated",
    "time_plan",
    "why_lost",
]


Failed = str | tuple[str, int, int, int]
Timed = tuple[dict[str, Int64Array], Failed | None, bool]
"""The times of transfers, a failure that ends all, and whether links were looked at far enough to
tell the ends of all outages that anything failed of."""

Made = tuple[Transfers, Edges, Network]

LOOK_AHEAD_S = 1.0
"""For so long links that change are looked at first; longer if that was not enough."""

MORE_AHEAD = 8


@dataclass(frozen=True, slots=True, eq=False)
class Timeline(TransferTimes):
    """When each transfer of a plan happens, and the pictures of it; see TransferTimes for the data.

    ``src``, ``dst``, ``nbytes``: who sends how much to whom, (transfers,); ``start_ps``,
    ``arrival_ps``, ``done_ps``: when each takes its sender's port, is there and can be used;
    ``total_s``: when the last one is done; ``trunk_bytes``: bytes from each site to each other.
    """

    def to_perfetto(self, path: str | Path) -> None:
        """Write a trace of the transfers to ``path``, which viewers such as Perfetto open.

        A track for each port of each rank and each direction of a trunk, arrows from sender to
        receiver, the rates in use of trunks, the steps, and the critical path. The ending of the
        name says the form: ``.json`` or ``.json.gz``, Chrome's trace events, or ``.pftrace`` or
        ``.perfetto-trace``, protobuf. Raises FileError for another, and where it cannot be written,
        and CapacityError for more transfers than viewers open.
        """
        from emul.timing.traced import trace_of
        from emul.tracks import check_form, write_trace

        check_form(Path(path))
        write_trace(Path(path), trace_of(self))

    def _repr_html_(self) -> str:
        """Return a small table and the bars of the busiest links, for notebooks."""
        from emul.timing.views import timeline_sheet

        return timeline_sheet(self)

    def __repr__(self) -> str:
        """Say in one line how much is sent, and how long it takes."""
        between = format_bytes(self.cross_site_bytes)
        return one_line(
            f"<Timeline: {self.sent} transfers, {between} between sites, "
            f"{format_time(self.total_s)}>"
        )


def time_plan(
    program: Program,
    network: Network,
    slicing: Slicing | None = None,
    *,
    seed: int = 0,
    start_s: float = 0.0,
    at_ps: int = 0,
    stack: Stack = IDEAL,
) -> Timeline:
    """Return when the transfers of ``program`` happen on ``network``, as ``stack`` sends them.

    With ``slicing``, large transfers go in slices, and the timeline has a line for each slice; that
    is for stacks that do not send whole messages, and for the ideal one. ``seed`` is that of
    jitter, losses, outages and waves; a call begins at ``start_s`` of links that change with time,
    and ``at_ps`` picoseconds after it.
    Raises TimeLimitError when a time passes the range of int64 picoseconds, and OutageError when a
    link fails for longer than its transport bears.
    """
    make, windows = maker(program, network, slicing, stack)

    def table_of(transfers: Transfers, seen: Network, until_s: float) -> ConnectionTable:
        return ConnectionTable.of(
            transfers,
            seen,
            seed=seed,
            start_s=start_s,
            until_s=until_s,
            at_ps=at_ps,
            windows=windows,
        )

    return simulated(make, table_of, scheduled, start_s, at_ps=at_ps)


def simulated(
    make: Callable[[], Made],
    table_of: Callable[[Transfers, Network, float], ConnectionTable],
    times_of: Callable[[Transfers, Edges, Network, ConnectionTable], Timed],
    start_s: float,
    *,
    at_ps: int,
    from_s: float = 0.0,
) -> Timeline:
    """Return the timeline of the transfers of ``make``, having looked at changing links far enough.

    ``table_of`` gives the table for so many seconds from ``at_ps`` after ``start_s`` on,
    ``times_of`` when all happens under them, some of it at ``from_s`` or later. Raises as
    ``time_plan`` does.
    """
    until_s = from_s + LOOK_AHEAD_S
    while True:
        transfers, edges, seen = make()
        table = table_of(transfers, seen, until_s)
        times, failure, ends_known = times_of(transfers, edges, seen, table)
        reached_s = float(times["done_ps"].max(initial=0)) / PS_PER_S
        states = table.states
        if not states.more or (ends_known and _is_settled(failure, reached_s, states)):
            break
        until_s = from_s + (max(until_s, reached_s) - from_s) * MORE_AHEAD
    if failure is not None:
        raise _failure(failure, seen, states, start_s, at_ps)
    return Timeline(seen, table, transfers, **times)


def scheduled(
    transfers: Transfers, edges: Edges, network: Network, table: ConnectionTable
) -> Timed:
    """Return the times of ``schedule``: by a pass in plan order where every link has that order."""
    times = times_in_order(Tables(transfers, edges, network, table))
    if times is not None:
        return times, None, True
    return *schedule(transfers, edges, network, table), True


def maker(
    program: Program, network: Network, slicing: Slicing | None, stack: Stack
) -> tuple[Callable[[], Made], Float64Array | None]:
    """Return the maker of transfers and edges, and the network as they see it.

    With it come the windows that connections fill each round trip, where the library does.
    """
    n, seen = network.world_size, with_hop_costs(network, stack)
    seen = replace(seen, shares_ports=stack.shares_ports)
    windows = windows_of(network) if stack.fills_windows else None
    if stack is IDEAL or not stack.sends_whole_messages:
        seen = seen if windows is None else without_windows(seen)
        traffic = Traffic.of(program, slicing, stack)
        return lambda: (traffic, dependencies(traffic, n), seen), windows
    messages, seen = Traffic.of(program, None), without_windows(seen)

    def make() -> Made:
        edges = dependencies(messages, n, posts=True)
        return (*on_the_wire(messages, edges, stack), seen)

    return make, windows


def _failure(
    failure: Failed, network: Network, states: LinkStates, start_s: float, at_ps: int
) -> EmulError:
    """Return the error for a failure of the simulation, whose moments count from ``at_ps``."""
    if failure == TOO_LATE:
        return TimeLimitError(
            "the modelled time passes 53 days: needed a smaller size, a higher rate or fewer "
            "steps, so that picoseconds fit in 64 bits"
        )
    number, lost_ps, up_ps = (int(each) for each in failure[1:])
    lost_s = start_s + (at_ps + lost_ps) / PS_PER_S
    return OutageError(why_lost(network, int(states.path[number]), lost_s, lost_ps, up_ps))


def why_lost(network: Network, path: int, lost_s: float, lost_ps: int, up_ps: int) -> str:
    """Say why a connection over ``path`` was given up.

    It was in vain from ``lost_s`` of the link's own time on, which is the simulation's ``lost_ps``,
    until ``up_ps``; NEVER for ever; EVER_DRY where the path is up, without any rate.
    """
    name, transport = network.path_name(path), network.links[path].transport
    if up_ps == EVER_DRY:
        return (
            f"the collective never ends: a trunk of {name} has no rate left at the end of its "
            "trace: needed a state with a rate above 0, or a trace that is repeated (repeat_s)"
        )
    began = f"trunk {name} is down from {lost_s:g} s"
    if up_ps == NEVER:
        return f"{began} on and does not come up again: needed an end of the outage"
    dead_s = lost_s + (transport.retries + 1) * transport.rto_s
    return (
        f"{began} for {(up_ps - lost_ps) / PS_PER_S:g} s: a connection of {transport.recovery!r} "
        f"is given up at {dead_s:g} s, one timer after the last of {transport.retries} retries of "
        f"{transport.rto_s:g} s: needed a shorter outage, or more of rto_s or retries"
    )


def _is_settled(failure: Failed | None, reached_s: float, states: LinkStates) -> bool:
    """Say whether changes after those in ``states`` have no effect any more.

    A connection that was given up over an outage whose end is known stays so.
    """
    if failure is None:
        return reached_s <= states.until_s
    return isinstance(failure, tuple) and bool(failure[3] != NEVER or states.lasts[failure[1]])


def check_carried(nbytes: Int64Array, multiplicity: Multiplicity | None) -> None:
    """Refuse more bytes over all links together than int64 can count: ShapeError.

    ``nbytes`` (transfers,): of each, which stands for others in an excerpt.
    """
    carried = nbytes if multiplicity is None else nbytes * 1.0 * multiplicity.transfers
    if float(carried.sum(dtype=float)) > MOST_BYTES:
        raise ShapeError(
            f"all transfers together carry more than {MOST_BYTES} bytes: needed a smaller size, so "
            "that sums of bytes fit in 64 bits"
        )
