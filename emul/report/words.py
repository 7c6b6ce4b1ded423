"""Lines in words under the table: the cost of distance, the link that binds, auto's choice."""

from __future__ import annotations

from collections.abc import Mapping

from emul.ops import dtype_named
from emul.plans import wire_named
from emul.report.closing import (
    ALIKE_BOUNDS,
    Binding,
    Choice,
    Closing,
    ConnectionBound,
    Excerpt,
    GrownSlices,
    OneCampus,
    Overflow,
    StackNote,
    closing_of,
)
from emul.report.perf_row import PerfRow
from emul.runtime.prediction import Prediction, by_reason
from emul.stacks.nccl_levers import SOCKET
from emul.timing import Assumed, terms
from emul.units import format_bytes, format_factor, format_time, times_as_long
from emul.world import World

__all__ = ["MEANINGS", "closing_words", "overflow_sentence", "sentences", "wire_sentence"]


MEANINGS: Mapping[str, str] = terms.MEANINGS | {"share": f"{terms.MEANINGS['share']} at {{rate}}"}
"""The meaning of each term where the rate of the link is known."""

PLURAL = ("NICs of ", "node links of ", "the hosts")
"""How the names of places begin that are several things."""

POINTER = "emul explain says why"
"""Said once, of the time."""

POINTER_TO_CHANGES = ", emul tune which change would help"
"""Behind it, where something is to gain."""

TRUNKS = "trunk"
"""How the names of places begin whose rates may be raised."""

NEXT_BEST = 3
"""Algorithms behind auto's choice that are named where there is no room for all."""


def closing_words(
    world: World, prediction: Prediction, in_one_place: Prediction | None
) -> list[str]:
    """Return all lines about ``prediction``; ``in_one_place`` as in ``closing_of``."""
    return sentences(closing_of(world, prediction, in_one_place))


def sentences(closing: Closing, *, every: bool = True) -> list[str]:
    """Return the lines about a size, the most important first.

    A defect of emul comes before all; then the cost of distance, the binding place, and the
    changes that would help; then how it was worked out. ``every``: name all algorithms that auto
    has timed, not only the next best.
    """
    lines = [_defect(closing)] if closing.below_bound else []
    if closing.one_campus:
        lines.append(_one_campus(closing, closing.one_campus))
    lines.append(_binding(closing, closing.binding))
    if closing.connection_bound:
        lines.append(_bounds(closing.connection_bound))
    if closing.stack:
        lines.append(_stack(closing, closing.stack))
    if closing.assumed_window_bytes:
        window = format_bytes(closing.assumed_window_bytes)
        lines.append(
            f"Windows: window of {window} assumed for each stream, for a trunk states none."
        )
    if closing.excerpt:
        lines.append(_excerpt(closing.excerpt))
    if closing.slices:
        lines.append(_slices(closing.slices))
    lines += [f"Plan: {note}." for note in closing.notes]
    if closing.choice:
        lines.append(_choice(closing, closing.choice, every=every))
    return lines


def _defect(closing: Closing) -> str:
    return (
        f"Defect of emul: {closing.algorithm} takes {format_time(closing.modelled_s)} at "
        f"{format_bytes(closing.size_bytes)}, below the bound of {format_time(closing.bound_s)} "
        "that no algorithm can beat. One of the two is wrong: trust neither, and report it with "
        "the topology."
    )


def overflow_sentence(overflow: Overflow) -> str:
    """Return the line about whole numbers that their type cannot hold, or could not."""
    if overflow.elements:
        return f"Overflow: {overflow.elements} elements: {overflow.advice}."
    none = "" if overflow.elements is None else "none in this table, but "
    return (
        f"Overflow: {none}only values from {overflow.least} to {overflow.most} are sure to fit: "
        f"beyond, {overflow.advice}."
    )


def wire_sentence(row: PerfRow) -> str:
    """Return the line about the wire format of a row: its bytes, and its error if it was run."""
    wire, elements = wire_named(row.wire), dtype_named(row.dtype)
    part = float(wire.element_bytes / elements.itemsize)
    scales = " and scales" if wire.block else ""
    said = f"Wire: {row.wire}, {part:.4g} times the bytes of {row.dtype} for values{scales}"
    if row.wire_rms is None:
        return f"{said}; its error is told of runs that are checked."
    return (
        f"{said}; at {format_bytes(row.size_bytes)} it puts the output off by "
        f"{100 * row.wire_rms:.2g} % of that in float32 (root mean square, of normal values)."
    )


def _excerpt(excerpt: Excerpt) -> str:
    said = (
        f"Alike: {excerpt.ranks} ranks were timed by {excerpt.ranks_timed} of them, "
        f"{excerpt.transfers} transfers by {excerpt.transfers_timed}"
    )
    if excerpt.more_bytes:
        said += (
            "; shares do not come out even, and all were timed as long as the longest, with "
            f"{100 * excerpt.more_bytes:.2g} % more bytes in all"
        )
    assumed = Assumed(excerpt.drawn_for, excerpt.spread, excerpt.together)
    said += "".join(f"; {each}" for each in assumed.words)
    return f"{said}."


def _slices(slices: GrownSlices) -> str:
    return (
        f"Slices: {slices.transfers} were timed, each for {slices.growth}, as all would be too "
        "many to be timed."
    )


def _stack(closing: Closing, stack: StackNote) -> str:
    said = (
        f"Stack: as {stack.name} sends {closing.algorithm} at {format_bytes(closing.size_bytes)}."
    )
    if stack.net:
        way = "sockets" if stack.net == SOCKET else "RDMA"
        assumed = " (assumed: no link tells; NCCL_NET does)" if stack.net_assumed else ""
        said = f"{said} Between nodes by {way}{assumed}."
    return f"{said} Inside a node: {stack.inside_node}." if stack.inside_node else said


def _bounds(bound: ConnectionBound) -> str:
    number = bound.connections
    each = "one connection" if number == 1 else f"at most {number} connections"
    said = (
        f"Bound: {format_time(bound.by_links_s)} by the links, "
        f"{format_time(bound.with_connections_s)} with {each} of each rank between sites"
    )
    less = ", ".join(
        f"{format_factor(times)} times less with {name}" for name, times in bound.remedies.items()
    )
    return f"{said}: {less}." if less else f"{said}."


def _choice(closing: Closing, choice: Choice, *, every: bool) -> str:
    picked = closing.algorithm
    known = sorted((time, name) for name, time in choice.considered.items() if name != picked)
    left_out = 0 if every else max(0, len(known) - NEXT_BEST)
    named = known[: len(known) - left_out]
    others = ", ".join(f"{name} {format_time(time)}" for time, name in named)
    said = (
        f"Auto: {picked} is the quickest at {format_bytes(closing.size_bytes)}, "
        f"{format_time(closing.modelled_s)}"
    )
    ruled_out = _ruled_out(choice)
    alone = "and the only one" + (" that was timed" if choice.not_timed or ruled_out else "")
    if closing.excerpt:
        said, alone = f"{said}, of those that a few ranks can stand for", "which is one"
    passed = f" Not timed: {_not_timed(closing, choice, every)}." if choice.not_timed else ""
    if left_out:
        return f"{said}; next best: {others}; --wide lists {left_out} more.{ruled_out}{passed}"
    if others:
        return f"{said}; the others would take: {others}.{ruled_out}{passed}"
    return f"{said}, {alone}.{ruled_out}{passed}"


def _ruled_out(choice: Choice) -> str:
    """Return the number of algorithms that were not timed because they cannot win."""
    least = [time for time in choice.ruled_out.values() if time is not None]
    if not least:
        return ""
    if not min(least):
        return f" {len(least)} more were not timed: none can be quicker."
    needed = f"at least {format_time(min(least))} for its busiest link"
    if len(least) == 1:
        return f" 1 more was not timed: it needs {needed}."
    return f" {len(least)} more were not timed: each needs {needed}."


def _not_timed(closing: Closing, choice: Choice, every: bool) -> str:
    """Return the algorithms that were not timed, and why; of very many alike, their number."""
    if not closing.excerpt:
        return by_reason(choice.not_timed)
    if every or len(choice.not_timed) <= NEXT_BEST:
        return ", ".join(choice.not_timed)
    return f"{len(choice.not_timed)} others, which --wide names"


def _one_campus(closing: Closing, there: OneCampus) -> str:
    if there.already:
        return f"One campus: {_all(there.ranks)} in one place already."
    size, here = format_bytes(closing.size_bytes), format_time(closing.modelled_s)
    by = "" if there.algorithm == closing.algorithm else f" with {there.algorithm}"
    return (
        f"One campus: the same {there.ranks} ranks in one place would need "
        f"{format_time(there.modelled_s)} for {size}{by}; across these sites it is {here}, "
        f"{times_as_long(there.times)}; {_pointer(closing)}."
    )


def _pointer(closing: Closing) -> str:
    """Return the commands that go on; tune where a trunk binds, or another schedule may help."""
    at_trunk = closing.binding is not None and closing.binding.place.startswith(TRUNKS)
    above = closing.modelled_s > closing.bound_s * (1 + ALIKE_BOUNDS)
    return POINTER + POINTER_TO_CHANGES * (at_trunk or above)


def _all(ranks: int) -> str:
    return "the one rank is" if ranks == 1 else f"all {ranks} ranks are"


def _binding(closing: Closing, binding: Binding | None) -> str:
    if binding is None:
        return "Binding: nothing; nothing is sent."
    parts = ", ".join(
        f"{format_time(binding.spent_s[term])} {meaning.format(rate=binding.rate)}"
        for term, meaning in MEANINGS.items()
        if term in binding.spent_s
    )
    verb = "take" if binding.place.startswith(PLURAL) else "takes"
    elsewhere = closing.one_campus is not None and not closing.one_campus.already
    pointer = "" if elsewhere else f"; {_pointer(closing)}"
    return (
        f"Binding: {binding.place} {verb} {format_time(binding.modelled_s)} of the "
        f"{format_time(closing.modelled_s)} at {format_bytes(closing.size_bytes)}: "
        f"{parts}{pointer}."
    )
