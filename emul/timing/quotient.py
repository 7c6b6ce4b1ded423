"""Groups of a mesh that are alike, timed as few: a small world whose ranks stand for all.

An outer axis goes from replica to replica, also between sites; the inner axis is inside a replica,
which lies in one site. Each site shows a cell of its replicas, and of each of these a period of the
positions, after which its nodes come again. Along either axis a group is an excerpt
(emul.plans.SymmetricPlan): its rings are closed earlier, and transfers between sites stand for
those of all cells, and of all positions that are alike. So a program of collectives along the axes
is one of the small world, in one JointSimulation, and every rank has the clock of the one that
stands for it, if all that are alike do alike.

It is exact for plans that are hierarchies with rings inside, whose shares come out even, over links
on which nothing happens by chance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

import numpy as np

from emul.arrays import Int32Array, Int64Array
from emul.errors import ArgumentError
from emul.plans import Encoded, Places, Program, Shape, SymmetricPlan
from emul.plans.at_once import at_once
from emul.plans.cells import Cells
from emul.stacks import IDEAL
from emul.timing.joint.rank_ops import Footprint
from emul.timing.symmetry import time_excerpt
from emul.timing.traffic import Slicing
from emul.topology import Network, Node, NodeRuns, Site, Topology

__all__ = ["INNER", "OUTER", "MeshQuotient"]


OUTER, INNER = "outer", "inner"
"""The axes: from replica to replica, and among the positions of a replica."""

REPLICA = "replica"
"""The name of a world of one replica."""


@dataclass(frozen=True)
class MeshQuotient:
    """Few ranks of ``topology`` for all, whose replicas have ``positions`` ranks each.

    ``replicas`` (sites,): of each site. ``across``: the cells that the replicas of the sites come
    to; ``within``: those of the positions of a replica.
    """

    topology: Topology
    positions: int
    replicas: tuple[int, ...]
    across: Cells
    within: Cells

    @classmethod
    def of(cls, topology: Topology, positions: int) -> MeshQuotient:
        """Return the quotient of a mesh; raises ArgumentError for replicas that are not alike."""
        sites = topology.ranks_by_node
        cut = [site for site in topology.sites if site.ranks % positions]
        if cut:
            raise _refusal(f"{cut[0].name} has {cut[0].ranks} ranks, not in whole replicas")
        replicas = tuple(site.ranks // positions for site in topology.sites)
        inside = {_nodes_of_replica(site, positions) for site in topology.sites}
        if len(inside) > 1:
            raise _refusal("their nodes are not the same in every site")
        nodes = next(iter(inside))
        alone = len(sites[0]) == 1
        across = Cells.of([(each,) if alone else (1,) * each for each in replicas])
        return cls(topology, positions, replicas, across, Cells.of([nodes]))

    @cached_property
    def few(self) -> Topology:
        """The topology with the ranks that stand for all."""
        sites = zip(self.topology.sites, self.across.periods, strict=True)
        return replace(self.topology, sites=tuple(self._few(*each) for each in sites))

    @cached_property
    def network(self) -> Network:
        """The same as flat arrays."""
        return Network.of(self.few)

    @cached_property
    def rank_of(self) -> Int32Array:
        """The rank that stands for each rank of the world: (n,)."""
        shown, found, first = self.within.periods[0], [], 0
        for replicas, period in zip(self.replicas, self.across.periods, strict=True):
            replica = np.arange(replicas) % period
            position = np.arange(self.positions) % shown
            found.append((first + replica[:, None] * shown + position).ravel())
            first += period * shown
        return np.concatenate(found).astype(np.int32)

    def groups(self, axis: str) -> list[Int32Array]:
        """Return the ranks of the small world of each group along an axis, rising."""
        shown = self.within.periods[0]
        ranks = np.arange(len(self.network.site_of), dtype=np.int32).reshape(-1, shown)
        return list(ranks.T.copy() if axis == OUTER else ranks)

    def plan(self, axis: str, collective: str, algorithm: str) -> SymmetricPlan:
        """Return the excerpt of the plan of a group along an axis.

        Raises ArgumentError where its ranks are not alike.
        """
        if axis == INNER:
            nodes = _nodes_of_replica(self.topology.sites[0], self.positions)
            return SymmetricPlan.of(collective, algorithm, Places.of([nodes]), least_cells=1)
        alone = len(self.topology.ranks_by_node[0]) == 1
        sites = [(each,) if alone else (1,) * each for each in self.replicas]
        return SymmetricPlan.of(collective, algorithm, Places.of(sites), least_cells=1)

    def program(self, axis: str, plan: SymmetricPlan, shape: Shape, encoding: Encoded) -> Program:
        """Return the program of all groups along an axis at once, between the few ranks."""
        one = plan.program(shape, encoding, plan.rounds)
        return at_once(one, self.groups(axis), self.alike(axis))

    def alike(self, axis: str) -> list[int]:
        """Return how many groups along an axis each of the ``groups`` stands for."""
        if axis == OUTER:
            shown = np.arange(self.within.periods[0])
            return list(self.within.alike(shown // self.within.ranks[0]))
        cells = zip(self.across.ranks, self.across.periods, strict=True)
        cell = np.concatenate([np.arange(period) // ranks for ranks, period in cells])
        return list(self.across.alike(cell))

    def footprints(
        self,
        axis: str,
        plan: SymmetricPlan,
        shape: Shape,
        encoding: Encoded,
        slicing: Slicing | None,
        communicator: int,
    ) -> list[Footprint]:
        """Return the parts of the groups along an axis in one collective, by ``plan``.

        They have the numbers of communicators from ``communicator`` on, one for each group.
        """
        program = plan.program(shape, encoding, plan.rounds)
        return [
            Footprint.of(
                self.weighted(program, position if axis == OUTER else None),
                self.network,
                slicing,
                IDEAL,
                ranks,
                communicator + position,
                seed=0,
            )
            for position, ranks in enumerate(self.groups(axis))
        ]

    def ends_ps(
        self,
        axis: str,
        plan: SymmetricPlan,
        shape: Shape,
        encoding: Encoded,
        slicing: Slicing | None,
    ) -> Int64Array:
        """Return when each rank of the small world is done with a collective along an axis.

        In picoseconds after its start, (ranks,), where all groups start at one moment and nothing
        else is under way. Rounds are left out as in time_excerpt, so that groups may be large.
        """
        shown, replicas = self.within.periods[0], self.across.periods
        if axis == OUTER:
            together = replace(plan, groups=self.positions)
            topology = replace(self.topology, sites=tuple(map(self._of_replicas, *self._each_site)))
            ends = _ends_ps(together, shape, encoding, topology, slicing)
            return np.repeat(ends, shown)
        found = []
        for one, period in zip(self.replicas_apart(), replicas, strict=True):
            found.append(np.tile(_ends_ps(plan, shape, encoding, one, slicing), period))
        return np.concatenate(found)

    def replicas_apart(self) -> list[Topology]:
        """Return a replica of each site as a world of its own; those on equal links are equal."""
        sites = (replace(self._of_one_replica(each), name=REPLICA) for each in self.topology.sites)
        return [Topology(REPLICA, (site,), ()) for site in sites]

    @property
    def _each_site(self) -> tuple[tuple[Site, ...], tuple[int, ...]]:
        return self.topology.sites, self.replicas

    def _of_replicas(self, site: Site, replicas: int) -> Site:
        """Return ``site`` with one rank of each replica."""
        node = site.nodes[0]
        if len(site.nodes) == 1:
            return replace(site, nodes=(Node(replicas, node.link),))
        return replace(site, nodes=NodeRuns(((Node(1, node.link), replicas),)))

    def _of_one_replica(self, site: Site) -> Site:
        """Return ``site`` with the ranks of one replica."""
        if len(site.nodes) == 1:
            return replace(site, nodes=(Node(self.positions, site.nodes[0].link),))
        number = len(_nodes_of_replica(site, self.positions))
        return replace(site, nodes=NodeRuns.of(islice(site.nodes, number)))

    def weighted(self, program: Program, position: int | None) -> Program:
        """Return ``program`` of the groups at a position, which stands for those that are alike."""
        given = program.multiplicity
        assert given is not None
        weight = 1
        if position is not None:
            cell = np.array([position // self.within.ranks[0]])
            weight = int(self.within.alike(cell)[0])
        alike: Int64Array = given.connections * weight
        return replace(program, multiplicity=replace(given, connections=alike))

    def _few(self, site: Site, period: int) -> Site:
        """Return ``site`` with as many replicas as are shown, of as many positions."""
        shown = self.within.periods[0]
        if len(site.nodes) == 1:
            return replace(site, nodes=(Node(period * shown, site.nodes[0].link),))
        nodes = list(site.nodes)
        ends = np.cumsum([node.ranks for node in nodes[: self.positions]])
        first = int(np.searchsorted(ends, shown)) + 1
        each = int(np.searchsorted(ends, self.positions)) + 1
        if any(nodes[i] != nodes[i % first] for i in range(each)) or nodes[each:] != nodes[:-each]:
            raise _refusal(f"the nodes of {site.name} do not come again every {shown} ranks")
        replica = nodes[:first] if each > 1 else [Node(shown, nodes[0].link)]
        return replace(site, nodes=NodeRuns.of(replica * period))


def _ends_ps(
    plan: SymmetricPlan,
    shape: Shape,
    encoding: Encoded,
    topology: Topology,
    slicing: Slicing | None,
) -> Int64Array:
    """Return when each rank of the excerpt is done: with all that comes and all that arrives."""
    timeline = time_excerpt(plan, shape, encoding, topology, slicing, strict_draws=True).timeline
    ends_ps = np.zeros(sum(plan.periods), dtype=np.int64)
    np.maximum.at(ends_ps, timeline.dst, timeline.done_ps)
    np.maximum.at(ends_ps, timeline.src, timeline.arrival_ps)
    return ends_ps


def _nodes_of_replica(site: Site, positions: int) -> tuple[int, ...]:
    """Return the ranks of each node of a replica, of which none may be in two replicas."""
    if len(site.nodes) == 1:
        return (positions,)
    ends = np.cumsum([node.ranks for node in site.nodes])
    if not np.isin(np.arange(positions, site.ranks + 1, positions), ends).all():
        raise _refusal(f"nodes of {site.name} lie in two of them")
    inside = int(np.searchsorted(ends, positions)) + 1
    return tuple(node.ranks for node in site.nodes[:inside])


def _refusal(why: str) -> ArgumentError:
    return ArgumentError(
        f"replicas are not alike: {why}: needed sites of whole replicas, all of the same nodes"
    )
