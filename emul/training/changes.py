"""One thing about a job changed, and the job run again: none of the times is extrapolated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from emul.errors import EmulError
from emul.insight.upgrades import Change
from emul.links import EFFECTS
from emul.topology import Topology
from emul.training.inverse import faster, nearer
from emul.training.methods import FSDP, HSDP, LocalSteps
from emul.training.protocols import AnyJob, AnyStep

__all__ = ["JobChange", "changes_of"]

WORTH_TELLING = 0.01
"""Of the time of a step: less is left out, and two changes that differ by less are alike."""

TIMES = 4
"""By which buckets are made fewer and communicators more."""

NEARER = 10
"""By which delays are divided."""

LOCAL_STEPS = 10
"""After so many steps replicas meet, where they met after each."""

MOST_TRUNKS = 8
"""Whose rates are changed one by one: those that most of the time is exposed at."""

SETTING, WIRE, LINK, TRAINING, EFFECT = range(5)
"""The effort of a change: a setting; another format; another link; another way to train, whose loss
may differ; and an effect that nobody can turn off."""

COARSER = {
    "float32": "bfloat16",
    "bfloat16": "int8",
    "float16": "int8",
    "int8": "fp4",
    "fp8": "fp4",
}
"""The wire format of about half the bytes."""


@dataclass(frozen=True, slots=True)
class JobChange:
    """A change in words, the ``job`` with it, and the seconds of its step; less those it saves.

    ``effort``: how hard it is to make, 0 for a setting of the method, 4 for an effect of links that
    nobody turns off, which tells its cost.
    """

    words: str
    job: AnyJob
    time_s: float
    saves_s: float
    effort: int


def changes_of(step: AnyStep) -> list[JobChange]:
    """Return the changes that save a hundredth of the time or more, the best first.

    Of two that save about as much, the easier one comes first.
    """
    found = []
    for words, job, effort in _candidates(step):
        try:
            time_s = job.run().time_s
        except EmulError:
            continue  # a change that this job cannot have
        saves_s = step.time_s - time_s
        if saves_s >= WORTH_TELLING * step.time_s:
            found.append(JobChange(words, job, time_s, saves_s, effort))
    return _best_first(found, WORTH_TELLING * step.time_s)


def _best_first(found: list[JobChange], alike_s: float) -> list[JobChange]:
    ordered = []
    left = sorted(found, key=lambda each: -each.saves_s)
    while left:
        alike = [each for each in left if each.saves_s > left[0].saves_s - alike_s]
        first = min(alike, key=lambda each: each.effort)
        left.remove(first)
        ordered.append(first)
    return ordered


def _candidates(step: AnyStep) -> Iterator[tuple[str, AnyJob, int]]:
    job, method = step.job, step.job.method
    for words, changes, effort in _of_method(step):
        yield words, job.with_method(replace(method, **changes)), effort
    if not isinstance(method, LocalSteps) and job.placement.size("replicate") > 1:
        words = f"replicas that meet every {LOCAL_STEPS} steps (local steps)"
        yield words, job.with_method(LocalSteps(LOCAL_STEPS)), TRAINING
    for words, topology, effort in _of_links(step):
        yield words, job.at(topology), effort


def _of_method(step: AnyStep) -> Iterator[tuple[str, dict[str, Any], int]]:
    method: Any = step.job.method
    if isinstance(method, FSDP | HSDP) or getattr(method, "buckets", None):
        buckets = method.buckets or len(step.timer.seat_of_first.layers())
        if buckets > 1:
            fewer = max(1, buckets // TIMES)
            yield f"{fewer} buckets for {buckets}", {"buckets": fewer}, SETTING
    elif hasattr(method, "bucket_bytes"):
        yield (
            f"buckets {TIMES} times as large",
            {"bucket_bytes": TIMES * method.bucket_bytes},
            SETTING,
        )
    if hasattr(method, "communicators"):
        more = TIMES * method.communicators
        yield f"{more} communicators for {method.communicators}", {"communicators": more}, SETTING
    if getattr(method, "algorithm", "auto") != "auto":
        yield "algorithm auto", {"algorithm": "auto"}, SETTING
    wire = getattr(method, "wire", "") or step.job.precision
    if hasattr(method, "wire") and wire in COARSER:
        yield f"{COARSER[wire]} on the wire", {"wire": COARSER[wire]}, WIRE
    if isinstance(method, LocalSteps):
        yield f"meetings every {2 * method.every} steps", {"every": 2 * method.every}, TRAINING
        fragments = min(LOCAL_STEPS, method.every)
        if method.fragments == 1 and method.every // fragments > 1:
            later = {"fragments": fragments, "delay": 1}
            yield f"{fragments} fragments, each awaited a step later", later, TRAINING


def _of_links(step: AnyStep) -> Iterator[tuple[str, Topology, int]]:
    topology = step.job.topology
    for sites in _busiest(step):
        change = Change("rate", sites, 2)
        yield change.words, change.applied(topology), LINK
    if len(topology.trunks) > 1:
        yield "twice the rate of every trunk", faster(topology, 2), LINK
    if topology.trunks:
        words = f"a {NEARER}th of the delay of every trunk"
        yield words, nearer(topology, NEARER), LINK
    for effect in EFFECTS:
        if effect != "load" and _exposed_s(step, effect) < WORTH_TELLING * step.time_s:
            continue  # so little waits for it that no more can be saved
        changed = topology.without([effect])
        if replace(changed, name=topology.name) != topology.with_paths_kept:
            yield f"no {effect} (what it costs)", changed, EFFECT


def _busiest(step: AnyStep) -> list[tuple[str, str]]:
    """Return the ends of the trunks, those first at which most time is exposed."""
    spent: dict[str, float] = {}
    for (_, place, _), seconds in step.exposed.items():
        spent[place] = spent.get(place, 0.0) + seconds
    trunks = step.job.topology.trunks

    def exposed_s(trunk: Any) -> float:
        a, b = trunk.sites
        return sum(spent.get(f"trunk {x} -> {y}", 0.0) for x, y in ((a, b), (b, a)))

    return [trunk.sites for trunk in sorted(trunks, key=exposed_s, reverse=True)[:MOST_TRUNKS]]


def _exposed_s(step: AnyStep, term: str) -> float:
    return sum(seconds for (_, _, name), seconds in step.exposed.items() if name == term)
