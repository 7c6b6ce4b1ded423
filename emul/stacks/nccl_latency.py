"""The latencies of NCCL's own tuner, in microseconds.

NVIDIA/nccl 2.30.7, src/graph/tuning.cc. It knows the kind of a hop, not its length: the
InfiniBand plugin reports a latency of 0, so a link of 1000 km counts as one of 1 m.
"""

from __future__ import annotations

__all__ = [
    "BASE_US",
    "NETWORK_OVERHEAD_US",
    "STEP_US",
]

PROTOCOLS = ("LL", "LL128", "Simple")

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
