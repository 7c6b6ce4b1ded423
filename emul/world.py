"""The World: a topology, a backend and a clock; the collectives are its methods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from emul.communicator import Communicator, Group
from emul.errors import ArgumentError, TimeLimitError, shown
from emul.mesh import Mesh
from emul.ops import AUTO_BACKEND, Ops, ops_for
from emul.reading.brief import brief, one_line
from emul.reading.checks import checked_ranks, finite, flag, one_of, whole
from emul.runtime.engine import Engine
from emul.runtime.history import HistoryRow, TransferTable
from emul.runtime.planner import Timing
from emul.runtime.program_path import ProgramPath
from emul.runtime.record import Mark
from emul.stacks import IDEAL, Stack
from emul.stacks.transport import as_sent, resolved, with_options
from emul.timing import NCCL_SLICING, Slicing
from emul.topology import Network, Topology, topology_meant
from emul.units import PS_PER_S, format_time
from emul.wall.clock import WallClock, checked_dilation
from emul.wall.lag import Lag

if TYPE_CHECKING:
    from emul.collapsed import CollapsedMesh
    from emul.insight.explanation import Explanation, Plans
    from emul.runtime.program_run import Program, ProgramClocks, ProgramRun

__all__ = ["CLOCKS", "Settings", "World"]

CLOCKS = ("virtual", "wall")
LATEST_START_S = 1e9
"""31 years; a float64 holds such moments to a tenth of a microsecond."""

MOST_SECONDS = 1e15
"""Of one ``compute``: 32 million years, which no clock is asked for by intent."""

LAST_SHOWN = 5
"""Collectives in the table of a World."""

DEFAULT_TOPOLOGY = "three-campus"


@dataclass(frozen=True, slots=True)
class Settings:
    """The arguments of a World, checked (see there). They pickle; ``World.of`` makes a new World.

    ``dilation``: None where it is yet to be found.
    """

    topology: Topology
    backend: str | Ops = AUTO_BACKEND
    clock: str = "virtual"
    dilation: float | None = 1.0
    strict: bool | float = False
    realtime: bool = False
    seed: int = 0
    slicing: Slicing | None = NCCL_SLICING
    start_s: float = 0.0
    stack: Stack = IDEAL
    record: bool = False

    __repr__ = brief


class World(Communicator):
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
    ``seed``: of every random draw: jitter, lost packets, outages, and which wave a stream is on.
    ``slicing``: the pieces in which a chunk is sent on, and their number in flight (512 KiB and 8,
    as in NCCL); None for whole chunks. ``start_s``: seconds after midnight of the first day at
    which the World is made, where links change with time.
    ``stack``: how a library puts messages on the wire, and which algorithm ``auto`` then is: one of
    ``ideal``, ``nccl``, ``gloo`` and ``openmpi``, the path of a profile in TOML, or a Stack. Stacks
    that send whole messages, or have slices of their own, leave ``slicing`` aside.
    ``stack_options``: the variables of a library by name, as ``{"NCCL_ALGO": "Ring"}``; without
    NCCL_NET the links tell the transport of ``nccl`` (see emul.stacks.transport). ``record``: keep
    every act of the program for ``critical_path``, not the last ones alone.

    Buffers are arrays with one row per rank, of NumPy, of CuPy, or of a library that speaks DLPack
    and keeps its arrays where the backend computes; outputs are of the library of their inputs and
    lie where they lie, and nothing is copied on the way. On a GPU, work is put on CuPy's current
    stream; a call returns when it is done. A call leaves its input as it was, unless ``out`` is the
    input itself; a call that fails leaves it as it was in any case. A shape in the place of
    a buffer models the call without data; see NoData.

    Time is one line from the birth of the World, or from ``restart``. Every rank has a clock on it,
    which only ``compute`` and waiting make go on. A call is issue and wait of all its ranks, each
    at its own clock, so the next one starts at each rank where the last one ended there. On the
    same line links change, draws count the messages of a connection, and slow start and token
    buckets go on: so later calls take other times than the first, which is as ``predict`` tells.
    An operation that fails in an outage does so alone: the World goes on. See Communicator for
    several collectives in flight at once. A World may be used from several threads; its program is
    then the order in which they call.

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
        stack_options: Mapping[str, str] | None = None,
        record: bool = False,
    ) -> None:
        """Read the topology and choose the backend.

        Raises TopologyError for a topology that cannot be read, StackError for a profile,
        ArgumentError for an unknown backend, clock or stack, a dilation that is not above 0 or a
        start below 0, BackendError for a backend that this machine does not have.
        """
        places = topology_meant(topology)
        self.settings = Settings(
            topology=places,
            backend=backend,
            clock=one_of(clock, "clock", CLOCKS),
            dilation=checked_dilation(dilation),
            strict=strict,
            realtime=flag(realtime, "realtime"),
            seed=whole(seed, "seed", least=0),
            slicing=_slicing(slicing),
            start_s=_start_s(start_s),
            stack=_stack(stack, stack_options, places),
            record=flag(record, "record"),
        )
        self._start(self.settings)

    @classmethod
    def of(cls, settings: Settings) -> World:
        """Return a new World with these settings, at moment 0."""
        world = cls.__new__(cls)
        world.settings = settings
        world._start(settings)
        return world

    def _start(self, given: Settings) -> None:
        ops = ops_for(given.backend)
        wall = WallClock(given.dilation, given.strict, realtime=given.realtime)
        slicing = Slicing.of(given.stack, given.slicing)
        timing = Timing(slicing, given.seed, given.start_s, given.stack)
        waits, by_arrays = given.clock == "wall", given.backend == AUTO_BACKEND
        topology = as_sent(given.topology, given.stack)
        engine = Engine(
            topology,
            timing,
            ops,
            wall,
            waits=waits,
            by_arrays=by_arrays,
            record=given.record,
        )
        ranks = np.arange(given.topology.world_size, dtype=np.int32)
        super().__init__(engine, topology, ranks, 0)
        self._programs: ProgramClocks | None = None

    def __reduce__(self) -> str | tuple[Any, ...]:
        """Refuse to be pickled: clocks and results in flight belong to one process."""
        raise TypeError(f"{self!r} cannot be pickled: needed its settings, and World.of(settings)")

    @property
    def topology(self) -> Topology:
        """The places of the ranks, and the links between them."""
        return self.settings.topology

    @property
    def ops(self) -> Ops:
        """The Ops that compute on arrays of the host, or those that were asked for."""
        return self.engine.ops

    @property
    def clock(self) -> str:
        """The clock: ``virtual`` or ``wall``."""
        return self.settings.clock

    @property
    def seed(self) -> int:
        """The seed of all random draws."""
        return self.settings.seed

    @property
    def start_s(self) -> float:
        """Seconds after midnight of the first day at which modelled time begins."""
        return self.settings.start_s

    @property
    def stack(self) -> Stack:
        """The library that puts messages on the wire."""
        return self.settings.stack

    @property
    def slicing(self) -> Slicing | None:
        """The pieces in which chunks are sent on; None for whole chunks."""
        return self.planner.timing.slicing

    @property
    def network(self) -> Network:
        """The topology as the scheduler reads it."""
        return self.planner.network

    def __repr__(self) -> str:
        """Say where the ranks live."""
        sites = ", ".join(f"{site.name} {site.ranks}" for site in self.topology.sites)
        dilated = f", dilation {self.dilation:g}" if self.dilation != 1 else ""
        place = f"{self.topology.name}: {self.size} ranks ({sites})"
        return one_line(f"<World {place}, {self.clock} clock{dilated}>")

    def _repr_html_(self) -> str:
        """Return a small table with the last collectives, for notebooks."""
        from emul.drawing import sheet

        rows = self.history
        facts = [
            ("topology", f"{self.topology.name}, {self.size:,} ranks"),
            ("clock", self.clock + (f", dilation {self.dilation:g}" if self.dilation != 1 else "")),
            ("backend", self.ops.name),
            ("stack", self.stack.name),
            ("modelled time so far", format_time(self.now_s)),
            ("collectives", f"{len(rows):,}"),
        ]
        for row in rows[-LAST_SHOWN:]:
            lasted = format_time((row.done_ps - row.issued_ps) / PS_PER_S)
            facts.append((f"{row.collective} {row.number}", f"{lasted} from its issue"))
        return sheet("World", facts)

    @property
    def dilation(self) -> float:
        """By how much modelled time is stretched on the wall clock; 1 until ``auto`` found it."""
        return self.engine.wall.dilation

    @property
    def to_be_rehearsed(self) -> bool:
        """Whether calls wait, and ``dilation`` is yet to be found."""
        return self.engine.waits and self.engine.wall.undecided

    @property
    def realtime(self) -> bool:
        """Whether waits are at real-time priority: asked for, and allowed."""
        return self.engine.wall.realtime

    @property
    def lag(self) -> Lag:
        """The lag of all calls so far behind their modelled moments, and its cause.

        Without any arrivals on the virtual clock. Also without those of rehearsals.
        """
        return self.engine.wall.lag

    def rehearsal(self) -> AbstractContextManager[None]:
        """Return a context in which nobody waits, and which finds ``dilation`` for its calls.

        Make the calls of the program there, twice or more: of calls that are alike the quickest
        counts. On the virtual clock, nothing is found.

        >>> import numpy as np, emul
        >>> world = emul.World("three-campus", clock="wall")
        >>> with world.rehearsal():
        ...     run = world.all_reduce(np.ones((world.size, 6), np.float32))
        >>> run.lag is None and world.dilation >= 1
        True
        """
        return self.engine.wall.rehearsal()

    def group(self, ranks: Iterable[int]) -> Group:
        """Return a communicator of some ranks, as MPI and torch.distributed have them.

        Its rank i is the i-th lowest of ``ranks``, given in any order, as in
        torch.distributed.new_group. Each group has its own connections, also one of the same ranks
        as another. Raises ArgumentError for no rank, one twice, or one that is not there.
        """
        return Group(self.engine, checked_ranks(ranks, self.size), next(self.engine.numbers))

    def run(self, program: Program) -> ProgramRun:
        """Carry out the acts of each rank, and return the moments that they come to.

        Each rank goes on at its own pace: it computes, issues operations and waits for them, as
        emul.programs has them. ``program``: a Log, the path of its file or folder, a mapping of
        ranks to their acts, or a function that returns the acts of a rank. Nothing is computed on
        arrays. Groups of equal ranks and name are one communicator, also in later programs.

        Raises ProgramError, which names ranks and calls, where ranks do not meet: then the clocks
        are at some moment of the program and its operations are left open, so ``restart`` before
        another one. ArgumentError on the wall clock, and for a program of other ranks.

        >>> from emul.programs import Compute, Issue, Wait
        >>> world = World("three-campus")
        >>> run = world.run(lambda rank: [Compute(rank * 1e-3), Issue("all_reduce", 6), Wait()])
        >>> run.time_s > 23e-3, len(run.operations)
        (True, 1)
        """
        from emul.runtime.program_run import ProgramClocks, run_program  # of programs alone

        if self.engine.waits:
            raise ArgumentError("a program on the wall clock: needed a World with clock='virtual'")
        self.engine.check_each("a program of each rank")
        if self._programs is None:
            self._programs = ProgramClocks(self.engine)
        return run_program(self._programs, program)

    def restart(self) -> None:
        """Begin a new line of time: all ranks at moment 0, links at rest, and no history.

        Handles and runs of before keep what they know. On the wall clock the moment 0 is now.
        """
        self.engine.restart()

    def mesh(self, **axes: int) -> Mesh:
        """Return named axes laid over all ranks, outermost first: ``mesh(replicate=3, shard=8)``.

        Rank i is at the place that row-major order gives it, as in torch's DeviceMesh. Raises
        ArgumentError for sizes whose product is not the number of ranks.
        """
        return Mesh(axes, self.topology, self.slicing, self.group)

    def collapse(self, *, strict_draws: bool = False, **axes: int) -> CollapsedMesh:
        """Lay one axis or two over all ranks, and time those that sit alike once from now on.

        ``collapse(replicate=375, shard=800)``: replicas, each inside a site, and the ranks of a
        replica. Then the program is ``compute`` and calls along the axes of the mesh, several in
        flight if need be; clocks and moments are those of all ranks, as if each had been timed: to
        the picosecond, and on trunks that several share within one for each transfer. A call along
        an axis is one row of the ``history``: the first to issue, the last to be done. All that
        tells ranks apart that sit alike is refused, and so are traces and critical paths, which are
        of transfers. Where links draw by chance, one draws for all that it stands for, and the runs
        say so; with ``strict_draws``, such links are refused.

        Raises ArgumentError for sizes whose product is not the number of ranks, for replicas that
        are not alike, for trunks that change with time, on the wall clock, with a stack, and in the
        middle of a program.

        >>> import emul
        >>> world = emul.World("three-campus-300k")
        >>> mesh = world.collapse(replicate=375, shard=800)
        >>> run = mesh.along("replicate").all_reduce(emul.NoData(375_000, "bfloat16"))
        >>> len(world.ranks_now_s), run.time_s > 2 * 124 * 11e-6  # latencies in a campus alone
        (300000, True)
        """
        from emul.collapsed import CollapsedMesh  # of large worlds alone

        strict = flag(strict_draws, "strict_draws")
        return CollapsedMesh(axes, self.engine, self.topology, strict_draws=strict)

    def compute(self, seconds: float, ranks: Iterable[int] | None = None) -> None:
        """Let modelled compute of ``seconds`` pass on some ``ranks``, or on all.

        Collectives in flight go on meanwhile. On the wall clock it returns when the last of these
        ranks is through. Raises ArgumentError for seconds below 0 or ranks that are not there,
        TimeLimitError when clocks that differ would pass 26 days.
        """
        seconds = finite(seconds, "seconds", "a finite number, 0 or more", least=0)
        if seconds > MOST_SECONDS:
            raise TimeLimitError(f"seconds {shown(seconds)}: needed at most {MOST_SECONDS:g}")
        some = None if ranks is None else checked_ranks(ranks, self.size)
        self.engine.compute(seconds, some)

    def mark(self, name: str, ranks: Iterable[int] | None = None) -> Mark:
        """Note a place in the program, for some ``ranks`` or all; several may have one name.

        The mark tells the clocks of these ranks there, by the program so far, and is a beginning or
        an end for ``critical_path``. Raises ArgumentError for a name that is no text, and for ranks
        that are not there.
        """
        if not isinstance(name, str):
            raise ArgumentError(f"name {shown(name)}: needed a text")
        some = range(self.size) if ranks is None else ranks
        return self.engine.clocks.mark(name, checked_ranks(some, self.size))

    def critical_path(
        self, since: Mark | str | None = None, until: Mark | str | None = None
    ) -> ProgramPath:
        """Return why the program takes as long as it does from one mark to another.

        Parameters
        ----------
        since, until
            Marks, or the name of one, which is the last mark of that name. Without them, the path
            is from the last mark but one to the last mark; with one mark made, from there to now;
            with none, from the birth of the World to now.

        Returns
        -------
        ProgramPath
            Rows back from the rank whose clock is latest at ``until`` to the latest clock at
            ``since``: compute of a rank, and operations with the links that held them up. They sum
            to the time between, exactly.

        Raises
        ------
        ArgumentError
            For a mark that is not there, or not before the other; and where the program is no
            longer kept that far back (see ``record`` of World).

        Examples
        --------
        >>> import numpy as np, emul
        >>> world = emul.World("three-campus")
        >>> world.compute(0.25, ranks=[3])
        >>> run = world.all_reduce(np.ones((world.size, 6), np.float32))
        >>> path = world.critical_path()
        >>> path.time_s == world.now_s, path.binding
        (True, 'compute')

        """
        self.engine.check_each("critical_path")
        return self.engine.clocks.critical_path(since, until)

    def explain(
        self,
        since: Mark | str | None = None,
        until: Mark | str | None = None,
        *,
        plan: Plans = "kept",
    ) -> Explanation:
        """Return why the program takes its time between two marks: the shares of effects in it.

        The program is carried out again, from the birth of the World on, under every subset of the
        effects of the links, and its stretch between the marks is timed; the clocks stay. Beside
        the effects (see emul.explain) there are ``compute``, the time where every message takes
        none, and ``sending``, the rates and overheads of the links as the schedules use them: a
        program has no bound, so no share of the schedule. The ``share_ps`` sum to ``time_ps``, the
        picoseconds of ``critical_path``. ``since``, ``until``: as there. ``plan``: ``kept``, every
        operation keeps its plan, or ``again``, each is planned anew, as it was asked for.

        Raises ArgumentError as ``critical_path`` does, for an unknown ``plan``, and where the first
        acts are no longer kept (see ``record``); and all that predictions raise.

        >>> import emul
        >>> world = emul.World("three-campus")
        >>> world.compute(0.25, ranks=[3])
        >>> run = world.all_reduce(emul.NoData(6, "float32"))
        >>> found = world.explain()
        >>> found.by_size[0].name, sum(each.share_ps for each in found.shares) == found.time_ps
        ('compute', True)
        """
        from emul.insight import PLANS  # of explanations alone
        from emul.insight.program import explain_program

        self.engine.check_each("explain")
        return explain_program(self.engine, since, until, one_of(plan, "plan", PLANS))

    @property
    def now_s(self) -> float:
        """The latest of the ranks' modelled clocks, in seconds since the World was made.

        It goes by the program so far; see ``ranks_now_s``.
        """
        return self.engine.clocks.moment_ps() / PS_PER_S

    @property
    def ranks_now_s(self) -> npt.NDArray[np.float64]:
        """The modelled clock of each rank, (n,) in seconds.

        A time in the middle of a program is computed by the program so far. A collective that is
        issued later, at an earlier moment of some rank, may share links with those in flight, and
        change it.
        """
        return self.engine.clocks.clocks_ps() / PS_PER_S

    @property
    def history(self) -> tuple[HistoryRow, ...]:
        """The collectives that ran since the World was made, in the order of their passing.

        Of more than 4096 the last ones. Then those under way, by the program so far.
        """
        return tuple(self.engine.clocks.history())

    @property
    def transfers(self) -> TransferTable:
        """The timeline of everything: each transfer of the ``history`` that left its rank.

        (transfers,) records, collective by collective in plan order: ``collective`` (the ``number``
        of its HistoryRow), ``src`` and ``dst`` (ranks of the world), ``nbytes``, and in picoseconds
        since the World was made ``start_ps`` (the sender's port is taken), ``arrival_ps`` and
        ``done_ps`` (it can be used). Those under way are told by the program so far; the last
        2^18 are kept, and always those of the last collective.
        """
        self.engine.check_each("transfers")
        return self.engine.clocks.transfers()

    def to_perfetto(self, path: str | Path) -> None:
        """Write a trace of the ``history`` to ``path``: all its collectives on one line of time.

        A slice for each collective, and its transfers as far as they are kept (see ``transfers``),
        on the tracks of a Timeline's trace; those under way by the program so far. Forms and errors
        as for Timeline.to_perfetto.
        """
        from emul.tracks import check_form, write_trace

        self.engine.check_each("a trace")
        check_form(Path(path))
        write_trace(Path(path), self.engine.clocks.trace())


def _slicing(given: object) -> Slicing | None:
    if given is None or isinstance(given, Slicing):
        return given
    raise ArgumentError(f"slicing {shown(given)}: needed a Slicing, or None for whole chunks")


def _start_s(given: object) -> float:
    start_s = finite(given, "start_s", f"seconds from 0 to {LATEST_START_S:g}", least=0)
    if start_s > LATEST_START_S:
        raise ArgumentError(f"start_s {shown(given)}: needed at most {LATEST_START_S:g}")
    return start_s


def _stack(given: object, options: Mapping[str, str] | None, topology: Topology) -> Stack:
    if not isinstance(given, Stack | str | Path):
        raise ArgumentError(f"stack {shown(given)}: needed a name, the path of a file, or a Stack")
    if not isinstance(given, Stack):
        from emul.stacks.profile import load_stack

        given = load_stack(str(given))
    return resolved(with_options(given, options or {}), topology)
