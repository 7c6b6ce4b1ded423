"""The bytes that a collective sends over each trunk, and the part of its rate that they take."""

from __future__ import annotations

from dataclasses import dataclass

from emul.runtime.prediction import Prediction
from emul.units import PS_PER_S

__all__ = ["TrunkUse", "trunk_uses"]


@dataclass(frozen=True, slots=True)
class TrunkUse:
    """One direction of a trunk, from the site number ``sender`` to ``receiver``.

    Waypoints are numbered after the sites. ``place`` is its name in reports; ``nbytes`` goes over
    it in all; ``rate_bytes_per_s`` is the rate that others leave of it; ``use`` is the part of that
    rate that is taken over the time of the collective, 0 where nothing takes any time.
    """

    sender: int
    receiver: int
    place: str
    nbytes: int
    rate_bytes_per_s: float
    use: float


def trunk_uses(prediction: Prediction) -> list[TrunkUse]:
    """Return both directions of each trunk, by the numbers of its ends."""
    network = prediction.timeline.network
    carried = network.crossed_by(prediction.timeline.trunk_bytes)
    number = {place.name: at for at, place in enumerate(network.topology.places)}
    uses = [
        TrunkUse(
            number[ends[0]],
            number[ends[1]],
            network.place(link),
            round(int(carried[link]) * prediction.part_sent),
            float(network.link_rate[link]),
            _use(prediction, int(carried[link]), float(network.link_rate[link])),
        )
        for link, (_, ends) in network.trunk_links.items()
    ]
    return sorted(uses, key=lambda use: (use.sender, use.receiver))


def _use(prediction: Prediction, nbytes: int, rate_bytes_per_s: float) -> float:
    total_ps = prediction.total_ps
    if not total_ps:
        return 0.0
    return nbytes * prediction.part_sent * PS_PER_S / total_ps / rate_bytes_per_s
