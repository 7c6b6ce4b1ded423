"""The World: a topology, a backend and a clock; the collectives are its methods."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from emul.errors import ArgumentError, unknown_name
from emul.lag import Arrival, Lag
from emul.memory import ALWAYS_THERE_BYTES
from emul.ops import AUTO_BACKEND, REDUCTIONS, Ops, dtype_named, ops_for, ops_taking
from emul.ops.buffers import Buffers
from emul.planning import AUTO, Algorithm, Planner
from emul.plans import Counts, Shape, collective_named
from emul.run import Prediction, Run
from emul.stacks import IDEAL, Stack
from emul.timing import NCCL_SLICING, Slicing, now_ns
from emul.topology import Network, Topology, load, read_topology
from emul.wall import WallClock, Work, checked_dilation

__all__ = ["CLOCKS", "World"]

CLOCKS = ("virtual", "wall")
DEFAULT_TOPOLOGY = "three-campus"
DEFAULT_ALGORITHM = AUTO

Array = Any
"""What a caller may give: an array of NumPy, CuPy, or a library that speaks DLPack."""


class World:
    """Ranks at the places of a topology, whose collectives are computed and timed.

    ``topology``: the name of a preset, the path of a TOML file, or a Topology.
    ``backend``: who does the arithmetic: ``cpu`` (compiled, all steps in one pass), ``numpy`` (step
    by step, the specification of the others), ``cupy`` (on an NVIDIA GPU), or ``auto``: by where
    the arrays of a call lie, those of a GPU by ``cupy`` and those of the host by ``cpu``; or Ops of
    one's own.
    ``clock``: ``virtual`` (the time is computed, nobody waits) or ``wall`` (each call returns
    when the modelled moment has come). ``dilation`` stretches modelled time on the wall clock;
    ``auto`` finds one with which the machine keeps pace, by a rehearsal of the first call (or of
    more, see ``rehearsal``). ``strict``: calls that end later after their moment than so many
    seconds, or than 100 us if True, raise LagError. ``realtime``: wait at real-time priority, if
    the user may (``world.realtime`` says so); the thread's own is put back after every wait.
    ``seed``: of every random draw: jitter, lost packets, outages, and which wave a stream is on;
    every call draws anew what the same call drew before. ``slicing``: in which pieces a chunk is
    sent on, and how many are in flight (512 KiB and 8, as in NCCL); None for whole chunks.
    ``start_s``: seconds after midnight of the first day, where links change with time.
    ``stack``: how a library puts messages on the wire, and which algorithm ``auto`` then is: one of
    ``ideal``, ``nccl``, ``gloo`` and ``openmpi``, the path of a profile in TOML, or a Stack. Stacks
    that send whole messages, or have slices of their own, leave ``slicing`` aside.

    Buffers are arrays with one row per rank, of NumPy, of CuPy, or of whatever speaks DLPack and
    lies where the backend computes; outputs are of the library of their inputs and lie where they
    lie, and nothing is copied on the way. On a GPU, work is put on CuPy's current stream; a call
    returns when it is done. A call leaves its input as it was, unless ``out`` is the input itself;
    a call that fails leaves it as it was in any case.

    >>> import numpy as np, emul
    >>> world = emul.World("three-campus")
    >>> run = world.all_reduce(np.ones((world.size, 6), np.float32))
    >>> run.output[0]
    array([24., 24., 24., 24., 24., 24.], dtype=float32)
    >>> run.time_s >= run.bound_s
    True
    """

    def __init__(
        self,
        topology: str | Path | Topology = DEFAULT_TOPOLOGY,
        *,
        backend: str | Ops = AUTO_BACKEND,
        clock: str = "virtual",
        dilation: float | str = 1.0,
        strict: bool | float = False,
        realtime: bool = False,
        seed: int = 0,
        slicing: Slicing | None = NCCL_SLICING,
        start_s: float = 0.0,
        stack: str | Stack = IDEAL,
    ) -> None:
        """Read the topology and choose the backend.

        Raises TopologyError for a topology that cannot be read, StackError for a profile,
        ArgumentError for an unknown backend, clock or stack, a dilation that is not above 0 or a
        start below 0, BackendError for a backend that this machine does not have.
        """
        self.topology = _topology(topology)
        self.ops = ops_for(backend)
        self._ops_by_arrays = backend == AUTO_BACKEND
        if clock not in CLOCKS:
            raise unknown_name("clock", clock, CLOCKS)
        self._wall = WallClock(checked_dilation(dilation), strict, realtime=realtime)
        if not (math.isfinite(start_s) and start_s >= 0):
            raise ArgumentError(f"start_s {start_s}: needed a finite number of seconds, 0 or more")
        self.clock = clock
        if clock == "wall":
            self._wall.begin()  # what is measured once in a process is measured now
        self.seed = seed
        self.start_s = start_s
        self.stack = _stack(stack)
        self.slicing = Slicing.of(self.stack, slicing)
        self._planner = Planner(
            self.topology, self.slicing, seed=seed, start_s=start_s, stack=self.stack
        )
        self._prepare = self._planner.prepare
        self.size = self.topology.world_size
        """Number of ranks."""

    @property
    def network(self) -> Network:
        """The topology as the scheduler reads it."""
        return self._planner.network

    def __repr__(self) -> str:
        """Say where the ranks live."""
        sites = ", ".join(f"{site.name} {site.ranks}" for site in self.topology.sites)
        dilated = f", dilation {self.dilation:g}" if self.dilation != 1 else ""
        place = f"{self.topology.name}: {self.size} ranks ({sites})"
        return f"<World {place}, {self.clock} clock{dilated}>"

    @property
    def dilation(self) -> float:
        """By how much modelled time is stretched on the wall clock; 1 until ``auto`` found it."""
        return self._wall.dilation

    @property
    def to_be_rehearsed(self) -> bool:
        """Whether calls wait, and ``dilation`` is yet to be found."""
        return self.clock == "wall" and self._wall.undecided

    @property
    def realtime(self) -> bool:
        """Whether waits are at real-time priority: asked for, and allowed."""
        return self._wall.realtime

    @property
    def lag(self) -> Lag:
        """By how much all calls so far came behind their modelled moments, and what was to blame.

        Without any arrivals on the virtual clock. Also without those of rehearsals.
        """
        return self._wall.lag

    def rehearsal(self) -> AbstractContextManager[None]:
        """Return a context in which nobody waits, and which finds ``dilation`` for its calls.

        Call there what will be called later, twice or more: of calls that are alike the quickest
        counts. On the virtual clock, nothing is found.

        >>> import numpy as np, emul
        >>> world = emul.World("three-campus", clock="wall")
        >>> with world.rehearsal():
        ...     run = world.all_reduce(np.ones((world.size, 6), np.float32))
        >>> run.lag is None and world.dilation >= 1
        True
        """
        return self._wall.rehearsal()

    def all_reduce(
        self,
        x: Array,
        *,
        op: str = "sum",
        algorithm: Algorithm = DEFAULT_ALGORITHM,
        out: Array | None = None,
    ) -> Run:
        """Give every rank the reduction of all buffers: (n, count) -> (n, count).

        ``op``: sum, prod, min, max or avg. ``algorithm``: one of emul.plans.ALGORITHMS, or
        ``auto`` for the one that the model finds quickest at this size; or the path of a plan in
        MSCCL XML, which ends in .xml; or a function that yields the steps of one's own (see
        emul.plans.plan_from), or a Plan. The order of reduction is
        that of the plan. ``out``: a buffer to write into, also ``x`` itself. Raises
        ShapeError, DTypeError, ArgumentError, PlanError or CapacityError before anything is
        touched.
        """
        return self._run("all_reduce", x, out, op=op, algorithm=algorithm)

    def reduce_scatter(
        self,
        x: Array,
        *,
        op: str = "sum",
        counts: Counts | None = None,
        algorithm: Algorithm = DEFAULT_ALGORITHM,
        out: Array | None = None,
    ) -> Run:
        """Give rank r block r of the reduction of all buffers: (n, n*c) -> (n, c).

        With ``counts`` (n,), block r has counts[r] elements: (n, sum) -> (n, max), rows that are
        shorter filled up with zeros. Other arguments and errors as for ``all_reduce``.
        """
        return self._run("reduce_scatter", x, out, op=op, counts=counts, algorithm=algorithm)

    def all_gather(
        self,
        x: Array,
        *,
        counts: Counts | None = None,
        algorithm: Algorithm = DEFAULT_ALGORITHM,
        out: Array | None = None,
    ) -> Run:
        """Give every rank all buffers in rank order: (n, c) -> (n, n*c).

        With ``counts`` (n,), rank r has the first counts[r] elements of its row: (n, max) ->
        (n, sum). Errors as for ``all_reduce``.
        """
        return self._run("all_gather", x, out, counts=counts, algorithm=algorithm)

    def broadcast(
        self,
        x: Array,
        *,
        root: int = 0,
        algorithm: Algorithm = DEFAULT_ALGORITHM,
        out: Array | None = None,
    ) -> Run:
        """Give every rank the buffer of rank ``root``: (n, count) -> (n, count).

        Errors as for ``all_reduce``.
        """
        return self._run("broadcast", x, out, root=root, algorithm=algorithm)

    def reduce(
        self,
        x: Array,
        *,
        op: str = "sum",
        root: int = 0,
        algorithm: Algorithm = DEFAULT_ALGORITHM,
        out: Array | None = None,
    ) -> Run:
        """Give rank ``root`` the reduction of all buffers: (n, count) -> (count,).

        Arguments and errors as for ``all_reduce``.
        """
        return self._run("reduce", x, out, op=op, root=root, algorithm=algorithm)

    def all_to_all(
        self,
        x: Array,
        *,
        counts: Counts | None = None,
        algorithm: Algorithm = DEFAULT_ALGORITHM,
        out: Array | None = None,
    ) -> Run:
        """Give rank d block d of every rank, in rank order: (n, n*c) -> (n, n*c).

        With ``counts`` (n, n), rank s sends counts[s, d] elements to rank d: rows are as long as
        the longest, and what is left of shorter ones is not read, or filled with zeros. Errors as
        for ``all_reduce``.
        """
        return self._run("all_to_all", x, out, counts=counts, algorithm=algorithm)

    def gather(
        self,
        x: Array,
        *,
        root: int = 0,
        counts: Counts | None = None,
        algorithm: Algorithm = DEFAULT_ALGORITHM,
        out: Array | None = None,
    ) -> Run:
        """Give rank ``root`` all buffers in rank order: (n, c) -> (n*c,).

        ``counts`` as in all_gather. Errors as for ``all_reduce``.
        """
        return self._run("gather", x, out, root=root, counts=counts, algorithm=algorithm)

    def scatter(
        self,
        x: Array,
        *,
        root: int = 0,
        counts: Counts | None = None,
        algorithm: Algorithm = DEFAULT_ALGORITHM,
        out: Array | None = None,
    ) -> Run:
        """Give rank r block r of the buffer ``x`` of rank ``root``: (n*c,) -> (n, c).

        ``counts`` as in reduce_scatter. Errors as for ``all_reduce``.
        """
        return self._run("scatter", x, out, root=root, counts=counts, algorithm=algorithm)

    def send_recv(
        self,
        x: Array,
        *,
        shift: int = 1,
        algorithm: Algorithm = DEFAULT_ALGORITHM,
        out: Array | None = None,
    ) -> Run:
        """Let rank r send to rank r + ``shift`` (around the world): (n, count) -> (n, count).

        Errors as for ``all_reduce``.
        """
        return self._run("send_recv", x, out, root=shift % self.size, algorithm=algorithm)

    def barrier(self, *, algorithm: Algorithm = DEFAULT_ALGORITHM) -> Run:
        """Let no rank go on before all have come: an all_reduce of one byte nobody looks at."""
        x = self.ops.arrays.from_host(np.zeros((self.size, 1), np.uint8))
        return self.all_reduce(x, op="max", algorithm=algorithm)

    def predict(
        self,
        collective: str,
        count: Counts,
        *,
        dtype: str = "float32",
        algorithm: Algorithm = DEFAULT_ALGORITHM,
        root: int = 0,
        collapse: bool = False,
    ) -> Prediction:
        """Return what ``collective`` would cost, without arrays.

        ``count``: elements of one rank's input, or the counts of a vector form. With ``collapse``,
        ranks that sit alike are timed once where that changes nothing (see emul.plans.Excerpt),
        which lets worlds of hundreds of thousands of ranks be timed; the timeline is then that of
        a few of them. Raises ArgumentError for an unknown name or a root that is no rank, or for
        ranks that are not alike where there are too many to be timed each; ShapeError for a count
        that the collective cannot cut into blocks.
        """
        promise, itemsize = collective_named(collective), dtype_named(dtype).itemsize
        if isinstance(count, int):
            shape = Shape.of(promise, self.size, count)
        else:
            shape = Shape.of_counts(promise, self.size, count)
        return self._planner.predict(shape, algorithm, root, itemsize, collapse=collapse)

    def _run(
        self,
        name: str,
        x: Array,
        out: Array | None,
        *,
        op: str = "sum",
        counts: Counts | None = None,
        algorithm: Algorithm,
        root: int = 0,
    ) -> Run:
        on_wall = self.clock == "wall"
        started_ns = self._wall.begin() if on_wall else now_ns()
        if op not in REDUCTIONS:
            raise unknown_name("op", op, REDUCTIONS)
        collective = collective_named(name)
        ops = self.ops
        if self._ops_by_arrays and type(x) is not np.ndarray:
            ops = ops_taking(x, ops)
        arrays = ops.arrays
        buffers = Buffers(collective, self.size, x, out, counts, revocable=on_wall, arrays=arrays)
        itemsize, made = buffers.x.dtype.itemsize, self._planner.made
        program, prediction = self._prepare(buffers.shape, algorithm, root, itemsize)
        new_bytes = ops.new_bytes(program, buffers, op, root)
        if new_bytes >= ALWAYS_THERE_BYTES:
            arrays.check_fits(new_bytes, f"{name} over {self.size} ranks")
        if self._planner.made != made:  # a plan that was not there yet is no part of the call
            started_ns = now_ns()
        try:
            if on_wall:
                work = Work(ops, program, buffers, op, root)
                return self._wall.run(work, prediction, started_ns)
            output = ops.perform(program, buffers, op, root)
        except BaseException:
            buffers.restore()
            raise
        ended_ns = now_ns()
        reduced = (buffers.x, output, op, arrays) if collective.reduces else None
        arrival = Arrival(started_ns, ended_ns, ended_ns, ended_ns, prediction.time_s)
        return Run(buffers.returned(output), prediction, arrival, reduced)


def _stack(given: str | Stack) -> Stack:
    if isinstance(given, Stack):
        return given
    from emul.stacks.library import load_stack

    return load_stack(given)


def _topology(given: str | Path | Topology) -> Topology:
    if isinstance(given, Topology):
        return given
    return load(given) if isinstance(given, str) else read_topology(given)
