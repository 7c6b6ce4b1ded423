"""Draws the picture of docs/time.md: ``python docs/pictures/clocks.py`` writes clocks.svg.

Four ranks on two campuses, their clocks from left to right, as a World tells them: compute, waits,
two operations in flight, their transfers as arrows, and an outage of the trunk. The text and the
lines follow the reader's choice of dark or light.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import emul
from emul.links.changes import Changes, Outages

PICTURE = Path(__file__).with_name("clocks.svg")
TITLE = "Clocks of four ranks: two operations in flight, and a trunk that is down"

FROM_S, LASTS_S = 4.5e-3, 3e-3
"""The outage of the trunk."""

COMPUTED_S = {0: (3e-3, 3.5e-3), 1: (3.4e-3, 4.2e-3), 2: (2.2e-3, 2.5e-3), 3: (4.2e-3, 2e-3)}
"""The compute of each rank before it issues the broadcast, and before it waits for it."""

ALL, PAIR = "#2e86ab", "#e08e2b"
COMPUTE, WAIT = "#8c959f", "#d0d7de"
LONGEST_MS = 14

WIDTH, HEIGHT = 840, 372
LEFT, RIGHT, TOP, LANE = 92, 24, 66, 62
BAR, THIN = 16, 6

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.small { font-size: 11px }
.ground { fill: #ffffff }
.grid { stroke: #d0d7de; stroke-width: 1 }
.down { fill: #d1495b; opacity: 0.18 }
.arrow { stroke-width: 1.6; fill: none }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .ground { fill: #0d1117 }
  .grid { stroke: #3d444d }
}
"""


def two_campuses() -> emul.Topology:
    """Return two campuses of two ranks, joined by a trunk that is down for a while."""
    site_link, trunk_link = emul.Link(4e9, 0.25e-3), emul.Link(1e9, 1.2e-3)
    campuses = tuple(
        emul.Site(name, (emul.Node(1, site_link), emul.Node(1, site_link)), site_link)
        for name in ("west", "east")
    )
    changes = Changes(outages=Outages(schedule=((FROM_S, LASTS_S),)))
    trunk = emul.Trunk(("west", "east"), trunk_link, changes=changes)
    return emul.Topology("two-campuses", campuses, (trunk,))


def carried_out() -> tuple[emul.World, tuple[emul.Run, emul.Run]]:
    """Return a World after the program, and the runs of its two operations."""
    world = emul.World(two_campuses(), slicing=None)
    pair, rows = world.group([0, 1]), emul.NoData(1 << 19, "float32")
    for rank, (before_s, _) in COMPUTED_S.items():
        world.compute(before_s, ranks=[rank])
    of_all = world.broadcast(rows, algorithm="direct", async_op=True)
    of_pair = pair.all_reduce(rows, algorithm="ring", async_op=True)
    for rank, (_, after_s) in COMPUTED_S.items():
        world.compute(after_s, ranks=[rank])
    return world, (of_all.wait(), of_pair.wait())


def across(ms: float) -> float:
    """Return the place of a moment."""
    return LEFT + ms / LONGEST_MS * (WIDTH - LEFT - RIGHT)


def lane(rank: int) -> float:
    """Return the top of the bars of a rank."""
    return TOP + rank * LANE


def bar(from_ms: float, to_ms: float, y: float, height: float, colour: str) -> str:
    """Return a bar from one moment to another."""
    x, width = f"{across(from_ms):.1f}", f"{across(to_ms) - across(from_ms):.1f}"
    return f'<rect x="{x}" y="{y:.1f}" width="{width}" height="{height}" fill="{colour}" rx="2"/>'


def text(x: float, y: float, words: str, more: str = "") -> str:
    """Return words at a place."""
    return f'<text x="{x:.1f}" y="{y:.1f}"{more}>{escape(words)}</text>'


def grid() -> Iterator[str]:
    """Yield the axis of time, and the outage."""
    bottom = lane(4) - 4
    for ms in range(0, LONGEST_MS + 1, 2):
        x = f"{across(ms):.1f}"
        yield f'<line class="grid" x1="{x}" x2="{x}" y1="{TOP - 10}" y2="{bottom}"/>'
        yield text(across(ms), bottom + 16, str(ms), ' text-anchor="middle"')
    yield text(across(LONGEST_MS / 2), bottom + 34, "ms since the World was made", MIDDLE)
    began, ended = FROM_S * 1e3, (FROM_S + LASTS_S) * 1e3
    x, width = across(began), across(ended) - across(began)
    yield (
        f'<rect class="down" x="{x:.1f}" y="{TOP - 10}" width="{width:.1f}" '
        f'height="{bottom - TOP + 10}"/>'
    )
    yield text(across((began + ended) / 2), TOP - 15, "the trunk is down", MIDDLE)


MIDDLE = ' text-anchor="middle" class="small"'


def clock(rank: int, waited_ms: float) -> Iterator[str]:
    """Yield the bars of a rank: it computes, and then waits until its clock goes on."""
    before_s, after_s = COMPUTED_S[rank]
    computed_ms = (before_s + after_s) * 1e3
    y = lane(rank)
    yield text(LEFT - 12, y + 13, f"rank {rank}", ' text-anchor="end"')
    yield bar(0, computed_ms, y, BAR, COMPUTE)
    yield bar(computed_ms, waited_ms, y, BAR, WAIT)
    yield triangle(across(before_s * 1e3), y - 4)


def triangle(x: float, y: float) -> str:
    """Return the mark of an issue, which points down at a place."""
    return f'<path d="M{x:.1f} {y} l-4 -6 h8 z" fill="{ALL}"/>'


def in_flight(run: emul.Run, colour: str, below: float) -> Iterator[str]:
    """Yield a thin bar for each rank of an operation, from its start until its part is done."""
    moments = run.moments
    rows = zip(moments.ranks, moments.started_ps / 1e9, moments.done_ps / 1e9, strict=True)
    for rank, started_ms, done_ms in rows:
        yield bar(started_ms, done_ms, lane(rank) + BAR + below, THIN, colour)


def arrows(transfers: Any, number: int, colour: str, mark: str) -> Iterator[str]:
    """Yield the transfers of an operation, from their start to the moment of their arrival."""
    for each in transfers[transfers["collective"] == number]:
        src, dst = int(each["src"]), int(each["dst"])
        x, to_x = across(each["start_ps"] / 1e9), across(each["arrival_ps"] / 1e9)
        y, to_y = lane(src) + BAR + THIN + 4, lane(dst) + BAR + THIN + 4
        yield (
            f'<line class="arrow" x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" '
            f'stroke="{colour}" marker-end="url(#{mark})"/>'
        )


def legend() -> Iterator[str]:
    """Yield the meaning of the colours."""
    x = LEFT
    entries = (
        (COMPUTE, "computes"),
        (WAIT, "waits"),
        (ALL, "broadcast from rank 0, in flight"),
        (PAIR, "all_reduce of ranks 0 and 1"),
    )
    for colour, words in entries:
        yield f'<rect x="{x}" y="{HEIGHT - 20}" width="12" height="10" fill="{colour}" rx="2"/>'
        yield text(x + 18, HEIGHT - 11, words, ' class="small"')
        x += 36 + 6 * len(words)
    yield triangle(x + 5, HEIGHT - 12)
    yield text(x + 18, HEIGHT - 11, "issues the broadcast", ' class="small"')


def marker(name: str, colour: str) -> str:
    """Return the head of arrows of a colour."""
    return (
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" '
        f'orient="auto"><path d="M0 0 8 4 0 8z" fill="{colour}"/></marker>'
    )


def picture() -> str:
    """Return the picture as SVG."""
    world, (of_all, of_pair) = carried_out()
    number_of = {row.communicator: row.number for row in world.history}
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'width="{WIDTH}" height="{HEIGHT}">',
        f"<title>{TITLE}</title>",
        f"<style>{STYLE}</style>",
        f"<defs>{marker('all', ALL)}{marker('pair', PAIR)}</defs>",
        f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}" rx="8"/>',
        text(LEFT, 24, TITLE, ' font-weight="bold"'),
        *grid(),
    ]
    for rank, now_s in enumerate(world.ranks_now_s.tolist()):
        lines += clock(rank, now_s * 1e3)
    lines += in_flight(of_all, ALL, 2)
    lines += in_flight(of_pair, PAIR, 4 + THIN)
    lines += arrows(world.transfers, number_of[0], ALL, "all")
    lines += arrows(world.transfers, number_of[1], PAIR, "pair")
    return "\n".join([*lines, *legend(), "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
