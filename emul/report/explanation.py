"""Why a collective is slow, at each size: a table of shares that add up, and the words below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from emul.insight import ChainPart, EffectShare, Explanation
from emul.insight.explanation import MEANINGS
from emul.insight.shapley import whole_parts
from emul.report.documents import document
from emul.report.text_table import TextTable
from emul.topology import Document
from emul.topology.bound_slopes import TrunkSlope
from emul.units import PS_PER_S, counted, format_bytes, format_time
from emul.world import World

__all__ = [
    "ExplainContents",
    "ExplainResult",
    "ExplainedRow",
    "explain_document",
    "explain_head",
    "explain_rows",
    "explain_table",
    "explain_title",
    "shown_shares",
]

COLUMNS = ("effect", "share (us)", "share (%)", "alone (us)", "meaning")
NUMBERS = COLUMNS[1:4]
SUM, NONE = "sum", "-"

UNIT_PS = 10_000
"""To which the times of a table are rounded: a hundredth of a microsecond, as in emul perf."""

PERMILLE = 1000


@dataclass(frozen=True, slots=True)
class ExplainedRow:
    """The share of one part of the time at one size: a line of the table, an object of the JSON.

    ``effect``: its name; ``schedule`` and ``sending`` are no effects of links. ``share_ps``: its
    modelled picoseconds, which sum to the time of the size; ``share``: the same as a part of that
    time, 0 where there is none. ``alone_ps``: by how many picoseconds the time would be less with
    this one off and all others on, or by a schedule at the bound; None where nobody can switch it
    off. ``algorithm``: of the plan with this one off; empty where there is none.
    """

    size_bytes: int
    effect: str
    share_ps: int
    share: float
    alone_ps: int | None
    algorithm: str


@dataclass(frozen=True, slots=True)
class BoundedBy:
    """The constraint of which a bound is the time.

    ``kind``: one of emul.topology.bound_reason.KINDS. ``places``: sites on one side of a cut, or
    the site of a rank or a node. ``nbytes``: that have to pass; of prices 0. ``words``: the
    constraint in words. ``slopes``: of the trunks that it names, with their prices: slopes only,
    which say nothing of a whole wave (see emul tune).
    """

    kind: str
    places: Sequence[str]
    seconds: float
    nbytes: float
    words: str
    slopes: Sequence[TrunkSlope]


@dataclass(frozen=True, slots=True)
class ExplainedSize:
    """The time of one size, in picoseconds, and how it was worked out.

    ``algorithm``: of the plan of today. ``bound_ps``: no algorithm is quicker, by the constraint
    ``bounded_by``, null where nothing is sent. ``times``: how many
    times were worked out, of plans by ``algorithms``. ``chain``: the places of the critical path,
    which sum to the time. ``words``: the sentences about it.
    """

    size_bytes: int
    algorithm: str
    time_ps: int
    bound_ps: int
    bounded_by: BoundedBy | None
    times: int
    algorithms: Sequence[str]
    chain: Sequence[ChainPart]
    words: Sequence[str]


@dataclass(frozen=True, slots=True)
class ExplainContents:
    """The shares of all effects in the time of a collective, at each size.

    ``plan``: whether every time is of the plan of today (``kept``), or of the plan that is chosen
    where effects are off (``again``). ``rows``: of all sizes, whose ``share_ps`` sum to the
    ``time_ps`` of their size. ``root``: -1 where there is none. ``wire``: the format of elements in
    messages, None where they go as they are.
    """

    SCHEMA: ClassVar[str] = "emul-explain-1"

    collective: str
    topology: str
    description: str
    world_size: int
    stack: str
    dtype: str
    root: int
    seed: int
    start_s: float
    plan: str
    rows: Sequence[ExplainedRow]
    sizes: Sequence[ExplainedSize]
    wire: str | None = None


@dataclass(frozen=True, slots=True)
class ExplainResult:
    """The explanations of all sizes, or of those before it was ``interrupted``.

    ``root``: -1 where the collective has none. ``command``: the words of the command line.
    ``document``: the topology with the tables of its links, None where there is no file.
    """

    world: World
    collective: str
    dtype: str
    root: int
    explanations: Sequence[Explanation]
    command: Sequence[str] = ()
    document: Document | None = None
    interrupted: bool = False
    wire: str | None = None


def explain_document(version: str, result: ExplainResult) -> dict[str, Any]:
    """Return the JSON of ``emul explain``: all that is printed, and the words of every size."""
    world = result.world
    contents = ExplainContents(
        collective=result.collective,
        topology=world.topology.name,
        description=world.topology.description,
        world_size=world.size,
        stack=world.stack.name,
        dtype=result.dtype,
        root=result.root,
        seed=world.seed,
        start_s=world.start_s,
        plan=result.explanations[0].plan,
        rows=explain_rows(result),
        sizes=[_size(each) for each in result.explanations],
        wire=result.wire,
    )
    return document(version, contents, interrupted=result.interrupted)


def explain_rows(result: ExplainResult) -> list[ExplainedRow]:
    """Return the rows of all sizes, the largest share of each first."""
    return [
        ExplainedRow(
            size_bytes=found.nbytes,
            effect=each.name,
            share_ps=each.share_ps,
            share=each.share_ps / found.time_ps if found.time_ps else 0.0,
            alone_ps=each.alone_ps,
            algorithm=each.algorithm,
        )
        for found in result.explanations
        for each in found.shares
    ]


def _size(found: Explanation) -> ExplainedSize:
    assert found.bound_ps is not None
    return ExplainedSize(
        found.nbytes,
        found.algorithm,
        found.time_ps,
        found.bound_ps,
        _bounded_by(found),
        found.times,
        found.algorithms,
        found.chain,
        found.words(),
    )


def _bounded_by(found: Explanation) -> BoundedBy | None:
    reason = found.bound_reason
    if reason is None:
        return None
    return BoundedBy(
        reason.kind, reason.places, reason.seconds, reason.nbytes, reason.words, found.slopes
    )


def explain_head(
    world: World, collective: str, dtype: str, plan: str, wire: str | None = None
) -> str:
    """Return the line above the tables."""
    elements = f"{dtype}, {wire} on the wire," if wire else dtype
    topology = world.topology
    said = f" ({topology.description})" if topology.description.startswith("assumed") else ""
    stack = "" if world.stack.name == "ideal" else f", stack {world.stack.told}"
    chosen = "chosen again under each subset of effects" if plan == "again" else "kept"
    return (
        f"{collective} of {elements} over {counted(world.size, 'rank')} of {topology.name}{said}"
        f"{stack}; times are modelled; the plan is {chosen}"
    )


def explain_title(found: Explanation) -> str:
    """Return the line above the table of one size."""
    bound = format_time((found.bound_ps or 0) / PS_PER_S)
    return (
        f"{format_bytes(found.nbytes)}: {format_time(found.time_s)} by {found.algorithm}, "
        f"bound {bound}"
    )


def explain_table(found: Explanation) -> TextTable:
    """Return the table of one size, whose shares add up to the sum as they are printed.

    >>> import emul
    >>> found = emul.explain(emul.World("three-campus"), "all_reduce", 1 << 18)
    >>> explain_table(found).row_count
    6
    """
    table = TextTable(*COLUMNS, right=NUMBERS, prose=["meaning"], give_way=["meaning"])
    *rows, whole = shown_shares(found)
    for each, cells in zip(found.shares, rows, strict=True):
        table.row(*cells, "; ".join(MEANINGS[effect] for effect in each.effects))
    table.row(*whole, "")
    return table


def shown_shares(found: Explanation) -> list[tuple[str, str, str, str]]:
    """Return name, share, per cent and gain alone of each share, and of the sum.

    Times are in microseconds. They are rounded so that those that are printed add up.
    """
    shares = found.shares
    units = whole_parts([each.share_ps for each in shares], UNIT_PS)
    permilles = whole_parts([PERMILLE * each.share_ps for each in shares], found.time_ps or 1)
    rows = [
        (each.name, _micro(unit), f"{permille / 10:.1f}", _alone(each))
        for each, unit, permille in zip(shares, units, permilles, strict=True)
    ]
    return [*rows, (SUM, _micro(sum(units)), f"{sum(permilles) / 10:.1f}", "")]


def _alone(each: EffectShare) -> str:
    return NONE if each.alone_ps is None else _micro(*whole_parts([each.alone_ps], UNIT_PS))


def _micro(units: int) -> str:
    """Return units of a table in microseconds."""
    return f"{units * UNIT_PS / 1e6:.2f}"
