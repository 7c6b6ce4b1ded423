"""The rate of payload on a line: the line rate less headers and gaps between frames."""

from __future__ import annotations

from dataclasses import dataclass

from emul.reading.checks import not_negative, positive

__all__ = [
    "FRAMINGS",
    "INFINIBAND_OVERHEAD_BYTES",
    "ROCE_V2_OVERHEAD_BYTES",
    "TCP_OVERHEAD_BYTES",
    "Framing",
    "wire_efficiency",
]

INFINIBAND_OVERHEAD_BYTES = 26
"""Per InfiniBand packet inside a subnet: local route header 8, base transport header 12, invariant
and variant checksums 4 and 2 (InfiniBand Architecture Specification, volume 1, 5.2)."""

ROCE_V2_OVERHEAD_BYTES = 82
"""Per RoCEv2 packet on the wire; with 4096 bytes of payload 400G carries 392.1 Gbit/s, which
perftest measured (NVIDIA/nccl#2409)."""

TCP_OVERHEAD_BYTES = 90
"""Per TCP segment on Ethernet with timestamps: 1448 bytes of payload take 1538 on the wire."""


def wire_efficiency(payload_bytes: float, overhead_bytes: float) -> float:
    """Return the part of the wire that carries payload, 0 to 1: payload over payload + overhead.

    Both per packet, in bytes; the overhead holds headers, checksums, preamble and frame gap.

    >>> round(wire_efficiency(4096, ROCE_V2_OVERHEAD_BYTES), 4)
    0.9804
    """
    positive("bytes", payload_bytes=payload_bytes)
    not_negative("bytes", overhead_bytes=overhead_bytes)
    return payload_bytes / (payload_bytes + overhead_bytes)


@dataclass(frozen=True, slots=True)
class Framing:
    """Bytes of payload and of everything else in one packet on the wire, and their source."""

    payload_bytes: int
    overhead_bytes: int
    source: str

    @property
    def efficiency(self) -> float:
        """The part of the wire that carries payload."""
        return wire_efficiency(self.payload_bytes, self.overhead_bytes)


FRAMINGS = {
    "ib": Framing(4096, INFINIBAND_OVERHEAD_BYTES, "InfiniBand, MTU 4096: 4096 of 4122 bytes"),
    "roce-v2": Framing(
        4096, ROCE_V2_OVERHEAD_BYTES, "RoCEv2: 4096 of 4178 bytes; 392 Gbit/s in NVIDIA/nccl#2409"
    ),
    "tcp": Framing(1448, TCP_OVERHEAD_BYTES, "TCP with time stamps, MTU 1500: 1448 of 1538 bytes"),
    "tcp-jumbo": Framing(
        8948, TCP_OVERHEAD_BYTES, "TCP with time stamps, MTU 9000: 8948 of 9038 bytes"
    ),
}
"""By the name that files use."""
