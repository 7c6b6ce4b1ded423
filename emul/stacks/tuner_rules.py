"""The rules of NCCL's tuner that differ between its versions."""

from __future__ import annotations

from dataclasses import dataclass

from emul.errors import unknown_name
from emul.reading.brief import brief

__all__ = ["NIC_PATHS", "TunerRules"]

NIC_PATHS = ("PIX", "PXB", "PXN", "PHB", "SYS")
"""From a GPU to its NIC, the nearest first: one PCIe switch, several, over another GPU by NVLink,
over a host bridge, between processors (NVIDIA/nccl 2.30.7, src/graph/topo.h)."""


@dataclass(frozen=True, slots=True)
class TunerRules:
    """How a version of NCCL estimates, as the key ``[tuner_rules]`` of a profile has it.

    ``two_nodes_by_inside``: on at most two nodes the rate inside nodes counts, which for trees may
    be twice the rate of the NICs; else the lesser of the two rates. ``lone_gpus_by_tree``: a ring
    of single GPUs takes a tree's step between nodes; else its own. ``ll128_up_to``: the longest
    path from GPU to NIC over which LL128 is taken between nodes unless NCCL_PROTO names it.
    """

    two_nodes_by_inside: bool = True
    lone_gpus_by_tree: bool = True
    ll128_up_to: str = "PXN"

    __repr__ = brief

    def __post_init__(self) -> None:
        """Refuse a path that is none."""
        if self.ll128_up_to not in NIC_PATHS:
            raise unknown_name("path from GPU to NIC", self.ll128_up_to, NIC_PATHS)

    def takes_ll128(self, nic_path: str) -> bool:
        """Say whether LL128 is taken by default over this path from GPU to NIC."""
        return NIC_PATHS.index(nic_path) <= NIC_PATHS.index(self.ll128_up_to)
