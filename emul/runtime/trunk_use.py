"""The bytes that a collective sends over each trunk, and the part of its rate that they take."""

from __future__ import annotations

from dataclasses import dataclass

from emul.runtime.prediction import Prediction
from emul.topology import Network
from emul.units import PS_PER_S

__all__ = ["TrunkUse", "trunk_uses"]


@dataclass(frozen=True, slots=True)
class TrunkUse:
    """One direction of a trunk, from the site number ``sender`` to ``receiver``.

    ``place`` is its name in reports; ``nbytes`` goes over it in all; ``rate_bytes_per_s`` is the
    rate that others leave of it; ``use`` is the part of that rate that is taken over the time of
    the collective, 0 where nothing takes any time.
    """

    sender: int
    receiver: int
    place: str
    nbytes: int
    rate_bytes_per_s: float
    use: float


def trunk_uses(prediction: Prediction) -> list[TrunkUse]:
    """Return both directions of each trunk, by sender and receiver."""
    carried, network = prediction.timeline.trunk_bytes, prediction.timeline.network
    return [
        TrunkUse(
            a,
            b,
            network.place(network.trunk_link(a, b)),
            round(int(carried[a, b]) * prediction.part_sent),
            _rate(network, a, b),
            _use(prediction, int(carried[a, b]), _rate(network, a, b)),
        )
        for a, b in sorted(network.trunks)
    ]


def _rate(network: Network, a: int, b: int) -> float:
    return float(network.link_rate[network.trunk_link(a, b)])


def _use(prediction: Prediction, nbytes: int, rate_bytes_per_s: float) -> float:
    total_ps = prediction.total_ps
    if not total_ps:
        return 0.0
    return nbytes * prediction.part_sent * PS_PER_S / total_ps / rate_bytes_per_s
