"""NCCL's choice for a call: algorithm and protocol, and how they send.

The quickest by the estimate of its own tuner is taken (see nccl_tuner.py; NVIDIA/nccl 2.30.7,
src/enqueue.cc), and carried out by plans of emul with the constants of the protocol.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

from emul.plans.algorithms.ring import MOST_CHANNELS
from emul.stacks.nccl_tuner import (
    FAMILIES,
    LL,
    LL128,
    PAT,
    PAT_RANK_US,
    PROTOCOLS,
    RING,
    SIMPLE,
    TREE,
    Nodes,
    estimate_s,
    steps_of,
    tree_us,
)
from emul.stacks.stack import Stack

__all__ = ["Setting", "choose", "stack_for"]

PLANS = {TREE: "double_binary_tree", RING: "ring", PAT: "pat"}
SEND_RECEIVE = "direct"

CHANNELS = "ring:channels"
NODE_TREES = "hierarchical:site=ring,trunk=double_binary_tree"
"""Over nodes in the place of sites: rings that turn within nodes, and NCCL's tree over nodes of
several GPUs, in which each GPU of a node leads a part (a chain there, a tree between nodes)."""

NVLINK_US, NETWORK_US = 0.5, 3.0
"""Assumed: of a step inside a node and between nodes of one room, the latency of the link; as in
the link presets nvlink4_node and ib_ndr_fabric."""

CHANNEL_BYTES = {LL: 512 * 8, LL128: 640 * 8, SIMPLE: 512 * 64}
"""Threads x bytes per thread for which a channel is opened; LL rings: for each rank (comm.h)."""

WIRE_FACTOR = {LL: 2.0, LL128: 1 / 0.92, SIMPLE: 1.0}
"""Bytes on the wire per byte: LL sends a flag with every 4 bytes; LL128 as the tuner counts it."""

SLICE_BYTES = {LL: 8 * 512 * 16 // 2, LL128: 120 * 640 * 8 * 15 // 16}
"""Payload of a slot: lines per thread x threads x 16 B, of which half is data; 8-byte elements per
thread x threads, of which 15 of 16 are (src/init.cc, src/include/device.h, src/device)."""

P2P_LL_BYTES = 16384
"""NCCL_P2P_LL_THRESHOLD; between nodes LL is off (NCCL_ALLOC_P2P_NET_LL_BUFFERS)."""

P2P_FAR_BYTES, P2P_NEAR_BYTES = 128 << 10, 512 << 10
"""NCCL_P2P_NET_CHUNKSIZE and NCCL_P2P_PCI_CHUNKSIZE; NCCL_P2P_NVL_CHUNKSIZE."""


@dataclass(frozen=True, slots=True)
class Setting:
    """The algorithm and protocol of a call.

    ``algorithm``: a name of emul.plans. ``family``: whose constants hold, of tree, ring and
    pat. ``protocol``: LL, LL128 or Simple.
    """

    collective: str
    algorithm: str
    family: str
    protocol: str

    @property
    def over_nodes(self) -> bool:
        """Whether its plan has the nodes in the place of sites, as NCCL knows no others."""
        return self.algorithm in (CHANNELS, NODE_TREES)


def choose(collective: str, nodes: Nodes, nbytes: int, algorithm: str | None = None) -> Setting:
    """Return the quickest setting by NCCL's estimate, for a whole vector of ``nbytes``.

    With ``algorithm``, only the protocol is open: the choice of the tuner for rings, trees or PAT.
    Algorithms that NCCL lacks go by Simple.

    >>> h100 = Nodes((8,), 371e9, 49e9)
    >>> choose("all_reduce", h100, 1024).protocol, choose("all_reduce", h100, 1 << 30).protocol
    ('LL', 'Simple')
    """
    if nodes.world_size == 1:
        return Setting(collective, algorithm or PLANS[RING], RING, SIMPLE)
    if collective not in FAMILIES:
        return _sent_and_received(collective, nodes, nbytes, algorithm)
    asked = None if algorithm is None else _family(algorithm)
    times = {
        (family, protocol): estimate_s(collective, family, protocol, nodes, nbytes)
        for family in FAMILIES[collective]
        for protocol in PROTOCOLS
        if algorithm is None or family == asked
    }
    offered = [each for each, time_s in times.items() if time_s < inf]
    family, protocol = min(offered, key=times.__getitem__, default=(asked or RING, SIMPLE))
    if algorithm is None:
        algorithm = _plan(family, protocol, nodes, nbytes)
    return Setting(collective, algorithm, family, protocol)


def stack_for(base: Stack, setting: Setting, nodes: Nodes) -> Stack:
    """Return ``base``, the profile, as it sends a call with this setting.

    The time of a step beyond the latency of its link in a room is overhead: so a step over such
    links takes the time in the table, and over longer ones more by their latency. Of trees, all
    steps that follow each other are counted once per call, for a message of the plan is but a
    piece.
    """
    steps = steps_of(setting.family, setting.protocol, nodes)
    call_us = steps.base_us
    near_us = max(0.0, steps.near_us - NVLINK_US)
    far_us = max(0.0, steps.far_us - NETWORK_US)
    if setting.family == PAT:
        call_us += PAT_RANK_US * nodes.world_size
    if setting.family == TREE:
        call_us += tree_us(setting.collective, nodes, near_us=near_us, far_us=far_us)
        near_us = far_us = 0.0
    if setting.algorithm == CHANNELS:
        # The rings' messages of a step are sent side by side; of a rank's, one leaves the node.
        rings = min(MOST_CHANNELS, max(nodes.ranks))
        near_us /= max(1, rings - 1)
    return replace(
        base,
        name=f"{base.name} {setting.protocol}",
        slice_bytes=_slice_bytes(base, setting, nodes),
        wire_factor=base.wire_factor * WIRE_FACTOR[setting.protocol],
        hop_overhead_s={"node": near_us / 1e6, "site": far_us / 1e6, "trunk": far_us / 1e6},
        constants=replace(base.constants, call_s=base.constants.call_s + call_us / 1e6),
    )


def _family(algorithm: str) -> str | None:
    """Return the family of an algorithm, None where it is none of NCCL's."""
    if algorithm == NODE_TREES:
        return TREE
    name = algorithm.partition(":")[0]
    return next((family for family, plan in PLANS.items() if plan == name), None)


def _plan(family: str, protocol: str, nodes: Nodes, nbytes: int) -> str:
    """Return the plan of a family: rings on all NICs where there are bytes for two channels."""
    if len(nodes.ranks) == 1 or min(nodes.ranks) == 1 or family == PAT:
        return PLANS[family]
    if family == TREE:
        return NODE_TREES
    least = 2 * CHANNEL_BYTES[protocol] * (nodes.world_size if protocol == LL else 1)
    return CHANNELS if nbytes >= least else PLANS[RING]


def _sent_and_received(
    collective: str, nodes: Nodes, nbytes: int, algorithm: str | None
) -> Setting:
    """Return the setting of sends and receives: LL for small messages inside a node, else Simple.

    For their constants, which are not in the tuner, the constants of a ring stand: assumed.
    """
    message = nbytes if collective == "send_recv" else -(-nbytes // nodes.world_size)
    small = message <= P2P_LL_BYTES and len(nodes.ranks) == 1
    return Setting(collective, algorithm or SEND_RECEIVE, RING, LL if small else SIMPLE)


def _slice_bytes(base: Stack, setting: Setting, nodes: Nodes) -> int:
    if setting.protocol != SIMPLE:
        return SLICE_BYTES[setting.protocol]
    if setting.collective in FAMILIES:
        return base.slice_bytes
    near = len(nodes.ranks) == 1 and nodes.nvlink
    return min(base.slice_bytes, P2P_NEAR_BYTES if near else P2P_FAR_BYTES)
