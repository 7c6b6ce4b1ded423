"""Lines in words under the table: the cost of distance, the link that binds, auto's choice."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np

from emul.links import Link
from emul.ops import dtype_named
from emul.ops.integers import advice_on, safe_range
from emul.plans import SymmetricPlan
from emul.report.perf_row import PerfRow
from emul.runtime.prediction import Prediction, by_reason
from emul.stacks import IDEAL
from emul.topology import Network, Topology
from emul.topology.network import PORTS_PER_RANK
from emul.units import format_bytes, format_rate, format_time
from emul.world import World

__all__ = ["closing_words", "overflow_words"]


MEANINGS = {
    "share": "sending at {rate}",
    "window": "held back by windows",
    "gap": "held back by gaps between slices",
    "loss": "held back by losses",
    "outage": "in outages",
    "queue": "behind others' packets",
    "latency": "under way",
    "jitter": "jitter",
    "overhead": "overhead",
}
"""The meaning of each term of a critical path's segments, in the order of the line."""

INSIDE_NODE = "inside_node"
"""The source of a stack that says how ranks of one node are taken to send."""

ALIKE = 0.01
"""Bounds that differ by less than this part are one."""

MANY = 1 << 20
"""So many connections, or so many times a window, hold nobody back."""

CHANGED = 1e-6
"""A bound that is lower by less than this part is the same, but for rounding."""


def closing_words(
    world: World, prediction: Prediction, in_one_place: Prediction | None
) -> list[str]:
    """Return the lines about ``prediction``: two; more with a stack, if windows bind, of an excerpt
    or of auto; and where it is below its bound, that this is a defect of emul.

    ``in_one_place`` is the same collective over the same ranks at a single site, None where it
    cannot be timed. Where the best that was timed there is slower than across the sites, it is not
    the best that there is, and nothing is compared.
    """
    lines = [_binding(prediction)]
    if in_one_place is not None and in_one_place.total_ps <= prediction.total_ps:
        lines.insert(0, _one_campus(world, prediction, in_one_place))
    if world.stack is not IDEAL:
        lines.append(_stack(world, prediction))
    if prediction.window_bound_s > prediction.bound_s * (1 + ALIKE):
        lines.append(_bounds(prediction))
    if isinstance(prediction.of, SymmetricPlan):
        lines.append(_excerpt(prediction, prediction.of))
    else:
        lines += [f"Plan: {note}." for note in prediction.plan.notes]
    if prediction.considered:
        lines.append(_choice(prediction))
    return lines + ([_defect(prediction)] if prediction.below_bound else [])


def _defect(prediction: Prediction) -> str:
    bound_s = max(prediction.bound_s, prediction.window_bound_s)
    return (
        f"Defect of emul: {prediction.algorithm} takes {format_time(prediction.time_s)} at "
        f"{format_bytes(prediction.nbytes)}, below the bound of {format_time(bound_s)} that no "
        "algorithm can beat. One of the two is wrong: trust neither, and report it with the "
        "topology."
    )


def overflow_words(rows: list[PerfRow], reduction: str) -> str:
    """Return the line about whole numbers in ``rows`` that their type cannot hold, or could not.

    ``rows`` are of one element type, in which sums or products were taken.
    """
    dtype, ranks = dtype_named(rows[0].dtype), rows[0].world_size
    counted = [row.overflowed for row in rows if row.overflowed is not None]
    if any(counted):
        return f"Overflow: {sum(counted)} elements: {advice_on(dtype, reduction, ranks)}."
    low, high = safe_range(dtype, reduction, ranks)
    none = "none in this table, but " if counted else ""
    return (
        f"Overflow: {none}only values from {low} to {high} are sure to fit: beyond, "
        f"{advice_on(dtype, reduction, ranks)}."
    )


def _excerpt(prediction: Prediction, excerpt: SymmetricPlan) -> str:
    timeline, more = prediction.timeline, excerpt.rounded_up(prediction.shape)
    said = (
        f"Alike: {excerpt.world_size} ranks were timed by {timeline.network.world_size} of them, "
        f"{timeline.sent} transfers by {len(timeline)}"
    )
    if more:
        said += (
            "; shares do not come out even, and all were timed as long as the longest, with "
            f"{100 * more:.2g} % more bytes in all"
        )
    return f"{said}."


def _stack(world: World, prediction: Prediction) -> str:
    stack = prediction.stack
    said = (
        f"Stack: as {stack.name} sends {prediction.algorithm} at {format_bytes(prediction.nbytes)}."
    )
    inside = stack.sources.get(INSIDE_NODE)
    shared = any(node.ranks > 1 for site in world.topology.sites for node, _ in site.runs)
    return f"{said} Inside a node: {inside}." if inside and shared else said


def _bounds(prediction: Prediction) -> str:
    number = prediction.connections
    each = "one connection" if number == 1 else f"at most {number} connections"
    said = (
        f"Bound: {format_time(prediction.bound_s)} by the links, "
        f"{format_time(prediction.window_bound_s)} with {each} of each rank between sites"
    )
    less = ", ".join(
        f"{times:.3g} times less with {name}" for name, times in _remedies(prediction).items()
    )
    return f"{said}: {less}." if less else f"{said}."


def _remedies(prediction: Prediction) -> dict[str, float]:
    """Return by how many times each remedy lowers the bound, alone and as far as it goes.

    Each remedy was tried: the bound was worked out anew with it.
    """
    bounded = prediction.bounded
    topology, connection = bounded.topology, bounded.connection
    tried = {
        "larger windows": replace(bounded, topology=_with_large_windows(topology)),
        "no losses": replace(bounded, topology=topology.without(["loss"])),
        "more slots": replace(bounded, connection=replace(connection, slots_bytes=inf)),
        "more connections": replace(bounded, connection=replace(connection, number=MANY)),
    }
    bounds_ps = {name: each.by_connections_ps() for name, each in tried.items()}
    now = prediction.window_bound_ps
    return {name: now / ps for name, ps in bounds_ps.items() if 0 < ps < now * (1 - CHANGED)}


def _with_large_windows(topology: Topology) -> Topology:
    def enlarged(link: Link) -> Link:
        window = link.transport.window_bytes * MANY
        return replace(link, transport=replace(link.transport, window_bytes=window))

    trunks = tuple(replace(trunk, link=enlarged(trunk.link)) for trunk in topology.trunks)
    return replace(topology, trunks=trunks)


def _choice(prediction: Prediction) -> str:
    picked = prediction.algorithm
    known = sorted((time, name) for name, time in prediction.considered.items() if name != picked)
    others = ", ".join(f"{name} {format_time(time)}" for time, name in known)
    said = (
        f"Auto: {picked} is the quickest at {format_bytes(prediction.nbytes)}, "
        f"{format_time(prediction.time_s)}"
    )
    ruled_out = _ruled_out(prediction)
    alone = "and the only one" + (" that was timed" if prediction.passed_over or ruled_out else "")
    if isinstance(prediction.of, SymmetricPlan):
        said, alone = f"{said}, of those that a few ranks can stand for", "which is one"
    passed = f" Not timed: {_passed_over(prediction)}." if prediction.passed_over else ""
    if others:
        return f"{said}; the others would take: {others}.{ruled_out}{passed}"
    return f"{said}, {alone}.{ruled_out}{passed}"


def _ruled_out(prediction: Prediction) -> str:
    """Return the number of algorithms that were not timed because they cannot win."""
    least = [time for time in prediction.ruled_out.values() if time < inf]
    if not least:
        return ""
    needed = f"at least {format_time(min(least))} for its busiest link"
    if len(least) == 1:
        return f" 1 more was not timed: it needs {needed}."
    return f" {len(least)} more were not timed: each needs {needed}."


def _passed_over(prediction: Prediction) -> str:
    """Return the algorithms that were not timed, and why."""
    if isinstance(prediction.of, SymmetricPlan):
        return ", ".join(prediction.passed_over)
    return by_reason(prediction.passed_over)


def _one_campus(world: World, prediction: Prediction, in_one_place: Prediction) -> str:
    if len(world.topology.sites) == 1:
        return f"One campus: all {world.size} ranks are in one place already."
    ratio = prediction.time_s / in_one_place.time_s if in_one_place.time_s else 1.0
    return (
        f"One campus: the same {world.size} ranks in one place would need "
        f"{format_time(in_one_place.time_s)} for {format_bytes(prediction.nbytes)}; across these "
        f"sites it is {format_time(prediction.time_s)}, {ratio:.3g} times as long."
    )


def _binding(prediction: Prediction) -> str:
    path, network = prediction.critical_path, prediction.timeline.network
    place = path.binding_place
    if not path.segments:
        return "Binding: nothing; nothing is sent."
    spent = [(path.spent_s(place, term), meaning) for term, meaning in MEANINGS.items()]
    rate = _rate(network, place)
    parts = ", ".join(
        f"{format_time(seconds)} {meaning.format(rate=rate)}"
        for seconds, meaning in spent
        if seconds
    )
    return (
        f"Binding: {place} takes {format_time(path.spent_s(place))} of the "
        f"{format_time(prediction.time_s)} at {format_bytes(prediction.nbytes)}: {parts}."
    )


def _rate(network: Network, place: str) -> str:
    """Return the rate of the links called ``place``, or their range; of hosts, nothing.

    Some trunks give a stream less than their rate: it has one of several waves, the trunks of a
    site share an uplink, or the rate changes with time. The rate is then the largest possible.
    """
    links = [
        link
        for link, rate in enumerate(network.link_rate)
        if rate < inf and network.place(link) == place
    ]
    if not links:
        return ""
    first_trunk = PORTS_PER_RANK * network.world_size
    if links[0] >= first_trunk:
        return _trunk_rate(network, *divmod(links[0] - first_trunk, network.n_sites))
    slowest, fastest = (float(each(network.link_rate[links])) for each in (np.min, np.max))
    if slowest == fastest:
        return format_rate(slowest)
    return f"{format_rate(slowest)} to {format_rate(fastest)}"


def _trunk_rate(network: Network, a: int, b: int) -> str:
    trunk, sites = network.trunks[a, b], network.topology.sites
    rate = float(network.link_rate[network.trunk_link(a, b)])
    if not (trunk.link.waves > 1 or trunk.changes.any or sites[a].limited or sites[b].limited):
        return format_rate(rate)
    most = rate * trunk.changes.best_rate_factor
    return f"up to {format_rate(min(most, sites[a].uplink_bytes_per_s, sites[b].into_bytes_per_s))}"
