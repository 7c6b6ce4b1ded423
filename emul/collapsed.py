"""A mesh whose ranks that sit alike are timed once, for hundreds of thousands of ranks."""

from __future__ import annotations

from math import prod
from typing import Any, Literal, overload

import numpy as np

from emul.arrays import Float64Array, Int32Array, Int64Array
from emul.errors import ArgumentError, ShapeError, shown
from emul.mesh import check_axis, checked_axes, product
from emul.ops.carried import wire_of_call
from emul.ops.shapes import GivenShape, ShapeOnly, given_shape
from emul.plans import Encoding, collective_meant
from emul.reading.brief import one_line
from emul.reading.checks import flag
from emul.runtime.cast import Cast
from emul.runtime.engine import Engine
from emul.runtime.operation import Operation
from emul.timing import Release
from emul.timing.quotient import INNER, OUTER, MeshQuotient
from emul.timing.symmetry import FEWEST_PER_WAVE, check_alike
from emul.topology import Topology
from emul.units import PS_PER_S, format_time

__all__ = ["CollapsedAxis", "CollapsedHandle", "CollapsedMesh", "CollapsedRun"]

Yes = Literal[True]
No = Literal[False]

MOST_AXES = 2


class CollapsedMesh:
    """Axes laid over all ranks of a World, of which few are timed: see ``World.collapse``.

    ``axes``: the size of each axis. ``timed``: how many ranks are timed.

    >>> import emul
    >>> world = emul.World("three-campus-300k")
    >>> mesh = world.collapse(replicate=375, shard=800)
    >>> mesh.timed, world.size
    (96, 300000)
    """

    def __init__(
        self, axes: dict[str, int], engine: Engine, topology: Topology, *, strict_draws: bool
    ) -> None:
        """Let few ranks of ``engine`` play the parts of all. Raises ArgumentError."""
        self.axes = checked_axes(axes, topology.world_size)
        if len(self.axes) > MOST_AXES:
            raise ArgumentError(f"{self} of few ranks: needed at most {MOST_AXES} axes")
        check_alike(topology, strict_draws=strict_draws)
        quotient = MeshQuotient.of(topology, prod(list(self.axes.values())[1:]))
        self._engine, self._several = engine, len(topology.sites) > 1
        self._cast = engine.collapse(quotient)
        self._axes = {name: self._axis(name) for name in self.axes}

    @property
    def timed(self) -> int:
        """The number of ranks that are timed."""
        return self._cast.size

    def along(self, name: str) -> CollapsedAxis:
        """Return the collectives of all groups along one axis, which operate at once.

        Raises ArgumentError for a name that no axis has.
        """
        check_axis(name, self.axes, str(self))
        return self._axes[name]

    def _axis(self, name: str) -> CollapsedAxis:
        which = OUTER if name == next(iter(self.axes)) else INNER
        algorithm = "hierarchical" if which == OUTER and self._several else "ring"
        return CollapsedAxis(name, which, self.axes[name], algorithm, self._engine, self._cast)

    def __repr__(self) -> str:
        """Name the axes."""
        return one_line(f"<{self}>")

    def __str__(self) -> str:
        """Name the mesh as error messages do."""
        return f"CollapsedMesh {product(self.axes)}"


class CollapsedAxis:
    """All groups along one axis of a collapsed mesh: one call is a collective on each, at once.

    It takes shapes, such as NoData(count, dtype) with the elements of one rank, and no arrays.
    ``algorithm``: a hierarchy with rings inside, or within a site a ring, as by default. Shares
    have to come out even. With ``async_op=True``, a call returns a CollapsedHandle at once.

    >>> import emul
    >>> world = emul.World("three-campus-300k")
    >>> mesh = world.collapse(replicate=375, shard=800)
    >>> handle = mesh.along("shard").all_gather(emul.NoData(750_000, "bfloat16"), async_op=True)
    >>> world.compute(0.01)
    >>> run = handle.wait()
    >>> 0.02 < run.time_s < 0.04, bool(world.now_s == run.done_s.max())
    (True, True)
    """

    ordered: None = None
    release: Release = "arrival"

    def __init__(
        self, name: str, axis: str, size: int, algorithm: str, engine: Engine, cast: Cast
    ) -> None:
        """Take the name of the axis, its size, and the few ranks."""
        self.name, self.size, self.algorithm = name, size, algorithm
        self._axis, self._engine, self._cast = axis, engine, cast
        self.number = self.communicator = next(engine.numbers)
        self.ranks: Int32Array = np.arange(cast.size, dtype=np.int32)

    @overload
    def all_reduce(
        self, x: Any, *, algorithm: str = ..., wire: str | None = ..., async_op: No = ...
    ) -> CollapsedRun: ...

    @overload
    def all_reduce(
        self, x: Any, *, algorithm: str = ..., wire: str | None = ..., async_op: Yes
    ) -> CollapsedHandle: ...

    def all_reduce(
        self, x: Any, *, algorithm: str = "", wire: str | None = None, async_op: bool = False
    ) -> CollapsedRun | CollapsedHandle:
        """Give every rank the reduction of the buffers of its group: see Group.all_reduce."""
        return self._call("all_reduce", x, algorithm, wire, async_op=async_op)

    @overload
    def reduce_scatter(
        self, x: Any, *, algorithm: str = ..., async_op: No = ...
    ) -> CollapsedRun: ...

    @overload
    def reduce_scatter(
        self, x: Any, *, algorithm: str = ..., wire: str | None = ..., async_op: Yes
    ) -> CollapsedHandle: ...

    def reduce_scatter(
        self, x: Any, *, algorithm: str = "", wire: str | None = None, async_op: bool = False
    ) -> CollapsedRun | CollapsedHandle:
        """Give every rank its block of the reduction in its group: see Group.reduce_scatter."""
        return self._call("reduce_scatter", x, algorithm, wire, async_op=async_op)

    @overload
    def all_gather(
        self, x: Any, *, algorithm: str = ..., wire: str | None = ..., async_op: No = ...
    ) -> CollapsedRun: ...

    @overload
    def all_gather(
        self, x: Any, *, algorithm: str = ..., wire: str | None = ..., async_op: Yes
    ) -> CollapsedHandle: ...

    def all_gather(
        self, x: Any, *, algorithm: str = "", wire: str | None = None, async_op: bool = False
    ) -> CollapsedRun | CollapsedHandle:
        """Give every rank all buffers of its group: see Group.all_gather."""
        return self._call("all_gather", x, algorithm, wire, async_op=async_op)

    def issue(
        self, collective: str, x: Any, *, algorithm: str = "", wire: str | None = None
    ) -> CollapsedHandle:
        """Issue a collective on each group at once.

        Raises ShapeError, DTypeError, ArgumentError or CapacityError before anything is issued.
        """
        engine, cast, given = self._engine, self._cast, self._given(x)
        if engine.cast is not cast:
            raise ArgumentError(f"{self} of a mesh before: needed the last one of its World")
        promise = collective_meant(collective)
        call = ShapeOnly(promise, self.size, given, None, None)
        carried = wire_of_call(wire, promise.name, call.dtype)
        encoding = Encoding(call.dtype.itemsize, carried)
        prepared = cast.prepare(self._axis, call.shape, encoding, algorithm or self.algorithm)
        assumed = prepared.assumed
        if 0 < assumed.spread < FEWEST_PER_WAVE:
            raise ArgumentError(
                f"{assumed.spread} streams for each wave of a trunk: needed {FEWEST_PER_WAVE}, so "
                "that they may be taken to be spread evenly"
            )
        engine.clocks.admit(self, prepared)
        operation = engine.clocks.issue(self, prepared)
        return CollapsedHandle(self, engine, operation, cast.rank_of, tuple(assumed.words))

    def _call(
        self, collective: str, x: Any, algorithm: str, wire: str | None, *, async_op: bool
    ) -> CollapsedRun | CollapsedHandle:
        issued = flag(async_op, "async_op")
        handle = self.issue(collective, x, algorithm=algorithm, wire=wire)
        return handle if issued else handle.wait()

    def _given(self, x: Any) -> GivenShape:
        """Return the shape of the rows of a group, where ``x`` has one for each rank of all."""
        given, n = given_shape(x), len(self._cast.rank_of)
        if given is None:
            raise ArgumentError(
                f"{shown(x)} along {self}: needed a shape, such as NoData(count, dtype), for few "
                "ranks have no data of all"
            )
        if given.shape is None:
            return given
        if len(given.shape) != 2 or given.shape[0] != n:
            raise ShapeError(f"input of shape {given.shape} along {self}: needed ({n}, count)")
        return given._replace(shape=(self.size, given.shape[1]))

    def __repr__(self) -> str:
        """Name the axis."""
        return one_line(f"<{self}>")

    def __str__(self) -> str:
        """Name the axis as error messages do."""
        groups = len(self._cast.rank_of) // self.size
        return f"CollapsedAxis {self.name}: {groups:,} groups of {self.size:,} ranks"


class CollapsedHandle:
    """A collective that was issued on each group along an axis, and may be in flight."""

    def __init__(
        self,
        axis: CollapsedAxis,
        engine: Engine,
        operation: Operation,
        rank_of: Int32Array,
        assumed: tuple[str, ...],
    ) -> None:
        """Take the operation of the few ranks, and what was assumed of all."""
        self._axis, self._engine, self._operation = axis, engine, operation
        self._run = CollapsedRun(str(axis), operation, rank_of, assumed)

    def wait(self) -> CollapsedRun:
        """Let each rank wait until its part is done; return the run of all groups."""
        self._engine.clocks.wait(self._operation)
        return self._run

    @property
    def done(self) -> bool:
        """Whether the clock of every rank has reached the end of its part; waits for nothing."""
        return self._engine.clocks.is_done(self._operation)

    def __repr__(self) -> str:
        """Name the collective."""
        return one_line(f"<CollapsedHandle of {self._operation.name} along {self._axis}>")


class CollapsedRun:
    """A collective of all groups along an axis.

    ``assumed``: how draws by chance were made for ranks that sit alike, in words; empty where
    nothing was drawn, and times are exact.
    """

    def __init__(
        self, axis: str, operation: Operation, rank_of: Int32Array, assumed: tuple[str, ...]
    ) -> None:
        """Take the operation of the few ranks, and who stands for each."""
        self.assumed = assumed
        self._axis, self._operation, self._rank_of = axis, operation, rank_of

    @property
    def time_s(self) -> float:
        """Modelled seconds from the start of the first rank until the last was done."""
        moments = self._operation.moments
        return int(moments.done_ps.max() - moments.started_ps.min()) / PS_PER_S

    @property
    def issued_s(self) -> Float64Array:
        """When each rank issued it, (n,) in seconds since the World was made."""
        return self._seconds(self._operation.moments.issued_ps)

    @property
    def started_s(self) -> Float64Array:
        """When each rank started it, likewise."""
        return self._seconds(self._operation.moments.started_ps)

    @property
    def done_s(self) -> Float64Array:
        """When each rank was done with it, likewise; as known so far, while it is in flight."""
        return self._seconds(self._operation.moments.done_ps)

    def _seconds(self, moments_ps: Int64Array) -> Float64Array:
        seconds: Float64Array = moments_ps[self._rank_of] / PS_PER_S
        return seconds

    def __repr__(self) -> str:
        """Say the result in one line."""
        time = format_time(self.time_s)
        return one_line(f"<CollapsedRun {self._operation.name} along {self._axis}: {time}>")
