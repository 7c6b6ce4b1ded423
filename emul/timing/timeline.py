"""The timeline of one collective: when each transfer starts, arrives and is done."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from emul.plans import Program
from emul.timing.dependencies import dependencies
from emul.timing.scheduler import schedule
from emul.timing.traffic import Slicing, Traffic
from emul.topology import Network
from emul.units import PS_PER_S

__all__ = ["Timeline", "time_plan"]

Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]
UInt8Array = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """When each transfer of a plan happens; all times in picoseconds from the start.

    ``src``, ``dst``, ``nbytes``: who sends how much to whom, (transfers,), in plan order.
    ``start_ps``: the sender's port is taken. ``arrival_ps``: the last byte is there.
    ``done_ps``: it can be used, because what is reduced before it has arrived too.
    ``on_link_ps`` (transfers, 3): when each link of the route was taken, -1 for none;
    ``behind`` (transfers, 3): the transfer that each link was waited for, -1 for none.
    ``waited_for`` (transfers,): the transfer that made this one ready, and ``start_cause`` how, as
    in emul.timing.CAUSES: by being done, by freeing its slot, or by being issued;
    ``ordered_after``, ``done_cause``: likewise for its being done; -1 for none. ``begins``: whether
    the transfer begins a message, and so pays the overhead.
    """

    network: Network
    src: Int32Array
    dst: Int32Array
    nbytes: Int64Array
    begins: UInt8Array
    on_link_ps: Int64Array
    behind: Int32Array
    arrival_ps: Int64Array
    done_ps: Int64Array
    waited_for: Int32Array
    start_cause: UInt8Array
    ordered_after: Int32Array
    done_cause: UInt8Array

    def __len__(self) -> int:
        """Return the number of transfers."""
        return len(self.src)

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
        return int(np.count_nonzero(self.src != self.dst))

    @property
    def trunk_bytes(self) -> Int64Array:
        """Bytes from each site to each other: (sites, sites) int64, zero on the diagonal."""
        return self.network.site_bytes(self.src, self.dst, self.nbytes)

    @property
    def cross_site_bytes(self) -> int:
        """Bytes over all site boundaries together."""
        return int(self.trunk_bytes.sum())


def time_plan(program: Program, network: Network, slicing: Slicing | None = None) -> Timeline:
    """Return when the transfers of ``program`` happen on ``network``.

    With ``slicing``, large transfers go in slices, and the timeline has a line for each slice.
    Raises TimeLimitError when a time passes what int64 picoseconds hold.
    """
    traffic = Traffic.of(program, slicing)
    edges = dependencies(traffic, network.world_size)
    times = schedule(
        traffic.src, traffic.dst, traffic.nbytes, traffic.begins, traffic.frees, edges, network
    )
    return Timeline(network, traffic.src, traffic.dst, traffic.nbytes, traffic.begins, *times)
