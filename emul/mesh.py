"""Named axes laid over the ranks of a world, and the groups along each, as torch's DeviceMesh."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from emul.arrays import Float64Array, Int32Array
from emul.communicator import Group
from emul.errors import ArgumentError, shown
from emul.ops import dtype_named
from emul.ops.carried import wire_of_call
from emul.ops.shapes import NoData
from emul.plans import Encoding, Shape, collective_meant
from emul.reading.brief import one_line
from emul.reading.checks import whole
from emul.runtime.handle import Handle
from emul.runtime.run import Run
from emul.timing import Slicing
from emul.timing.quotient import INNER, OUTER, MeshQuotient
from emul.topology import Topology
from emul.units import PS_PER_S

__all__ = ["Axis", "Mesh", "MeshHandle", "check_axis", "checked_axes", "product"]


class Mesh:
    """The ranks of a world as a table with named axes, outermost first, rank by rank.

    ``axes``: the size of each axis. ``ranks``: the ranks, one dimension for each axis. Groups are
    made when they are first asked for, once each, so that calls on an axis keep their connections.

    >>> import emul
    >>> mesh = emul.World("three-campus").mesh(replicate=3, shard=8)
    >>> mesh.ranks[:, 0]
    array([ 0,  8, 16], dtype=int32)
    >>> len(mesh.groups("replicate")), mesh.groups("shard")[2].ranks[:3]
    (8, array([16, 17, 18], dtype=int32))
    """

    def __init__(
        self,
        axes: Mapping[str, int],
        topology: Topology,
        slicing: Slicing | None,
        group: Callable[[Int32Array], Group],
    ) -> None:
        """Lay ``axes`` over the ranks; ``group`` makes a communicator of some of them.

        Raises ArgumentError for no axis, a size below 1, or a product that is not the world size.
        """
        world_size = topology.world_size
        self.axes = checked_axes(axes, world_size)
        self.topology, self.slicing = topology, slicing
        self.ranks: Int32Array = np.arange(world_size, dtype=np.int32).reshape(
            tuple(self.axes.values())
        )
        self._group = group
        self._groups: dict[str, tuple[Group, ...]] = {}

    def groups(self, name: str) -> tuple[Group, ...]:
        """Return the groups along one axis, by their first ranks: each differs in that axis only.

        ``auto`` chooses for all of them that lie alike at once. Raises ArgumentError for a name
        that no axis has.
        """
        if name not in self._groups:
            groups = tuple(map(self._group, self._along(name)))
            alike = Counter(group.planner.topology for group in groups)
            for group in groups:
                group.company = alike[group.planner.topology]
            self._groups[name] = groups
        return self._groups[name]

    def along(self, name: str) -> Axis:
        """Return the collectives of all groups along one axis, which operate at once.

        Raises ArgumentError for a name that no axis has.
        """
        return Axis(name, self)

    def check(self, name: str) -> None:
        """Raise ArgumentError for a name that no axis has."""
        check_axis(name, self.axes, str(self))

    def quotient(self, name: str) -> tuple[str, MeshQuotient]:
        """Return few ranks that stand for all along one axis, and which axis of theirs it is.

        Raises ArgumentError for an axis that is neither the outermost nor the innermost, or ranks
        that are not alike.
        """
        names = list(self.axes)
        if name not in (names[0], names[-1]):
            raise ArgumentError(f"axis {name} of {self}: needed the outermost or the innermost")
        sizes = list(self.axes.values())
        if name == names[-1]:
            return INNER, MeshQuotient.of(self.topology, sizes[-1])
        return OUTER, MeshQuotient.of(self.topology, prod(sizes[1:]))

    def _along(self, name: str) -> Int32Array:
        """Return the ranks of each group along an axis, (groups, size)."""
        self.check(name)
        moved = np.moveaxis(self.ranks, list(self.axes).index(name), -1)
        along: Int32Array = moved.reshape(-1, self.axes[name])
        return along

    def __repr__(self) -> str:
        """Name the axes."""
        return one_line(f"<Mesh {product(self.axes)}>")


class Axis:
    """All groups along one axis of a mesh: one call issues a collective on each, in their order.

    Buffers have one row for each rank of the world. The same program may be written by hand, as
    calls on each of ``groups`` with the rows of its ranks and ``async_op=True``; it takes the same
    time.

    >>> import numpy as np, emul
    >>> mesh = emul.World("three-campus").mesh(replicate=3, shard=8)
    >>> runs = mesh.along("replicate").all_reduce(np.ones((24, 6), np.float32))
    >>> len(runs), runs[0].output[0]
    (8, array([3., 3., 3., 3., 3., 3.], dtype=float32))
    """

    def __init__(self, name: str, mesh: Mesh) -> None:
        """Take the name of an axis, and its mesh."""
        self.name, self.mesh = name, mesh
        mesh.check(name)

    @property
    def groups(self) -> tuple[Group, ...]:
        """The groups along the axis, by their first ranks."""
        return self.mesh.groups(self.name)

    def ends_s(
        self,
        collective: str,
        count: int,
        *,
        dtype: str = "float32",
        algorithm: str = "",
        wire: str | None = None,
    ) -> Float64Array:
        """Return when each rank is done, (n,) seconds after all groups started at one moment.

        ``count``: elements of one rank's input. ``algorithm``: a hierarchy with rings inside, or
        within a site a ring, as by default. ``wire``: as in Group.all_reduce. Nothing else is under
        way. Groups that are alike are
        timed as one, so that the world may be very large; that is for the stack ideal, and exact
        where ``World.predict`` with ``collapse`` is. Raises ArgumentError where groups are not
        alike, or for an axis between others.

        >>> import emul
        >>> mesh = emul.World("three-campus-300k").mesh(replicate=375, shard=800)
        >>> ends_s = mesh.along("shard").ends_s("all_gather", 10_000)
        >>> len(ends_s), bool(0.008 < ends_s.max() < 0.012)
        (300000, True)
        """
        axis, quotient = self.mesh.quotient(self.name)
        promise, size = collective_meant(collective), self.mesh.axes[self.name]
        several = axis == OUTER and len(self.mesh.topology.sites) > 1
        default = "hierarchical" if several else "ring"
        plan = quotient.plan(axis, promise.name, algorithm or default)
        shape = Shape.of(promise, size, whole(count, "count"))
        elements = dtype_named(dtype)
        carried = wire_of_call(wire, promise.name, elements)
        encoding = Encoding(elements.itemsize, carried)
        ends_ps = quotient.ends_ps(axis, plan, shape, encoding, self.mesh.slicing)
        seconds: Float64Array = ends_ps[quotient.rank_of] / PS_PER_S
        return seconds

    def issue(self, collective: str, x: Any, **how: Any) -> MeshHandle:
        """Issue a collective on each group: ``x`` is (n, count), or NoData; ``how`` as on a Group.

        Raises ShapeError, DTypeError, ArgumentError, PlanError or CapacityError; groups before the
        one that is refused have issued theirs.
        """
        verbs = (getattr(group, collective) for group in self.groups)
        calls = zip(verbs, self.groups, strict=True)
        given = isinstance(x, NoData)
        return MeshHandle(
            tuple(
                verb(x if given else x[group.ranks], async_op=True, **how) for verb, group in calls
            )
        )

    def all_reduce(self, x: Any, **how: Any) -> tuple[Run, ...]:
        """Give every rank the reduction of the buffers of its group: see Group.all_reduce."""
        return self.issue("all_reduce", x, **how).wait()

    def reduce_scatter(self, x: Any, **how: Any) -> tuple[Run, ...]:
        """Give every rank its block of the reduction in its group: see Group.reduce_scatter."""
        return self.issue("reduce_scatter", x, **how).wait()

    def all_gather(self, x: Any, **how: Any) -> tuple[Run, ...]:
        """Give every rank all buffers of its group: see Group.all_gather."""
        return self.issue("all_gather", x, **how).wait()

    def all_to_all(self, x: Any, **how: Any) -> tuple[Run, ...]:
        """Let every rank of a group send each other one a block: see Group.all_to_all."""
        return self.issue("all_to_all", x, **how).wait()

    def __repr__(self) -> str:
        """Name the axis."""
        groups = len(self.groups)
        return one_line(f"<Axis {self.name}: {groups} groups of {self.groups[0].size} ranks>")


class MeshHandle:
    """A collective that was issued on each group along an axis: ``handles``, in their order."""

    def __init__(self, handles: tuple[Handle, ...]) -> None:
        """Take the handles of the groups."""
        self.handles = handles

    def wait(self) -> tuple[Run, ...]:
        """Let each rank wait until its part is done; return the run of each group."""
        return tuple(handle.wait() for handle in self.handles)

    @property
    def done(self) -> bool:
        """Whether the clock of every rank has reached the end of its part; waits for nothing."""
        return all(handle.done for handle in self.handles)


def checked_axes(axes: Mapping[str, int], world_size: int) -> dict[str, int]:
    """Return the sizes of ``axes``.

    Raises ArgumentError for no axis, a size below 1, or a product that is not the world size.
    """
    sizes = {name: _size(name, given) for name, given in axes.items()}
    _check_covers(sizes, world_size)
    return sizes


def _size(name: str, given: object) -> int:
    size = whole(given, f"axis {name}")
    if size < 1:
        raise ArgumentError(f"axis {name} of {shown(size)} ranks: needed 1 or more")
    return size


def _check_covers(axes: Mapping[str, int], world_size: int) -> None:
    """Refuse axes whose product is not the world size, and say how many ranks are left over."""
    if not axes:
        raise ArgumentError("a mesh without axes: needed at least one, such as shard=8")
    ranks, needed = prod(axes.values()), f"needed sizes whose product is {world_size:,}"
    if ranks > world_size:
        raise ArgumentError(f"mesh {product(axes)}: {ranks:,} ranks of {world_size:,}: {needed}")
    if ranks < world_size:
        inner = prod(list(axes.values())[1:])
        times, left = divmod(world_size, inner)
        said = f"{world_size:,} = {times:,} x {inner:,}" + (f" + {left:,}" if left else "")
        raise ArgumentError(
            f"mesh {product(axes)}: {ranks:,} ranks of {world_size:,}, {world_size - ranks:,} are "
            f"left over: {needed} ({said})"
        )


def check_axis(name: str, axes: Mapping[str, int], mesh: str) -> None:
    """Raise ArgumentError for a name that no axis of ``mesh`` has."""
    if name not in axes:
        raise ArgumentError(f"axis {shown(name)} of {mesh}: needed one of {', '.join(axes)}")


def product(axes: Mapping[str, int]) -> str:
    """Return the axes in words: replicate=3 x shard=8."""
    return " x ".join(f"{name}={size}" for name, size in axes.items())
