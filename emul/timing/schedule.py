"""The compiled scheduler as one function: a plan's transfers in, their times out."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from emul.timing.effects.connection_table import ConnectionTable
from emul.timing.engine.dependencies import Edges
from emul.timing.engine.scheduler import Simulation
from emul.timing.traffic import Transfers
from emul.topology import Network

__all__ = ["schedule"]


Scheduled = tuple[dict[str, npt.NDArray[Any]], str | tuple[str, int, int, int] | None]


def schedule(
    traffic: Transfers, edges: Edges, network: Network, table: ConnectionTable
) -> Scheduled:
    """Return when each transfer is on its links, arrives and is done, and its causes.

    ``traffic``: an emul.timing.traffic.Transfers; ``edges`` comes from ``dependencies`` and is used
    up; ``network``: an emul.topology.Network; ``table``: an
    emul.timing.effects.connection_table.ConnectionTable of the same traffic.

    The result is the tuple (times, trouble). ``failure`` is None, or TOO_LATE when a time passes
    the range of int64 picoseconds, NEVER_ENDS when a link is without any rate as far as the table
    says, or (DEAD, way, from, until) when a connection was given up: the changing way's number, and
    when, in picoseconds, it was first in vain and the way was up again (EVER_DRY of
    emul.timing.engine.operations: it never has any rate more). ``times`` is a dictionary of arrays
    by the names of emul.timing.Timeline, where they are explained.
    """
    simulation = Simulation(traffic, edges, network, table)
    simulation.advance()
    return simulation.times()
