"""The timeline of one collective: when each transfer starts, arrives and is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from emul.arrays import Float64Array, Int32Array, Int64Array, UInt8Array
from emul.errors import EmulError, OutageError, ShapeError, TimeLimitError
from emul.plans import Program
from emul.stacks import IDEAL, Stack
from emul.timing.effects.connection_table import ConnectionTable
from emul.timing.effects.link_states import NEVER, LinkStates
from emul.timing.engine.dependencies import Edges, dependencies
from emul.timing.engine.ordered import times_in_order
from emul.timing.engine.scheduler import NEVER_ENDS, TOO_LATE, schedule
from emul.timing.engine.tables import Tables
from emul.timing.protocol import (
    on_the_wire,
    windows_of,
    with_hop_overheads,
    without_windows,
)
from emul.timing.traffic import Slicing, Traffic, Transfers
from emul.topology import Network
from emul.units import MOST_BYTES, PS_PER_S

__all__ = [
    "Made",
    "Timeline",
    "check_carried",
    "maker",
    "simulated",
    "time_plan",
]


Failure = str | tuple[str, int, int, int]
Timed = tuple[dict[str, Int64Array], Failure | None]
Made = tuple[Transfers, Edges, Network]

LOOK_AHEAD_S = 1.0
"""For so long links that change are looked at first; longer if that was not enough."""

MORE_AHEAD = 8


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """When each transfer of a plan happens; all times in picoseconds from the start.

    ``src``, ``dst``, ``nbytes``: who sends how much to whom, (transfers,), in plan order, each
    message's handshake before its data; of an excerpt, the transfers of its few ranks.
    ``transfers``: the same, as the scheduler took them. ``connection_table``: the effects of links
    beyond their rate and latency. ``start_ps``: the sender's port is taken. ``arrival_ps``: the
    last byte is there. ``done_ps``: it can be used, because the reductions before it are done too.
    ``on_link_ps`` (transfers, 3): when the sender's port, the connection and the receiver's port
    were taken, -1 for none; ``behind`` (transfers, 3): the transfer that each was waited for, -1
    for none. ``left_ps``: when the last byte had left the connection, ``cwnd_ps``: for how long
    windows kept it in a connection without streams; ``held_by``: the transfer before which it could
    not arrive, -1 for none; these three are empty where there are no connections.
    ``sent_to_nic_ps``: when the last window of a transfer of several windows began; or empty.
    ``runs_from`` (transfers, 2), ``runs_ps`` (transfers, 2, 3): of a transfer over streams, when it
    takes its connection and when its last part has left, the run of the stream of which that is the
    end: with the taking of the connection by which transfer the stream became busy, -1 for none,
    and for how much of the run windows, losses and outages held it; or empty. ``waited_for``
    (transfers,): the transfer that made this one ready, and ``start_cause`` how, as in
    emul.timing.CAUSES: by being done, by freeing its slot, or by being issued; ``ordered_after``,
    ``done_cause``: likewise for its being done; -1 for none.
    """

    network: Network
    connection_table: ConnectionTable
    transfers: Transfers
    on_link_ps: Int64Array
    behind: Int64Array
    left_ps: Int64Array
    cwnd_ps: Int64Array
    runs_from: Int64Array
    runs_ps: Int64Array
    held_by: Int64Array
    sent_to_nic_ps: Int64Array
    arrival_ps: Int64Array
    done_ps: Int64Array
    waited_for: Int64Array
    start_cause: Int64Array
    ordered_after: Int64Array
    done_cause: Int64Array

    def __len__(self) -> int:
        """Return the number of transfers."""
        return len(self.src)

    @property
    def src(self) -> Int32Array:
        """The rank that sends each transfer: (transfers,)."""
        return self.transfers.src

    @property
    def dst(self) -> Int32Array:
        """The rank that it goes to: (transfers,)."""
        return self.transfers.dst

    @property
    def nbytes(self) -> Int64Array:
        """Its bytes: (transfers,)."""
        return self.transfers.nbytes

    @property
    def begins(self) -> UInt8Array:
        """Whether it begins a message, and so pays the overhead: (transfers,)."""
        return self.transfers.begins

    @property
    def start_ps(self) -> Int64Array:
        """When each transfer takes the sender's port: (transfers,) int64."""
        return self.on_link_ps[:, 0]

    @property
    def total_ps(self) -> int:
        """When the last transfer is done; 0 when there is none."""
        return int(self.done_ps.max(initial=0))

    @property
    def total_s(self) -> float:
        """The same in seconds."""
        return self.total_ps / PS_PER_S

    @property
    def sent(self) -> int:
        """Number of transfers that leave their rank."""
        return int(self._stand_for[self.src != self.dst].sum())

    @property
    def roundings(self) -> int:
        """Transfers, or streams that they are parted into, over the link that has most of them.

        A link is a port, a trunk, or all trunks of a site that have a limit together. On each of
        them the time of each transfer is rounded to a picosecond.
        """
        given, ones = self.transfers.multiplicity, np.ones(len(self), dtype=np.int64)
        rounds = ones if given is None else given.rounds
        ports = self.network.port_bytes(self.src, self.dst, rounds)
        trunks = self.network.site_bytes(self.src, self.dst, self._stand_for)
        for (a, b), trunk in self.network.trunks.items():
            trunks[a, b] *= trunk.link.transport.streams if trunk.link.waves > 1 else 1
        limited = [site.limited for site in self.network.topology.sites]
        joint = np.append(trunks.sum(axis=0)[limited], trunks.sum(axis=1)[limited])
        return max(int(each.max(initial=0)) for each in (ports, trunks, joint))

    @property
    def trunk_bytes(self) -> Int64Array:
        """Bytes from each site to each other: (sites, sites) int64, zero on the diagonal."""
        return self.network.site_bytes(self.src, self.dst, self.nbytes * self._stand_for)

    @property
    def _stand_for(self) -> Int64Array:
        """How many transfers of the plan each line stands for: (transfers,)."""
        given = self.transfers.multiplicity
        return np.ones(len(self), dtype=np.int64) if given is None else given.transfers

    @property
    def cross_site_bytes(self) -> int:
        """Bytes over all site boundaries together."""
        return int(self.trunk_bytes.sum())


def time_plan(
    program: Program,
    network: Network,
    slicing: Slicing | None = None,
    *,
    seed: int = 0,
    start_s: float = 0.0,
    stack: Stack = IDEAL,
) -> Timeline:
    """Return when the transfers of ``program`` happen on ``network``, as ``stack`` sends them.

    With ``slicing``, large transfers go in slices, and the timeline has a line for each slice; that
    is for stacks that do not send whole messages, and for the ideal one. ``seed`` is that of
    jitter, losses, outages and waves; a call begins at ``start_s`` of links that change with time.
    Raises TimeLimitError when a time passes the range of int64 picoseconds, and OutageError when a
    link fails for longer than its transport bears.
    """
    make, windows = maker(program, network, slicing, stack)

    def table_of(transfers: Transfers, seen: Network, until_s: float) -> ConnectionTable:
        return ConnectionTable.of(
            transfers, seen, seed=seed, start_s=start_s, until_s=until_s, windows=windows
        )

    return simulated(make, table_of, _times, start_s)


def simulated(
    make: Callable[[], Made],
    table_of: Callable[[Transfers, Network, float], ConnectionTable],
    times_of: Callable[[Transfers, Edges, Network, ConnectionTable], Timed],
    start_s: float,
    *,
    from_s: float = 0.0,
) -> Timeline:
    """Return the timeline of the transfers of ``make``, having looked at changing links far enough.

    ``table_of`` gives the table for so many seconds from ``start_s`` on, ``times_of`` when all
    happens under them, some of it at ``from_s`` or later. Raises as ``time_plan`` does.
    """
    until_s = from_s + LOOK_AHEAD_S
    while True:
        transfers, edges, seen = make()
        table = table_of(transfers, seen, until_s)
        times, failure = times_of(transfers, edges, seen, table)
        reached_s = float(times["done_ps"].max(initial=0)) / PS_PER_S
        if not table.states.more or _is_settled(failure, reached_s, until_s):
            break
        until_s = from_s + (max(until_s, reached_s) - from_s) * MORE_AHEAD
    if failure is not None:
        raise _failure(failure, seen, table.states, start_s)
    return Timeline(seen, table, transfers, **times)


def _times(transfers: Transfers, edges: Edges, network: Network, table: ConnectionTable) -> Timed:
    """Return the times of ``schedule``: by a pass in plan order where every link has that order."""
    times = times_in_order(Tables(transfers, edges, network, table))
    return schedule(transfers, edges, network, table) if times is None else (times, None)


def maker(
    program: Program, network: Network, slicing: Slicing | None, stack: Stack
) -> tuple[Callable[[], Made], Float64Array | None]:
    """Return the maker of transfers and edges, and the network as they see it.

    With it come the windows that connections fill each round trip, where messages are whole.
    """
    n, seen = network.world_size, with_hop_overheads(network, stack.hop_overhead_s)
    if stack is IDEAL or not stack.sends_whole_messages:
        traffic = Traffic.of(program, slicing, stack)
        return lambda: (traffic, dependencies(traffic, n), seen), None
    windows = windows_of(network)
    messages, seen = Traffic.of(program, None), without_windows(seen)

    def make() -> Made:
        edges = dependencies(messages, n, posts=True)
        return (*on_the_wire(messages, edges, stack), seen)

    return make, windows


def _failure(failure: Failure, network: Network, states: LinkStates, start_s: float) -> EmulError:
    """Return the error for a failure of the simulation."""
    if failure == TOO_LATE:
        return TimeLimitError(
            "the modelled time passes 53 days: needed a smaller size, a higher rate or fewer "
            "steps, so that picoseconds fit in 64 bits"
        )
    if failure == NEVER_ENDS:
        names = ", ".join(network.path_name(int(path)) for path in states.path)
        return OutageError(
            f"the collective never ends: a trunk of {names} has no rate left at the end of its "
            "trace: needed a state with a rate above 0, or a trace that is repeated (repeat_s)"
        )
    number, lost_ps, up_ps = (int(each) for each in failure[1:])
    path = int(states.path[number])
    transport = network.links[path].transport
    began = f"trunk {network.path_name(path)} is down from {start_s + lost_ps / PS_PER_S:g} s"
    if up_ps == NEVER:
        return OutageError(f"{began} on and does not come up again: needed an end of the outage")
    dead_s = start_s + lost_ps / PS_PER_S + (transport.retries + 1) * transport.rto_s
    return OutageError(
        f"{began} for {(up_ps - lost_ps) / PS_PER_S:g} s: a connection of {transport.recovery!r} "
        f"is given up at {dead_s:g} s, one timer after the last of {transport.retries} retries of "
        f"{transport.rto_s:g} s: needed a shorter outage, or more of rto_s or retries"
    )


def _is_settled(failure: Failure | None, reached_s: float, until_s: float) -> bool:
    """Say whether changes after ``until_s`` have no effect any more.

    A connection that was given up over an outage whose end is known stays so.
    """
    if failure is None:
        return reached_s <= until_s
    return isinstance(failure, tuple) and failure[3] != NEVER


def check_carried(timeline: Timeline) -> None:
    """Refuse more bytes over all links together than int64 can count: ShapeError."""
    multiplicity = timeline.transfers.multiplicity
    carried = (
        timeline.nbytes if multiplicity is None else timeline.nbytes * 1.0 * multiplicity.transfers
    )
    if float(carried.sum(dtype=np.float64)) > MOST_BYTES:
        raise ShapeError(
            f"all transfers together carry more than {MOST_BYTES} bytes: needed a smaller size, so "
            "that sums of bytes fit in 64 bits"
        )
