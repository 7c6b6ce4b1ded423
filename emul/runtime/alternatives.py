"""A collective where one thing about its links is changed: times and bounds, worked out anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import inf

from emul.errors import EmulError
from emul.links import EFFECTS, Link
from emul.runtime.planner import Planner, Timing
from emul.runtime.prediction import Prediction
from emul.runtime.request import Request
from emul.runtime.trunk_use import trunk_uses
from emul.runtime.without_effects import without_effects
from emul.topology import Topology

__all__ = ["Alternative", "alternatives", "bound_remedies"]

TIMES = 2
"""By how much a rate or a number of streams is raised, and a distance lowered."""

MANY = 1 << 20
"""So many connections, or so many times a window, hold nobody back."""

CHANGED = 1e-6
"""A bound that is lower by less than this part is the same, but for rounding."""

AS_BUSY = 0.95
"""Trunks that carry this part of the use of the one that binds are as busy."""

Pair = tuple[str, str]
"""The names of two sites with a trunk between them."""

LEFT_OUT = {
    "latency": "no distance at all",
    "window": "any number of bytes in flight",
    "gap": "no gaps between slices",
    "loss": "no packet lost",
    "jitter": "every message takes the same time",
    "queue": "no packets of others in front",
    "load": "the whole rate, without the load of others",
    "outage": "no outage",
    "host": "software and copies that take no time",
}
"""An effect that is turned off, in words."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """A change and the prediction with it; None, with the reason, where it cannot be timed.

    ``effect``: the effect of links that is turned off, which shows what it costs; None for a change
    that somebody can make.
    """

    change: str
    prediction: Prediction | None
    refusal: str = ""
    effect: str | None = None


def alternatives(
    planner: Planner, request: Request, now: Prediction, *, collapse: bool
) -> Iterator[Alternative]:
    """Yield the changes that touch anything, each with its time; ``now`` is the time without.

    Each effect that the links have is turned off alone. The rate of the trunks is doubled, of the
    one that binds, and of all that are as busy as it; their delay is halved; the streams of each
    connection between sites are doubled where windows or losses limit them. ``auto`` chooses anew.
    Each change costs a prediction, but no more than a part of the work that ``auto`` takes on; more
    is refused.
    """
    topology, timing = planner.topology, planner.timing
    for change, changed, settings, effect in _changes(topology, timing, now):
        if (changed, settings) == (topology, timing):
            continue
        other = Planner(changed, settings, bounded=True)
        try:
            found, refusal = other.predict(request, collapse=collapse), ""
        except EmulError as error:
            found, refusal = None, str(error)
        yield Alternative(change, found, refusal, effect)


def bound_remedies(prediction: Prediction) -> dict[str, float]:
    """Return by how many times each remedy lowers the bound by connections between sites.

    Each is tried alone and as far as it goes, by working out the bound anew; one that changes
    nothing is left out.
    """
    bounded = prediction.bounded
    topology, connection = bounded.topology, bounded.connection
    tried = {
        "larger windows": replace(bounded, topology=_over_trunks(topology, _with_large_windows)),
        "no losses": replace(bounded, topology=topology.without(["loss"])),
        "more slots": replace(bounded, connection=replace(connection, slots_bytes=inf)),
        "more connections": replace(bounded, connection=replace(connection, number=MANY)),
    }
    bounds_ps = {name: each.by_connections_ps() for name, each in tried.items()}
    now = prediction.window_bound_ps
    return {name: now / ps for name, ps in bounds_ps.items() if 0 < ps < now * (1 - CHANGED)}


def _changes(
    topology: Topology, timing: Timing, now: Prediction
) -> Iterator[tuple[str, Topology, Timing, str | None]]:
    for pairs in _that_bind(now) if len(topology.trunks) > 1 else ():
        words = ", ".join(" and ".join(sites) for sites in pairs)
        yield (
            f"{TIMES} times the rate between {words}",
            _over_trunks(topology, _faster, pairs),
            timing,
            None,
        )
    every = "each trunk" if len(topology.trunks) > 1 else "the trunk"
    yield f"{TIMES} times the rate of {every}", _over_trunks(topology, _faster), timing, None
    yield f"half the delay of {every}", _over_trunks(topology, _nearer), timing, None
    yield (
        f"{TIMES} times the streams of each connection between sites",
        _over_trunks(topology, _more_streams),
        timing,
        None,
    )
    for effect in EFFECTS:
        yield LEFT_OUT[effect], *without_effects(topology, timing, [effect]), effect


def _that_bind(now: Prediction) -> list[list[Pair]]:
    """Return the sites of the trunk that binds, if one does; then of all that are as busy.

    Where several are, a higher rate of one alone brings nothing.
    """
    network, place = now.timeline.network, now.critical_path.binding_place
    uses: dict[Pair, float] = {}
    found = {each.place: each for each in trunk_uses(now)}
    sites_of = {
        network.place(link): trunk.sites for link, (trunk, _) in network.trunk_links.items()
    }
    for name, each in found.items():
        sites = sites_of[name]
        uses[sites] = max(each.use, uses.get(sites, 0.0))
    on_it = [name for name in map(network.place, network.links_of(place)) if name in sites_of]
    if not on_it:
        return []
    binding = sites_of[max(on_it, key=lambda name: found[name].use)]
    as_busy = [sites for sites, use in uses.items() if use >= AS_BUSY * uses[binding]]
    several = 1 < len(as_busy) < len(uses)
    return [[binding], as_busy] if several else [[binding]]


def _over_trunks(
    topology: Topology, change: Callable[[Link], Link], only: list[Pair] | None = None
) -> Topology:
    """Return ``topology`` with the links of its trunks changed, or of those between some sites."""
    return topology.with_trunk_links(
        lambda trunk: change(trunk.link) if only is None or trunk.sites in only else trunk.link
    )


def _faster(link: Link) -> Link:
    return replace(link, rate_bytes_per_s=TIMES * link.rate_bytes_per_s)


def _nearer(link: Link) -> Link:
    return replace(link, latency_s=link.latency_s / TIMES)


def _with_large_windows(link: Link) -> Link:
    window = link.transport.window_bytes * MANY
    return replace(link, transport=replace(link.transport, window_bytes=window))


def _more_streams(link: Link) -> Link:
    transport = link.transport
    if not (transport.window_bytes or transport.loss or transport.slow_start):
        return link
    return replace(link, transport=replace(transport, streams=TIMES * transport.streams))
