"""Where a simulation stands at a moment: taken out of one, and put back into another that goes on.

The continued simulation has fewer transfers, for those that are over are left out, and more, for
others were issued meanwhile; so transfers are numbered anew and ends too, in the order that they
had. Nothing else changes: a simulation that was put back comes to the same picoseconds as one that
never stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from emul.arrays import BoolArray, Int32Array, Int64Array
from emul.plans.runs import expand
from emul.timing.effects.connection_table import ConnectionTable
from emul.timing.engine.scheduler import (
    CHANGE_EVENT,
    FIRST_STREAM,
    FREED_EVENT,
    STREAM_EVENT,
    Simulation,
)
from emul.timing.traffic import Transfers

__all__ = ["Checkpoint"]

State = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """The state before ``until_ps``, of the transfers that were kept, by name.

    ``finished``: numbers of those that are done, in the order in which they were.
    ``connections``: whether or not a kept transfer takes them, by their ``ends``.
    ``streams``: of those with a kept transfer, the connection each is of among ``ends`` and
    its number there. ``heaps``: the streams that send, class by class. ``events``: times, numbers
    and kinds; of streams, the numbers are those of ``streams``. Changing paths are in the state
    that holds before ``until_ps``, with which the table of the continued simulation begins.
    """

    until_ps: int
    transfers: State
    operations: State
    finished: Int32Array
    ports: State
    ends: Int64Array
    connections: State
    stream_of: Int64Array
    stream_number: Int64Array
    streams: State
    classes: State
    heaps: Int32Array
    events: Int64Array

    @property
    def size(self) -> int:
        """The number of transfers that were kept."""
        return len(self.transfers["simulation.done"])

    @classmethod
    def of(
        cls,
        simulation: Simulation,
        transfers: Transfers,
        table: ConnectionTable,
        kept: BoolArray,
        going_on: BoolArray,
        until_ps: int,
        before: Checkpoint | None,
    ) -> Checkpoint:
        """Return the state of a simulation of ``transfers`` that has come to ``until_ps``.

        All transfers that are not ``kept`` (transfers,) are over, and all operations that are not
        ``going_on`` (operations,). ``before``: the checkpoint it went on from.
        """
        number = np.where(kept, np.cumsum(kept) - 1, -1).astype(np.int32)
        (which,) = np.nonzero(kept)

        def taken(kind: str, rows: Any = slice(None)) -> State:
            return dict(_columns(simulation, kind, rows, number))

        connections = simulation.connections
        ends = _ends(simulation, transfers, table.connection)
        stream_of = np.repeat(ends, np.diff(connections.first_stream))
        first = np.asarray(connections.first_stream)
        connection_of = np.repeat(np.arange(len(ends)), np.diff(first))
        used = np.isin(np.arange(len(ends)), table.connection[which])
        (streams,) = np.nonzero(used[connection_of])
        renumbered = np.full(len(connection_of), -1, dtype=np.int64)
        renumbered[streams] = np.arange(len(streams))
        of_pipes = taken("connection")
        if before is not None:
            ends, of_pipes = _united(before, ends, of_pipes)
        fluid = connections.fluid
        heap = np.asarray(fluid.heap)[_heaped(fluid)]
        events = simulation.events()
        done_ps = np.asarray(simulation.done)[which]
        order = np.lexsort((which, done_ps))
        return cls(
            until_ps=until_ps,
            transfers=taken("transfer", which),
            operations=taken("operation", np.flatnonzero(going_on)),
            finished=number[which[order]][done_ps[order] >= 0],
            ports=taken("port"),
            ends=ends,
            connections=of_pipes,
            stream_of=stream_of[streams],
            stream_number=streams - first[connection_of[streams]],
            streams=taken("stream", streams),
            classes=taken("class"),
            heaps=renumbered[heap].astype(np.int32),
            events=_renumbered(events, number, renumbered),
        )

    def put_back(
        self, simulation: Simulation, transfers: Transfers, table: ConnectionTable
    ) -> None:
        """Let a new ``simulation`` of ``transfers``, the kept ones first, go on from here."""
        connections, fluid = simulation.connections, simulation.connections.fluid
        _write(simulation, self.transfers, slice(0, self.size))
        going_on = max(map(len, self.operations.values()), default=0)
        _write(simulation, self.operations, slice(0, going_on))
        simulation.operations.put_back()
        _write(simulation, self.ports, slice(None))
        ends = _ends(simulation, transfers, table.connection)
        known, at = _found(ends, self.ends)
        _write(simulation, {name: rows[at] for name, rows in self.connections.items()}, known)
        order = np.argsort(ends)
        connection = order[np.searchsorted(ends, self.stream_of, sorter=order)]
        streams = (np.asarray(connections.first_stream)[connection] + self.stream_number).astype(
            np.int32
        )
        _write(simulation, self.streams, streams)
        _write(simulation, self.classes, slice(None))
        np.asarray(fluid.heap)[_heaped(fluid)] = streams[self.heaps]
        events = self.events.copy()
        (of_streams,) = np.nonzero(events[2] == STREAM_EVENT)
        events[1, of_streams] = FIRST_STREAM + streams[events[1, of_streams]]
        simulation.put_back(events, self.finished, self.until_ps)


def _parts(simulation: Simulation) -> dict[str, Any]:
    """Return the compiled objects that own the state; each names its columns in ``STATE``."""
    connections = simulation.connections
    return {
        "simulation": simulation,
        "edges": simulation.edges,
        "operations": simulation.operations,
        "egress": simulation.egress,
        "credit": simulation.credit,
        "connections": connections,
        "fluid": connections.fluid,
    }


def _columns(
    simulation: Simulation, kind: str, rows: Any, number: Int32Array
) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Yield copies of the columns of a kind; in those with a star, transfers are numbered anew."""
    for owner, part in _parts(simulation).items():
        for name in part.STATE.get(kind, "").split():
            column = np.asarray(getattr(part, name.rstrip("*")))
            if not len(column):
                continue
            column = column[rows].copy()
            if name.endswith("*"):
                column = np.append(number, np.int32(-1))[np.where(column < 0, len(number), column)]
            yield f"{owner}.{name}", column


def _heaped(fluid: Any) -> Int64Array:
    """Return where the heaps of all classes have streams that send, class by class."""
    of, number = expand(np.asarray(fluid.active))
    places: Int64Array = np.asarray(fluid.first)[of] + number
    return places


def _write(simulation: Simulation, state: State, rows: Any) -> None:
    """Write columns into the rows of a simulation, where it has them."""
    parts = _parts(simulation)
    for key, column in state.items():
        owner, name = key.rstrip("*").split(".")
        target = np.asarray(getattr(parts[owner], name))
        if len(target):
            target[rows] = column


def _ends(simulation: Simulation, transfers: Transfers, connection: Int32Array) -> Int64Array:
    """Return the key of each connection: one number for sender, receiver and channel."""
    connections, first = np.unique(connection, return_index=True)
    first = first[connections >= 0]
    ranks = len(simulation.free) // 4
    key = transfers.channel[first].astype(np.int64) * ranks + transfers.src[first]
    result: Int64Array = key * ranks + transfers.dst[first]
    return result


def _found(wanted: Int64Array, known: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Return where in ``wanted`` those stand that are ``known``, and where in ``known``."""
    _, here, there = np.intersect1d(wanted, known, assume_unique=True, return_indices=True)
    return here, there


def _united(before: Checkpoint, ends: Int64Array, connections: State) -> tuple[Int64Array, State]:
    """Return ends and their state, with those of ``before`` that no transfer takes now."""
    more = ~np.isin(before.ends, ends)
    if not more.any():
        return ends, connections
    none = {name: rows[:0] for name, rows in before.connections.items()}
    united = {
        name: np.concatenate([connections.get(name, none[name]), _forgotten(name, rows[more])])
        for name, rows in before.connections.items()
    }
    return np.concatenate([ends, before.ends[more]]), united


def _forgotten(name: str, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return columns of ends whose transfers are all gone: no number of these is known."""
    return np.full_like(rows, -1) if name.endswith("*") else rows


def _renumbered(events: Int64Array, number: Int32Array, streams: Int64Array) -> Int64Array:
    """Return events with transfers and streams numbered anew, without those of no consequence.

    Those of credit are left out, for they are made anew.
    """
    events = events[:, events[2] != FREED_EVENT]
    of_stream, of_path = events[2] == STREAM_EVENT, events[2] == CHANGE_EVENT
    of_transfer = ~(of_stream | of_path)
    events[1, of_transfer] = number[events[1, of_transfer]]
    events[1, of_stream] = streams[events[1, of_stream] - FIRST_STREAM]
    return events[:, of_path | (events[1] >= 0)]
