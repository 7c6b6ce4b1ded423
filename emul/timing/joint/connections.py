"""All connections that a joint simulation has ever seen, and how they are numbered.

They are few, and the same again and again, while transfers come and go. So their part of the table
of effects is made once, and again when a new one is seen. Their order is that of a collective
alone: by sender, receiver and channel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from emul.arrays import Float64Array, Int32Array, Int64Array
from emul.plans import Multiplicity
from emul.plans.runs import expand
from emul.timing.effects.connection_table import (
    ConnectionTable,
    spacing_of,
    word_of,
)
from emul.timing.effects.drawn_delays import ends_of
from emul.timing.effects.link_states import link_states_of
from emul.timing.engine.columns import Rows
from emul.timing.traffic import NOBODY, Transfers
from emul.topology import Network

__all__ = ["KnownConnections"]


@dataclass(frozen=True, slots=True, eq=False)
class KnownConnections:
    """The connections between the ends with ``keys``, which rise; see drawn_delays.

    ``of`` (keys + 1,): the connection of each key, NOBODY where it is not followed, and at the end.
    ``alike`` (keys,): of how many each is one; None where of one.
    ``table``: as of a transfer on each. ``seed``, ``windows``: as ConnectionTable takes them.
    """

    network: Network
    seed: int
    windows: Float64Array | None
    keys: Int64Array
    of: Int32Array
    table: ConnectionTable
    alike: Int64Array | None = None

    @classmethod
    def between(
        cls,
        keys: Int64Array,
        network: Network,
        seed: int,
        windows: Float64Array | None,
        alike: Int64Array | None = None,
    ) -> KnownConnections:
        """Return the connections between ends with ``keys``, which rise."""
        src, dst, channel = ends_of(keys)
        nothing: Int64Array = np.zeros(len(keys), dtype=np.int64)
        transfers = Transfers(
            src=src,
            dst=dst,
            channel=channel,
            nbytes=nothing,
            begins=nothing.astype(np.uint8),
            takes=nothing,
            remainder=nothing.astype(np.uint8),
            credit=0,
            host_ps=nothing,
            completion_ps=nothing,
            call_ps=0,
            multiplicity=None if alike is None else Multiplicity(alike, nothing + 1, nothing),
            origin=None,
            growth=nothing,
        )
        table = ConnectionTable.of(
            transfers,
            network,
            seed=seed,
            start_s=0.0,
            until_s=0.0,
            windows=windows,
            all_trunks=True,
            draws=None,
        )
        of = np.append(table.connection, np.int32(NOBODY))
        return cls(network, seed, windows, keys, of, table, alike)

    def including(self, keys: Int64Array, several: Multiplicity | None) -> KnownConnections:
        """Return the same with those of ``keys`` that are not known; some may be NOBODY.

        ``several``: of how many the transfers on them are one.
        """
        place = np.searchsorted(self.keys, keys)
        known = np.append(self.keys, NOBODY)[place] == keys
        if known.all() or (keys[~known] == NOBODY).all():
            return self
        united = np.union1d(self.keys, keys[keys != NOBODY])
        alike = None
        if several is not None or self.alike is not None:
            alike = np.ones(len(united), dtype=np.int64)
            alike[np.searchsorted(united, self.keys)] = 1 if self.alike is None else self.alike
            if several is not None:
                sent = keys != NOBODY
                alike[np.searchsorted(united, keys[sent])] = several.connections[sent]
        return KnownConnections.between(united, self.network, self.seed, self.windows, alike)

    def table_of(
        self, transfers: Transfers, keys: Int64Array, *, start_s: float, until_s: float, at_ps: int,
        from_ps: int,
    ) -> ConnectionTable:  # fmt: skip
        """Return the table of ``transfers`` with these ``keys``; the rest as ConnectionTable.of."""
        table, states = self.table, self.table.states
        connection = self.of[np.where(keys == NOBODY, NOBODY, np.searchsorted(self.keys, keys))]
        if len(states.path):
            states = link_states_of(
                self.network, table.classes, seed=self.seed, start_s=start_s, until_s=until_s,
                at_ps=at_ps, from_ps=from_ps,
            )  # fmt: skip
        multi_window = table.multi_window
        if self.windows is not None and np.isfinite(self.windows).any():
            window = np.append(table.cwnd_most, np.inf)[connection]
            multi_window = (transfers.nbytes > window).astype(np.uint8)
        paths = self.network.paths(transfers.src, transfers.dst)
        return replace(
            table,
            connection=connection,
            spacing_ps=spacing_of(table.spacing_ps, transfers, connection),
            word_ps=word_of(transfers, self.network, paths),
            multi_window=multi_window,
            states=states,
            takes=transfers.takes,
            remainder=transfers.remainder,
            credit=transfers.credit,
        )

    def numbers_in(self, later: KnownConnections) -> tuple[Rows, Int64Array, Rows]:
        """Return the numbers of these connections, streams and classes among ``later`` ones."""
        first = self.table.first_stream
        if later is self:
            return slice(None), np.arange(first[-1], dtype=np.int64), slice(None)
        followed = self.of[:-1] >= 0
        place = np.searchsorted(later.keys, self.keys[followed])
        connections: Int64Array = np.empty(len(first) - 1, dtype=np.int64)
        connections[self.of[:-1][followed]] = later.of[place]
        of, within = expand(np.diff(first))
        streams = later.table.first_stream[connections[of]].astype(np.int64) + within
        return connections, streams, self.table.classes.numbers_in(later.table.classes)
