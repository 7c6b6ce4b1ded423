"""Trees and routes from the rates of the arcs between sites: numbers in, numbers out; no plan."""

from emul.synthesis.flows import Route, Routing, route
from emul.synthesis.graph import Limit, SiteGraph
from emul.synthesis.in_time import packed_in_time, pool_of, without_slow_arcs
from emul.synthesis.packing import Packing, pack_spanning_trees, pack_trees_from
from emul.synthesis.prices import least_length, least_tree, least_tree_from
from emul.synthesis.trees import Parents
from emul.synthesis.units import in_units

__all__ = [
    "Limit",
    "Packing",
    "Parents",
    "Route",
    "Routing",
    "SiteGraph",
    "in_units",
    "least_length",
    "least_tree",
    "least_tree_from",
    "pack_spanning_trees",
    "pack_trees_from",
    "packed_in_time",
    "pool_of",
    "route",
    "without_slow_arcs",
]
