"""The latency of a collective as NCCL's own tuner takes it, in microseconds."""

from __future__ import annotations

from emul.errors import ArgumentError, unknown_name
from emul.reading.checks import not_negative, whole_numbers
from emul.stacks.nccl_tuner import (
    BASE_US,
    NETWORK_OVERHEAD_US,
    PAT_BASE_US,
    PAT_RANK_US,
    PAT_STEP_PART,
    PROTOCOLS,
    STEP_US,
)

__all__ = [
    "nccl_pat_us",
    "nccl_ring_all_reduce_us",
    "nccl_tree_all_reduce_us",
]


def _column(protocol: str) -> int:
    """Return the place of a protocol in the tables."""
    if protocol not in PROTOCOLS:
        raise unknown_name("protocol", protocol, PROTOCOLS)
    return PROTOCOLS.index(protocol)


def _check(ranks: int, nodes: int, inside: str) -> None:
    """Refuse ranks that do not fill the nodes evenly, and unknown kinds of hops."""
    whole_numbers("ranks", ranks=ranks)
    whole_numbers("nodes", nodes=nodes)
    if ranks % nodes:
        raise ArgumentError(f"ranks = {ranks} on {nodes} nodes: needed as many on each node")
    if inside not in ("NVLink", "PCI"):
        raise unknown_name("hop inside a node", inside, ("NVLink", "PCI"))


def nccl_ring_all_reduce_us(
    ranks: int,
    nodes: int,
    protocol: str,
    *,
    inside: str = "NVLink",
    network_overhead_us: float = NETWORK_OVERHEAD_US["Intel"],
) -> float:
    """Return base + 2 (n - N) max(intra, overhead) + 2 (N - 1) inter, in microseconds.

    n ranks on N nodes. The overhead counts over several nodes only. With one GPU per node
    the tree's network step is taken, for then nothing hides it.

    >>> round(nccl_ring_all_reduce_us(24, 3, "Simple"), 1)
    207.2
    """
    _check(ranks, nodes, inside)
    not_negative("microseconds", network_overhead_us=network_overhead_us)
    column = _column(protocol)
    near_us = STEP_US["ring", inside][column]
    if nodes > 1:
        near_us = max(near_us, network_overhead_us * (3 if protocol == "Simple" else 1))
    far_us = STEP_US["tree" if ranks == nodes else "ring", "NET"][column]
    return BASE_US["ring"][column] + 2 * (ranks - nodes) * near_us + 2 * (nodes - 1) * far_us


def nccl_tree_all_reduce_us(
    ranks: int, nodes: int, protocol: str, *, inside: str = "NVLink"
) -> float:
    """Return base + 2 ((n / N - 1) intra + log2(N) rounded down, times inter), in microseconds.

    >>> nccl_tree_all_reduce_us(24, 3, "Simple")
    92.4
    """
    _check(ranks, nodes, inside)
    column = _column(protocol)
    near_us = (ranks // nodes - 1) * STEP_US["tree", inside][column]
    far_us = (int(nodes).bit_length() - 1) * STEP_US["tree", "NET"][column]
    return BASE_US["tree"][column] + 2 * (near_us + far_us)


def nccl_pat_us(ranks: int, nodes: int) -> float:
    """Return 8 + log2(N) rounded down, times inter / 3.5, + 2.8 n, in microseconds (Simple).

    >>> nccl_pat_us(8, 8)
    42.4
    """
    _check(ranks, nodes, "NVLink")
    far_us = (int(nodes).bit_length() - 1) * STEP_US["ring", "NET"][_column("Simple")]
    return PAT_BASE_US + far_us * PAT_STEP_PART + PAT_RANK_US * ranks
