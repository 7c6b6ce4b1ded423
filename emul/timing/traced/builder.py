"""The trace of collectives: a track for each port of each rank and each direction of a trunk.

All that a trace says is in the timeline: causes are the transfers that the scheduler waited for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

import numpy as np

from emul.errors import CapacityError
from emul.links.limits import usual_limit
from emul.timing.critical import CriticalPath, critical_path
from emul.timing.traced.columns import Columns, Hop, Traced, TracedTransfer
from emul.timing.traced.crossings import CONNECTION, PORT, RECEIVER, Crossings, Lines
from emul.timing.traced.rates import rates_in_use
from emul.timing.traced.words import chunk_words, exact, facts, numbered, transfer_words
from emul.timing.transfer_times import TransferTimes
from emul.topology import Network
from emul.topology.network import PORTS, PORTS_PER_RANK
from emul.tracks import Args, Count, Event, Mark, Slice, Trace, Track, lanes

__all__ = ["MOST_TRANSFERS", "check_traceable", "trace_of", "trace_of_many"]

MOST_TRANSFERS = 1 << 20
"""Of a trace: some 100 MB packed, about as much as Perfetto's viewer opens."""

HOW_RATES = (
    "a trunk's rate in use: the line or the sum of its connections' limits; where other limits "
    "hold, the mean of a stretch without a pause"
)


def check_traceable(transfers: int) -> None:
    """Raise CapacityError for more transfers than a trace has."""
    if transfers > MOST_TRANSFERS:
        raise CapacityError(
            f"a trace of {transfers} transfers and slices: needed at most {MOST_TRANSFERS}, of a "
            "smaller size, fewer ranks or larger slices"
        )


def trace_of(timeline: TransferTimes) -> Trace:
    """Return the trace of one collective, with its critical path.

    Raises CapacityError for more than MOST_TRANSFERS.
    """
    check_traceable(len(timeline))
    path = critical_path(timeline)
    critical = np.zeros(len(timeline), dtype=bool)
    critical[[each.transfer for each in path.segments if each.transfer >= 0]] = True
    return _Builder(
        timeline.network, [Traced("", Crossings.of(Lines.of(timeline)), critical)], path
    ).trace()


def trace_of_many(
    network: Network,
    collectives: Sequence[Traced],
    operations: Sequence[Slice],
    facts: Args,
) -> Trace:
    """Return the trace of ``collectives`` that share ``network`` and one line of time.

    ``operations``: a slice of each, whose ``track`` is the number of its communicator. Raises
    CapacityError for more than MOST_TRANSFERS.
    """
    check_traceable(sum(len(each.crossings) for each in collectives))
    return _Builder(network, collectives, None, operations, facts).trace()


class _Builder:
    """Lays tracks out, and makes their events when they are asked for."""

    def __init__(
        self,
        network: Network,
        collectives: Sequence[Traced],
        path: CriticalPath | None,
        operations: Sequence[Slice] = (),
        facts: Args | None = None,
    ) -> None:
        self.network = network
        self.collectives = collectives
        self.columns = columns = Columns.of(collectives)
        self.path = path
        self.operations = operations
        self.facts = dict(facts or {})
        self.hops = [
            Hop.of(columns, hop, link)
            for hop, link in enumerate(
                (
                    network.ports_out(columns.src, columns.dst),
                    network.paths(columns.src, columns.dst).astype(np.int64),
                    network.ports_in(columns.src, columns.dst),
                )
            )
        ]
        self.stays = np.flatnonzero(columns.src == columns.dst)
        self.tracks: list[Track] = []
        self._numbers = count(1)
        self._lay_out()

    def trace(self) -> Trace:
        """Return the trace."""
        facts = {
            "times": "modelled; picoseconds in the arguments of slices",
            "rates": HOW_RATES,
            **self._excerpt(),
            **self.facts,
        }
        return Trace(tuple(self.tracks), self.events, facts)

    def _excerpt(self) -> dict[str, str]:
        columns = self.columns
        if not len(columns.alike) or int((columns.alike * columns.rounds).max()) == 1:
            return {}
        return {
            "excerpt": f"the {self.network.world_size} ranks shown stand for all others, which "
            "are alike: each transfer for as many as its stands_for says, one after the other in "
            "as many rounds as its rounds say"
        }

    def _lay_out(self) -> None:
        top = self._add("collectives")
        self.step_track = self._add("steps", top)
        self.path_track = self._add("critical path", top) if self.path is not None else 0
        self._lay_out_operations(top)
        self.hop_tracks = [np.zeros(len(hop.links), dtype=np.int64) for hop in self.hops]
        self.rate_tracks: dict[int, int] = {}
        beyond = self.hops[CONNECTION].links >= self.network.first_trunk_path
        if beyond.any():
            trunks = self._add("trunks")
            for path in np.unique(self.hops[CONNECTION].links[beyond]).tolist():
                track = self._add(self.network.path_name(path), trunks)
                self.rate_tracks[path] = self._add("rate in use", track, unit="B/s")
                self._add_lanes(CONNECTION, path, "transfers", track)
        self._lay_out_sites()

    def _lay_out_operations(self, top: int) -> None:
        """Add a track for each communicator, with a lane for each of its operations in flight."""
        self.operation_slices: list[Slice] = []
        by_communicator: dict[int, list[Slice]] = {}
        for each in self.operations:
            by_communicator.setdefault(each.track, []).append(each)
        for communicator, some in sorted(by_communicator.items()):
            some.sort(key=lambda each: (each.start_ps, each.end_ps))
            moments = np.array([(each.start_ps, each.end_ps) for each in some], dtype=np.int64)
            lane = lanes(moments[:, 0], moments[:, 1])
            name = "world" if communicator == 0 else f"group {communicator}"
            track = [self._add(numbered(name, each), top) for each in range(int(lane.max()) + 1)]
            self.operation_slices += [
                each._replace(track=track[at]) for each, at in zip(some, lane.tolist(), strict=True)
            ]

    def _lay_out_sites(self) -> None:
        network, sites = self.network, {}
        self.rank_tracks: dict[int, int] = {}
        ports = [self.hops[hop].links // PORTS_PER_RANK for hop in (PORT, RECEIVER)]
        ranks = np.unique(np.concatenate([*ports, self.columns.src[self.stays]]))
        paths = self.hops[CONNECTION].links
        inside = np.unique(paths[paths < network.first_trunk_path]).tolist()
        for rank in ranks.tolist():
            site = int(network.site_of[rank])
            if site not in sites:
                sites[site] = self._add(f"site {network.topology.sites[site].name}")
                for path in inside:
                    if self._site_of_path(path) == site:
                        self._add_lanes(CONNECTION, path, network.path_name(path), sites[site])
            track = self.rank_tracks[rank] = self._add(f"rank {rank}", sites[site])
            for kind, name in enumerate(PORTS):
                hop = RECEIVER if kind % 2 else PORT
                self._add_lanes(hop, PORTS_PER_RANK * rank + kind, name, track)

    def _site_of_path(self, path: int) -> int:
        """Return the number of the site that a path inside one is of."""
        site = path - self.network.first_site_path
        if site >= 0:
            return site
        return int(self.network.site_of[np.searchsorted(self.network.node_of, path)])

    def _add(self, name: str, parent: int | None = None, unit: str | None = None) -> int:
        number = next(self._numbers)
        self.tracks.append(Track(number, name, parent, unit))
        return number

    def _add_lanes(self, hop: int, link: int, name: str, parent: int) -> None:
        """Add the tracks of a link, one for each lane that its slices need."""
        rows = np.flatnonzero(self.hops[hop].links == link)
        for row in rows.tolist():
            lane = int(self.hops[hop].lane[row])
            self.hop_tracks[hop][row] = self._add(numbered(name, lane), parent)

    def events(self) -> Iterator[Event]:
        """Yield the events, track by track in the order of time."""
        yield from self._critical_segments()
        yield from self.operation_slices
        yield from self._steps()
        yield from self._rates()
        yield from self._stayed()
        for hop in range(len(self.hops)):
            yield from self._slices(hop)

    def _critical_segments(self) -> Iterator[Event]:
        """Yield the critical path from the start to the end."""
        if self.path is None:
            return
        at_ps = 0
        for each in reversed(self.path.segments):
            end_ps = at_ps + each.duration_ps
            if each.duration_ps:
                args: dict[str, int | str] = {
                    "place": each.place, "term": each.term, **exact(at_ps, end_ps)
                }  # fmt: skip
                if each.transfer >= 0:
                    args["transfer"] = each.transfer
                name = f"{each.term}: {each.place}"
                yield Slice(self.path_track, at_ps, end_ps, name, args)
            at_ps = end_ps

    def _steps(self) -> Iterator[Event]:
        """Yield the moment at which the first transfer of each step begins."""
        columns, found = self.columns, []
        told = np.flatnonzero((columns.src != columns.dst) & (columns.step >= 0))
        most = int(columns.step.max(initial=0)) + 1
        key = columns.collective[told] * most + columns.step[told]
        keys, group, number = np.unique(key, return_inverse=True, return_counts=True)
        start = np.full(len(keys), np.iinfo(np.int64).max)
        done = np.zeros(len(keys), dtype=np.int64)
        np.minimum.at(start, group, columns.from_ps[told, PORT])
        np.maximum.at(done, group, columns.done_ps[told])
        for i in np.argsort(start, kind="stable").tolist():
            collective, step = divmod(int(keys[i]), most)
            name = f"{self._of(collective)}step {step}"
            args = {"transfers": int(number[i]), "start_ps": int(start[i]), "done_ps": int(done[i])}
            found.append(Mark(self.step_track, int(start[i]), name, args))
        yield from found

    def _of(self, collective: int) -> str:
        """Return the name of a collective in front of others' words; nothing where it is alone."""
        name = self.collectives[collective].name
        return f"{name}: " if name else ""

    def _rates(self) -> Iterator[Event]:
        columns, hop = self.columns, self.hops[CONNECTION]
        of = hop.links[hop.row]
        for path, track in self.rate_tracks.items():
            line = hop.line[of == path]
            link = self.network.links[path]
            alike = columns.alike[line]
            moments, rates = rates_in_use(
                columns.from_ps[line, CONNECTION],
                columns.until_ps[line, CONNECTION],
                columns.nbytes[line] * alike * columns.rounds[line],
                alike,
                line_bytes_per_s=link.available_bytes_per_s,
                limit_bytes_per_s=usual_limit(link).bytes_per_s,
            )
            yield from map(Count, [track] * len(rates), moments.tolist(), rates.tolist())

    def _stayed(self) -> Iterator[Event]:
        """Yield the transfers that stay with their rank, and take no link."""
        columns = self.columns
        order = self.stays[np.argsort(columns.done_ps[self.stays], kind="stable")]
        for line in order.tolist():
            track = self.rank_tracks[int(columns.src[line])]
            args = {"transfer": int(columns.number[line]), "bytes": int(columns.nbytes[line])}
            chunk = chunk_words(int(columns.chunk[line]), int(columns.chunks[line]))
            name = f"{self._of(int(columns.collective[line]))}{chunk} stays with its rank"
            yield Mark(track, int(columns.done_ps[line]), name, args)

    def _slices(self, hop: int) -> Iterator[Event]:
        """Yield the slices of a hop: as the transfers take it, until they leave it free."""
        line, tracks = self.hops[hop].line, self.hop_tracks[hop][self.hops[hop].row]
        transfers = self.columns.transfers(line)
        for flow, track, row in zip(line, tracks, transfers, strict=True):
            yield self._slice(hop, int(track), int(flow) + 1, row)

    def _slice(self, hop: int, track: int, flow: int, row: TracedTransfer) -> Slice:
        """Return the slice of one transfer."""
        start_ps, end_ps = row.from_ps[hop], row.until_ps[hop]
        chunk = chunk_words(row.chunk, row.chunks)
        name = (
            f"{chunk} to rank {row.dst}",
            f"{chunk}, {row.src} to {row.dst}",
            f"{chunk} from rank {row.src}",
        )[hop]
        args: dict[str, int | float | str | bool] = {"transfer": row.number, "bytes": row.nbytes}
        name = f"{self._of(row.collective)}{name}"
        args |= exact(start_ps, end_ps)
        if row.behind[hop] != -1:
            args["link waited for"] = transfer_words(row.behind[hop])
        if hop == PORT:
            args |= facts(row)
        if row.critical:
            args["critical"] = True
        return Slice(track, start_ps, end_ps, name, args, flow, hop == PORT, hop == RECEIVER)
