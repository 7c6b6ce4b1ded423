"""Trunks that change while a collective runs, as tables of states that the scheduler reads."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from emul.arrays import BoolArray, Float64Array, Int64Array, UInt8Array
from emul.errors import CapacityError
from emul.links import Changes, Link, State
from emul.links.limits import connection_limit, lifted_limit_bytes_per_s
from emul.links.link import TCP
from emul.links.transport import TCP_LEAST_TIMER_S
from emul.reading.brief import brief
from emul.timing.effects.wavelengths import Classes, JointLinks
from emul.timing.terms import CODES
from emul.topology import Conduit, Network, SitePath, Trunk
from emul.units import PS_PER_S

__all__ = ["LinkStates", "link_states_of"]


NEVER = np.iinfo(np.int64).max
MOST_STATES = 100_000
MOST_KEPT = 1 << 12
"""States of a trunk before the moment at which it was looked at last."""
MOST_LINES = 64
"""Trunks whose states are kept: operations of a program look at them again and again."""
MOST_LIMITS = 1 << 12
"""Kept of the last links and states: operations of a program see the same again and again."""


Moment = tuple[int, State]
"""A state, and the picosecond at which it begins."""


@dataclass(frozen=True, slots=True, eq=False)
class LinkStates:
    """Changing ways, and their states one after the other; behind them changing joint links.

    By changing way: its number ``path``; its classes, from ``first_class`` to before
    ``last_class``. By changing way, then by the trunks that are joint links and change: those links
    of it, from ``first_joint`` to before ``last_joint``, none of a way; ``first_state`` (all of
    these + 1,);
    ``timer_ps`` after which lost bytes are sent again, 0 for at once, ``doubling`` each time as
    TCP does or not, and then at most ``retries`` times. By state: ``from_ps``, ``wave_rate``,
    ``cap`` of each stream and its ``lifted_rate`` in bytes per second, ``term`` of that cap,
    ``extra_ps`` of delay, whether it is ``up``, whether it is up and ``dry``, without any rate from
    then on, ``next_down_ps``: when it next goes down,
    ``up_again_ps``: when it is up next.
    ``until_s``: so far they were looked at; ``lasts``: whether the last state here of a way, or of
    a joint trunk, never ends.
    """

    path: Int64Array
    first_class: Int64Array
    last_class: Int64Array
    first_joint: Int64Array
    last_joint: Int64Array
    first_state: Int64Array
    timer_ps: Int64Array
    retries: Int64Array
    doubling: UInt8Array
    from_ps: Int64Array
    wave_rate: Float64Array
    cap: Float64Array
    lifted_rate: Float64Array
    term: UInt8Array
    extra_ps: Int64Array
    up: UInt8Array
    dry: UInt8Array
    next_down_ps: Int64Array
    up_again_ps: Int64Array
    until_s: float
    lasts: BoolArray

    __repr__ = brief

    @property
    def more(self) -> bool:
        """Whether there are changes after the last states here."""
        return not self.lasts.all()


def link_states_of(
    network: Network, classes: Classes, *, seed: int, start_s: float, until_s: float,
    at_ps: int = 0, from_ps: int = 0,
) -> LinkStates:  # fmt: skip
    """Return the states of the changing ways among those of ``classes``, after ``at_ps``.

    ``at_ps`` counts from ``start_s`` on the line of the links' own time. Looked at is what holds
    before ``from_ps``, or at 0, and all that changes up to ``until_s``; both count from ``at_ps``.
    """
    until_ps = round(until_s * PS_PER_S)
    found = _Lines(seed, start_s, at_ps, from_ps, until_ps)
    joint = classes.joint
    ways = list(_changing_ways(network, classes, found))
    trunks = list(_changing_trunks(network, joint, found)) if ways else []
    lasts = [each.moments[-1][0] <= until_ps for each in (*ways, *trunks)]
    columns = []
    for each, last in zip((*ways, *trunks), lasts, strict=True):
        column = _columns(each.link, each.waves, each.port_bytes_per_s, each.moments, lasts=last)
        if each.path >= 0 and network.site_path(each.path).links[0] in joint.first_wave:
            column["wave_rate"] = [math.inf] * len(column["wave_rate"])
        columns.append(column)
    every = [*ways, *trunks]
    return LinkStates(
        path=_whole(each.path for each in ways),
        first_class=_whole(each.classes.start for each in every),
        last_class=_whole(each.classes.stop for each in every),
        first_joint=_whole(each.joint.start for each in every),
        last_joint=_whole(each.joint.stop for each in every),
        first_state=np.cumsum([0, *(len(each.moments) for each in every)], dtype=np.int64),
        timer_ps=_whole(round(_timer_s(each.link) * PS_PER_S) for each in every),
        retries=_whole(each.link.transport.retries for each in every),
        doubling=np.array([each.link.transport.recovery in TCP for each in every], dtype=np.uint8),
        from_ps=_stacked(columns, "from_ps", np.int64),
        wave_rate=_stacked(columns, "wave_rate", np.float64),
        cap=_stacked(columns, "cap", np.float64),
        lifted_rate=_stacked(columns, "lifted_rate", np.float64),
        term=_stacked(columns, "term", np.uint8),
        extra_ps=_stacked(columns, "extra_ps", np.int64),
        up=_stacked(columns, "up", np.uint8),
        dry=_stacked(columns, "dry", np.uint8),
        next_down_ps=_stacked(columns, "next_down_ps", np.int64),
        up_again_ps=_stacked(columns, "up_again_ps", np.int64),
        until_s=until_s,
        lasts=np.array(lasts, dtype=bool),
    )


def _timer_s(link: Link) -> float:
    """Return the seconds after which lost bytes are sent again; 0 for at once."""
    transport = link.transport
    return transport.rto_s or (TCP_LEAST_TIMER_S if transport.recovery in TCP else 0.0)


def _whole(numbers: Iterable[int]) -> Int64Array:
    return np.array([*numbers], dtype=np.int64)


NOTHING = range(0)


@dataclass(frozen=True, slots=True, eq=False)
class _Changing:
    """A way that changes, with its ``classes``; or a joint trunk, with its ``joint`` links."""

    link: Link
    waves: int
    port_bytes_per_s: float
    moments: list[Moment]
    path: int = -1
    classes: range = NOTHING
    joint: range = NOTHING


def _changing_ways(network: Network, classes: Classes, found: _Lines) -> Iterator[_Changing]:
    for path, waves in classes.cut.items():
        if path < network.first_trunk_path:  # inside a site nothing changes
            continue
        if any(part.changes.any for part in network.site_path(path).parts):
            sender = network.topology.sites[network.sites_of_path(path)[0]]
            port, moments = sender.link.available_bytes_per_s, found.of_path(network, path)
            yield _Changing(network.links[path], waves, port, moments, path, classes.of_way(path))


def _changing_trunks(network: Network, joint: JointLinks, found: _Lines) -> Iterator[_Changing]:
    for number, first in joint.first_wave.items():
        trunk, _ = network.trunk_links[number]
        if trunk.changes.any:
            waves, moments = joint.waves[number], found.of_part(trunk)
            rate = trunk.link.available_bytes_per_s
            yield _Changing(trunk.link, waves, rate, moments, joint=range(first, first + waves))


class _Line:
    """The states of a trunk, by picoseconds after ``start_s``, made as far as they are asked for.

    The last ones are kept. Safe to be used from several threads.
    """

    def __init__(self, changes: Changes, seed: int, name: str, start_s: float) -> None:
        """Begin with none; ``name`` is the trunk's, under which outages are drawn."""
        self.changes, self.seed, self.name, self.start_s = changes, seed, name, start_s
        self._lock = Lock()
        self._begin()

    def _begin(self) -> None:
        self._coming = self.changes.states(self.seed, self.name, math.inf)
        self._moments: list[int] = []
        self._states: list[State] = []
        self._early = 0  # states that began by ``start_s``

    def relative(self, at_ps: int, from_ps: int, until_ps: int) -> list[Moment]:
        """Return the states from the one that holds before ``from_ps``, or at 0, on.

        They go up to the first one after ``until_ps``; all moments count from ``at_ps``, that of
        the first one is 0.
        """
        holds_ps, last_ps = at_ps + max(0, from_ps - 1), at_ps + until_ps
        with self._lock:
            if self._moments and self._moments[0] > holds_ps:
                self._begin()
            self._make(holds_ps, last_ps)
            first = bisect_right(self._moments, holds_ps) - 1
            end = bisect_right(self._moments, last_ps) + 1
            states = self._states[first:end]
            moments = [0, *(each - at_ps for each in self._moments[first + 1 : end])]
        return list(zip(moments, states, strict=True))

    def _make(self, holds_ps: int, last_ps: int) -> None:
        """Make states up to the first after ``last_ps``; forget those before ``holds_ps``."""
        while not self._moments or self._moments[-1] <= last_ps:
            state = next(self._coming, None)
            if state is None:
                return
            self._moments.append(round((state.from_s - self.start_s) * PS_PER_S))
            self._states.append(state)
            self._early += self._moments[-1] <= 0
            if len(self._moments) > MOST_KEPT:
                first = max(0, bisect_right(self._moments, holds_ps) - 1)
                del self._moments[:first], self._states[:first]
            if max(self._early, len(self._moments)) > MOST_STATES:
                self._begin()
                until_s = self.start_s + last_ps / PS_PER_S
                raise CapacityError(
                    f"trunk {self.name} changes more than {MOST_STATES} times in {until_s:g} s: "
                    "needed a coarser trace, rarer outages or an earlier start"
                )


class _Lines:
    """The states of trunks, conduits and paths of them in one span of time."""

    def __init__(self, seed: int, start_s: float, at_ps: int, from_ps: int, until_ps: int) -> None:
        """Take the span, as ``link_states_of`` does."""
        self.seed, self.start_s = seed, start_s
        self.span = at_ps, from_ps, until_ps
        self._found: dict[str, list[Moment]] = {}

    def of_part(self, part: Trunk | Conduit) -> list[Moment]:
        """Return the states of a trunk or a conduit."""
        name = _name_of(part)
        if name not in self._found:
            line = _line_of(part.changes, name, self.seed, self.start_s)
            self._found[name] = line.relative(*self.span)
        return self._found[name]

    def of_path(self, network: Network, path: int) -> list[Moment]:
        """Return the states of a path: at every change of a part, of all its parts together."""
        along = network.site_path(path)
        if len(along.trunks) == 1 and not along.conduits:
            return self.of_part(along.trunks[0])
        changing = {_name_of(part): part for part in along.parts if part.changes.any}
        tables = {name: self.of_part(part) for name, part in changing.items()}
        moments = sorted(
            (at, name, i) for name, table in tables.items() for i, (at, _) in enumerate(table)
        )
        now: dict[str, State] = {}
        rows: list[Moment] = []
        alike: dict[tuple[tuple[object, ...], ...], State] = {}
        link, until_ps = network.links[path], self.span[2]
        for at, name, i in moments:
            if rows and rows[-1][0] > until_ps and at > rows[-1][0]:
                break
            now[name] = tables[name][i][1]
            if rows and rows[-1][0] == at:
                rows.pop()
            key = tuple((s.rate_factor, s.extra_delay_s, s.loss, s.up) for s in now.values())
            if key not in alike:
                alike[key] = _state_of_path(link, along, now)
            rows.append((at, alike[key]))
        return rows


def _name_of(part: Trunk | Conduit) -> str:
    return part.name if isinstance(part, Trunk) else f"conduit {part.name}"


def _state_of_path(link: Link, along: SitePath, now: dict[str, State]) -> State:
    """Return the state of a path whose parts are as ``now`` says, by their names.

    The rate is the least of its trunks, as a part of the rate of its ``link``; delays add up; lost
    is what any trunk loses; and it is up while all its parts are.
    """
    usual = State()
    states = [now.get(_name_of(trunk), usual) for trunk in along.trunks]
    lost = [
        trunk.link.transport.loss if state.loss is None else state.loss
        for trunk, state in zip(along.trunks, states, strict=True)
    ]
    rate = min(
        trunk.link.available_bytes_per_s * state.rate_factor
        for trunk, state in zip(along.trunks, states, strict=True)
    )
    told = any(state.loss is not None for state in states)
    return State(
        rate_factor=rate / link.available_bytes_per_s,
        extra_delay_s=sum(state.extra_delay_s for state in states),
        loss=1 - math.prod(1 - part for part in lost) if told else None,
        up=all(state.up for state in now.values()),
    )


_LINES: dict[tuple[int, int, str, float], _Line] = {}
_LINES_LOCK = Lock()


def _line_of(changes: Changes, name: str, seed: int, start_s: float) -> _Line:
    """Return the line of a trunk or conduit; those used last are kept, by their changes themselves.

    A long trace is not compared.
    """
    key = id(changes), seed, name, start_s
    with _LINES_LOCK:
        line = _LINES.pop(key, None) or _Line(changes, seed, name, start_s)
        _LINES[key] = line  # which holds the changes, so that nothing else has their number
        if len(_LINES) > MOST_LINES:
            del _LINES[next(iter(_LINES))]
    return line


def _columns(
    link: Link, waves: int, port: float, moments: list[Moment], *, lasts: bool
) -> dict[str, list[float]]:
    """Return the states of one way, from ports of ``port`` bytes per second, by column.

    ``waves``: into how many its streams fall. ``lasts``: whether the last state never ends.
    """
    states = [state for _, state in moments]
    columns: dict[str, list[float]] = {
        "from_ps": [min(from_ps, NEVER // 2) for from_ps, _ in moments],
        "extra_ps": [round(state.extra_delay_s * PS_PER_S) for state in states],
        "up": [int(state.up) for state in states],
    }
    limits: dict[tuple[float, float, float | None], tuple[float, ...]] = {}
    rows = []
    for state in states:
        alike = (state.rate_factor, state.extra_delay_s, state.loss)
        if alike not in limits:
            limits[alike] = _limits(link, waves, port, *alike)
        rows.append(limits[alike])
    names = ("wave_rate", "cap", "lifted_rate", "term")
    columns.update(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    ups = [state.up for state in states]
    wave_rates = columns["wave_rate"] if lasts else [1.0] * len(states)
    rates = [rate * up for rate, up in zip(wave_rates, ups, strict=True)]
    later = list(accumulate(reversed(rates), max))[::-1]
    columns["dry"] = [int(up and not rate) for up, rate in zip(ups, later, strict=True)]
    columns["next_down_ps"] = _next(columns["from_ps"], [not up for up in ups])
    columns["up_again_ps"] = _next(columns["from_ps"], ups)
    return columns


@lru_cache(maxsize=MOST_LIMITS)
def _limits(
    link: Link, waves: int, port: float, rate_factor: float, extra_delay_s: float,
    loss: float | None,
) -> tuple[float, ...]:  # fmt: skip
    """Return rate of a wave, cap of a stream, its rate with tokens, and the cap's term."""
    rate = link.available_bytes_per_s * rate_factor
    rtt_s = link.rtt_s + 2 * extra_delay_s
    limit = connection_limit(link, rate_bytes_per_s=rate, rtt_s=rtt_s, loss=loss)
    lifted = lifted_limit_bytes_per_s(link, port_bytes_per_s=port, rtt_s=rtt_s, loss=loss)
    streams = link.transport.streams if waves > 1 else 1
    return rate / waves, limit.bytes_per_s / streams, lifted / streams, CODES[limit.term]


def _next(times: list[float], holds: list[bool]) -> list[float]:
    """Return for each state when the next one begins of which something holds, or NEVER."""
    found: list[float] = [NEVER] * len(times)
    for at in range(len(times) - 2, -1, -1):
        found[at] = times[at + 1] if holds[at + 1] else found[at + 1]
    return found


def _stacked(columns: list[dict[str, list[float]]], name: str, dtype: npt.DTypeLike) -> Any:
    return np.array([value for column in columns for value in column[name]], dtype=dtype)
