"""The two CSV files of a validation: timed collectives, and the links alone.

A line of the first is a collective: ``sw`` (gloo, ompi or the name of a stack), ``coll``,
``algo``, ``ranks``, ``placement`` of ranks on campuses, ``delay_us`` (one way) and ``rate_bps`` of
the links, ``shape`` (none, uplink: one rate out of each campus, or anything else: one to each other
campus), ``bytes`` of the whole vector, ``median_s`` and ``link``, which names lines of the second
file. May be there: ``variant``, ``mtu``, ``cc``, ``ssai``, ``wmax``, ``rmax``, ``buf``,
``jitter_us``, ``loss``, ``idle_s``. Others are passed over.

A line of the second is a measurement: ``link``, ``kind``, ``src`` and ``dst`` campus, ``value``; of
the kinds ``ping_rtt_ms``, ``ping_rtt_ms_intra`` and those that begin with ``iperf3_goodput_bps``.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from emul.errors import MeasurementError
from emul.reading.bounded_text import lines_of, text_of
from emul.reading.place import Place
from emul.reading.values import Range, amount, count, positive

__all__ = ["LinkMeasurements", "MeasuredLinks", "MeasuredRow", "read_links", "read_measured"]

NEEDED = ("sw", "coll", "algo", "ranks", "placement", "delay_us", "rate_bps", "shape", "bytes",
          "median_s", "link")  # fmt: skip
OPTIONAL = {"variant": "", "mtu": "1500", "cc": "cubic", "ssai": "1", "wmax": "0", "rmax": "0",
            "buf": "0", "jitter_us": "0", "loss": "0", "idle_s": "0"}  # fmt: skip
OF_LINKS = ("link", "kind", "src", "dst", "value")
COLLECTIVES = {
    "allreduce": "all_reduce",
    "allgather": "all_gather",
    "reduce_scatter": "reduce_scatter",
    "broadcast": "broadcast",
    "bcast": "broadcast",
    "reduce": "reduce",
    "alltoall": "all_to_all",
    "gather": "gather",
    "scatter": "scatter",
}
MOST_RANKS = 4096
MOST_LINES = 200_000
LONGEST_CALL_S = 1e5
GOODPUT = "iperf3_goodput_bps"


@dataclass(frozen=True, slots=True)
class MeasuredRow:
    """A collective that was timed. ``rate_bytes_per_s`` is 0 where nothing shaped the links.

    ``window_bytes``: the smallest of the socket buffers, 0 where none is given.
    """

    place: Place
    sw: str
    variant: str
    collective: str
    algorithm: str
    ranks: int
    placement: str
    delay_s: float
    rate_bytes_per_s: float
    shape: str
    mtu_bytes: int
    congestion_control: str
    restarts_after_idle: bool
    buffer_bytes: float
    jitter_s: float
    loss: float
    idle_s: float
    nbytes: int
    measured_s: float
    link: str


@dataclass(frozen=True, slots=True)
class LinkMeasurements:
    """The measurements of one link: by pairs of campuses, and inside one. Seconds, bytes/s."""

    rtt_s: dict[tuple[int, int], float]
    goodput: dict[tuple[int, int], float]
    inside_rtt_s: float | None
    inside_goodput: float | None


@dataclass(frozen=True, slots=True)
class MeasuredLinks:
    """All links of a file, by name."""

    path: Path
    links: dict[str, LinkMeasurements]

    @property
    def fastest(self) -> float:
        """The highest goodput of all, in bytes per second; 0 where none was measured."""
        found = [rate for link in self.links.values() for rate in link.goodput.values()]
        return max(found, default=0.0)

    def inside_rtt_s(self, name: str) -> float:
        """Return the round trip inside a campus: of the link, else the median of all."""
        link = self.links.get(name)
        if link is not None and link.inside_rtt_s is not None:
            return link.inside_rtt_s
        known = [x.inside_rtt_s for x in self.links.values() if x.inside_rtt_s is not None]
        return median(known) if known else 0.0


def read_measured(path: Path) -> list[MeasuredRow]:
    """Return the collectives of a file in its order.

    Raises MeasurementError with file, line and column of a value that cannot be used.
    """
    return [_measured(cells, place) for place, cells in _table(path, NEEDED, OPTIONAL)]


def read_links(path: Path) -> MeasuredLinks:
    """Return the links of a file; raises MeasurementError as ``read_measured`` does."""
    rtt: dict[str, dict[tuple[int, int], float]] = defaultdict(dict)
    goodput: dict[str, dict[tuple[int, int], float]] = defaultdict(dict)
    inside: dict[str, dict[str, float]] = defaultdict(dict)
    for place, cells in _table(path, OF_LINKS, {}):
        name, kind = cells["link"], cells["kind"]
        ends = [_campus(cells[end], place.at(end)) for end in ("src", "dst")]
        value = positive(cells["value"], place.at("value"), "the unit of the kind")
        if kind == "ping_rtt_ms":
            rtt[name][ends[0], ends[1]] = value / 1e3
        elif kind == "ping_rtt_ms_intra":
            inside[name]["rtt"] = value / 1e3
        elif kind.startswith(GOODPUT) and (kind.endswith("intra") or ends[0] == ends[1]):
            inside[name]["goodput"] = value / 8
        elif kind.startswith(GOODPUT):
            known = goodput[name].get((ends[0], ends[1]), 0.0)
            goodput[name][ends[0], ends[1]] = max(known, value / 8)
        else:
            raise place.at("kind").refusal(
                kind, f"ping_rtt_ms, ping_rtt_ms_intra or a name that begins with {GOODPUT}"
            )
    names = dict.fromkeys([*rtt, *goodput, *inside])
    return MeasuredLinks(
        path,
        {
            name: LinkMeasurements(
                rtt[name], goodput[name], inside[name].get("rtt"), inside[name].get("goodput")
            )
            for name in names
        },
    )


def _campus(value: str, place: Place) -> int:
    if not (value.isascii() and value.isdigit() and int(value[:9]) < MOST_RANKS):
        raise place.refusal(value, f"the number of a campus, 0 to {MOST_RANKS - 1}")
    return int(value)


def _table(
    path: Path, needed: Sequence[str], optional: dict[str, str]
) -> Iterator[tuple[Place, dict[str, str]]]:
    """Yield place and cells, by column, of every line after the one that names the columns."""
    lines = lines_of(text_of(path))
    if len(lines) > MOST_LINES:
        raise Place(path).complaint(f"{len(lines)} lines: needed at most {MOST_LINES}")
    names = [name.strip() for name in next(csv.reader(lines[:1]), [])]
    place = Place(path, 1)
    for name in needed:
        if name not in names:
            raise place.complaint(f"no column {name!r}: needed {', '.join(needed)}")
    if len(set(names)) < len(names):
        raise place.complaint("two columns of one name: needed each once")
    found = 0
    for number_, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        cells = next(csv.reader([line]))
        place = Place(path, number_)
        if len(cells) != len(names):
            raise place.complaint(f"{len(cells)} columns: needed {len(names)}, as in line 1")
        given = dict(zip(names, (cell.strip() for cell in cells), strict=True))
        found += 1
        yield (
            place,
            {key: given.get(key) or optional[key] for key in optional}
            | {key: given[key] for key in needed},
        )
    if not found:
        raise place.complaint("no line after that of the columns: needed at least one")


def _measured(cells: dict[str, str], place: Place) -> MeasuredRow:
    def up_to(name: str, unit: str, most: float) -> float:
        needed = f"0 to {most:g} {unit}"
        return amount(cells[name], Range(0, most, unit), place.at(name), needed)

    def text(name: str) -> str:
        if not cells[name]:
            raise place.at(name).refusal("", "a name")
        return cells[name]

    collective = cells["coll"].lower()
    if collective not in COLLECTIVES and collective not in COLLECTIVES.values():
        raise place.at("coll").refusal(cells["coll"], f"one of {', '.join(COLLECTIVES)}")
    buffers = [up_to(name, "bytes", 1e15) for name in ("wmax", "rmax", "buf")]
    measured_s = positive(cells["median_s"], place.at("median_s"), "seconds")
    if measured_s > LONGEST_CALL_S:
        raise place.at("median_s").refusal(measured_s, f"at most {LONGEST_CALL_S:g} seconds")
    return MeasuredRow(
        place=place,
        sw=text("sw").lower(),
        variant=cells["variant"],
        collective=COLLECTIVES.get(collective, collective),
        algorithm=text("algo"),
        ranks=count(cells["ranks"], place.at("ranks"), "ranks", 2, MOST_RANKS),
        placement=text("placement"),
        delay_s=up_to("delay_us", "us", 1e9) / 1e6,
        rate_bytes_per_s=up_to("rate_bps", "bit/s", 1e15) / 8,
        shape=text("shape"),
        mtu_bytes=count(cells["mtu"], place.at("mtu"), "bytes", 100, 1 << 20),
        congestion_control=cells["cc"],
        restarts_after_idle=up_to("ssai", "or 1", 1) > 0,
        buffer_bytes=min((each for each in buffers if each), default=0.0),
        jitter_s=up_to("jitter_us", "us", 1e9) / 1e6,
        loss=_loss(up_to("loss", "of all packets", 1), place),
        idle_s=up_to("idle_s", "seconds", 1e6),
        nbytes=count(cells["bytes"], place.at("bytes"), "bytes", 1, 1 << 50),
        measured_s=measured_s,
        link=text("link"),
    )


def _loss(value: float, place: Place) -> float:
    if value >= 1:
        raise MeasurementError(f"{place.at('loss')}: {value:g}: needed a part below 1")
    return value
