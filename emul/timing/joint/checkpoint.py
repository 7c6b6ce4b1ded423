"""Where a simulation stands at a moment: taken out of one, and put back into another that goes on.

What goes on has fewer transfers, for those that are over are left out, and more, for others were
issued meanwhile; so transfers are numbered anew and connections too, in the order that they had.
Nothing else changes: a simulation that was put back comes to the same picoseconds as one that
never stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from emul.plans.runs import expand
from emul.timing.effects.connection_table import Conditions
from emul.timing.engine.scheduler import (
    CHANGE_EVENT,
    DONE_EVENT,
    FIRST_STREAM,
    FREED_EVENT,
    STREAM_EVENT,
    Simulation,
)
from emul.timing.traffic import Transfers

__all__ = ["Checkpoint", "are_done"]

Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
State = dict[str, npt.NDArray[Any]]

# What there is by transfer, port, pipe, stream, class, uplink and way, and by which part of the
# simulation; a star marks numbers of transfers.
BY_TRANSFER = (
    "on_link behind* finish legs arrival held_by* done waited_for* ordered_after* start_cause "
    "done_cause edges.before_start edges.before_done leaving.following* leaving.head leaving.kind "
    "pipes.left pipes.ramped pipes.runs_from* pipes.runs pipes.handed_over pipes.following* "
    "pipes.parts pipes.ramp_until credit.stands credit.following*"
)
BY_PORT = "free user* leaving.first* leaving.last* leaving.out leaving.time"
BY_PIPE = (
    "arrived_last* pipes.free pipes.began pipes.last* pipes.began_last* "
    "pipes.ramp_from pipes.ramp_sent pipes.ramp_window pipes.head_came"
)
BY_STREAM = (
    "pipes.current* pipes.doing pipes.rest pipes.lost_at pipes.up_at pipes.resumed "
    "pipes.run_from* pipes.run pipes.fluid.until pipes.fluid.began_capped"
)
BY_CLASS = (
    "pipes.fluid.wave_rate pipes.fluid.cap pipes.fluid.cap_term pipes.fluid.credit "
    "pipes.fluid.busy pipes.fluid.rate pipes.fluid.served pipes.fluid.capped pipes.fluid.since "
    "pipes.fluid.part pipes.fluid.lifted pipes.fluid.lifted_rate pipes.fluid.capped_time "
    "pipes.fluid.due pipes.fluid.due_part pipes.fluid.empties pipes.fluid.active pipes.fluid.load "
    "pipes.fluid.uplink_credit pipes.fluid.uplink_used pipes.fluid.uplink_since "
    "pipes.fluid.uplink_part pipes.fluid.uplink_lifted "
    "pipes.fluid.uplink_busy pipes.fluid.queue pipes.fluid.place"
)
"""And by uplink: whichever ways are taken, a course has the classes of all trunks."""


def are_done(simulation: Simulation) -> BoolArray:
    """Return which transfers are done, and not only about to be: (transfers,)."""
    number, kind = simulation.events()[1:]
    done: BoolArray = np.asarray(simulation.edges.before_done) == 0
    done[number[kind == DONE_EVENT]] = False
    return done


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """The state before ``until_ps``, of the transfers that were kept, by name.

    ``finished``: numbers of those that are done, in the order in which they were. ``pipes``: of
    connections, whether or not a kept transfer takes them, by what ``connections`` says they are.
    ``streams``: of those with a kept transfer, the connection each is of among ``connections`` and
    its number there. ``heaps``: the streams that send, class by class. ``events``: times, numbers
    and kinds; of streams, the numbers are those of ``streams``.
    """

    until_ps: int
    transfers: State
    finished: Int32Array
    ports: State
    connections: Int64Array
    pipes: State
    stream_of: Int64Array
    stream_number: Int64Array
    streams: State
    classes: State
    heaps: Int32Array
    ways: Int64Array
    events: Int64Array

    @property
    def size(self) -> int:
        """The number of transfers that were kept."""
        return len(self.transfers["done"])

    @classmethod
    def of(
        cls,
        simulation: Simulation,
        transfers: Transfers,
        conditions: Conditions,
        kept: BoolArray,
        until_ps: int,
        before: Checkpoint | None,
    ) -> Checkpoint:
        """Return the state of a simulation of ``transfers`` that has come to ``until_ps``.

        What is not ``kept`` (transfers,) is done. ``before``: the checkpoint it went on from.
        """
        number = np.where(kept, np.cumsum(kept) - 1, -1).astype(np.int32)
        (which,) = np.nonzero(kept)

        def taken(names: str, rows: Any = slice(None)) -> State:
            return dict(_columns(simulation, names, rows, number))

        pipes = simulation.pipes
        connections = _connections(simulation, transfers, conditions.pipe)
        stream_of = np.repeat(connections, np.diff(pipes.first_stream))
        first = np.asarray(pipes.first_stream)
        pipe_of = np.repeat(np.arange(len(connections)), np.diff(first))
        used = np.isin(np.arange(len(connections)), conditions.pipe[which])
        (streams,) = np.nonzero(used[pipe_of])
        renumbered = np.full(len(pipe_of), -1, dtype=np.int64)
        renumbered[streams] = np.arange(len(streams))
        of_pipes = taken(BY_PIPE)
        if before is not None:
            connections, of_pipes = _united(before, connections, of_pipes)
        fluid = pipes.fluid
        heap = np.asarray(fluid.heap)[_heaped(fluid)]
        events = simulation.events()
        done = are_done(simulation)
        order = np.lexsort((which, np.asarray(simulation.done)[which]))
        return cls(
            until_ps=until_ps,
            transfers=taken(BY_TRANSFER, which),
            finished=number[which[order]][done[which[order]]],
            ports=taken(BY_PORT),
            connections=connections,
            pipes=of_pipes,
            stream_of=stream_of[streams],
            stream_number=streams - first[pipe_of[streams]],
            streams=taken(BY_STREAM, streams),
            classes=taken(BY_CLASS),
            heaps=renumbered[heap].astype(np.int32),
            ways=np.asarray(pipes.state) - np.asarray(pipes.first_state)[:-1],
            events=_renumbered(events, number, renumbered),
        )

    def put_back(
        self, simulation: Simulation, transfers: Transfers, conditions: Conditions
    ) -> None:
        """Let a new ``simulation`` of ``transfers``, the kept ones first, go on from here."""
        pipes, fluid = simulation.pipes, simulation.pipes.fluid
        _write(simulation, self.transfers, slice(0, self.size))
        _write(simulation, self.ports, slice(None))
        connections = _connections(simulation, transfers, conditions.pipe)
        known, at = _found(connections, self.connections)
        _write(simulation, {name: rows[at] for name, rows in self.pipes.items()}, known)
        order = np.argsort(connections)
        pipe = order[np.searchsorted(connections, self.stream_of, sorter=order)]
        streams = (np.asarray(pipes.first_stream)[pipe] + self.stream_number).astype(np.int32)
        _write(simulation, self.streams, streams)
        _write(simulation, self.classes, slice(None))
        np.asarray(fluid.heap)[_heaped(fluid)] = streams[self.heaps]
        np.asarray(pipes.state)[:] = self.ways + np.asarray(pipes.first_state)[:-1]
        events = self.events.copy()
        (of_streams,) = np.nonzero(events[2] == STREAM_EVENT)
        events[1, of_streams] = FIRST_STREAM + streams[events[1, of_streams]]
        simulation.put_back(events, self.finished, self.until_ps)


def _columns(
    simulation: Simulation, names: str, rows: Any, number: Int32Array
) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Yield copies of the named columns; in those with a star, transfers are numbered anew."""
    for name in names.split():
        column = np.asarray(_at(simulation, name.rstrip("*")))
        if not len(column):
            continue
        column = column[rows].copy()
        if name.endswith("*"):
            column = np.append(number, np.int32(-1))[np.where(column < 0, len(number), column)]
        yield name.rstrip("*"), column


def _at(simulation: Simulation, name: str) -> Any:
    part: Any = simulation
    for each in name.split("."):
        part = getattr(part, each)
    return part


def _heaped(fluid: Any) -> Int64Array:
    """Return where the heaps of all classes have streams that send, class by class."""
    of, number = expand(np.asarray(fluid.active))
    places: Int64Array = np.asarray(fluid.first)[of] + number
    return places


def _write(simulation: Simulation, state: State, rows: Any) -> None:
    """Write columns into the rows of a simulation, where it has them."""
    for name, column in state.items():
        target = np.asarray(_at(simulation, name))
        if len(target):
            target[rows] = column


def _connections(simulation: Simulation, transfers: Transfers, pipe: Int32Array) -> Int64Array:
    """Return for each pipe what connection it is, as one number for sender, receiver, channel."""
    pipes, first = np.unique(pipe, return_index=True)
    first = first[pipes >= 0]
    ranks = len(simulation.free) // 4
    key = transfers.channel[first].astype(np.int64) * ranks + transfers.src[first]
    result: Int64Array = key * ranks + transfers.dst[first]
    return result


def _found(wanted: Int64Array, known: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Return where in ``wanted`` those stand that are ``known``, and where in ``known``."""
    _, here, there = np.intersect1d(wanted, known, assume_unique=True, return_indices=True)
    return here, there


def _united(before: Checkpoint, connections: Int64Array, pipes: State) -> tuple[Int64Array, State]:
    """Return connections and their state, with those of ``before`` that no transfer takes now."""
    more = ~np.isin(before.connections, connections)
    if not more.any():
        return connections, pipes
    none = {name: rows[:0] for name, rows in before.pipes.items()}
    united = {
        name: np.concatenate([pipes.get(name, none[name]), _forgotten(name, rows[more])])
        for name, rows in before.pipes.items()
    }
    return np.concatenate([connections, before.connections[more]]), united


def _forgotten(name: str, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return columns of connections whose transfers are all gone: no number of these is known."""
    return np.full_like(rows, -1) if f"{name}*" in BY_PIPE.split() else rows


def _renumbered(events: Int64Array, number: Int32Array, streams: Int64Array) -> Int64Array:
    """Return events with transfers and streams numbered anew, without those of no consequence.

    Those of credit are left out, for they are made anew.
    """
    events = events[:, events[2] != FREED_EVENT]
    of_stream, of_way = events[2] == STREAM_EVENT, events[2] == CHANGE_EVENT
    of_transfer = ~(of_stream | of_way)
    events[1, of_transfer] = number[events[1, of_transfer]]
    events[1, of_stream] = streams[events[1, of_stream] - FIRST_STREAM]
    return events[:, of_way | (events[1] >= 0)]
