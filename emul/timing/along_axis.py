"""The times of a collective along an axis of a mesh that meets no other, by few ranks.

Along the inner axis no group shares a link with another: each is timed apart, by the starts of its
own ranks, with rounds left out where its ring settles (emul.timing.settled), and groups that start
alike on the same links are timed once. All groups along the outer axis share trunks: they are one
joint simulation. Either way only the ends of ranks and the uses of links are kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np

from emul.arrays import Int32Array, Int64Array
from emul.plans import Encoded, Shape, SymmetricPlan
from emul.timing.joint.alone import AloneTimes, LinkUse, time_alone
from emul.timing.joint.rank_ops import Footprint, Moments
from emul.timing.joint.simulation import JointSimulation
from emul.timing.quotient import INNER, MeshQuotient
from emul.timing.symmetry import settled_timeline
from emul.timing.traced.crossings import Lines
from emul.timing.traffic import Slicing
from emul.topology import Topology

__all__ = ["AlongAxis", "AxisTimer"]

KEPT = 256
"""Times of groups that are kept, by program, links and starts of the ranks."""


class AlongAxis(NamedTuple):
    """A collective along an axis: the excerpt of its plan, its elements, and their encoding."""

    axis: str
    plan: SymmetricPlan
    shape: Shape
    encoding: Encoded

    @property
    def key(self) -> tuple[object, ...]:
        """All on which its times depend, on links that are given."""
        return self.axis, self.plan.collective, self.plan.algorithm, self.shape, self.encoding


class _Group(NamedTuple):
    """A group from the first start of its ranks on: their ends, and the use of its own links."""

    done_ps: Int64Array
    use: LinkUse


class AxisTimer:
    """Times collectives along the axes of a mesh alone; those lately timed are kept."""

    def __init__(self, quotient: MeshQuotient, slicing: Slicing | None) -> None:
        """Take the few ranks, and the pieces in which chunks are sent on."""
        self.quotient, self.slicing = quotient, slicing
        self._groups: OrderedDict[tuple[object, ...], _Group | None] = OrderedDict()
        n = quotient.network.world_size
        clocks_ps: Int64Array = np.zeros(n, dtype=np.int64)
        self._nothing = self._simulation(clocks_ps).outcome().timeline

    def times(
        self, of: AlongAxis, starts_ps: Int64Array, footprint_of: Callable[[], Footprint]
    ) -> AloneTimes:
        """Return the times where the few ranks start at ``starts_ps`` (ranks,), 0 the first.

        ``footprint_of``: makes the transfers of all groups, where they are timed together.
        """
        apart = self._apart(of, starts_ps) if of.axis == INNER else None
        if apart is not None:
            return apart
        alone = time_alone(footprint_of(), self._simulation(starts_ps))
        return self._only(alone.done_ps, alone.use, starts_ps)

    def _apart(self, of: AlongAxis, starts_ps: Int64Array) -> AloneTimes | None:
        """Return the times by each group apart; None where a ring does not settle."""
        network = self.quotient.network
        done_ps, use = starts_ps.copy(), LinkUse.none(network)
        for ranks in self.quotient.groups(of.axis):
            first_ps = int(starts_ps[ranks].min())
            site = int(network.site_of[ranks[0]])
            group = self._group(of, site, starts_ps[ranks] - first_ps)
            if group is None:
                return None
            done_ps[ranks] = group.done_ps + first_ps
            use.take(network, ranks, group.use, first_ps)
        return self._only(done_ps, use, starts_ps)

    def _group(self, of: AlongAxis, site: int, starts_ps: Int64Array) -> _Group | None:
        """Return one group along the inner axis, in a replica of ``site``."""
        key = of.key, self._replicas[site], starts_ps.tobytes()
        if key in self._groups:
            self._groups.move_to_end(key)
            return self._groups[key]
        found = self._groups[key] = self._timed(of, self._replicas[site], starts_ps)
        if len(self._groups) > KEPT:
            self._groups.popitem(last=False)
        return found

    def _timed(self, of: AlongAxis, replica: Topology, starts_ps: Int64Array) -> _Group | None:
        slicing = self.slicing
        timeline = settled_timeline(of.plan, of.shape, of.encoding, replica, slicing, starts_ps)
        if timeline is None:
            return None
        done_ps = starts_ps.copy()
        np.maximum.at(done_ps, timeline.dst, timeline.done_ps)
        np.maximum.at(done_ps, timeline.src, timeline.arrival_ps)
        growth = int(timeline.transfers.growth.max(initial=1))
        return _Group(done_ps, LinkUse.of(Lines.of(timeline), growth))

    @cached_property
    def _replicas(self) -> list[Topology]:
        """A replica of each site as a world of its own: equal ones where the links are."""
        return self.quotient.replicas_apart()

    def _only(self, done_ps: Int64Array, use: LinkUse, starts_ps: Int64Array) -> AloneTimes:
        """Return times without any transfer, and without the stragglers of the moments."""
        ranks: Int32Array = np.arange(len(done_ps), dtype=np.int32)
        moments = Moments(ranks, starts_ps, starts_ps, done_ps, ranks)
        return AloneTimes(done_ps, self._nothing, slice(0, 0), None, lambda: moments, use)

    def _simulation(self, clocks_ps: Int64Array) -> JointSimulation:
        network = self.quotient.network
        return JointSimulation(clocks_ps, network, fills_windows=False, seed=0, start_s=0.0)
