"""The time of a collective by NCCL's own tuner, by algorithm and protocol.

Latency + bytes / bandwidth (NVIDIA/nccl 2.30.7, src/graph/tuning.cc; its other versions by their
rules, see emul.stacks.tuner_rules). It knows nodes, kinds of hops and the rates of ports. It knows
no sites, no trunks, no load of others and no length of a link: the InfiniBand plugin reports a
latency of 0. So it chooses as if all stood in one room.

NVLS and CollNet are left out: switches that reduce are not modelled. Assumed throughout: GPUs
of the Hopper generation, hosts with Intel processors, and two channels per NIC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from types import MappingProxyType

from emul.reading.checks import positive, whole_numbers
from emul.stacks.nccl_levers import Levers
from emul.stacks.transport import CHANNELS_PER_NIC, channels_of
from emul.stacks.tuner_rules import TunerRules
from emul.topology import Topology

__all__ = [
    "BASE_US",
    "FAMILIES",
    "PAT_RANK_US",
    "PROTOCOLS",
    "STEP_US",
    "Nodes",
    "Steps",
    "estimate_s",
    "steps_of",
    "tree_us",
]

PROTOCOLS = ("LL", "LL128", "Simple")
CURRENT = TunerRules()
"""Of the version whose constants stand here."""

NO_LEVERS = Levers()

BASE_US = {"ring": (6.6, 14.0, 8.4), "tree": (6.8, 14.0, 8.4)}
"""Once per collective, in us, by protocol."""

STEP_US = {
    ("ring", "NVLink"): (0.6, 1.9, 3.4),
    ("ring", "PCI"): (1.0, 2.5, 5.7),
    ("ring", "NET"): (2.7, 4.0, 14.0),
    ("tree", "NVLink"): (0.6, 1.25, 4.0),
    ("tree", "PCI"): (1.0, 1.9, 4.0),
    ("tree", "NET"): (5.0, 8.5, 14.0),
}
"""Per step over a hop of that kind, in us, by protocol."""

NETWORK_OVERHEAD_US = {"Intel": 1.0, "AMD": 2.0}
"""Of the host per step of a ring over several nodes, in us; three times as much for Simple."""

PAT_BASE_US = 8.0
PAT_STEP_PART = 1 / 3.5
PAT_RANK_US = 2.8
"""PAT: once, as a part of a network step, and per rank; us."""

LL, LL128, SIMPLE = PROTOCOLS
TREE, RING, PAT = "tree", "ring", "pat"

FAMILIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "all_reduce": (TREE, RING),
        "reduce_scatter": (RING, PAT),
        "all_gather": (RING, PAT),
        "broadcast": (RING,),
        "reduce": (RING,),
    }
)
"""In the order in which the tuner looks at them; of equal times the first counts. All other
collectives are sends and receives."""

GB = 1e9
NVLINK_BYTES_PER_S = 64 * GB
"""Assumed: a port inside a node that is faster is NVLink, else PCI (5.0, 16 lanes: 63 GB/s)."""

LL_BYTES_PER_S = (141.0 * GB, 39.0 * GB, 20.4 * GB)
"""llMaxBws, at most: of one node the row of Hopper, of 2 and of more nodes the row of Intel."""

RING_LL128_BYTES_PER_S = (36.7 * GB, 36.7 * GB, 36.7 * GB)
TREE_LL128_BYTES_PER_S = (36.7 * GB, 36.7 * GB, 29.0 * GB)
TREE_BYTES_PER_S = (38.7 * GB, 41.4 * GB, 36.0 * GB)
"""perChMax...Bws, Hopper: of a channel on 1, 2 and more nodes, at most."""

RING_PART = {LL: 0.5, LL128: 0.92, SIMPLE: 1.0}
TREE_PART, TREE_LL_PART, PLAIN_TREE_PART, PAT_PART = 0.92, 1 / 3.8, 0.85, 0.75
TREE_LL128_PART = (7 / 9, 120 / 128, 120 / 128)
"""Part of the rate of the ports; plain are trees of nodes with one GPU."""

TREE_CORRECTION = {
    LL: (10, 10, 10, 10, 9, 8, 7, 7, 7, 7, 6, 5, 4, 4, 5, 6, 7, 8, 9, 10, 10, 10, 10),
    LL128: (10, 10, 10, 10, 10, 9, 8, 8, 8, 7, 6, 6, 6, 6, 6, 6, 8, 9, 9, 9, 9, 10, 10),
    SIMPLE: (9, 9, 9, 9, 9, 9, 9, 8, 7, 6, 6, 5, 5, 5, 5, 6, 7, 8, 7, 7, 8, 9, 9),
}
"""treeCorrectionFactor: tenths of a tree's rate, for 64 B and each power of two above."""

PLATEAU, PLATEAU_BYTES = 1.4, 64
"""The latency of Simple rings between nodes, from this number of bytes per channel and rank on."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """A topology as NCCL sees it.

    ``ranks``: of each node; the payload rate of a rank's port ``inside`` its node, and of its NIC,
    ``between`` nodes, in bytes per second. ``channels_per_nic``: that NCCL opens.
    """

    ranks: tuple[int, ...]
    inside_bytes_per_s: float
    between_bytes_per_s: float
    channels_per_nic: int = CHANNELS_PER_NIC

    def __post_init__(self) -> None:
        """Refuse nodes without ranks and ports without a rate."""
        whole_numbers("nodes", nodes=len(self.ranks))
        for ranks in self.ranks:
            whole_numbers("ranks", ranks=ranks)
        whole_numbers("channels", channels_per_nic=self.channels_per_nic)
        positive("bytes per second", inside_bytes_per_s=self.inside_bytes_per_s)
        positive("bytes per second", between_bytes_per_s=self.between_bytes_per_s)

    @classmethod
    def of(cls, topology: Topology, levers: Levers = NO_LEVERS) -> Nodes:
        """Return the nodes of ``topology``, with the rates of the slowest ports."""
        nodes = [node for site in topology.sites for node in site.nodes]
        shared = [node for node in nodes if node.ranks > 1] or nodes
        return cls(
            tuple(node.ranks for node in nodes),
            min(node.link.rate_bytes_per_s for node in shared),
            min(site.link.rate_bytes_per_s for site in topology.sites),
            channels_of(levers, min(node.ranks for node in nodes)),
        )

    @property
    def world_size(self) -> int:
        """Number of all ranks."""
        return sum(self.ranks)

    @property
    def single(self) -> bool:
        """Whether each rank has a node of its own."""
        return max(self.ranks) == 1

    @property
    def nvlink(self) -> bool:
        """Whether the ports inside nodes are NVLink."""
        return self.inside_bytes_per_s > NVLINK_BYTES_PER_S

    @property
    def bus_bytes_per_s(self) -> float:
        """The rate of rings through all nodes, which use the NICs of all ranks."""
        return self._bus(1)

    def tree_bytes_per_s(self, rules: TunerRules) -> float:
        """The rate of trees: of the NICs, or on two nodes of the inside, which may be twice that.

        For between two nodes a tree carries half of the bytes of a ring (src/graph/search.cc of
        NCCL: "increase bwIntra for trees (2 nodes or collnet)").
        """
        return self._bus(2 if len(self.ranks) <= 2 and rules.two_nodes_by_inside else 1)

    def _bus(self, times: int) -> float:
        far = times * min(self.ranks) * self.between_bytes_per_s if len(self.ranks) > 1 else inf
        return far if self.single else min(self.inside_bytes_per_s, far)

    @property
    def column(self) -> int:
        """The place in tables for 1, 2 and more nodes."""
        return min(len(self.ranks), 3) - 1

    @property
    def channels(self) -> int:
        """How many channels NCCL opens at most."""
        return self.channels_per_nic * min(self.ranks)


def estimate_s(
    collective: str,
    family: str,
    protocol: str,
    nodes: Nodes,
    nbytes: int,
    rules: TunerRules = CURRENT,
) -> float:
    """Return the seconds that NCCL's tuner reckons with; infinity where NCCL has no such algorithm.

    >>> h100 = Nodes((8,) * 3, 371e9, 49e9)
    >>> round(estimate_s("all_reduce", "tree", "LL", h100, 0) * 1e6, 1)  # 6.8 + 2 (7 x 0.6 + 5)
    25.2
    """
    if not _does(collective, family, protocol, nodes):
        return inf
    latency_us = _latency_us(collective, family, protocol, nodes, rules)
    rate = _rate(collective, family, protocol, nodes, rules)
    if family == TREE:
        rate *= _tree_correction(protocol, nbytes)
    plateau = nbytes // (nodes.channels * nodes.world_size) >= PLATEAU_BYTES
    if plateau and (collective, family, protocol) == ("all_reduce", RING, SIMPLE):
        latency_us *= PLATEAU if len(nodes.ranks) > 1 else 1.0
    return latency_us / 1e6 + nbytes / rate


def _does(collective: str, family: str, protocol: str, nodes: Nodes) -> bool:
    """Say whether NCCL offers it: PAT for single GPUs by Simple, LL128 not over PCI."""
    if family not in FAMILIES[collective]:
        return False
    if family == PAT:
        return nodes.single and protocol == SIMPLE
    return protocol != LL128 or nodes.single or nodes.nvlink


def _rate(collective: str, family: str, protocol: str, nodes: Nodes, rules: TunerRules) -> float:
    """Return the bytes of the vector per second."""
    n = nodes.world_size
    if family == PAT:
        return nodes.bus_bytes_per_s * PAT_PART
    if family == TREE:
        return _tree_bus(protocol, nodes, rules) / 2
    bus = nodes.bus_bytes_per_s * RING_PART[protocol]
    if protocol == LL:
        bus = min(bus, LL_BYTES_PER_S[nodes.column])
    if protocol == LL128:
        bus = min(bus, nodes.channels * RING_LL128_BYTES_PER_S[nodes.column])
    return bus * n / max(1, _ring_steps(collective, n))


def _tree_bus(protocol: str, nodes: Nodes, rules: TunerRules) -> float:
    column, channels = nodes.column, nodes.channels
    bus = min(nodes.tree_bytes_per_s(rules) * TREE_PART, channels * TREE_BYTES_PER_S[column])
    if protocol == LL:
        bus = min(bus * TREE_LL_PART, LL_BYTES_PER_S[column])
    if protocol == LL128:
        most = channels * TREE_LL128_BYTES_PER_S[column]
        bus = min(bus * TREE_LL128_PART[column], most)
    return bus * (PLAIN_TREE_PART if nodes.single else 1.0)


def _tree_correction(protocol: str, nbytes: int) -> float:
    step = (nbytes >> 6).bit_length() - 1
    table = TREE_CORRECTION[protocol]
    return table[step] / 10 if 0 <= step < len(table) else 1.0


def _ring_steps(collective: str, ranks: int) -> int:
    """Return by how many steps of 1/n of the vector the tuner counts a ring."""
    if collective == "all_reduce":
        return 2 * (ranks - 1)
    return ranks - 1 if collective in ("reduce_scatter", "all_gather") else ranks


def _latency_us(
    collective: str, family: str, protocol: str, nodes: Nodes, rules: TunerRules
) -> float:
    n, count = nodes.world_size, len(nodes.ranks)
    steps = steps_of(family, protocol, nodes, rules)
    if family == PAT:
        return steps.base_us + (count.bit_length() - 1) * steps.far_us + PAT_RANK_US * n
    if family == TREE:
        trees_us = tree_us(collective, nodes, near_us=steps.near_us, far_us=steps.far_us)
        return steps.base_us + trees_us
    if collective in ("broadcast", "reduce"):
        # One hop, as where all channels take the same way (sameChannels).
        kind = _inside(nodes) if count == 1 else "NET"
        return steps.base_us + STEP_US[RING, kind][PROTOCOLS.index(protocol)]
    far = (2 if collective == "all_reduce" else 1) * (count - 1)
    near = _ring_steps(collective, n) - far
    return steps.base_us + near * steps.near_us + far * steps.far_us


def tree_us(collective: str, nodes: Nodes, *, near_us: float, far_us: float) -> float:
    """Return the steps of a tree that follow each other: chains in nodes, a tree between them."""
    count = len(nodes.ranks)
    way_us = (nodes.world_size // count - 1) * near_us + (count.bit_length() - 1) * far_us
    return way_us * (2 if collective == "all_reduce" else 1)


@dataclass(frozen=True, slots=True)
class Steps:
    """Microseconds once per call, of a step inside a node, and of one between nodes."""

    base_us: float
    near_us: float
    far_us: float


def steps_of(family: str, protocol: str, nodes: Nodes, rules: TunerRules = CURRENT) -> Steps:
    """Return the time of steps by the tuner.

    A step of a ring over several nodes is not shorter than the network's overhead (Simple has three
    times as much, which is below its steps). Nothing hides the network from GPUs that are alone in
    their nodes: they have the step of a tree.
    """
    column = PROTOCOLS.index(protocol)
    row = RING if family == RING else TREE
    near_us = STEP_US[row, _inside(nodes)][column]
    by_tree = nodes.single and rules.lone_gpus_by_tree
    far_us = STEP_US[TREE if by_tree else row, "NET"][column]
    if family == PAT:
        return Steps(PAT_BASE_US, near_us, far_us * PAT_STEP_PART)
    if family == RING and len(nodes.ranks) > 1:
        near_us = max(near_us, NETWORK_OVERHEAD_US["Intel"])
    return Steps(BASE_US[family][column], near_us, far_us)


def _inside(nodes: Nodes) -> str:
    return "NVLink" if nodes.nvlink else "PCI"
