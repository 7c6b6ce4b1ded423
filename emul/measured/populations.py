"""Two measurements of one thing must agree: where they do not, a warning or an error says so.

One link has one latency and one rate. Two halves of a log, two pings, two streams or two logs of
one collective that differ beyond their noise are two populations, and no fit of both is right.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

import numpy as np

from emul.arrays import Float64Array
from emul.errors import MeasurementError
from emul.measured.determined import BYTES, STEP, interval_of, is_determined
from emul.measured.fitting import Fit, scipy_module
from emul.measured.linear_model import BASE, OVERHEAD, SECONDS_PER_BYTE
from emul.measured.linear_model import LATENCY as MODEL_LATENCY
from emul.measured.measurement import IN_PLACE, LATENCY, OUT_OF_PLACE, STREAM, Measurement
from emul.measured.medians import Interval, median_interval
from emul.measured.merging import Settle, Settled
from emul.units import format_bytes, format_rate, format_time

__all__ = ["APART", "Apart", "apart"]

HALVES = (OUT_OF_PLACE, IN_PLACE)
UNLIKELY = 0.001
"""Two halves differ if noise alone made them as unlike once in a thousand calibrations."""
APART = 0.1
"""Populations that differ by less than this part are fitted together, with a warning; a form whose
typical error is larger does not fit the data."""
LEAST_NOISE = 1e-4
"""Assumed: no two times are as alike as this part of them, were it for their printed digits."""

End = tuple[tuple[int, ...], Interval]


@dataclass(frozen=True)
class Apart:
    """Two populations that differ, in words; ``ends`` are the intervals of each parameter alone."""

    words: str
    ends: tuple[End, ...]


@dataclass(frozen=True)
class Population:
    """The measurements of one run of one file; ``runs`` are in that ``file``, and this is the
    ``run``."""

    name: str
    measurements: tuple[Measurement, ...]
    file: str = ""
    run: int = 1
    runs: int = 1

    def of_kind(self, kind: str) -> tuple[Measurement, ...]:
        """Return the measurements of one kind."""
        return tuple(each for each in self.measurements if each.kind == kind)

    def samples(self, kind: str) -> list[float]:
        """Return all single times of a kind: of a latency, or of a byte in a stream."""
        return [
            time_s / (each.size_bytes if kind == STREAM else 1)
            for each in self.of_kind(kind)
            for time_s in each.single_times_s or (each.time_s,)
        ]


def populations_of(measurements: Sequence[Measurement]) -> list[Population]:
    """Return the runs of the files, in their order; each median of a file is a run of its own."""
    found: dict[tuple[str, int, int], list[Measurement]] = {}
    for i, each in enumerate(measurements):
        single = i if each.samples and each.kind in (LATENCY, STREAM) else -1
        found.setdefault((each.source, each.run, single), []).append(each)
    files = [source for source, _, _ in found]
    runs = [(files[: i + 1].count(file), files.count(file)) for i, file in enumerate(files)]
    return [
        Population(f"{file} (run {run})" if of > 1 else file, tuple(rows), file, run, of)
        for file, (run, of), rows in zip(files, runs, found.values(), strict=True)
    ]


def _differ(one: Population, other: Population) -> tuple[str, str]:
    """Return in words that two runs differ, and the way out."""
    if one.file == other.file:
        words = (
            f"{one.file} holds {one.runs} runs, of which run {one.run} and run {other.run} differ"
        )
        return words, "put the one that is meant into a file of its own"
    return f"{one.name} and {other.name} differ", "give one of them alone"


def apart(measurements: Sequence[Measurement], settle: Settle) -> list[Apart]:
    """Return the populations that differ so little that they may be fitted together.

    Raises MeasurementError, naming both and the way out, where they differ by more than APART.
    """
    populations = populations_of(measurements)
    found = [differing for each in populations for differing in _halves(each, settle)]
    alone = {each.name: _alone(each, settle) for each in populations if len(populations) > 1}
    for one, other in combinations(populations, 2):
        found += [*_medians(one, other), *_collectives(one, other, settle)]
        found += _across(one.name, alone[one.name], other.name, alone[other.name])
    return found


def _alone(population: Population, settle: Settle) -> Settled | None:
    """Return the fit of one population; None where it alone is too little for one."""
    try:
        return settle(population.measurements)
    except MeasurementError:
        return None


def _halves(population: Population, settle: Settle) -> Iterator[Apart]:
    """Compare the halves of the lines of nccl-tests."""
    one, other = (
        Population(half, tuple(each for each in population.measurements if each.place == half))
        for half in HALVES
    )
    where = f"{population.name}: {one.name} and {other.name} differ"
    options = " or ".join(f"--half {half.replace(' ', '-')}" for half in HALVES)
    yield from _paired(one, other, settle, where, f"take one with {options}")


def _collectives(one: Population, other: Population, settle: Settle) -> Iterator[Apart]:
    """Compare two runs of one collective, or of messages between two ranks."""
    kinds = {each.kind for each in one.measurements} - {LATENCY, STREAM}
    for kind in sorted(kinds & {each.kind for each in other.measurements}):
        first, second = (Population(each.name, each.of_kind(kind)) for each in (one, other))
        where, remedy = _differ(one, other)
        yield from _paired(first, second, settle, f"{where}, though both are {kind}", remedy)


def _paired(
    one: Population, other: Population, settle: Settle, where: str, remedy: str
) -> Iterator[Apart]:
    """Compare populations at the sizes that both measured, cell by cell.

    If one form with other parameters explains how they differ, beyond the noise of the cells by the
    F test of nested models, they differ. Where there are no more cells than parameters nothing
    tells the noise, and they differ if their times do.
    """
    logs = [_logs_of_cells(each) for each in (one, other)]
    cells = sorted(logs[0].keys() & logs[1].keys())
    first, second = (_alone(each, settle) if cells else None for each in (one, other))
    if first is None or second is None:
        return
    before, after = _modelled_logs(one, first), _modelled_logs(other, second)
    seen = np.array([logs[1][cell] - logs[0][cell] for cell in cells])
    smooth = np.array([after[cell] - before[cell] for cell in cells])
    chance = _chance(seen, smooth, len(first.fit.model.active))
    at = int(np.argmax(np.abs(smooth)))
    ratio = math.exp(abs(float(seen[at])))
    if (ratio <= 1 + APART) if chance is None else (chance > UNLIKELY):
        return
    slower = other.name if seen[at] > 0 else one.name
    how = "too few sizes to tell it from noise" if chance is None else f"chance {chance:.1g}"
    size = format_bytes(cells[at][-1])
    words = f"{where}: {slower} takes {ratio:.4g} times as long at {size} ({how})"
    if ratio > 1 + APART:
        each = f"{one.name} alone: {_values(first)}; {other.name} alone: {_values(second)}"
        raise MeasurementError(f"{words}; {each}: one link cannot be both: {remedy}")
    yield Apart(f"{words}; both are taken together; to part them, {remedy}", _ends(first, second))


Cell = tuple[str, int, str, float]


def _cell(measurement: Measurement) -> Cell:
    return (
        measurement.kind,
        measurement.world_size,
        measurement.algorithm,
        measurement.size_bytes,
    )


def _logs_of_cells(population: Population) -> dict[Cell, float]:
    """Return the mean logarithm of the times of each cell."""
    logs: dict[Cell, list[float]] = {}
    for each in population.measurements:
        logs.setdefault(_cell(each), []).append(math.log(each.time_s))
    return {cell: sum(values) / len(values) for cell, values in logs.items()}


def _modelled_logs(population: Population, found: Settled) -> dict[Cell, float]:
    """Return the logarithm of the modelled time of each cell."""
    times_s = found.fit.model.predict(found.fit.theta)
    rows = zip(population.measurements, times_s, strict=True)
    return {_cell(each): math.log(time_s) for each, time_s in rows}


def _chance(seen: Float64Array, smooth: Float64Array, parameters: int) -> float | None:
    """Return how likely noise alone makes two populations as unlike; None if nothing tells it."""
    freedom = len(seen) - parameters
    if freedom < 1:
        return None
    noise = float(((seen - smooth) ** 2).sum()) / freedom
    explained = (float((seen**2).sum()) - noise * freedom) / parameters
    if explained <= 0:
        return 1.0
    ratio = explained / max(noise, LEAST_NOISE**2)
    return float(scipy_module("special").fdtrc(parameters, freedom, ratio))


def _values(found: Settled) -> str:
    """Return in words the link according to one population."""
    fit = found.fit
    step = format_time(float(fit.theta[list(STEP)].sum())) if is_determined(fit, STEP) else ""
    rate = format_rate(1 / float(fit.theta[BYTES])) if is_determined(fit, BYTES) else ""
    return ", ".join(each for each in (step, rate) if each) or "nothing"


def _ends(*fits: Settled) -> tuple[End, ...]:
    """Return the intervals of all parameters that a population determines alone."""
    return tuple(
        (columns, interval_of(each.fit, columns))
        for each in fits
        for columns in ((BASE,), (MODEL_LATENCY,), (OVERHEAD,), BYTES)
        if columns[0] in each.fit.model.active
    )


def _medians(one: Population, other: Population) -> Iterator[Apart]:
    """Compare pings, and streams, by the intervals of their medians."""
    for kind, columns in ((LATENCY, (MODEL_LATENCY,)), (STREAM, BYTES)):
        samples = [each.samples(kind) for each in (one, other)]
        if not all(samples):
            continue
        ends = [median_interval(each) for each in samples]
        if ends[0].meets(ends[1]):
            continue
        middles = [median(each) for each in samples]
        ratio = max(middles) / min(middles)
        values = " and ".join(_value_in_words(kind, each) for each in middles)
        where, remedy = _differ(one, other)
        words = (
            f"{where}: {values}, {ratio:.4g} times as much, and the intervals of their medians do "
            "not meet"
        )
        if ratio > 1 + APART:
            raise MeasurementError(f"{words}: one link cannot be both: {remedy}")
        yield Apart(f"{words}; both are taken together", tuple((columns, each) for each in ends))


def _value_in_words(kind: str, value: float) -> str:
    return f"{format_time(value)} one way" if kind == LATENCY else format_rate(1 / value)


def _across(one: str, first: Settled | None, other: str, second: Settled | None) -> Iterator[Apart]:
    """Compare the numbers of the link from measurements that are not alike."""
    if first is None or second is None:
        return
    for ping, pinged, log, logged in (
        (one, first, other, second),
        (other, second, one, first),
    ):
        _check_step(ping, pinged, log, logged)
    rate, another = _claim(first.fit, BYTES), _claim(second.fit, BYTES)
    if rate is None or another is None or not _far(rate, another):
        return
    words = [format_rate(1 / float(each.fit.theta[SECONDS_PER_BYTE])) for each in (first, second)]
    yield Apart(
        f"{one} alone says {words[0]}, {other} alone {words[1]}, farther apart than their noise; "
        "both are taken together, and the interval of the rate spans both",
        ((BYTES, rate), (BYTES, another)),
    )


def _check_step(ping: str, pinged: Settled, log: str, logged: Settled) -> None:
    """Refuse a ping that takes longer than a whole step of another file, latency and all."""
    if pinged.fit.model.active != [MODEL_LATENCY] or logged.fit.model.active == [MODEL_LATENCY]:
        return
    latency, step = _claim(pinged.fit, STEP), _claim(logged.fit, STEP)
    if latency is None or step is None or latency.low <= step.high or not _far(latency, step):
        return
    raise MeasurementError(
        f"{ping} says {format_time(float(pinged.fit.theta[MODEL_LATENCY]))} one way, and a step of "
        f"{log}, in which that is included, is at most {format_time(step.high)}: one link cannot "
        "be both: give one of them alone"
    )


def _claim(found: Fit, columns: Sequence[int]) -> Interval | None:
    """Return the interval of each parameter; the value alone where it has none."""
    if not is_determined(found, columns):
        return None
    value, interval = float(found.theta[list(columns)].sum()), interval_of(found, columns)
    return Interval(value, value) if math.isnan(interval.high) else interval


def _far(one: Interval, other: Interval) -> bool:
    """Say whether two intervals do not meet, not even if one is scaled by APART."""
    low, high = sorted((one, other), key=lambda each: each.low)
    return low.high * (1 + APART) < high.low
