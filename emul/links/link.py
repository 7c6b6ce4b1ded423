"""A link: three numbers say what one direction of a path does to a transfer."""

from __future__ import annotations

import math
from dataclasses import dataclass

from emul.errors import TopologyError

__all__ = ["Link"]


@dataclass(frozen=True, slots=True)
class Link:
    """One direction of a path between ranks.

    A transfer of b bytes that has the link to itself takes
    ``overhead_s + b / rate_bytes_per_s + latency_s``. The overhead and the bytes occupy the
    link; the latency delays the arrival and occupies nothing (LogGP's o, G and L;
    Alexandrov et al., SPAA 1995).

    Raises TopologyError when a number is not finite, the rate is not positive or a time is
    negative.
    """

    rate_bytes_per_s: float
    latency_s: float
    overhead_s: float = 0.0

    def __post_init__(self) -> None:
        """Refuse numbers that no link can have."""
        if not (math.isfinite(self.rate_bytes_per_s) and self.rate_bytes_per_s > 0):
            raise TopologyError(
                f"link with rate_bytes_per_s = {self.rate_bytes_per_s}: needed a finite number "
                "above 0, in bytes per second"
            )
        for name in ("latency_s", "overhead_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise TopologyError(
                    f"link with {name} = {value}: needed a finite number of seconds, 0 or more"
                )

    @property
    def rtt_s(self) -> float:
        """Round-trip time in seconds of a path with this link in either direction."""
        return 2 * self.latency_s

    @property
    def bdp_bytes(self) -> float:
        """Bandwidth-delay product: the bytes in flight that keep the link busy."""
        return self.rate_bytes_per_s * self.rtt_s
