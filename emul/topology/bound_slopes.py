"""How a bound changes with the rate of a trunk: for a little more or less of it, no more than that.

At a kink the two sides differ: more rate may bring nothing where less of it costs something.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from emul.links import Link
from emul.topology.bounded import Bounded
from emul.topology.model import Topology, Trunk
from emul.units import PS_PER_S

__all__ = ["TrunkSlope", "trunk_slopes"]

STEP = 1e-3
"""The part of the rate by which it is changed."""

PER_BYTES_PER_S = 100e6 / 8
"""100 Mbit/s, for which slopes are told."""

MOST_TRUNKS, MOST_PRICED = 12, 2
"""Whose slopes are worked out, each by two bounds; of many sites whose bound is by prices, each of
which takes up to a second."""

MANY_SITES = 8


@dataclass(frozen=True, slots=True)
class TrunkSlope:
    """The seconds by which the bound falls for each 100 Mbit/s more of a trunk, and rises for each
    less: slopes at the rate of today, which say nothing of a whole wave.

    ``price``: of a byte over the trunk, as a part of the dearest trunk's. The rate is that which
    others leave.
    """

    trunk: str
    price: float
    falls_s_per_100_mbit_more: float
    rises_s_per_100_mbit_less: float


def trunk_slopes(bounded: Bounded) -> tuple[TrunkSlope, ...]:
    """Return the slopes of the trunks that the reason of the bound names, the dearest first.

    Of the first 12, or of 2 where each takes long.
    """
    reason = bounded.reason()
    if reason is None:
        return ()
    now_ps = bounded.by_links_ps()
    rates = {
        trunk.name: trunk.link.available_bytes_per_s * trunk.changes.best_rate_factor
        for trunk in bounded.topology.trunks
    }
    slow = reason.kind == "prices" and len(bounded.topology.sites) > MANY_SITES
    most = MOST_PRICED if slow else MOST_TRUNKS
    named = [each for each in reason.trunks if each[0] in rates][:most]
    found = []
    for name, price in named:
        more, less = (
            replace(bounded, topology=_at_rate(bounded.topology, name, factor)).by_links_ps()
            for factor in (1 + STEP, 1 - STEP)
        )
        per_ps = PER_BYTES_PER_S / (STEP * rates[name]) / PS_PER_S
        found.append(TrunkSlope(name, price, (now_ps - more) * per_ps, (less - now_ps) * per_ps))
    return tuple(found)


def _at_rate(topology: Topology, name: str, factor: float) -> Topology:
    def changed(trunk: Trunk) -> Link:
        if trunk.name != name:
            return trunk.link
        return replace(trunk.link, rate_bytes_per_s=factor * trunk.link.rate_bytes_per_s)

    return topology.with_trunk_links(changed)
