"""NCCL's choice for a call: algorithm and protocol, and how they send.

The quickest by the estimate of its own tuner is taken (see nccl_tuner.py; NVIDIA/nccl 2.30.7,
src/enqueue.cc), and carried out by plans of emul with the constants of the protocol.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

from emul.errors import ArgumentError
from emul.plans.algorithms.loops import MOST_LOOPS, loops_of, with_loops
from emul.plans.algorithms.ring import AROUND, MOST_CHANNELS
from emul.stacks.nccl_levers import levers_of
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
from emul.stacks.transport import UNLIMITED, p2p_channels_of, without_host
from emul.units import MOST_BYTES

__all__ = ["Setting", "choose", "stack_for"]

NO_STACK = Stack("nccl", slice_bytes=512 << 10)
"""NCCL without options, over no transport in particular."""

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

CHUNK_STEPS, SLICE_STEPS = 4, 2
"""A chunk of a Simple ring has this many steps of the buffer at most, and each of its two slices
(NCCL_STEPS / 2 and / 4; src/include/collectives.h, src/device/prims_simple.h)."""

MOST_ROWS = 1 << 18
"""Of a ring in loops, each for a message; of more there are fewer loops, each of more bytes."""

P2P_LL_BYTES = 16384
"""NCCL_P2P_LL_THRESHOLD; between nodes LL is off (NCCL_ALLOC_P2P_NET_LL_BUFFERS)."""

P2P_FAR_BYTES, P2P_NEAR_BYTES = 128 << 10, 512 << 10
"""NCCL_P2P_NET_CHUNKSIZE and NCCL_P2P_PCI_CHUNKSIZE; NCCL_P2P_NVL_CHUNKSIZE."""


@dataclass(frozen=True, slots=True)
class Setting:
    """The algorithm and protocol of a call.

    ``algorithm``: a name of emul.plans. ``family``: whose constants hold, of tree, ring and
    pat. ``protocol``: LL, LL128 or Simple. ``loops``: in which a ring carries the vector.
    """

    collective: str
    algorithm: str
    family: str
    protocol: str
    loops: int = 1

    @property
    def plan(self) -> str:
        """The name of the algorithm with its loops."""
        return with_loops(self.algorithm, self.loops)

    @property
    def over_nodes(self) -> bool:
        """Whether its plan has the nodes in the place of sites, as NCCL knows no others."""
        return self.algorithm in (CHANNELS, NODE_TREES)


def choose(
    collective: str,
    nodes: Nodes,
    nbytes: int,
    algorithm: str | None = None,
    stack: Stack | None = None,
) -> Setting:
    """Return the quickest setting by NCCL's estimate, for a whole vector of ``nbytes``.

    With ``algorithm``, only the protocol is open: the choice of the tuner for rings, trees or PAT;
    ``ring`` is NCCL_ALGO=Ring. Algorithms that NCCL lacks go by Simple. ``stack``: whose options,
    version and transport count. Raises ArgumentError where the options leave nothing.

    >>> h100 = Nodes((8,), 371e9, 49e9)
    >>> choose("all_reduce", h100, 1024).protocol, choose("all_reduce", h100, 1 << 30).protocol
    ('LL', 'Simple')
    """
    if nodes.world_size == 1:
        return Setting(collective, algorithm or PLANS[RING], RING, SIMPLE)
    if collective not in FAMILIES:
        return _sent_and_received(collective, nodes, nbytes, algorithm)
    asked = None if algorithm is None else _family(algorithm)
    stack = stack or NO_STACK
    times = _times(collective, nodes, nbytes, stack, None if algorithm is None else (asked,))
    family, protocol = min(times, key=times.__getitem__, default=(asked or RING, SIMPLE))
    if algorithm is None and not times:
        said = "  ".join(f"{name}={text}" for name, text in stack.options.items())
        raise ArgumentError(
            f"{said}: NCCL has no such way for {collective} over {nodes.world_size} ranks: needed "
            f"one of {', '.join(FAMILIES[collective])} and a protocol that it goes by"
        )
    if algorithm is None or algorithm == PLANS[RING]:
        algorithm = _plan(family, protocol, nodes, nbytes)
        loops = _loops(collective, algorithm, protocol, nodes, nbytes, stack)
        return Setting(collective, algorithm, family, protocol, loops)
    named = loops_of(algorithm)
    if named is not None and 1 < named[1] <= MOST_LOOPS:
        ring, loops = named
        return Setting(collective, ring, family, protocol, loops)
    return Setting(collective, algorithm, family, protocol)


def _times(
    collective: str,
    nodes: Nodes,
    nbytes: int,
    stack: Stack,
    only: tuple[str | None] | None,
) -> dict[tuple[str, str], float]:
    """Return the estimates that count, by family and protocol; ``only``: of this family.

    A family that the caller named needs no leave of NCCL_ALGO.
    """
    levers, found = levers_of(stack.options), {}
    for family in FAMILIES[collective]:
        for protocol in PROTOCOLS:
            if only is not None and family not in only:
                continue
            open_to = replace(levers, algorithms=None) if only else levers
            if not open_to.allows(collective, family, protocol):
                continue
            if protocol == LL128 and not _takes_ll128(collective, nodes, stack):
                continue
            time_s = estimate_s(collective, family, protocol, nodes, nbytes, stack.rules)
            if time_s < inf:
                found[family, protocol] = time_s
    return found


def _takes_ll128(collective: str, nodes: Nodes, stack: Stack) -> bool:
    """Say whether NCCL goes by LL128: between nodes by its rule of the path, unless it was named.

    A NIC of sockets is assumed to hang on a host bridge, one of RDMA on the switch of its GPU.
    """
    levers = levers_of(stack.options)
    if len(nodes.ranks) == 1 or levers.names_protocol(collective, LL128):
        return True
    assumed = "PHB" if stack.over_sockets else "PXB"
    return stack.rules.takes_ll128(levers.nic_path or assumed)


def stack_for(base: Stack, setting: Setting, nodes: Nodes, nbytes: int = MOST_BYTES) -> Stack:
    """Return ``base``, the profile, as it sends a call with this setting.

    ``nbytes``: of the whole vector, of which rings over sockets take small parts in halves.

    The time of a step beyond the latency of its link in a room is overhead: so a step over such
    links takes the time in the table, and over longer ones more by their latency. Of trees, all
    steps that follow each other are counted once per call, for a message of the plan is but a
    piece. Over sockets, each message beyond a node costs its sender the time of a system call on
    top.
    """
    steps = steps_of(setting.family, setting.protocol, nodes, base.rules)
    call_us = steps.base_us
    near_us = max(0.0, steps.near_us - NVLINK_US)
    far_us = max(0.0, steps.far_us - NETWORK_US)
    if setting.family == PAT:
        call_us += PAT_RANK_US * nodes.world_size
    if setting.family == TREE:
        call_us += tree_us(setting.collective, nodes, near_us=near_us, far_us=far_us)
        near_us = far_us = 0.0
    # The tuner counts each step once, so that a port is busy as long in all loops as in one.
    part = 1 - 1 / setting.loops
    completion_us = {"node": part * near_us, "site": part * far_us, "trunk": part * far_us}
    near_us, far_us = near_us / setting.loops, far_us / setting.loops
    if setting.algorithm == CHANNELS:
        # The rings' messages of a step are sent side by side; of a rank's, one leaves the node.
        near_us /= max(1, _rings(CHANNELS, nodes) - 1)
    if base.over_sockets:
        far_us += base.sockets.message_s * 1e6
    sent = replace(
        base,
        name=f"{base.name} {setting.protocol}",
        slice_bytes=_slice_bytes(base, setting, nodes, nbytes),
        slots=_slots(base, setting, nodes),
        wire_factor=base.wire_factor * WIRE_FACTOR[setting.protocol],
        hop_overhead_s={"node": near_us / 1e6, "site": far_us / 1e6, "trunk": far_us / 1e6},
        hop_completion_s={kind: us / 1e6 for kind, us in completion_us.items() if us},
        constants=replace(base.constants, call_s=base.constants.call_s + call_us / 1e6),
    )
    return without_host(sent) if base.free_software else sent


def _slots(base: Stack, setting: Setting, nodes: Nodes) -> int:
    """Return the slices in flight on a connection, which stands for some channels of NCCL."""
    if base.net != "IB" or base.slots >= UNLIMITED:
        return base.slots
    if _in_halves(setting):
        return max(1, base.slots // SLICE_STEPS)
    if setting.collective in FAMILIES:
        return base.slots * nodes.channels_per_nic
    return base.slots * p2p_channels_of(levers_of(base.options))


def _in_halves(setting: Setting) -> bool:
    """Say whether a rank sends on half a chunk, of all channels of a connection, at a time."""
    around = setting.family == RING and setting.collective in AROUND
    return around and setting.protocol == SIMPLE


def _family(algorithm: str) -> str | None:
    """Return the family of an algorithm, None where it is none of NCCL's."""
    if algorithm == NODE_TREES:
        return TREE
    name = algorithm.partition(",")[0].partition(":")[0]
    return next((family for family, plan in PLANS.items() if plan == name), None)


def _plan(family: str, protocol: str, nodes: Nodes, nbytes: int) -> str:
    """Return the plan of a family: rings on all NICs where there are bytes for two channels."""
    if len(nodes.ranks) == 1 or min(nodes.ranks) == 1 or family == PAT:
        return PLANS[family]
    if family == TREE:
        return NODE_TREES
    least = 2 * CHANNEL_BYTES[protocol] * (nodes.world_size if protocol == LL else 1)
    return CHANNELS if nbytes >= least else PLANS[RING]


def _loops(
    collective: str, algorithm: str, protocol: str, nodes: Nodes, nbytes: int, stack: Stack
) -> int:
    """Return in how many loops NCCL takes a vector around its rings beyond a node.

    A loop carries a chunk of each rank on each channel (src/enqueue.cc, calcCollChunking).
    """
    around = collective in AROUND and algorithm in (PLANS[RING], CHANNELS)
    if not around or len(nodes.ranks) == 1:
        return 1
    simple = protocol == SIMPLE
    chunk_bytes = CHUNK_STEPS * stack.slice_bytes if simple else SLICE_BYTES[protocol]
    rings = _rings(algorithm, nodes)
    of_a_loop = rings * nodes.world_size * nodes.channels_per_nic * chunk_bytes
    steps = len(AROUND[collective]) * (nodes.world_size - 1)
    most = MOST_ROWS // (steps * nodes.world_size * rings)
    return max(1, min(-(-nbytes // of_a_loop), most, MOST_LOOPS))


def _rings(algorithm: str, nodes: Nodes) -> int:
    """Return how many rings a plan has."""
    return min(MOST_CHANNELS, max(nodes.ranks)) if algorithm == CHANNELS else 1


def _sent_and_received(
    collective: str, nodes: Nodes, nbytes: int, algorithm: str | None
) -> Setting:
    """Return the setting of sends and receives: LL for small messages inside a node, else Simple.

    For their constants, which are not in the tuner, the constants of a ring stand: assumed.
    """
    message = nbytes if collective == "send_recv" else -(-nbytes // nodes.world_size)
    small = message <= P2P_LL_BYTES and len(nodes.ranks) == 1
    return Setting(collective, algorithm or SEND_RECEIVE, RING, LL if small else SIMPLE)


def _slice_bytes(base: Stack, setting: Setting, nodes: Nodes, nbytes: int) -> int:
    if setting.protocol != SIMPLE:
        return SLICE_BYTES[setting.protocol]
    if _in_halves(setting):
        return _half_chunk(base, setting, nodes, nbytes)
    if setting.collective in FAMILIES:
        return base.slice_bytes
    near = len(nodes.ranks) == 1 and nodes.nvlink
    return min(base.slice_bytes, P2P_NEAR_BYTES if near else P2P_FAR_BYTES)


def _half_chunk(base: Stack, setting: Setting, nodes: Nodes, nbytes: int) -> int:
    """Return the bytes after which a ring sends on: half a chunk, of all channels of a connection.

    A channel takes at most SLICE_STEPS steps of its buffer at a time.
    """
    rings = _rings(setting.algorithm, nodes)
    most = SLICE_STEPS * base.slice_bytes * nodes.channels_per_nic
    return max(1, min(most, -(-nbytes // (2 * nodes.world_size * rings))))
