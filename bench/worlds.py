"""Work of the suites and the peers: backends, topologies, plans at given sizes, data."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from emul import Link, Node, Site, Slicing, Topology, Trunk
from emul.ops import NumpyOps, Ops, dtype_named, ops_for
from emul.ops.buffers import Buffers
from emul.ops.exact import ExactData
from emul.plans import COLLECTIVES, Program, Shape, build_plan
from emul.timing import dependencies, schedule
from emul.timing.effects.connection_table import ConnectionTable
from emul.timing.traffic import Traffic
from emul.topology import Network, NodeRuns
from emul.units import PS_PER_S

__all__ = [
    "LINK",
    "WORKERS",
    "Arithmetic",
    "SchedulingProblem",
    "campuses_of_nodes",
    "exact_data",
    "one_site",
    "scheduled_ring",
    "sites_of",
    "textbook_ring",
    "unequal_campuses",
]

WORKERS = ("cpu", "numpy")
"""The backends that compute on arrays of NumPy; those of a GPU are for bench.gpu."""

LINK = Link(12.5e9, 5e-6, 1e-6)


def one_site(ranks: int) -> Topology:
    """Return a topology without trunks: ``ranks`` nodes of one rank."""
    return Topology("bench", (Site("site", (Node(1, LINK),) * ranks, LINK),), ())


def sites_of(sizes: Sequence[int], trunk: Link) -> Topology:
    """Return sites of ``sizes`` nodes of one rank, every two joined by ``trunk``."""
    sites = (Site(f"s{i}", (Node(1, LINK),) * size, LINK) for i, size in enumerate(sizes))
    return _joined(tuple(sites), trunk)


def campuses_of_nodes(trunk: Link, uplink_bytes_per_s: float = math.inf) -> Topology:
    """Return 3 sites of 8 nodes of 8 ranks, every two joined by ``trunk``."""
    nic, node = Link(12.5e9, 5e-6, 1e-6), Node(8, Link(300e9, 1e-6))
    return _joined(tuple(Site(name, (node,) * 8, nic, uplink_bytes_per_s) for name in "abc"), trunk)


def _joined(sites: tuple[Site, ...], trunk: Link) -> Topology:
    pairs = combinations((site.name for site in sites), 2)
    return Topology("bench", sites, tuple(Trunk(pair, trunk) for pair in pairs))


def unequal_campuses() -> Topology:
    """Return sites of 100,000, 50,000 and 20,000 ranks, over trunks of 4, 2 and 1 waves of 400G."""
    nic, node = Link(49e9, 3e-6, 1.1e-5), Node(8, Link(370.8e9, 5e-7, 2.9e-6))
    sites = tuple(
        Site(name, NodeRuns(((node, number),)), nic)
        for name, number in (("north", 12_500), ("east", 6_250), ("south", 2_500))
    )
    waves = {("north", "east"): 4, ("east", "south"): 2, ("north", "south"): 1}
    trunks = tuple(Trunk(pair, Link(n * 49e9, 1e-4, waves=n)) for pair, n in waves.items())
    return Topology("bench", sites, trunks)


@dataclass(frozen=True, slots=True, eq=False)
class SchedulingProblem:
    """The transfers of one plan, and the network that carries them."""

    program: Program
    network: Network
    traffic: Traffic
    table: ConnectionTable

    @classmethod
    def of(
        cls,
        topology: Topology,
        collective: str,
        algorithm: str,
        slicing: Slicing | None = None,
        *,
        chunk_bytes: int = 4000,
    ) -> SchedulingProblem:
        """Return a collective in which each rank has a chunk of ``chunk_bytes`` for each rank."""
        n = topology.world_size
        plan = build_plan(collective, algorithm, topology.ranks_by_node)
        shape = Shape(COLLECTIVES[collective], n, n * chunk_bytes // 4)
        program, network = Program.of(plan, shape, 4), Network.of(topology)
        traffic = Traffic.of(program, slicing)
        table = ConnectionTable.of(traffic, network, seed=0, start_s=0.0, until_s=60.0)
        return cls(program, network, traffic, table)

    def edges(self) -> Any:
        """Return which transfer waits for which; the scheduler uses the table up."""
        return dependencies(self.traffic, self.network.world_size)

    def schedule(self, edges: Any) -> dict[str, Any]:
        """Return the times of all transfers, by the engine of discrete events."""
        times, failure = schedule(self.traffic, edges, self.network, self.table)
        assert failure is None
        return times

    def check(self, times: dict[str, Any]) -> int:
        """Assert that all was timed and no trunk too fast; return the number of transfers."""
        traffic, network = self.traffic, self.network
        carried = network.link_bytes(traffic.src, traffic.dst, traffic.nbytes)
        sent = traffic.src != traffic.dst
        assert (times["done_ps"][sent] > 0).all(), "a transfer was not timed"
        least_s = float((carried / network.link_rate).max())
        assert times["done_ps"].max() / PS_PER_S >= least_s, "a trunk carried more than its rate"
        return int(sent.sum())


def exact_data(collective: str, ranks: int, dtype: str, *, reduction: str = "sum") -> ExactData:
    """Return data whose result is known to the last bit."""
    kind = dtype_named(dtype)
    return ExactData(COLLECTIVES[collective], ranks, kind, reduction=reduction, root=0, seed=0)


class Arithmetic:
    """The arithmetic of one collective on one backend, without the world around it.

    An all_reduce is done in place, so that it moves the bytes of its rows. ``row_bytes``: of a
    rank's longest buffer, rounded down to whole blocks. ``threads``: at most so many; None leaves
    the number to the backend.
    """

    def __init__(
        self,
        backend: str,
        collective: str,
        algorithm: str,
        sites: tuple[int, ...],
        *,
        row_bytes: int,
        dtype: str,
        threads: int | None = 1,
    ) -> None:
        """Prove the plan, fill the input."""
        ops: Any = type(ops_for(backend))
        self.ops: Ops = ops(threads=threads)
        promise, kind = COLLECTIVES[collective], dtype_named(dtype)
        plan = build_plan(collective, algorithm, sites)
        n, count = plan.world_size, row_bytes // kind.itemsize // plan.world_size
        shape = Shape.of(promise, n, count if collective == "all_gather" else n * count)
        self.data = exact_data(collective, n, dtype)
        self.x = np.empty(shape.input_shape, kind)
        self.data.fill(self.x)
        self.program = Program.of(plan, shape, kind.itemsize)
        in_place = collective == "all_reduce"
        self.input = self.x.copy() if in_place else self.x
        self.out = self.input if in_place else np.empty(shape.output_shape, kind)
        self.buffers = Buffers(promise, n, self.input, self.out, None, revocable=False)
        if isinstance(self.ops, NumpyOps):  # which else would keep a copy of its input
            self.work = self.out if in_place else self.buffers.load(self.program.layout, 0)

    @property
    def nbytes(self) -> int:
        """Bytes of all ranks' longer buffers."""
        return max(self.x.nbytes, self.out.nbytes)

    def prepare(self) -> None:
        """Put the input where the work finds it."""
        if self.input is not self.x:
            np.copyto(self.input, self.x)
        elif isinstance(self.ops, NumpyOps):
            self.work = self.buffers.load(self.program.layout, 0)

    def execute(self) -> None:
        """Carry out the plan, reductions by adding."""
        if isinstance(self.ops, NumpyOps):
            self.ops.execute(self.program, self.work, "sum")
        else:
            self.ops.perform(self.program, self.buffers, "sum", 0)

    def check(self, _: object = None) -> dict[str, int]:
        """Assert that the output is right; return the bytes of input and output."""
        output = self.out
        if isinstance(self.ops, NumpyOps):
            output = self.buffers.unload(self.program.layout, self.work, 0)
        assert self.data.wrong(output) == 0
        return {"bytes": self.x.nbytes + output.nbytes}


def scheduled_ring(ranks: int, chunk_bytes: int = 4000) -> Callable[[], int]:
    """Return a function that times a ring all_reduce by events and returns its end."""
    problem = SchedulingProblem.of(one_site(ranks), "all_reduce", "ring", chunk_bytes=chunk_bytes)

    def total_ps() -> int:
        times = problem.schedule(problem.edges())
        assert len(times["done_ps"]) == 2 * ranks * (ranks - 1)
        return int(times["done_ps"].max())

    return total_ps


def textbook_ring(work: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """All-reduce the rows of ``work`` in place as a textbook does it in NumPy; return it.

    Each step copies the message of every rank, then every rank adds the message that it received
    to its own chunk, or puts the message in place of the chunk.
    """
    n = len(work)
    chunks = [np.array_split(row, n) for row in work]
    for phase in (0, 1):
        for step in range(n - 1):
            number = [(rank - step + phase) % n for rank in range(n)]
            messages = [chunks[rank][number[rank]].copy() for rank in range(n)]
            for rank, message in enumerate(messages):
                target = chunks[(rank + 1) % n][number[rank]]
                if phase == 0:
                    target += message
                else:
                    target[...] = message
    return work
