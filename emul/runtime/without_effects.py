"""The links and the settings of a World without some effects, to see their cost."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from emul.runtime.planner import Timing
from emul.stacks.transport import without_host
from emul.timing import UNLIMITED
from emul.topology import Topology

__all__ = ["without_effects"]


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


def _without_slots(timing: Timing) -> Timing:
    """Return the settings with any number of slices in flight."""
    stack, slicing = timing.stack, timing.slicing
    if stack.slice_bytes:
        stack = replace(stack, slots=UNLIMITED)
    if slicing is not None:
        slicing = replace(slicing, slots=UNLIMITED)
    return replace(timing, stack=stack, slicing=slicing)
