"""The link model: the numbers of a link, and pure functions of numbers; no topology, plan or
clock."""

from emul.links.changes import Changes, Diurnal, Outages, State
from emul.links.delay import GLASS_GROUP_INDEX, glass_s_per_km, one_way_delay_s
from emul.links.link import EFFECTS, RECOVERIES, Jitter, Link, OtherTraffic, Transport

__all__ = [
    "EFFECTS",
    "GLASS_GROUP_INDEX",
    "RECOVERIES",
    "Changes",
    "Diurnal",
    "Jitter",
    "Link",
    "OtherTraffic",
    "Outages",
    "State",
    "Transport",
    "glass_s_per_km",
    "one_way_delay_s",
]
