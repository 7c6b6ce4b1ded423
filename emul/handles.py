"""Handles: collectives under way, in the manner of torch.distributed and MPI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emul.errors import InFlightError, LagError
from emul.flights import Flight
from emul.run import Run
from emul.timing import now_ns

if TYPE_CHECKING:
    from emul.world import World

__all__ = ["Handle"]


class Handle:
    """A collective that was issued and may be under way.

    The input is read when the collective is issued, and the output may be written from then on:
    leave both alone until it has been waited for. One that nobody waits for takes its course
    all the same.

    >>> import numpy as np, emul
    >>> world = emul.World("three-campus")
    >>> handle = world.all_reduce(np.ones((24, 6)), async_op=True)
    >>> world.compute(1.0)  # passes meanwhile on every rank
    >>> handle.wait().output[0], world.now_s
    (array([24., 24., 24., 24., 24., 24.]), 1.0)
    """

    def __init__(self, world: World, flight: Flight, run: Run) -> None:
        """Take what is under way, and of its run what is known already."""
        self._world = world
        self._flight = flight
        self._run = run
        self._waited = False

    def wait(self) -> Run:
        """Let each rank of the collective wait until it is done with it; return the run.

        The clock of each becomes the later of its own and of when the collective is done there. On
        the wall clock it returns when that moment has come for the last rank, and an interrupt
        leaves the handle to be waited for again. Waiting twice changes nothing. Raises OutageError
        or TimeLimitError, on the wall clock, where what is under way comes to that; LagError where
        that is later than a strict World allows.
        """
        world, flight = self._world, self._flight
        world.progress.wait(flight)
        if self._waited:
            return self._run
        arrival = self._run.arrival
        if world.clock == "wall":
            moment_ps = world.progress.moment_ps(flight.member.ranks)
            try:
                world.wall.hand_over(self._run.prediction.shape.collective.name, arrival, moment_ps)
            except LagError:
                self._waited = True
                raise
        else:
            arrival.ended_ns = now_ns()
        self._waited = True
        return self._run

    @property
    def done(self) -> bool:
        """Whether every rank of it has come to where it is done with it; waits for nothing.

        On the virtual clock only ``compute`` and ``wait`` make ranks go on; on the wall clock the
        time that passes does too.
        """
        world, flight = self._world, self._flight
        if world.progress.is_done(flight):
            return True
        return world.clock == "wall" and world.wall.has_come(int(flight.moments.done_ps.max()))

    @property
    def run(self) -> Run:
        """The run, once it was waited for. Raises InFlightError before."""
        if not self._waited:
            raise InFlightError(f"{self} has not been waited for: needed wait(), which returns it")
        return self._run

    def __repr__(self) -> str:
        """Say what was issued."""
        state = "waited for" if self._waited else "not waited for yet"
        return f"<Handle of {self._run.prediction.plan}: {state}>"
