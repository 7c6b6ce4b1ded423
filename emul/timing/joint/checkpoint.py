"""Where a simulation stands at a moment: taken out of one, and put back into another that goes on.

The continued simulation has fewer transfers, for those that are over are left out, and more, for
others were issued meanwhile; so transfers are numbered anew, in the order that they had. Nothing
else changes: a simulation that was put back comes to the same picoseconds as one that never
stopped. The compiled objects save and restore their own state.
"""

from __future__ import annotations

from dataclasses import dataclass

from emul.arrays import BoolArray
from emul.timing.engine.scheduler import SavedState, Simulation
from emul.timing.joint.connections import KnownConnections

__all__ = ["Checkpoint"]


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """The state ``saved`` before ``until_ps`` of ``size`` transfers that were kept.

    ``connections``: those there were, by which connections and streams are numbered. Changing paths
    are in the state that holds before ``until_ps``, with which the table of the continued
    simulation begins.
    """

    until_ps: int
    size: int
    connections: KnownConnections
    saved: SavedState

    @classmethod
    def of(
        cls,
        simulation: Simulation,
        connections: KnownConnections,
        kept: BoolArray,
        going_on: BoolArray,
        until_ps: int,
    ) -> Checkpoint:
        """Return the state of a simulation over ``connections`` that has come to ``until_ps``.

        All transfers that are not ``kept`` (transfers,) are over, and all operations that are not
        ``going_on`` (operations,).
        """
        size = int(kept.sum())
        return cls(until_ps, size, connections, simulation.save(kept, going_on))

    def put_back(self, simulation: Simulation, connections: KnownConnections) -> None:
        """Let a new ``simulation`` over ``connections``, the kept transfers first, go on."""
        numbers = self.connections.numbers_in(connections)
        simulation.restore(self.saved, self.until_ps, *numbers)
