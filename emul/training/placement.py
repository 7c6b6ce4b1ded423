"""Named axes of a job laid over the ranks of a topology, and the links that each axis crosses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod

import numpy as np

from emul.arrays import Int32Array
from emul.errors import unknown_name
from emul.mesh import checked_axes, product
from emul.reading.brief import brief
from emul.topology import Topology

__all__ = ["AXES", "DATA_AXES", "MODEL_AXES", "NODE", "NOTHING", "SITE", "TRUNK", "Placement"]

DATA_AXES = ("replicate", "shard", "context")
"""Along these, ranks hold the same part of the model and see other tokens: gradients are summed."""

MODEL_AXES = ("pipeline", "tensor", "expert")
"""Along these, ranks hold other parts of the model."""

AXES = (*DATA_AXES, *MODEL_AXES)
"""The axes of a job, by the names of torch's DeviceMesh and torchtitan where they have one."""

NOTHING, NODE, SITE, TRUNK = "nothing", "node", "site", "trunk"


@dataclass(frozen=True)
class Placement:
    """Axes over all ranks of ``topology``, outermost first, rank by rank, as torch's DeviceMesh.

    ``axes``: the size of each axis of the mesh. Raises ArgumentError for an axis that no job has,
    and for sizes whose product is not the number of ranks, with the ranks that are left over.
    """

    topology: Topology
    given: Mapping[str, int] = field(repr=False)
    axes: dict[str, int] = field(init=False)

    __repr__ = brief

    def __post_init__(self) -> None:
        """Check the axes."""
        for name in self.given:
            if name not in AXES:
                raise unknown_name("axis", name, AXES)
        object.__setattr__(self, "axes", checked_axes(self.given, self.topology.world_size))

    def size(self, *names: str) -> int:
        """Return the ranks along some axes; an axis that is not there has one."""
        return prod(self.axes.get(name, 1) for name in names)

    @property
    def ways(self) -> int:
        """How many ranks share the parameters of one copy of the model, beside data axes."""
        return self.size(*MODEL_AXES)

    def along(self, *names: str) -> Int32Array:
        """Return the place of each rank along some axes taken as one, in their order: (n,)."""
        found: Int32Array = np.zeros(self.topology.world_size, dtype=np.int32)
        for name in names:
            found = found * self.axes.get(name, 1) + self._coordinate(name)
        return found

    def _coordinate(self, name: str) -> Int32Array:
        ranks: Int32Array = np.arange(self.topology.world_size, dtype=np.int32)
        if name not in self.axes:
            return np.zeros_like(ranks)
        names = list(self.axes)
        inner = prod(list(self.axes.values())[names.index(name) + 1 :])
        coordinate: Int32Array = ranks // inner % self.axes[name]
        return coordinate

    @cached_property
    def site_of(self) -> Int32Array:
        """The number of the site of each rank, (n,)."""
        ranks = [site.ranks for site in self.topology.sites]
        return np.repeat(np.arange(len(ranks), dtype=np.int32), ranks)

    @cached_property
    def node_of(self) -> Int32Array:
        """The number of the node of each rank in the whole topology, (n,)."""
        runs = [run for site in self.topology.sites for run in site.runs]
        sizes = np.repeat([node.ranks for node, _ in runs], [number for _, number in runs])
        return np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)

    @cached_property
    def crossings(self) -> dict[str, str]:
        """The widest link between neighbours of each axis: nothing, node, site or trunk."""
        return {name: self._crossing(name) for name in self.axes}

    def crosses_trunk(self, name: str) -> bool:
        """Whether ranks along an axis are at more than one site."""
        return self.crossings.get(name) == TRUNK

    def _crossing(self, name: str) -> str:
        if self.axes[name] == 1:
            return NOTHING
        if self._differs(name, self.site_of):
            return TRUNK
        return SITE if self._differs(name, self.node_of) else NODE

    def _differs(self, name: str, place: Int32Array) -> bool:
        table = place.reshape(tuple(self.axes.values()))
        return bool(np.ptp(table, axis=list(self.axes).index(name)).any())

    def __str__(self) -> str:
        """Name the axes as error messages do."""
        return f"mesh {product(self.axes)}"
