"""The engine under a World and its groups: planners, clocks, the wall clock and the arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import count
from threading import Thread, current_thread
from weakref import WeakValueDictionary

from emul.arrays import Int32Array
from emul.errors import ArgumentError
from emul.ops import Ops, ops_taking
from emul.runtime.cast import Cast
from emul.runtime.clocks import RankClocks
from emul.runtime.messages import Messages
from emul.runtime.planner import Planner, Timing
from emul.stacks import IDEAL
from emul.timing.quotient import MeshQuotient
from emul.topology import Topology
from emul.units import PS_PER_S
from emul.wall import now_ns
from emul.wall.clock import WallClock

__all__ = ["Engine"]

PLANNERS_KEPT = 8
"""Planners of groups that are gone, the last ones: each keeps the plans of a few dozen calls."""


class Engine:
    """Carries requests out: the only room that knows planner, clocks, wall clock and arithmetic.

    ``waits``: whether calls return when their modelled moment has come (the wall clock).
    """

    def __init__(
        self,
        topology: Topology,
        timing: Timing,
        ops: Ops,
        wall: WallClock,
        *,
        waits: bool,
        by_arrays: bool,
        record: bool = False,
    ) -> None:
        """Start all ranks of ``topology`` at moment 0.

        ``by_arrays``: arrays of a GPU are computed on there, and only the others by ``ops``.
        ``record``: keep every act of the program.
        """
        self.topology = topology
        self.timing = timing
        self.ops = ops
        self.by_arrays = by_arrays
        self.wall = wall
        self.waits = waits
        living: WeakValueDictionary[Topology, Planner] = WeakValueDictionary()
        self._planner_of = lru_cache(PLANNERS_KEPT)(partial(_planner, living, timing))
        self.planner = self.planner_of(topology)
        self.clocks = RankClocks(self.planner, keeps_all=record)
        self.numbers = count(1)
        """Of communicators, and of pairs of ranks that send, in the order of their making."""
        self.messages = Messages(topology, self.clocks, self.planner_of, self.numbers)
        self.record = record
        self.cast: Cast | None = None
        self._awaiting: set[Thread] = set()
        if waits:
            self.wall.begin()  # measures the margin of waits, once in a process

    def planner_of(self, topology: Topology) -> Planner:
        """Return the planner for ranks that live as in ``topology``, shared by groups alike.

        Groups share it that are there at the same time, or one after the other.
        """
        return self._planner_of(topology)

    def collapse(self, quotient: MeshQuotient) -> Cast:
        """Let few ranks play the parts of all from now on, and return them.

        Raises ArgumentError on the wall clock, for a stack, and when something was done before.
        """
        if self.waits:
            raise ArgumentError("few ranks on the wall clock: needed clock='virtual'")
        if self.timing.stack is not IDEAL:
            raise ArgumentError(f"few ranks with stack {self.timing.stack.name}: needed ideal")
        if self.clocks.history() or self.clocks.moment_ps():
            raise ArgumentError("few ranks in the middle of a program: needed World.restart before")
        self.cast = cast = Cast(quotient, self.timing)
        self.clocks = RankClocks(cast.planner, keeps_all=self.record, cast=cast)
        return cast

    def check_each(self, what: str) -> None:
        """Raise ArgumentError where few ranks play the parts of all, who do not do ``what``."""
        if self.cast is not None:
            raise ArgumentError(
                f"{what} in a World of which few ranks are timed: needed the groups along an axis "
                "(World.collapse), or another World, which times every rank"
            )

    def ops_taking(self, x: object) -> Ops:
        """Return the Ops that computes on ``x``: by its device, where the backend is ``auto``.

        Raises BackendError for an array of a GPU that cannot be computed on.
        """
        return ops_taking(x, self.ops) if self.by_arrays else self.ops

    def begin(self) -> int:
        """Return the moment of the monotonic clock at which a call begins."""
        return self.wall.begin() if self.waits else now_ns()

    @contextmanager
    def awaiting(self, started_ns: int | None = None) -> Iterator[None]:
        """Let a thread go by the wall clock, which no other thread sets anew meanwhile.

        It counts anew from ``started_ns`` if nothing is being waited for: a moment that all ranks
        have waited for on the modelled clock may be due long after on this one. On the virtual
        clock nothing happens.
        """
        if not self.waits:
            yield
            return
        thread = current_thread()
        self.clocks.hold()
        try:
            if started_ns is not None and not (self.clocks.outstanding or self._others(thread)):
                self.wall.start(started_ns, self.clocks.moment_ps())
            self._awaiting.add(thread)
        finally:
            self.clocks.let_in()
        try:
            yield
        finally:
            self._awaiting.discard(thread)

    def _others(self, thread: Thread) -> bool:
        """Say whether another thread goes by the wall clock; none does in a child of a fork."""
        return any(each is not thread and each.is_alive() for each in self._awaiting)

    def restart(self) -> None:
        """Begin a new line of time."""
        self.clocks.restart()
        self.messages = self.messages.restarted()

    @property
    def dilation(self) -> float | None:
        """The dilation under which calls wait; None on the virtual clock and in a rehearsal."""
        return self.wall.dilation if self.waits and self.wall.waits else None

    def compute(self, seconds: float, ranks: Int32Array | None) -> None:
        """Let modelled compute pass on ``ranks``, or on all; on the wall clock, wait for it."""
        with self.awaiting(now_ns()):
            self.clocks.compute(round(seconds * PS_PER_S), ranks)
            if self.waits:
                self.wall.wait(self.clocks.moment_ps(ranks))


def _planner(
    living: WeakValueDictionary[Topology, Planner], timing: Timing, topology: Topology
) -> Planner:
    """Return the planner of ``topology`` among the ``living``, or else a new one."""
    planner = living.get(topology)
    if planner is None:
        planner = living[topology] = Planner(topology, timing)
    return planner
