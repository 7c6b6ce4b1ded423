"""The course of a program of all ranks: one schedule that grows, and goes on where it stood."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from emul.timing.acts import Act, Flown, Issue
from emul.timing.checkpoint import Checkpoint, are_done
from emul.timing.conditions import Conditions
from emul.timing.dependencies import Edges
from emul.timing.flight import Layout
from emul.timing.protocol import windows_of, without_windows
from emul.timing.scheduler import Simulation
from emul.timing.timeline import LOOK_AHEAD_S, Timed, simulated
from emul.timing.traffic import Transfers
from emul.topology import Network
from emul.units import PS_PER_S

__all__ = ["Course"]

Int64Array = npt.NDArray[np.int64]


class Course:
    """What the ranks of ``network`` do from ``clocks_ps`` (n,) on, and when it happens.

    What changes with time is so from ``start_s`` on; what is drawn by chance is for each collective
    as if it were alone.
    """

    def __init__(
        self,
        clocks_ps: Int64Array,
        network: Network,
        *,
        whole_messages: bool,
        seed: int,
        start_s: float,
    ) -> None:
        """Begin with nothing under way."""
        self.windows = windows_of(network) if whole_messages else None
        self.network = without_windows(network) if whole_messages else network
        self.seed, self.start_s = seed, start_s
        self._laid = Layout(clocks_ps)
        self._checkpoint: Checkpoint | None = None
        self._flown: Flown | None = None

    def __len__(self) -> int:
        """Return the number of transfers that are kept, those of ranks to themselves included."""
        return self._laid.size

    def take(self, act: Act) -> None:
        """Let the ranks do one act more."""
        self._flown = None
        self._laid.take(act)

    def flown(self) -> Flown:
        """Return when everything happens that is not over, by what the ranks have done so far.

        Raises TimeLimitError and OutageError as ``time_plan`` does.
        """
        if self._flown is None:
            timeline = simulated(
                lambda: (*self._laid.made(), self.network),
                self._conditions,
                self._times,
                self.start_s,
                from_s=self._from_s,
            )
            self._flown = self._laid.flown(timeline)
        return self._flown

    def advance(self) -> list[Issue]:
        """Let go of what is over for good; return the collectives among it.

        That is what was done before the earliest clock: whatever the ranks do from now on comes
        after it. What comes of the rest is the same, to the picosecond.
        """
        flown = self.flown()
        until_ps = int(flown.clocks_ps.min())
        if until_ps <= self._from_ps:
            return []
        transfers, edges = self._laid.made()
        ahead_s = until_ps / PS_PER_S + LOOK_AHEAD_S
        conditions = self._conditions(transfers, self.network, ahead_s)
        simulation = self._simulation(transfers, edges, conditions)
        simulation.advance(until_ps)
        kept, over = self._laid.leave_out(are_done(simulation))
        self._checkpoint = Checkpoint.of(
            simulation, transfers, conditions, kept, until_ps, self._checkpoint
        )
        return over

    @property
    def _from_ps(self) -> int:
        return 0 if self._checkpoint is None else self._checkpoint.until_ps

    @property
    def _from_s(self) -> float:
        return self._from_ps / PS_PER_S

    def _conditions(self, transfers: Transfers, seen: Network, until_s: float) -> Conditions:
        def conditions(of: Transfers, *, all_trunks: bool) -> Conditions:
            return Conditions.of(
                of,
                seen,
                seed=self.seed,
                start_s=self.start_s,
                until_s=until_s,
                windows=self.windows,
                all_trunks=all_trunks,
                draws=not all_trunks,
            )

        def alone(of: Transfers) -> tuple[Int64Array, Int64Array]:
            drawn = conditions(of, all_trunks=False)
            return drawn.jitter_ps, drawn.tail_ps

        return self._laid.drawn(conditions(transfers, all_trunks=True), alone)

    def _times(
        self, transfers: Transfers, edges: Edges, network: Network, conditions: Conditions
    ) -> Timed:
        simulation = self._simulation(transfers, edges, conditions)
        simulation.advance()
        return simulation.times()

    def _simulation(self, transfers: Transfers, edges: Edges, conditions: Conditions) -> Simulation:
        checkpoint = self._checkpoint
        if checkpoint is None:
            return Simulation(transfers, edges, self.network, conditions)
        simulation = Simulation(transfers, edges, self.network, conditions, checkpoint.size)
        checkpoint.put_back(simulation, transfers, conditions)
        return simulation
