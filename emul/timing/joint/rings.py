"""Rings in a joint simulation: few rounds go round and round, and rings that have settled pause.

Of a long ring only a window of rounds is laid out (see emul.timing.joint.window). When the first
of them are over, the others move to their places, and the last places are those of later rounds.
That changes numbers of transfers and nothing else: their order stays, so ties are broken as before.

The simulation stops each time such a ring has come a round further, and looks at the ring and at
all rings that share ports with it. If all that counts of them is as it was some rounds ago, and
nothing but rings happened meanwhile, they have settled: all of it will come again as long as
nothing else comes to their ports. So they are moved on by so many of these periods as end before
the next event of anything else, as if those had passed. All this is exact, because a simulation
hangs on nothing but its state.

Times of transfers in a window are of the last round that was there, and who stood behind whom is
not told; the ends of ranks are right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from emul.arrays import BoolArray, Int32Array, Int64Array
from emul.timing.effects.connection_table import ConnectionTable
from emul.timing.effects.link_states import NEVER
from emul.timing.engine.columns import transfer_columns
from emul.timing.engine.scheduler import STOP, Simulation
from emul.timing.joint.window import Window
from emul.topology.network import PORTS_PER_RANK

__all__ = ["PlacedWindow", "Rings"]


WATCHED = 1

APART, FAR_APART = 8, 16
"""Rounds between looks: where rings are together with others, and have to come again together, or
while other things happen, and so nothing can have settled; and where that goes on for long."""

MANY_STATES = 20
"""Of rings that have not come again after so many looks: then they are looked at more rarely."""

LONG_AGO_PS = -(1 << 61)
"""Before which nothing has ever begun on a connection."""

OF_A_RING = 1 << 32
"""In a state, the transfers of each ring are numbered from its multiple of this on."""

CREDIT_LINKS = ("first", "last", "latest")
"""Columns of credit that lead to transfers."""

AT_FIRST = {"on_link": -1, "done": -1, "legs": 2}
"""Values in columns of a transfer that has not begun: 0 in others, -1 for transfers."""

SKIPPED = {"stands": 2}
"""Values in columns of a transfer that was skipped: 0 in others, -1 for transfers."""


@dataclass(frozen=True, slots=True, eq=False)
class PlacedWindow:
    """A window from transfer ``first`` of a schedule on.

    ``ranks``: of its ring; ``starts``: the transfers with which they start, and ``ends``, which
    wait for ``ending`` (ranks,) transfers of each round.
    """

    window: Window
    first: int
    ranks: Int32Array
    starts: Int64Array
    ends: Int64Array
    ending: Int64Array

    @property
    def rows(self) -> slice:
        """Its transfers."""
        return slice(self.first, self.first + self.window.size * self.window.rounds)

    @property
    def last(self) -> int:
        """The last round that may begin before others have moved up: all wait for it are there."""
        return self.window.rounds - 1 - self.window.span

    def round_of(self, transfer: int) -> int:
        """Return the round of one of its transfers."""
        return (transfer - self.first) // self.window.size


@dataclass(slots=True, eq=False)
class _Ring:
    """A ring with a window, of which ``omitted`` rounds are still left out.

    ``passed``: the rounds that have gone from its window. ``ports``, ``connections``, ``credited``:
    its own. ``stop_at``: the transfer at whose start the simulation stops next, if it is long.
    ``seen``: the states of all that goes with it at its stops, since anything but rings happened,
    each with its moment and the rounds; ``others``: the number of such events by then. ``apart``:
    the rounds up to the next look. ``settled``: if all that goes with it has settled.
    """

    placed: PlacedWindow
    omitted: int
    ports: Int64Array
    connections: Int64Array
    credited: Int64Array
    passed: int = 0
    stop_at: int = -1
    others: int = -1
    apart: int = 1
    settled: _Settled | None = None
    seen: dict[bytes, tuple[int, Int64Array]] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _Settled:
    """Rings, by their numbers, that come again after ``period_ps`` and ``rounds`` of each.

    ``ports``, ``connections``: of all of them. ``at_ps``: how they stand, if moved on, else 0.
    """

    rings: Int64Array
    period_ps: int
    rounds: Int64Array
    ports: Int64Array
    connections: Int64Array
    at_ps: int = 0


@dataclass(slots=True, eq=False)
class _Now:
    """A stop: the ``events`` to come, and the heads ``queued`` at ports, as the engine tells them.

    ``owner``: the number of the ring of each event, -1 for none, and ``queued_owner`` of each head.
    """

    ps: int
    events: Int64Array
    queued: Int32Array
    owner: Int32Array
    queued_owner: Int32Array

    def renumber(self, rows: slice, less: int) -> None:
        """Take so many from the numbers of the transfers in ``rows``."""
        for numbers in (self.events[1], self.queued[1]):
            numbers[(numbers >= rows.start) & (numbers < rows.stop)] -= less


class Rings:
    """The rings of a ``simulation`` that have windows; ``omitted``: the rounds left out of each."""

    def __init__(
        self,
        simulation: Simulation,
        table: ConnectionTable,
        windows: list[PlacedWindow],
        omitted: list[int],
    ) -> None:
        """Watch the windows."""
        self.simulation = simulation
        self._columns = transfer_columns(simulation)
        self._on_link, self._done = np.asarray(simulation.on_link), np.asarray(simulation.done)
        self._edges = simulation.edges.arrays
        self._egress, self._connections = simulation.egress.arrays, simulation.connections.arrays
        self._credit = {
            name: np.asarray(getattr(simulation.credit, name))
            for name in ("of", "stands", "following", "first", "last", "latest", "left")
        }
        self._departures_ps = simulation.connections.fluid.queue.arrays["due"]
        self._spacing_ps, self._connection_of = table.spacing_ps, table.connection
        self._watched = np.zeros(len(self._done), dtype=np.uint8)
        self._owner: Int32Array = np.full(len(self._done) + 1, -1, dtype=np.int32)
        self._rings = [self._ring(*each) for each in zip(windows, omitted, strict=True)]
        self._long = [ring for ring in self._rings if ring.omitted]
        self._together: dict[bytes, list[Int64Array]] = {}
        if not self._long:
            return  # nothing is to stop at
        for number, ring in enumerate(self._rings):
            rows = ring.placed.rows
            self._owner[rows], self._watched[rows] = number, WATCHED
            if ring.omitted:
                self._watch(ring)
        simulation.watch(self._watched)

    def _ring(self, placed: PlacedWindow, omitted: int) -> _Ring:
        connections = np.unique(self._connection_of[placed.rows])
        credited = np.unique(self._credit["of"][placed.rows])
        ports = PORTS_PER_RANK * placed.ranks.astype(np.int64)[:, None] + np.arange(PORTS_PER_RANK)
        return _Ring(
            placed,
            omitted,
            ports.ravel(),
            connections[connections >= 0].astype(np.int64),
            credited[credited >= 0].astype(np.int64),
        )

    @property
    def omitted(self) -> list[int]:
        """How many rounds of each ring are still left out."""
        return [ring.omitted for ring in self._rings]

    def advance(self, until_ps: int = NEVER) -> None:
        """Take the simulation to ``until_ps``, or to its end."""
        simulation = self.simulation
        simulation.advance(until_ps)
        while simulation.stopped_at >= 0:
            self._stop(self._rings[self._owner[simulation.stopped_at]], until_ps)
            simulation.advance(until_ps)

    def _watch(self, ring: _Ring) -> None:
        """Stop when the ring's first rank begins its next round, or anyone the last one."""
        placed, size = ring.placed, ring.placed.window.size
        watched = self._watched[placed.rows]
        watched[placed.last * size : (placed.last + 1) * size] = STOP
        begun = np.flatnonzero(self._on_link[placed.rows, 0][::size] >= 0)
        self._stop_next(ring, int(begun.max(initial=-1)) + 1)

    def _stop_next(self, ring: _Ring, number: int) -> None:
        """Let the simulation stop when the first rank begins its round with that number."""
        placed = ring.placed
        if ring.stop_at >= 0 and placed.round_of(ring.stop_at) != placed.last:
            self._watched[ring.stop_at] = WATCHED
        ring.stop_at = placed.first + min(number, placed.last) * placed.window.size
        self._watched[ring.stop_at] = STOP

    def _stop(self, ring: _Ring, until_ps: int) -> None:
        """Look whether rings have settled; keep some rounds ahead of this one; let rings pause."""
        simulation, placed, now = self.simulation, ring.placed, self._now()
        number, following = placed.round_of(simulation.stopped_at), placed.round_of(ring.stop_at)
        if simulation.stopped_at == ring.stop_at:
            following = number + self._look(ring, now)
        repeated = 0
        if max(number, following + len(placed.ranks)) >= placed.last:
            low = self._first_not_over(ring, now)
            assert low or number < placed.last, "more rounds are under way than are laid out"
            repeated = min(low, ring.omitted)
            self._move_up(ring, repeated, now)
        self._stop_next(ring, following - repeated)
        skipped = self._pause(now, until_ps)
        for each in self._long:
            if not each.omitted and each.stop_at >= 0:
                self._watched[each.placed.rows], each.stop_at = WATCHED, -1
        if repeated or skipped is not None:
            ordered = np.lexsort((now.events[1], now.events[0]))
            events = np.ascontiguousarray(now.events[:, ordered])
            simulation.replace_events(events, repeated * placed.window.size - (skipped or 0))

    def _now(self) -> _Now:
        """Return how all stands."""
        events, queued = self.simulation.events(), self.simulation.egress.queued()
        owner = self._owner[np.where(events[1] >= 0, events[1], -1)]
        return _Now(self.simulation.stopped_ps, events, queued, owner, self._owner[queued[1]])

    def _first_not_over(self, ring: _Ring, now: _Now) -> int:
        """Return the first round of which something is not over, nor its credit back."""
        if (self._done[ring.placed.starts] < 0).any():
            return 0
        rows, events = ring.placed.rows, now.events[1]
        over = self._done[rows] >= 0
        over[events[(events >= rows.start) & (events < rows.stop)] - rows.start] = False
        return int(np.argmin(over)) // ring.placed.window.size

    def _after_last_begun(self, ring: _Ring) -> int:
        """Return the first round from which on nothing has happened to any transfer."""
        placed, window = ring.placed, ring.placed.window
        begun = self._on_link[placed.rows, 0] >= 0
        last = len(begun) - 1 - int(begun[::-1].argmax())
        return min(last // window.size + 1 + window.span, window.rounds)

    def _look(self, ring: _Ring, now: _Now) -> int:
        """Note how all stands that goes with a ring; return the rounds until the next look."""
        quiet = self.simulation.others == ring.others
        if quiet and ring.settled:
            return APART
        if not quiet:
            ring.seen.clear()
        more = min(max(2 * ring.apart, APART), FAR_APART)
        ring.others, ring.settled = self.simulation.others, None
        rings = self._going_with(ring, now)
        if not len(rings):
            ring.apart = more
            return more
        members = [self._rings[number] for number in rings.tolist()]
        low = np.array([self._first_not_over(each, now) for each in members])
        rounds = low + np.array([each.passed for each in members])
        ports = np.unique(np.concatenate([each.ports for each in members]))
        connections = np.unique(np.concatenate([each.connections for each in members]))
        state = _State(self, now, rings, low, ports, connections).digest()
        if (before := ring.seen.get(state)) is not None:
            period_ps, own = now.ps - before[0], rounds - before[1]
            ring.settled = _Settled(rings, period_ps, own, ports, connections)
        ring.seen[state] = now.ps, rounds
        ring.apart = more
        if quiet and len(ring.seen) < MANY_STATES:
            ring.apart = 1 if all(each.omitted for each in members) else APART
        return ring.apart

    def _going_with(self, ring: _Ring, now: _Now) -> Int64Array:
        """Return the numbers of all rings under way that share ports with a ring, or one by one.

        None if another long ring is the first of them, which is looked at in its place.
        """
        active = np.unique(np.concatenate([now.owner, now.queued_owner]))
        active = active[active >= 0].astype(np.int64)
        if (groups := self._together.get(active.tobytes())) is None:
            groups = _connected([self._rings[number].placed.ranks for number in active.tolist()])
            groups = self._together[active.tobytes()] = [active[each] for each in groups]
        own = int(self._owner[ring.placed.first])
        (mine,) = (each for each in groups if own in each)
        first = next(each for each in mine.tolist() if self._rings[each].omitted)
        return mine if first == own else mine[:0]

    def _move_up(self, ring: _Ring, rounds: int, now: _Now) -> None:
        """Let the first ``rounds`` go, which are over, and as many come that were omitted."""
        placed, window, rows = ring.placed, ring.placed.window, ring.placed.rows
        moved = rounds * window.size
        if not moved:
            return
        self._renumber(ring, rows, -moved, now)
        fresh = slice(rows.stop - moved, rows.stop)
        for name, column, star in self._columns:
            if len(column):
                column[rows.start : fresh.start] = column[rows.start + moved : rows.stop]
                column[fresh] = -1 if star else AT_FIRST.get(name, 0)
        self._edges["before_start"][fresh] = np.tile(window.before_start, rounds)
        self._edges["before_done"][fresh] = np.tile(window.before_done, rounds)
        self._edges["before_start"][placed.ends] += (rounds * placed.ending).astype(np.int32)
        ring.omitted -= rounds
        ring.passed += rounds

    def _skip(self, ring: _Ring, rounds: int, low: int, high: int, now: _Now) -> int:
        """Move what is under way, from round ``low`` up to ``high``, on over so many rounds.

        Return the number of transfers that are skipped, which are done.
        """
        placed, size = ring.placed, ring.placed.window.size
        moved = rounds * size
        here = slice(placed.first + low * size, placed.first + high * size)
        there = slice(here.start + moved, here.stop + moved)
        skipped = slice(here.start, there.start)
        self._renumber(ring, here, moved, now)
        for name, column, star in self._columns:
            if len(column):
                column[there] = column[here].copy()
                column[skipped] = -1 if star else SKIPPED.get(name, 0)
        self._edges["before_start"][placed.ends] -= (rounds * placed.ending).astype(np.int32)
        return moved

    def _renumber(self, ring: _Ring, rows: slice, more: int, now: _Now) -> None:
        """Let all that leads to the transfers ``rows`` of a ring lead to where they move.

        They move by ``more`` places; those that come before the first place are gone.
        """
        links: list[tuple[Int32Array, npt.NDArray[np.integer]]] = [
            (self._egress["following"], now.queued[1]),
            (self._egress["first"], ring.ports),
            (self._egress["last"], ring.ports),
            (np.asarray(self.simulation.arrived_last), ring.connections),
        ]
        if len(self._credit["of"]):
            links.append((self._credit["following"], np.arange(rows.start, rows.stop)))
            links += [(self._credit[name], ring.credited) for name in CREDIT_LINKS]
        for column, of in links:
            old = column[of]
            new = np.where(old + more >= ring.placed.first, old + more, -1)
            column[of] = np.where((old >= rows.start) & (old < rows.stop), new, old)
        now.renumber(rows, -more)

    def _pause(self, now: _Now, until_ps: int) -> int | None:
        """Move rings that have settled on to the next event of anything else.

        Return the number of transfers that are skipped, which are done; None if nothing moves.
        """
        found = [
            ring.settled
            for ring in self._long
            if ring.settled and ring.others == self.simulation.others
        ]
        if not found:
            return None
        pauses = np.zeros(len(self._rings) + 1, dtype=bool)
        pauses[np.concatenate([each.rings for each in found])] = True
        others_ps = now.events[0][~pauses[now.owner]]
        heads_ps = self._egress["head"][now.queued[1][~pauses[now.queued_owner]]]
        until_ps = min(until_ps, int(self._departures_ps.min(initial=NEVER)))
        until_ps = int(heads_ps.min(initial=others_ps.min(initial=until_ps)))
        for each in found:
            each.at_ps = max(each.at_ps, now.ps)
        if not any(until_ps - 1 - each.at_ps >= each.period_ps for each in found):
            return None
        spans = [self._spans(each, now) for each in found]
        for each, (_, _, ahead) in zip(found, spans, strict=True):
            goes = each.rounds > 0
            most = int((ahead[goes] // each.rounds[goes]).min())
            until_ps = min(until_ps, each.at_ps + most * each.period_ps + 1)
        skipped = None
        for each, (low, high, _) in zip(found, spans, strict=True):
            times = (until_ps - 1 - each.at_ps) // each.period_ps
            if times > 0:
                self._move_on(each, times * each.period_ps, now)
                skipped = (skipped or 0) + self._pass(each, times, low, high, now)
        return skipped

    def _spans(self, settled: _Settled, now: _Now) -> tuple[Int64Array, Int64Array, Int64Array]:
        """Return of each ring the rounds that are under way, from and to, and those yet to come."""
        low, high, ahead = (np.zeros(len(settled.rings), dtype=np.int64) for _ in range(3))
        for at, number in enumerate(settled.rings.tolist()):
            ring = self._rings[number]
            low[at], high[at] = self._first_not_over(ring, now), self._after_last_begun(ring)
            ahead[at] = max(0, ring.placed.last - high[at]) + ring.omitted
        return low, high, ahead

    def _pass(
        self, settled: _Settled, times: int, low: Int64Array, high: Int64Array, now: _Now
    ) -> int:
        """Let so many periods of rings be over; return how many transfers are skipped."""
        skipped = 0
        for at, number in enumerate(settled.rings.tolist()):
            ring, rounds = self._rings[number], times * int(settled.rounds[at])
            fewer = min(rounds, ring.omitted)
            ring.omitted -= fewer
            ring.passed += fewer
            if rounds > fewer:
                skipped += self._skip(ring, rounds - fewer, int(low[at]), int(high[at]), now)
            ring.seen.clear()
        return skipped

    def _move_on(self, settled: _Settled, ps: int, now: _Now) -> None:
        """Let all of some rings be so much later."""
        simulation, connections = self.simulation, self._connections
        moves = np.zeros(len(self._rings) + 1, dtype=bool)
        moves[settled.rings] = True
        now.events[0, moves[now.owner]] += ps
        for number in settled.rings.tolist():
            rows = self._rings[number].placed.rows
            begun = self._on_link[rows, 0] >= 0
            for column in (simulation.finish, simulation.arrival, connections["left"]):
                if len(column):
                    np.asarray(column)[rows][begun] += ps
            for column in (self._on_link, self._done):
                there = column[rows]
                there[there >= 0] += ps
        self._egress["head"][now.queued[1][moves[now.queued_owner]]] += ps
        self._egress["time"][settled.ports] += ps
        for column, of in (
            (np.asarray(simulation.free), settled.ports),
            (connections["free"], settled.connections),
            (connections["head_came"], settled.connections),
        ):
            column[of] += np.where(column[of] > settled.at_ps, ps, 0)
        began = connections["began"]
        of = settled.connections
        began[of] += np.where(began[of] > LONG_AGO_PS, ps, 0)
        settled.at_ps += ps


def _connected(ranks: Sequence[Int32Array]) -> list[Int64Array]:
    """Return the places of those among sets of ranks that hang together, set by set."""
    label: Int64Array = np.arange(1 + max(int(each.max()) for each in ranks), dtype=np.int64)
    changed = True
    while changed:
        changed = False
        for each in ranks:
            least = label[each].min()
            changed |= bool((label[each] != least).any())
            label[each] = least
    of = np.array([label[each[0]] for each in ranks])
    return [np.flatnonzero(of == each) for each in np.unique(of)]


class _State:
    """All that tells how ``rings`` go on that hang together, from ``now`` on.

    ``low``: the first round of each that is not over, from which its transfers are numbered.
    """

    def __init__(
        self,
        of: Rings,
        now: _Now,
        rings: Int64Array,
        low: Int64Array,
        ports: Int64Array,
        connections: Int64Array,
    ) -> None:
        """Take the rings, with their ports and connections."""
        self.of, self.now = of, now
        self.ports, self.connections = ports, connections
        members = [of._rings[number] for number in rings.tolist()]
        self.credited = np.unique(np.concatenate([each.credited for each in members]))
        self.base: Int64Array = np.zeros(len(of._rings) + 1, dtype=np.int64)
        self.goes = np.zeros(len(of._rings) + 1, dtype=bool)
        self.goes[rings] = True
        rows = []
        for ring, number, first in zip(members, rings.tolist(), low.tolist(), strict=True):
            size, high = ring.placed.window.size, of._after_last_begun(ring)
            self.base[number] = ring.placed.first + first * size
            rows.append(np.arange(self.base[number], ring.placed.first + high * size))
        self.lengths = np.array([len(each) for each in rows])
        self.rows = np.concatenate(rows)

    def digest(self) -> bytes:
        """Return a digest of the state."""
        parts = [self.lengths, *self._events(), *self._transfers(), *self._links()]
        return blake2b(b"".join(np.ascontiguousarray(each).tobytes() for each in parts)).digest()

    def _later(
        self, moments: Int64Array, which: BoolArray | npt.NDArray[np.integer] | bool = True
    ) -> Int64Array:
        """Return how much later than now some ``moments`` are, 0 for those that are past."""
        return np.where(which, np.maximum(moments - self.now.ps, 0), 0)

    def _numbers(self, transfers: npt.NDArray[np.integer]) -> Int64Array:
        """Return the numbers of ``transfers`` by ring and place, those not under way as -1."""
        owner = self.of._owner[transfers]
        place = transfers - self.base[owner]
        gone = (transfers < 0) | (self.goes[owner] & (place < 0))
        return np.where(gone, -1, OF_A_RING * (owner + np.int64(1)) + place)

    def _events(self) -> list[npt.NDArray[np.generic]]:
        now = self.now
        own = now.events[:, self.goes[now.owner]]
        numbers = self._numbers(own[1])
        order = np.lexsort((own[2], numbers, own[0]))
        here = np.isin(now.queued[0], self.ports)
        heads = now.queued[1][here]
        egress = self.of._egress
        return [
            own[0][order] - now.ps,
            numbers[order],
            own[2][order],
            now.queued[0][here],
            self._numbers(heads),
            self._later(egress["head"][heads]),
            egress["kind"][heads],
        ]

    def _transfers(self) -> list[npt.NDArray[np.generic]]:
        of, rows = self.of, self.rows
        on_link, done = of._on_link[rows], of._done[rows] >= 0
        live = (on_link[:, 0] >= 0) & ~done
        found = [
            of._edges["before_start"][rows],
            of._edges["before_done"][rows],
            done,
            live,
            on_link[:, 2] >= 0,
            self._later(np.asarray(of.simulation.finish)[rows], live),
            self._later(np.asarray(of.simulation.arrival)[rows], live),
        ]
        if len(of._credit["of"]):
            found += [of._credit["stands"][rows], self._numbers(of._credit["following"][rows])]
        return found

    def _links(self) -> list[npt.NDArray[np.generic]]:
        of, simulation, at = self.of, self.of.simulation, self.connections
        egress, connections = of._egress, of._connections
        arrived = np.asarray(simulation.arrived_last)[at]
        held = np.where(np.asarray(simulation.arrival)[arrived] > self.now.ps, arrived, -1)
        found = [
            self._later(np.asarray(simulation.free)[self.ports]),
            egress["out"][self.ports],
            self._later(egress["time"][self.ports], egress["out"][self.ports] > 0),
            self._later(connections["free"][at]),
            self._later(connections["head_came"][at]),
            self._later(connections["began"][at] + of._spacing_ps[at]),
            self._numbers(held),
        ]
        if len(of._credit["of"]):
            found += [self._numbers(of._credit[name][self.credited]) for name in CREDIT_LINKS]
            found.append(of._credit["left"][self.credited])
        return found
