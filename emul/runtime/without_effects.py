"""The links and the settings of a World without some effects, to see their cost."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from math import inf

from emul.links import Link
from emul.runtime.planner import Timing
from emul.stacks.transport import without_host
from emul.timing import UNLIMITED
from emul.topology import NodeRuns, Topology, Trunk

__all__ = ["free_links", "without_effects"]

FREE = Link(rate_bytes_per_s=1e40, latency_s=0.0)
"""Over it, 2^63 bytes take less than a picosecond."""


def without_effects(
    topology: Topology, timing: Timing, effects: Collection[str]
) -> tuple[Topology, Timing]:
    """Return the links and the settings without ``effects``, named as in emul.links.EFFECTS.

    The links are those of ``topology`` as the stack uses them (see emul.stacks.transport.as_sent).
    Without ``window``, any number of slices is in flight too; without ``host``, the software of the
    stack takes no time. Where no effect is there, both are equal to those given. Raises
    ArgumentError for an effect that does not exist.
    """
    changed = replace(topology.without(effects), name=topology.name)
    if changed == topology.with_paths_kept:
        changed = topology
    if "window" in effects:
        timing = _without_slots(timing)
    if "host" in effects:
        timing = replace(timing, stack=without_host(timing.stack))
    return changed, timing


def free_links(topology: Topology, timing: Timing) -> tuple[Topology, Timing]:
    """Return links and settings with which a message of any size takes no picosecond.

    The ranks then still wait for each other, as the plans of their operations say.
    """
    timing = _without_slots(replace(timing, stack=without_host(timing.stack)))
    sites = tuple(
        replace(
            site,
            link=FREE,
            nodes=NodeRuns.of(site.nodes).changed(lambda node: replace(node, link=FREE)),
            uplink_bytes_per_s=inf,
            downlink_bytes_per_s=None,
            uplink_burst_bytes=0.0,
            transit_s=0.0,
        )
        for site in topology.sites
    )
    places = tuple(replace(place, transit_s=0.0) for place in topology.waypoints)
    trunks = tuple(Trunk(trunk.sites, FREE) for trunk in topology.trunks)
    free = replace(topology, sites=sites, trunks=trunks, waypoints=places, conduits=())
    return free, timing


def _without_slots(timing: Timing) -> Timing:
    """Return the settings with any number of slices in flight."""
    stack, slicing = timing.stack, timing.slicing
    if stack.slice_bytes:
        stack = replace(stack, slots=UNLIMITED)
    if slicing is not None:
        slicing = replace(slicing, slots=UNLIMITED)
    return replace(timing, stack=stack, slicing=slicing)
