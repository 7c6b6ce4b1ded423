"""Trunks that change while a collective runs, as tables of states that the scheduler reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from emul.arrays import Float64Array, Int64Array, UInt8Array
from emul.errors import CapacityError
from emul.links import Link, State
from emul.links.limits import connection_limit, lifted_limit_bytes_per_s
from emul.links.link import TCP
from emul.links.transport import TCP_LEAST_TIMER_S
from emul.timing.terms import CODES
from emul.topology import Network, Trunk
from emul.units import PS_PER_S

__all__ = ["LinkStates", "link_states_of"]


NEVER = np.iinfo(np.int64).max
MOST_STATES = 100_000
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
    ``extra_ps`` of delay, whether it is ``up``, ``next_down_ps``: when it next goes down,
    ``up_again_ps``: when it is up next.
    ``more``: whether there are changes after the last state here.
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
    next_down_ps: Int64Array
    up_again_ps: Int64Array
    more: bool


def link_states_of(
    network: Network, shared: list[int], *, seed: int, start_s: float, until_s: float
) -> LinkStates:
    """Return the states of the changing ways among ``shared``, relative to ``start_s``."""
    changing, classes, first_class = [], 0, []
    for path in shared:
        if _trunk(network, path).changes.any:
            changing.append(path)
            first_class.append(classes)
        classes += network.links[path].waves
    found = {
        trunk.sites: list(_relative(trunk, seed, start_s, until_s))
        for trunk in (_trunk(network, path) for path in changing)
    }
    more = any(len(states) > 1 and states[-1].from_s > until_s for states in found.values())
    tables = [found[_trunk(network, path).sites] for path in changing]
    links = [network.links[path] for path in changing]
    tcp = [link.transport.recovery in TCP for link in links]
    timers = [
        (link.transport.rto_s or TCP_LEAST_TIMER_S) if is_tcp else link.transport.rto_s
        for link, is_tcp in zip(links, tcp, strict=True)
    ]
    last_class = [a + link.waves for a, link in zip(first_class, links, strict=True)]
    senders = [network.topology.sites[network.sites_of_path(path)[0]] for path in changing]
    ports = [site.link.available_bytes_per_s for site in senders]
    columns = [_columns(*each) for each in zip(links, ports, tables, strict=True)]
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
        next_down_ps=_stacked(columns, "next_down_ps", np.int64),
        up_again_ps=_stacked(columns, "up_again_ps", np.int64),
        more=more,
    )


def _trunk(network: Network, path: int) -> Trunk:
    return network.trunks[network.sites_of_path(path)]


def _relative(trunk: Trunk, seed: int, start_s: float, until_s: float) -> Iterator[State]:
    """Yield the states of a trunk from ``start_s`` on, up to the first one after ``until_s``."""
    name = " - ".join(trunk.sites)
    current: State | None = State()
    for number, state in enumerate(trunk.changes.states(seed, name, start_s + until_s)):
        if number > MOST_STATES:
            raise CapacityError(
                f"trunk {name} changes more than {MOST_STATES} times in {start_s + until_s:g} s: "
                "needed a coarser trace, rarer outages or an earlier start"
            )
        if state.from_s <= start_s:
            current = state
            continue
        if current is not None:
            yield replace(current, from_s=0.0)
            current = None
        yield replace(state, from_s=state.from_s - start_s) if start_s else state
    if current is not None:
        yield replace(current, from_s=0.0)


def _columns(link: Link, port: float, states: list[State]) -> dict[str, list[float]]:
    """Return the states of one way, from ports of ``port`` bytes per second, by column."""
    columns: dict[str, list[float]] = {
        "from_ps": [min(round(state.from_s * PS_PER_S), NEVER // 2) for state in states],
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
