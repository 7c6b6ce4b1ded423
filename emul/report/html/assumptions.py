"""The numbers that an answer rests on, from links and stacks, with their sources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from emul.report.html.page import Assumption
from emul.report.stacks import stack_numbers
from emul.report.topologies import figure_value, link_figures
from emul.stacks import Stack
from emul.topology import LinkOrigin

__all__ = ["Placed", "counted_by_status", "of_links", "of_stack"]

Placed = tuple[str, tuple[Assumption, ...]]
"""The name of a place, and its numbers."""

MOST_LINKS = 40
"""Kinds of links that are told; a topology that has more is better read as a file."""

MOST_SOURCE_STATUS = 12
"""Characters before the colon of a source that may be its status."""

DERIVED = "derived"


def of_links(links: Sequence[LinkOrigin]) -> tuple[list[Placed], list[str]]:
    """Return the figures of each kind of link, of very many the first, and a remark if so."""
    kinds = list(link_figures(links))
    placed = [
        (
            place,
            tuple(
                Assumption(each.name, figure_value(each), each.status, each.source)
                for each in figures
            ),
        )
        for place, figures in kinds[:MOST_LINKS]
    ]
    if len(kinds) <= MOST_LINKS:
        return placed, []
    left_out = f"{len(kinds) - MOST_LINKS} more kinds of links are left out here"
    return placed, [f"{left_out}; emul topology show --sources tells them."]


def of_stack(stack: Stack) -> Placed:
    """Return the numbers of a stack about messages."""
    return f"stack {stack.name}", tuple(_of_stack(stack))


def _of_stack(stack: Stack) -> Iterator[Assumption]:
    for name, value, text in stack_numbers(stack):
        status, colon, source = text.partition(": ")
        known = bool(colon) and status.isalpha() and len(status) <= MOST_SOURCE_STATUS
        yield Assumption(name, value, status if known else "given", source if known else text)


def counted_by_status(placed: Iterable[Placed]) -> str:
    """Return how many numbers have each status, those that follow from others apart."""
    statuses = [each.status for _, numbers in placed for each in numbers]
    known = [status for status in statuses if status != DERIVED]
    if not known:
        return ""
    counts = ", ".join(f"{known.count(each)} {each}" for each in sorted(set(known)))
    return f"Numbers that others follow from: {counts}."
