"""Trunks that change while a collective runs, as tables of states that the scheduler reads."""

from __future__ import annotations

import math
from bisect import bisect_right
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
from emul.timing.terms import CODES
from emul.topology import Network, Trunk
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


@dataclass(frozen=True, slots=True, eq=False)
class LinkStates:
    """Changing ways, and their states one after the other.

    By changing way: its number ``path``; its classes, from ``first_class`` to before
    ``last_class``; ``first_state`` (ways + 1,);
    ``timer_ps`` after which lost bytes are sent again, 0 for at once, ``doubling`` each time as
    TCP does or not, and then at most ``retries`` times. By state: ``from_ps``, ``wave_rate``,
    ``cap`` of each stream and its ``lifted_rate`` in bytes per second, ``term`` of that cap,
    ``extra_ps`` of delay, whether it is ``up``, whether it is up and ``dry``, without any rate from
    then on, ``next_down_ps``: when it next goes down,
    ``up_again_ps``: when it is up next.
    ``until_s``: so far they were looked at; ``lasts`` (ways,): whether the last state here of a way
    never ends.
    """

    path: Int64Array
    first_class: Int64Array
    last_class: Int64Array
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
    network: Network, shared: list[int], *, seed: int, start_s: float, until_s: float,
    at_ps: int = 0, from_ps: int = 0,
) -> LinkStates:  # fmt: skip
    """Return the states of the changing ways among ``shared``, by moments after ``at_ps``.

    ``at_ps`` counts from ``start_s`` on the line of the links' own time. Looked at is what holds
    before ``from_ps``, or at 0, and all that changes up to ``until_s``; both count from ``at_ps``.
    """
    changing, classes, first_class = [], 0, []
    for path in shared:
        if _trunk(network, path).changes.any:
            changing.append(path)
            first_class.append(classes)
        classes += network.links[path].waves
    until_ps = round(until_s * PS_PER_S)
    found = {
        trunk.sites: _line_of(trunk, seed, start_s).relative(at_ps, from_ps, until_ps)
        for trunk in (_trunk(network, path) for path in changing)
    }
    tables = [found[_trunk(network, path).sites] for path in changing]
    lasts = [states[-1][0] <= until_ps for states in tables]
    links = [network.links[path] for path in changing]
    tcp = [link.transport.recovery in TCP for link in links]
    timers = [
        (link.transport.rto_s or TCP_LEAST_TIMER_S) if is_tcp else link.transport.rto_s
        for link, is_tcp in zip(links, tcp, strict=True)
    ]
    last_class = [a + link.waves for a, link in zip(first_class, links, strict=True)]
    senders = [network.topology.sites[network.sites_of_path(path)[0]] for path in changing]
    ports = [site.link.available_bytes_per_s for site in senders]
    columns = [
        _columns(link, port, states, lasts=last)
        for link, port, states, last in zip(links, ports, tables, lasts, strict=True)
    ]
    return LinkStates(
        path=np.array(changing, dtype=np.int64),
        first_class=np.array(first_class, dtype=np.int64),
        last_class=np.array(last_class, dtype=np.int64),
        first_state=np.cumsum([0, *map(len, tables)], dtype=np.int64),
        timer_ps=np.array([round(timer * PS_PER_S) for timer in timers], dtype=np.int64),
        retries=np.array([link.transport.retries for link in links], dtype=np.int64),
        doubling=np.array(tcp, dtype=np.uint8),
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


def _trunk(network: Network, path: int) -> Trunk:
    return network.trunks[network.sites_of_path(path)]


Moment = tuple[int, State]
"""A state, and the picosecond at which it begins."""


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


_LINES: dict[tuple[int, int, str, float], _Line] = {}
_LINES_LOCK = Lock()


def _line_of(trunk: Trunk, seed: int, start_s: float) -> _Line:
    """Return the line of a trunk; those used last are kept, by their changes themselves.

    A long trace is not compared.
    """
    name = " - ".join(trunk.sites)
    key = id(trunk.changes), seed, name, start_s
    with _LINES_LOCK:
        line = _LINES.pop(key, None) or _Line(trunk.changes, seed, name, start_s)
        _LINES[key] = line  # which holds the changes, so that nothing else has their number
        if len(_LINES) > MOST_LINES:
            del _LINES[next(iter(_LINES))]
    return line


def _columns(
    link: Link, port: float, moments: list[Moment], *, lasts: bool
) -> dict[str, list[float]]:
    """Return the states of one way, from ports of ``port`` bytes per second, by column.

    ``lasts``: whether the last state never ends.
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
            limits[alike] = _limits(link, port, *alike)
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
    link: Link, port: float, rate_factor: float, extra_delay_s: float, loss: float | None
) -> tuple[float, ...]:
    """Return rate of a wave, cap of a stream, its rate with tokens, and the cap's term."""
    rate = link.available_bytes_per_s * rate_factor
    rtt_s = link.rtt_s + 2 * extra_delay_s
    limit = connection_limit(link, rate_bytes_per_s=rate, rtt_s=rtt_s, loss=loss)
    lifted = lifted_limit_bytes_per_s(link, port_bytes_per_s=port, rtt_s=rtt_s, loss=loss)
    streams = link.transport.streams if link.waves > 1 else 1
    return rate / link.waves, limit.bytes_per_s / streams, lifted / streams, CODES[limit.term]


def _next(times: list[float], holds: list[bool]) -> list[float]:
    """Return for each state when the next one begins of which something holds, or NEVER."""
    found: list[float] = [NEVER] * len(times)
    for at in range(len(times) - 2, -1, -1):
        found[at] = times[at + 1] if holds[at + 1] else found[at + 1]
    return found


def _stacked(columns: list[dict[str, list[float]]], name: str, dtype: npt.DTypeLike) -> Any:
    return np.array([value for column in columns for value in column[name]], dtype=dtype)
