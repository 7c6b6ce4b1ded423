"""A collective as a matter to be tuned: its algorithms and how they are sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from emul.insight.block_shares import counts_of, even_shares, other_shares
from emul.insight.schedules import name_in_full, neighbours
from emul.insight.search import Facts, Settings
from emul.links import Link
from emul.plans import Plan, Shape
from emul.plans.algorithms.packed import NAME as PACKED
from emul.plans.algorithms.packed import is_packed
from emul.runtime.planner import MOST_RANKS_IN_FULL, Planner
from emul.runtime.prediction import Prediction
from emul.runtime.request import AUTO, Request
from emul.stacks import IDEAL
from emul.topology import Topology
from emul.units import format_bytes

__all__ = ["IN_BLOCKS", "CollectiveProblem", "with_streams"]

ALGORITHM, SLICE, SLOTS, STREAMS = "algorithm", "slice_bytes", "slots", "streams"
ROOT, SHARES = "root", "shares"
"""Settings: the name of the algorithm; slices; slots; times the streams of each connection over
a trunk; the rank that is the root; the shares of the sites in the vector."""

OF_TODAY = " (trees of today)"
"""Behind the name of an algorithm whose trees are those of the links as they are."""

SLICES = (64 << 10, 16 << 20)
MOST_SLOTS = 64
MOST_STREAMS = 16
MOST_SITES_SHARED = 8
"""Bounds of the search."""

IN_BLOCKS = ("all_gather", "reduce_scatter")
"""Of which every rank has a block; where only a root has them, less for others is no schedule."""

SPREAD = 4
"""Times the streams from which a search starts too where a trunk has several waves, each of which
carries whole streams."""

KEPT_PLANNERS = 8


@dataclass(frozen=True)
class CollectiveProblem:
    """The calls of ``requests``, one after the other, whose times are summed.

    ``planner``: of the links and the settings as they are. ``any_root``: whether another rank may
    be the root; ``any_shares``: whether the blocks of ranks at unlike sites may differ. Algorithms
    are searched where ``auto`` is asked for and the stack is ideal; slices and slots where the
    stack is; streams where windows or losses limit trunks. Slices, slots, roots and shares only on
    the links as they are: upgraded ones keep the best there.
    """

    planner: Planner
    requests: Sequence[Request]
    any_root: bool = False
    any_shares: bool = False
    _on: object = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Keep the planners that were used last."""
        object.__setattr__(self, "_on", lru_cache(maxsize=KEPT_PLANNERS)(self._planner_anew))

    @property
    def chooses(self) -> bool:
        """Whether algorithms are searched."""
        of_model = self.planner.timing.stack is IDEAL
        return of_model and all(each.algorithm == AUTO for each in self.requests)

    @property
    def cuts(self) -> bool:
        """Whether slices and slots are searched."""
        timing = self.planner.timing
        return timing.stack is IDEAL and timing.slicing is not None

    @property
    def has_roots(self) -> bool:
        """Whether roots are searched."""
        return self.any_root and self.requests[0].shape.collective.rooted

    @property
    def has_shares(self) -> bool:
        """Whether shares of sites are searched: where each rank has a block, of few sites."""
        sites = len(self.planner.topology.sites)
        blocks = self.requests[0].collective in IN_BLOCKS
        even = all(each.shape.counts is None for each in self.requests)
        in_full = self.planner.topology.world_size <= MOST_RANKS_IN_FULL
        return self.any_shares and blocks and even and in_full and 1 < sites <= MOST_SITES_SHARED

    @property
    def has_streams(self) -> bool:
        """Whether more streams may bring anything."""
        return any(_is_held(trunk.link) for trunk in self.planner.topology.trunks)

    def key(self, number: int) -> str:
        """Return the name of the setting that is the algorithm of a request."""
        if len(self.requests) == 1:
            return ALGORITHM
        return f"{ALGORITHM} at {format_bytes(self.requests[number].nbytes)}"

    def timed(self, topology: Topology, settings: Settings) -> float:
        """Return the modelled seconds of all calls. Raises EmulError, as predictions do."""
        return sum(each.time_s for each in self.predictions(topology, settings))

    def predictions(self, topology: Topology, settings: Settings) -> list[Prediction]:
        """Return the prediction of each call."""
        planner = self._planner(topology, settings)
        return [
            _predicted(planner, self._request(number, settings))
            for number in range(len(self.requests))
        ]

    def starts(self, topology: Topology) -> Iterator[Settings]:
        """Yield the settings that are chosen today: by auto, or as they were asked for."""
        found: dict[str, str | int] = {}
        timing = self.planner.timing
        if self.cuts and timing.slicing is not None:
            found |= {SLICE: timing.slicing.slice_bytes, SLOTS: timing.slicing.slots}
        if self.has_streams:
            found[STREAMS] = 1
        if self.has_roots:
            found[ROOT] = self.requests[0].root
        if self.has_shares:
            found[SHARES] = even_shares(self._ranks)
        if self.chooses:
            planner = self._planner(topology, found)
            for number, each in enumerate(self.requests):
                of = _predicted(planner, each).of
                found[self.key(number)] = name_in_full(of) if isinstance(of, Plan) else of.algorithm
        yield found
        if self.has_streams and any(trunk.link.waves > 1 for trunk in topology.trunks):
            yield {**found, STREAMS: SPREAD}

    def moves(self, topology: Topology, settings: Settings) -> Iterator[Settings]:
        """Yield settings with one number or one name changed."""
        if self.chooses:
            yield from self._other_algorithms(topology, settings)
        yield from _twice_and_half(settings, STREAMS, 1, MOST_STREAMS)
        if topology != self.planner.topology:
            return
        yield from _twice_and_half(settings, SLOTS, 1, MOST_SLOTS)
        yield from _twice_and_half(settings, SLICE, *SLICES)
        if self.has_roots:
            first = 0
            for site in topology.sites:
                yield {**settings, ROOT: first}
                first += site.ranks
        if self.has_shares:
            for shares in other_shares(str(settings[SHARES])):
                yield {**settings, **self._packed_by(settings), SHARES: shares}

    def _packed_by(self, settings: Settings) -> dict[str, str]:
        """Return ``packed`` for algorithms of other families, which do not go by shares."""
        keys = [self.key(number) for number in range(len(self.requests))] if self.chooses else []
        return {key: PACKED for key in keys if not is_packed(settings[key])}

    def _other_algorithms(self, topology: Topology, settings: Settings) -> Iterator[Settings]:
        for number, request in enumerate(self.requests):
            key = self.key(number)
            name = str(settings[key]).removesuffix(OF_TODAY)
            if name == PACKED:
                of = self.predictions(topology, settings)[number].of
                name = name_in_full(of) if isinstance(of, Plan) else name
            for other in neighbours(name, request.collective):
                yield {**settings, key: other}

    def kept(self, settings: Settings) -> Iterator[Settings]:
        """Yield the same with the trees of today, where algorithms pack trees by the rates."""
        names = {self.key(number) for number in range(len(self.requests))}
        kept = {
            name: f"{value}{OF_TODAY}" if name in names and is_packed(value) else value
            for name, value in settings.items()
        }
        if kept != settings:
            yield kept

    def facts(self, topology: Topology, settings: Settings) -> Facts:
        """Return the place that binds the longest call, and times and bounds of all."""
        found = self.predictions(topology, settings)
        longest = max(found, key=lambda each: each.total_ps)
        path, reason = longest.critical_path, longest.bounded.reason()
        return Facts(
            path.binding_place if path.segments else "",
            "" if reason is None else reason.words,
            tuple(each.time_s for each in found),
            tuple(each.bound_s for each in found),
        )

    def _request(self, number: int, settings: Settings) -> Request:
        """Return a request with the algorithm and the root that ``settings`` say."""
        request = self.requests[number]
        request = request._replace(root=int(settings.get(ROOT, request.root)))
        shares = str(settings.get(SHARES, even_shares(self._ranks)))
        if shares != even_shares(self._ranks):
            shape = request.shape
            counts = counts_of(shares, self._ranks, shape.width)
            of_counts = Shape.of_counts(shape.collective, shape.world_size, counts)
            request = request._replace(shape=of_counts)
        if self.key(number) not in settings:
            return request
        name = str(settings[self.key(number)])
        named = request.by(name.removesuffix(OF_TODAY))
        if named.algorithm == name:
            return named
        return request.by(_predicted(self.planner, named).plan)

    @property
    def _ranks(self) -> list[int]:
        return [site.ranks for site in self.planner.topology.sites]

    def _planner(self, topology: Topology, settings: Settings) -> Planner:
        sending = (settings.get(STREAMS, 1), settings.get(SLICE), settings.get(SLOTS))
        found = self._on(topology, *sending)  # type: ignore[operator]
        assert isinstance(found, Planner)
        return found

    def _planner_anew(
        self, topology: Topology, streams: int, slice_bytes: int | None, slots: int | None
    ) -> Planner:
        timing = self.planner.timing
        if timing.slicing is not None and slice_bytes and slots:
            slicing = replace(timing.slicing, slice_bytes=slice_bytes, slots=slots)
            timing = replace(timing, slicing=slicing)
        if (topology, timing, streams) == (self.planner.topology, self.planner.timing, 1):
            return self.planner
        return Planner(with_streams(topology, streams), timing, bounded=True)


def _twice_and_half(
    settings: Settings, name: str, least: int, most: int
) -> Iterator[dict[str, str | int]]:
    """Yield settings with twice and half of a number, from ``least`` to ``most``."""
    now = int(settings.get(name, 0))
    for other in (2 * now, now // 2):
        if now and least <= other <= most:
            yield {**settings, name: other}


def with_streams(topology: Topology, times: int) -> Topology:
    """Return ``topology`` with so many times the streams of connections that are held back."""
    return topology.with_trunk_links(
        lambda trunk: _with_streams(trunk.link, times) if _is_held(trunk.link) else trunk.link
    )


def _with_streams(link: Link, times: int) -> Link:
    transport = link.transport
    return replace(link, transport=replace(transport, streams=times * transport.streams))


def _is_held(link: Link) -> bool:
    """Say whether windows or losses may hold back a stream."""
    transport = link.transport
    return bool(transport.window_bytes or transport.loss or transport.slow_start)


def _predicted(planner: Planner, request: Request) -> Prediction:
    return planner.predict(request, collapse=planner.topology.world_size > MOST_RANKS_IN_FULL)
