"""The moments of the transfers of one collective: when each starts, arrives and is done."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emul.arrays import Int32Array, Int64Array, UInt8Array
from emul.reading.brief import brief
from emul.timing.effects.connection_table import ConnectionTable
from emul.timing.traffic import Transfers
from emul.topology import Network
from emul.units import PS_PER_S

__all__ = ["TransferTimes"]


@dataclass(frozen=True, slots=True, eq=False)
class TransferTimes:
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
    ``runs_from`` (transfers, 2), ``runs_ps`` (transfers, 2, 5): of a transfer over streams, when it
    takes its connection and when its last part has left, the run of the stream of which that is the
    end: with the taking of the connection by which transfer the stream became busy, -1 for none,
    and for how much of the run windows, losses, shared NICs of sender and receiver, and outages
    held it; or empty. ``waited_for``
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

    __repr__ = brief

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
        paths = self.network.site_bytes(self.src, self.dst, self._stand_for)
        for ends, path in self.network.site_paths.items():
            paths[ends] *= (
                max(each.link.transport.streams for each in path.trunks) if path.waves > 1 else 1
            )
        trunks = self.network.crossed_by(paths)
        limited = [site.limited for site in self.network.topology.sites]
        joint = np.append(paths.sum(axis=0)[limited], paths.sum(axis=1)[limited])
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
