"""Handles: collectives and messages in flight, in the manner of torch.distributed and MPI."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from emul.arrays import Int32Array
from emul.errors import ArgumentError, InFlightError, LagError, OutageError, shown
from emul.reading.brief import one_line
from emul.reading.checks import checked_ranks
from emul.runtime.engine import Engine
from emul.runtime.operation import Operation
from emul.runtime.run import Run
from emul.units import PS_PER_S, format_bytes, format_time
from emul.wall import now_ns
from emul.wall.clock import Result
from emul.wall.worker import Pending

__all__ = ["Handle"]


class Handle:
    """A collective, or one end of a message, that was issued and may be in flight.

    It takes its course from each rank's own moment of issue on, beside all else in flight, also if
    nobody waits for it. The input is read and the output written at any time until it has been
    waited for: leave both alone till then. On the virtual clock the arithmetic is done when this is
    made; on the wall clock a worker does it, one collective after the other in order of issue,
    while the caller goes on.

    >>> import numpy as np, emul
    >>> world = emul.World("three-campus")
    >>> handle = world.all_reduce(np.ones((24, 6)), async_op=True)
    >>> world.compute(1.0)  # passes meanwhile on every rank
    >>> handle.wait().output[0], world.now_s
    (array([24., 24., 24., 24., 24., 24.]), 1.0)
    """

    def __init__(
        self,
        engine: Engine,
        operation_of: Callable[[], Operation],
        pending: Pending[Result],
        run_of: Callable[[Result, Operation], Run],
        *,
        part: Int32Array | None = None,
        name: str,
        undo: Callable[[], None] | None = None,
    ) -> None:
        """Take who knows the operation, its pending result, and the maker of a run of both.

        ``part``: the ranks whose handle it is, of a message; all where it is None. ``name``: of
        what was issued. ``undo``: puts the input back if the operation fails.
        """
        self._undo = undo
        self._engine = engine
        self._operation_of = operation_of
        self._pending = pending
        self._run_of = run_of
        self._part = part
        self._name = name
        self._run: Run | None = None

    @property
    def _operation(self) -> Operation:
        return self._operation_of()

    def wait(self, ranks: Iterable[int] | None = None) -> Run:
        """Let each rank of the collective wait until its part is done; return the run.

        The clock of each becomes the later of its own and the moment at which the collective is
        done there. ``ranks``: let only these wait, counted among the ranks of the communicator; the
        others go on, and may wait later. Of a message, only the sender waits for a send until it is
        free, and only the receiver for a receive until all has come.

        On the wall clock it returns when that moment has come for the last of these ranks, and an
        interrupt leaves the handle to be waited for again. Waiting twice changes nothing. Raises
        ArgumentError for ranks that are not there, and for a message to which the other rank has
        not come; OutageError for a collective that has failed, each time, its input left as it was;
        TimeLimitError for one whose time has no end; LagError where the return is later than a
        strict World allows; and the error of the arithmetic, if it failed.
        """
        with self._engine.awaiting():
            return self._waited(ranks)

    def _waited(self, ranks: Iterable[int] | None) -> Run:
        engine, clocks, operation = self._engine, self._engine.clocks, self._operation
        some = self._part if ranks is None else self._chosen(operation, ranks)
        clocks.wait(operation, some)
        self._check(operation, some)
        if self._run is not None:
            if engine.waits:
                engine.wall.wait(clocks.moment_ps(some))
            return self._run
        if not engine.waits:
            run = self._run_of(self._pending.result(), operation)
            run.call_times.ended_ns = now_ns()
        else:
            moment_ps = clocks.moment_ps(operation.member.ranks if some is None else some)
            run = self._run_of(self._pending.result(), operation)
            try:
                engine.wall.hand_over(operation.name, run.call_times, moment_ps)
            except LagError:
                self._run = run
                raise
        self._run = run
        return run

    def _check(self, operation: Operation, some: Int32Array | None) -> None:
        """Raise OutageError if the operation has failed: on the wall clock, at that moment."""
        try:
            self._engine.clocks.check(operation)
        except OutageError:
            if self._engine.waits:
                self._engine.wall.wait(self._engine.clocks.moment_ps(some))
            self._pending.result()
            if self._undo is not None:
                self._undo()
            self._undo = None
            raise

    def _chosen(self, operation: Operation, ranks: Iterable[int]) -> Int32Array:
        """Return ``ranks`` of the communicator as ranks of the world; raises ArgumentError."""
        mine = operation.member.ranks
        if self._part is not None:
            raise ArgumentError(
                f"ranks {shown(ranks)} to wait for {self}: needed none, for a message has a handle "
                "for each of its ranks"
            )
        return mine[checked_ranks(ranks, len(mine))]

    @property
    def done(self) -> bool:
        """Whether the clock of every rank has reached the end of its part; waits for nothing.

        On the virtual clock only ``compute`` and ``wait`` make ranks go on; on the wall clock the
        time that passes does too, and the result has to be there.
        """
        engine = self._engine
        try:
            operation = self._operation
        except ArgumentError:  # the other rank of a message has not come
            return False
        if not self._pending.is_there:
            return False
        if engine.clocks.is_done(operation):
            return True
        return engine.waits and engine.wall.has_come(int(operation.moments.done_ps.max()))

    @property
    def run(self) -> Run:
        """The run, once it was waited for. Raises InFlightError before."""
        if self._run is None:
            raise InFlightError(f"{self} has not been waited for: needed wait(), which returns it")
        return self._run

    def _repr_html_(self) -> str:
        """Return a small table, for notebooks."""
        from emul.drawing import sheet

        operation = self._operation
        facts = [
            ("state", "waited for" if self._run else "not waited for yet"),
            ("size", format_bytes(operation.prepared.nbytes)),
            ("modelled time so far", format_time(operation.time_ps / PS_PER_S)),
        ]
        return sheet(f"Handle of {self._name}", facts)

    def __repr__(self) -> str:
        """Name the collective, and say whether it was waited for."""
        state = "waited for" if self._run else "not waited for yet"
        return one_line(f"<Handle of {self._name}: {state}>")
