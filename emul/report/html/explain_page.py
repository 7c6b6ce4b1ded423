"""The page of ``emul explain``: why a collective is slow, and the shares of its effects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from emul.insight import EffectShare, Explanation
from emul.insight.explanation import MEANINGS, SCHEDULE, SENDING
from emul.insight.shapley import whole_parts
from emul.report.explanation import ExplainResult, shown_shares
from emul.report.html.assumptions import counted_by_status, of_links, of_stack
from emul.report.html.cells import share
from emul.report.html.page import Assumptions, Figure, Origin, Page, Section, Table, Words, table
from emul.report.html.shares import Part, share_bar
from emul.stacks import IDEAL
from emul.units import PS_PER_S, counted, format_bytes, format_time

__all__ = ["explain_page"]

COLORS = {
    SENDING: 1, "loss": 2, "latency": 3, "queue": 4, "jitter": 5, "window": 6, SCHEDULE: 7,
    "load": 8, "gap": 9, "host": 10, "outage": 8,
}  # fmt: skip
"""The color of each part, as in the page of emul perf; of one that is taken, the next one."""

NUMBERED = range(1, 11)

PERMILLE = 1000


def explain_page(result: ExplainResult, origin: Origin) -> Page:
    """Return the page of the explanations of all sizes; its answer is about the last."""
    last = result.explanations[-1]
    cut = f"Interrupted after {counted(len(result.explanations), 'size')}: the others are missing."
    return Page(
        _question(result, last),
        " ".join([_without_label(last.words()[0]), last.distance]),
        tuple(_sections(result)),
        origin,
        cut if result.interrupted else "",
    )


def _question(result: ExplainResult, last: Explanation) -> str:
    topology = result.world.topology
    ranks, sites = counted(topology.world_size, "rank"), counted(len(topology.sites), "site")
    return (
        f"Why does {last.subject} take {format_time(last.time_s)} over {ranks} at {sites} "
        f"({topology.name})?"
    )


def _without_label(sentence: str) -> str:
    """Return a sentence of the words without the word before its colon."""
    _, _, said = sentence.partition(": ")
    return said


def _sections(result: ExplainResult) -> Iterator[Section]:
    for found in reversed(result.explanations):
        if found.time_ps:
            yield _bar(found)
            yield _chain(found)
        yield Words(f"In words, at {format_bytes(found.nbytes)}", tuple(found.words()))
    yield _assumptions(result)


def _bar(found: Explanation) -> Figure:
    """Return the shares side by side, those that are above 0, and all of them as a table."""
    drawn = [each for each in found.shares if each.share_ps > 0]
    permilles = whole_parts([PERMILLE * each.share_ps for each in drawn], _sum_ps(drawn))
    parts = [
        Part(each.name, each.share_ps, format_time(each.share_ps / PS_PER_S),
             share(permille / PERMILLE), color)
        for each, permille, color in zip(drawn, permilles, _colors(drawn), strict=True)
    ]  # fmt: skip
    whole = format_time(found.time_s)
    said = "; ".join(f"{part.name} {part.said}, {part.share}" for part in parts)
    below = len(found.shares) - len(drawn)
    left_out = f" {counted(below, 'part')} that is none, or saves time, is not drawn." * bool(below)
    return Figure(
        f"Shares at {format_bytes(found.nbytes)}",
        share_bar(parts, ("0", f"{whole} by {found.algorithm}")),
        f"Of {whole}: {said}.",
        "The share of each effect is the mean of what it adds, over all orders in which effects "
        "can be switched on; the schedule is one of them. The shares add up to the time."
        f"{left_out}",
        _table(found),
    )


def _sum_ps(shares: Sequence[EffectShare]) -> int:
    return sum(each.share_ps for each in shares)


def _colors(shares: Sequence[EffectShare]) -> list[int]:
    taken: list[int] = []
    for each in shares:
        first = COLORS[each.effects[0]]
        free = [first, *NUMBERED]
        taken.append(next((color for color in free if color not in taken), first))
    return taken


def _table(found: Explanation) -> Table:
    *rows, whole = shown_shares(found)
    told = [
        (*cells, "; ".join(MEANINGS[effect] for effect in each.effects))
        for each, cells in zip(found.shares, rows, strict=True)
    ]
    return table(
        f"Shares at {format_bytes(found.nbytes)}",
        ("effect", "share (us)", "share (%)", "alone (us)", "meaning"),
        [*told, (*whole, "")],
        texts=("effect", "meaning"),
        note="Alone: the time that switching this one off alone would bring, all others on; of "
        "the schedule, its distance to the bound. Gains alone do not add up.",
    )


def _chain(found: Explanation) -> Table:
    permilles = whole_parts([PERMILLE * each.duration_ps for each in found.chain], found.time_ps)
    rows = [
        (each.place, each.term, f"{each.duration_ps / 1e6:,.6f}", share(permille / PERMILLE))
        for each, permille in zip(found.chain, permilles, strict=True)
    ]
    return table(
        f"The binding chain at {format_bytes(found.nbytes)}",
        ("where", "doing", "time (us)", "part of the time"),
        rows,
        texts=("where", "doing"),
        note="The critical path: the chain of causes that ends with the last transfer. Its parts "
        "add up to the time.",
    )


def _assumptions(result: ExplainResult) -> Assumptions:
    world, document = result.world, result.document
    placed, remarks = of_links(document.tables) if document else ([], [])
    if world.stack is not IDEAL:
        placed = [of_stack(world.stack), *placed]
    plan = result.explanations[-1].words()[-1]
    said = [
        "Times are modelled: a transfer takes the port of its sender, the trunk and the port of "
        "its receiver, and arithmetic takes no time.",
        plan,
        f"Random draws have the seed {world.seed}; calls begin at {world.start_s:g} s.",
        *remarks,
    ]
    counts = counted_by_status(placed)
    return Assumptions(
        "Assumptions and sources", tuple([*said, counts] if counts else said), tuple(placed)
    )
