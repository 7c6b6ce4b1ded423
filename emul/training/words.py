"""A training step in sentences: against one campus, what binds, and what would change it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from emul.timing.terms import MEANINGS
from emul.training.placement import MODEL_AXES, NODE, NOTHING, SITE, TRUNK
from emul.units import counted, format_time, times_as_long

if TYPE_CHECKING:
    from emul.training.job import Job
    from emul.training.step_report import StepReport

__all__ = [
    "assumed_of_axes",
    "assumed_words",
    "change_words",
    "finding_words",
    "placement_words",
    "step_words",
]

NAMED = 4
"""Changes that a sentence names."""

IN_WORDS = {
    NOTHING: "nothing",
    NODE: "links of a node",
    SITE: "the network of a site",
    TRUNK: "trunks between sites",
}


def step_words(step: StepReport) -> list[str]:
    """Return the sentences under the line of a method."""
    return [*finding_words(step), *change_words(step), *assumed_words(step)]


def finding_words(step: StepReport) -> list[str]:
    """Return the sentences about the job as it is, for which nothing is changed."""
    return [*_warning(step), *_one_campus(step), *_binding(step), *_split(step)]


def change_words(step: StepReport) -> list[str]:
    """Return the sentence about changes, each of which is a run of its own."""
    return list(_change(step))


def assumed_words(step: StepReport) -> list[str]:
    """Return a sentence for each assumption that the time rests on."""
    return [f"Assumed: {each}." for each in step.assumed]


def placement_words(step: StepReport) -> str:
    """Return the widest links that each axis crosses."""
    placement = step.job.placement
    crossed = (
        f"{name}={size} crosses {IN_WORDS[placement.crossings[name]]}"
        for name, size in placement.axes.items()
    )
    return f"Mesh: {', '.join(crossed)}."


def assumed_of_axes(job: Job) -> Iterator[str]:
    """Yield a sentence about the axes whose own traffic is no part of the program."""
    placement, timed = job.placement, getattr(job.method, "keeps", ())
    inside = [
        name
        for name in (*MODEL_AXES, "context")
        if placement.size(name) > 1 and name not in timed and not placement.crosses_trunk(name)
    ]
    if inside:
        yield f"the compute holds the traffic and the bubbles of {' and '.join(inside)}"


def _warning(step: StepReport) -> Iterator[str]:
    warning = step.memory_warning
    if warning:
        yield f"Memory: {warning}."


def _one_campus(step: StepReport) -> Iterator[str]:
    if len(step.job.topology.sites) > 1:
        alone_s = step.one_campus.time_s
        longer = times_as_long(step.time_s / alone_s)
        yield f"One campus: {format_time(alone_s)} a step; across campuses it takes {longer}."


def _binding(step: StepReport) -> Iterator[str]:
    if not step.exposed or step.exposed_s <= 0:
        yield "Binding: compute; no communication is exposed."
        return
    (axis, place, term), seconds = next(iter(step.exposed.items()))
    exposed = f"{format_time(seconds)} of the {format_time(step.exposed_s)} exposed"
    if not axis:
        yield f"Binding: {place}, for whose compute others wait: {exposed}."
        return
    yield (
        f"Binding: {place}, {MEANINGS.get(term, term)}: {exposed}, in {_calls(step, axis)} "
        f"along {axis}."
    )


def _calls(step: StepReport, axis: str) -> str:
    """Return the calls of a rank along an axis in a period, in words."""
    made = Counter(each.collective for each in step.calls if each.axis == axis)
    steps = step.job.steps
    period = "a step" if steps == 1 else f"{steps:,} steps"
    told = " and ".join(counted(number, f"{name} call") for name, number in made.items())
    return f"{told} in {period}"


def _split(step: StepReport) -> Iterator[str]:
    """Yield how the exposed time splits: the rate of trunks, their distance, the rest."""
    if step.exposed_s <= 0:
        return
    rate = distance = 0.0
    for (_, place, term), seconds in step.exposed.items():
        if place.startswith("trunk "):
            distance += seconds if term == "latency" else 0.0
            rate += seconds if term == "share" else 0.0
    rest = sum(step.exposed.values()) - rate - distance
    parts = (
        f"{100 * seconds / sum(step.exposed.values()):.3g} % {what}"
        for seconds, what in (
            (rate, "is the rate of trunks"),
            (distance, "their distance"),
            (rest, "all else"),
        )
    )
    yield f"Exposed: {', '.join(parts)}."


def _change(step: StepReport) -> Iterator[str]:
    if not step.changes:
        yield "Change: no single change that was tried saves a hundredth."
        return
    told = (
        f"{each.words}: {format_time(each.time_s)}, {100 * each.saves_s / step.time_s:.3g} % less"
        for each in step.changes[:NAMED]
    )
    more = len(step.changes) - NAMED
    rest = f"; {counted(more, 'more change')} in the JSON" if more > 0 else ""
    yield f"Change: {'; '.join(told)}{rest}."
