"""Handles: collectives under way, in the manner of torch.distributed and MPI."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from emul.errors import InFlightError, LagError
from emul.runtime.busy_period import Flight
from emul.runtime.run import Run
from emul.wall.clock import Result
from emul.wall.pacer import now_ns
from emul.wall.worker import Pending

if TYPE_CHECKING:
    from emul.world import World

__all__ = ["Handle"]


class Handle:
    """A collective that was issued and may be under way.

    The input is read and the output written at any time until it has been waited for: leave both
    alone till then. On the virtual clock the arithmetic is done when this is made; on the wall
    clock a worker does it, one collective after the other in order of issue, and while the caller
    goes on. One that nobody waits for takes its course all the same.

    >>> import numpy as np, emul
    >>> world = emul.World("three-campus")
    >>> handle = world.all_reduce(np.ones((24, 6)), async_op=True)
    >>> world.compute(1.0)  # passes meanwhile on every rank
    >>> handle.wait().output[0], world.now_s
    (array([24., 24., 24., 24., 24., 24.]), 1.0)
    """

    def __init__(
        self,
        world: World,
        flight: Flight,
        pending: Pending[Result],
        run_of: Callable[[Result, Flight], Run],
    ) -> None:
        """Take what is under way, its result, and what makes a run of that."""
        self._world = world
        self._flight = flight
        self._pending = pending
        self._run_of = run_of
        self._run: Run | None = None

    def wait(self) -> Run:
        """Let each rank of the collective wait until it is done with it; return the run.

        The clock of each becomes the later of its own and of when the collective is done there. On
        the wall clock it returns when that moment has come for the last rank, and an interrupt
        leaves the handle to be waited for again. Waiting twice changes nothing. Raises OutageError
        or TimeLimitError, on the wall clock, where what is under way comes to that; LagError where
        that is later than a strict World allows; and whatever kept the arithmetic from its end.
        """
        world, flight = self._world, self._flight
        world.progress.wait(flight)
        if self._run is not None:
            return self._run
        if world.clock == "virtual":
            run = self._run_of(self._pending.result(), flight)
            run.arrival.ended_ns = now_ns()
        else:
            moment_ps = world.progress.moment_ps(flight.member.ranks)
            run = self._run_of(self._pending.result(), flight)
            try:
                world.wall.hand_over(flight.name, run.arrival, moment_ps)
            except LagError:
                self._run = run
                raise
        self._run = run
        return run

    @property
    def done(self) -> bool:
        """Whether every rank of it has come to where it is done with it; waits for nothing.

        On the virtual clock only ``compute`` and ``wait`` make ranks go on; on the wall clock the
        time that passes does too, and the result has to be there.
        """
        world, flight = self._world, self._flight
        if not self._pending.is_there:
            return False
        if world.progress.is_done(flight):
            return True
        return world.clock == "wall" and world.wall.has_come(int(flight.moments.done_ps.max()))

    @property
    def run(self) -> Run:
        """The run, once it was waited for. Raises InFlightError before."""
        if self._run is None:
            raise InFlightError(f"{self} has not been waited for: needed wait(), which returns it")
        return self._run

    def __repr__(self) -> str:
        """Say what was issued."""
        state = "waited for" if self._run else "not waited for yet"
        return f"<Handle of {self._flight.prediction.plan}: {state}>"
