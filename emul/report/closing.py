"""The conclusions of a sweep, as figures: the cost of distance, the binding place, auto's choice.

The lines under the table and the JSON are both made from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from emul.ops import dtype_named
from emul.ops.integers import advice_on, safe_range
from emul.plans import SymmetricPlan
from emul.report.perf_row import PerfRow
from emul.runtime.alternatives import bound_remedies
from emul.runtime.prediction import Prediction
from emul.stacks import IDEAL, Stack
from emul.stacks.transport import UNLIMITED, UNLIMITED_BYTES
from emul.timing import Assumed
from emul.topology import Network
from emul.units import format_rate
from emul.world import World

__all__ = [
    "ALIKE_BOUNDS",
    "Binding",
    "Choice",
    "Closing",
    "ConnectionBound",
    "Excerpt",
    "GrownSlices",
    "OneCampus",
    "Overflow",
    "StackNote",
    "closing_of",
    "overflow_of",
]

INSIDE_NODE = "inside_node"
"""The source of a stack that says how ranks of one node are taken to send."""

ALIKE_BOUNDS = 0.01
"""Bounds that differ by less than this part are one."""


@dataclass(frozen=True, slots=True)
class OneCampus:
    """The same ranks at a single site: seconds, and how many times as long it takes here.

    ``algorithm``: the quickest there. ``already``: the ranks are at a single site as it is.
    """

    ranks: int
    algorithm: str
    modelled_s: float
    times: float
    already: bool


@dataclass(frozen=True, slots=True)
class Binding:
    """The place where the critical path spends most seconds.

    ``spent_s``: the seconds by term (see emul.timing.Segment), which add up to ``modelled_s``.
    ``rate``: of its links, in words; empty for hosts. ``path_s``: the seconds of every place by
    term, which add up to the modelled time.
    """

    place: str
    modelled_s: float
    rate: str
    spent_s: Mapping[str, float]
    path_s: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class ConnectionBound:
    """Bounds in seconds: by the links alone, and with the connections of each rank between sites.

    ``remedies``: by how many times less the second is with each change, alone and as far as it
    goes; each was tried.
    """

    by_links_s: float
    with_connections_s: float
    connections: int
    remedies: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class StackNote:
    """The library that sends, and how it is taken to send inside a node, where that matters.

    ``net``, ``net_assumed``: as in Stack.
    """

    name: str
    inside_node: str | None
    net: str = ""
    net_assumed: bool = False


@dataclass(frozen=True, slots=True)
class Excerpt:
    """How many ranks and transfers were timed for all of those that there are.

    ``more_bytes``: the part of the bytes by which shares were lengthened to be alike.
    ``drawn_for``, ``spread``, ``together``: as in emul.timing.Assumed.
    """

    ranks: int
    ranks_timed: int
    transfers: int
    transfers_timed: int
    more_bytes: float
    drawn_for: int = 0
    spread: int = 0
    together: bool = False


@dataclass(frozen=True, slots=True)
class GrownSlices:
    """How many ``transfers`` were timed, in slices that are each ``growth`` of those asked for."""

    growth: int
    transfers: int


@dataclass(frozen=True, slots=True)
class Choice:
    """The algorithms from which auto took the quickest.

    ``considered``: the seconds of each that was timed. ``ruled_out``: the seconds for which the
    busiest link of each is busy that cannot win; None for those that an outage kills.
    ``not_timed``: the reason of each that could not be timed.
    """

    considered: Mapping[str, float]
    ruled_out: Mapping[str, float | None]
    not_timed: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Overflow:
    """Whole numbers that their type cannot hold.

    ``elements``: of all checked runs; None if nothing was checked. ``least``, ``most``: values
    between them are sure to fit. ``advice``: the way out.
    """

    elements: int | None
    least: int
    most: int
    advice: str


@dataclass(frozen=True, slots=True)
class Closing:
    """The conclusions about one size, the largest.

    ``below_bound``: the time is below a bound that no algorithm can beat, a defect of emul.
    ``bound_s``: the larger of its bounds. ``assumed_window_bytes``: of each stream over
    trunks that state no window; None where it has no say. ``notes``: remarks of the plan.
    """

    size_bytes: int
    algorithm: str
    modelled_s: float
    bound_s: float
    below_bound: bool
    one_campus: OneCampus | None
    binding: Binding | None
    connection_bound: ConnectionBound | None
    stack: StackNote | None
    assumed_window_bytes: int | None
    excerpt: Excerpt | None
    slices: GrownSlices | None
    notes: Sequence[str]
    choice: Choice | None


def closing_of(world: World, prediction: Prediction, in_one_place: Prediction | None) -> Closing:
    """Return the conclusions about ``prediction``.

    ``in_one_place``: the quickest known way of the same collective over the same ranks at a single
    site, None where it cannot be timed. Where it is slower than across the sites, it is not the
    best that there is, and nothing is compared.
    """
    of = prediction.of
    excerpt = _excerpt(prediction, of) if isinstance(of, SymmetricPlan) else None
    return Closing(
        size_bytes=prediction.nbytes,
        algorithm=prediction.algorithm,
        modelled_s=prediction.time_s,
        bound_s=max(prediction.bound_s, prediction.window_bound_s),
        below_bound=prediction.below_bound,
        one_campus=_one_campus(world, prediction, in_one_place),
        binding=_binding(prediction),
        connection_bound=_connection_bound(prediction),
        stack=None if world.stack is IDEAL else _stack(world, prediction.stack),
        assumed_window_bytes=_assumed_window(world, prediction),
        excerpt=excerpt,
        slices=_slices(prediction),
        notes=() if excerpt else tuple(prediction.plan.notes),
        choice=_choice(prediction),
    )


def _one_campus(
    world: World, prediction: Prediction, in_one_place: Prediction | None
) -> OneCampus | None:
    if in_one_place is None or in_one_place.total_ps > prediction.total_ps:
        return None
    return OneCampus(
        world.size,
        in_one_place.algorithm,
        in_one_place.time_s,
        prediction.time_s / in_one_place.time_s if in_one_place.time_s else 1.0,
        already=len(world.topology.sites) == 1,
    )


def _binding(prediction: Prediction) -> Binding | None:
    """Return the places of the critical path; None where nothing is sent."""
    path, network = prediction.critical_path, prediction.timeline.network
    if not path.segments:
        return None
    place = path.binding_place
    path_s = path.by_place_s()
    return Binding(place, path.spent_s(place), _rate(network, place), path_s[place], path_s)


def _connection_bound(prediction: Prediction) -> ConnectionBound | None:
    """Return the bounds with what lowers them, where connections and not links rule."""
    if prediction.window_bound_s <= prediction.bound_s * (1 + ALIKE_BOUNDS):
        return None
    return ConnectionBound(
        prediction.bound_s,
        prediction.window_bound_s,
        prediction.connections,
        bound_remedies(prediction),
    )


def _stack(world: World, stack: Stack) -> StackNote:
    shared = any(node.ranks > 1 for site in world.topology.sites for node, _ in site.runs)
    inside = stack.sources.get(INSIDE_NODE) if shared else None
    return StackNote(stack.name, inside, stack.net, stack.net_assumed)


def _assumed_window(world: World, prediction: Prediction) -> int | None:
    """Return the bytes of the window that is assumed, if a trunk of the world states none.

    Of a library always; of the ideal stack where windows rule the time.
    """
    stack, slicing = world.stack, world.slicing
    trunks = world.topology.trunks
    if all(trunk.link.transport.window_bytes for trunk in trunks):
        return None
    if stack.over_sockets:
        window = stack.sockets.window_bytes
        return window if window < UNLIMITED_BYTES else None
    ruled = stack is IDEAL and prediction.binding == "window"
    if slicing is None or slicing.slots >= UNLIMITED or not (stack.net or ruled):
        return None
    return slicing.slots * slicing.slice_bytes


def _excerpt(prediction: Prediction, excerpt: SymmetricPlan) -> Excerpt:
    timeline, assumed = prediction.timeline, prediction.assumed or Assumed()
    return Excerpt(
        excerpt.world_size,
        timeline.network.world_size,
        timeline.sent,
        len(timeline),
        float(excerpt.rounded_up(prediction.shape)),
        assumed.drawn_for,
        assumed.spread,
        assumed.together,
    )


def _slices(prediction: Prediction) -> GrownSlices | None:
    growth = prediction.slice_growth
    return GrownSlices(growth, len(prediction.timeline)) if growth > 1 else None


def _choice(prediction: Prediction) -> Choice | None:
    if not prediction.considered:
        return None
    least = {name: None if s == inf else s for name, s in prediction.ruled_out.items()}
    return Choice(dict(prediction.considered), least, dict(prediction.passed_over))


def overflow_of(rows: Sequence[PerfRow], reduction: str) -> Overflow:
    """Return how many whole numbers in ``rows`` their type cannot hold, and which are safe.

    ``rows`` are of one element type, in which sums or products were taken.
    """
    dtype, ranks = dtype_named(rows[0].dtype), rows[0].world_size
    counted = [row.overflowed for row in rows if row.overflowed is not None]
    low, high = safe_range(dtype, reduction, ranks)
    return Overflow(
        sum(counted) if counted else None, low, high, advice_on(dtype, reduction, ranks)
    )


def _rate(network: Network, place: str) -> str:
    """Return the rate of the links called ``place``, or their range; of hosts, nothing.

    Some trunks give a stream less than their rate: it has one of several waves, the trunks of a
    site share an uplink, or the rate changes with time. The rate is then the largest possible.
    """
    links = network.links_of(place)
    if not links:
        return ""
    if links[0] >= network.first_trunk_link:
        return _trunk_rate(network, links)
    slowest, fastest = (float(each(network.link_rate[links])) for each in (np.min, np.max))
    if slowest == fastest:
        return format_rate(slowest)
    return f"{format_rate(slowest)} to {format_rate(fastest)}"


def _trunk_rate(network: Network, links: list[int]) -> str:
    """Return the rate of a trunk, or of the slowest one of a path."""
    slowest = min(links, key=lambda link: network.link_rate[link])
    trunk = network.trunk_links[slowest][0]
    ends = network.trunk_links[links[0]][1][0], network.trunk_links[links[-1]][1][1]
    site = {each.name: each for each in network.topology.sites}
    joint = [
        site[ends[0]].uplink_bytes_per_s if ends[0] in site else inf,
        site[ends[1]].into_bytes_per_s if ends[1] in site else inf,
    ]
    rate = float(network.link_rate[slowest])
    limited = any(site[end].limited for end in ends if end in site)
    if not (trunk.link.waves > 1 or trunk.changes.any or limited):
        return format_rate(rate)
    return f"up to {format_rate(min(rate * trunk.changes.best_rate_factor, *joint))}"
