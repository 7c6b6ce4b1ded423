"""The link model as pure functions of numbers: no topology, no plan, no clock."""

from emul.links.delay import GLASS_GROUP_INDEX, glass_s_per_km, one_way_delay_s
from emul.links.link import Link

__all__ = ["GLASS_GROUP_INDEX", "Link", "glass_s_per_km", "one_way_delay_s"]
