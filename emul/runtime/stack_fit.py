"""The latency and rate of a link by which a library takes the times that were measured.

The emulator itself predicts each measurement, with the algorithm, the protocol and the constants
that the library chooses for its size; so the costs of the library are not counted into the link.
The two numbers are those of least relative errors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from emul.arrays import Float64Array
from emul.errors import MeasurementError
from emul.links import Link
from emul.measured import Calibration, Measurement, Quantity
from emul.measured.fitting import scipy_module
from emul.measured.forms import COLLECTIVES, form_of
from emul.plans import Shape, collective_named
from emul.runtime.planner import Planner, Timing
from emul.runtime.request import AUTO, Request
from emul.stacks import Stack
from emul.stacks.transport import as_sent, resolved
from emul.timing import Slicing
from emul.topology import Topology
from emul.units import format_bytes

__all__ = ["StackFit", "fit_by_stack"]

MOST_SIZES = 12
"""Of a collective that are predicted in each step of the fit; those between are like them."""

LEAST_LATENCY_S, MOST_LATENCY_S = 1e-9, 10.0
LEAST_RATE, MOST_RATE = 1e5, 1e14
DIFFERENCE = 0.05
"""The relative step by which slopes are found: large enough to pass over a change of protocol."""

TELLS = 0.02
"""A number tells where no time changes by this part of its own relative change is not measured."""

BORNE = 0.1
"""The relative error from which on a time counts less."""

MOST_STEPS = 10
"""Of the fit; each predicts every size three times."""

FAR_OFF = 1.25
"""Times that are predicted by this factor too long or too short are named."""

SURE = 1.96
"""Standard errors on either side that hold 95 % of normal errors."""


@dataclass(frozen=True, slots=True)
class StackFit:
    """A ``calibration``, and the library as it sends: its transport is found."""

    calibration: Calibration
    stack: Stack


@dataclass(frozen=True, slots=True)
class _Row:
    """Measurements of one size: their mean time, and the size in bytes."""

    first: Measurement
    time_s: float
    sources: tuple[str, ...]


class _Predictor:
    """Predicts rows by a link of which latency and rate are open."""

    def __init__(
        self, rows: Sequence[_Row], stack: Stack, topology_of: Callable[[Link], Topology]
    ) -> None:
        """Take the measurements, the library, and where its ranks live."""
        self.rows, self.stack, self.topology_of = rows, stack, topology_of

    def times_s(self, latency_s: float, rate: float, rows: Sequence[_Row]) -> Float64Array:
        """Return the seconds of ``rows`` over a link of these numbers."""
        topology = self.topology_of(Link(rate, latency_s))
        stack = resolved(self.stack, topology)
        timing = Timing(Slicing.of(stack, None), stack=stack)
        planner = Planner(as_sent(topology, stack), timing)
        return np.array([self._time_s(row.first, planner, latency_s, rate) for row in rows])

    def _time_s(self, row: Measurement, planner: Planner, latency_s: float, rate: float) -> float:
        if row.kind not in COLLECTIVES:
            form = form_of(row)
            return form.latencies * latency_s + form.copies * row.size_bytes / rate
        ranks, promise = row.world_size, collective_named(row.kind)
        count = max(1, int(row.size_bytes) // (ranks if promise.in_blocks else 1))
        shape = Shape.of(promise, ranks, count)
        root = 1 if row.kind == "send_recv" else 0
        request = Request(shape, 1, "sum", AUTO, root)
        return planner.predict(request, collapse=False).time_s

    def start(self, near: Link) -> Float64Array:
        """Return the logarithms of the latency that the smallest size tells, and of the rate that
        the largest tells: each by halving, for times rise with one and fall with the other.

        Where a latency that is far too long leaves no rate for the largest, that of ``near``.
        """
        small = min(self.rows, key=lambda row: row.first.size_bytes)
        large = max(self.rows, key=lambda row: row.first.size_bytes)
        rate = near.rate_bytes_per_s
        latency_s = _sought(
            lambda tried: self._is_short(small, tried, rate), LEAST_LATENCY_S, MOST_LATENCY_S
        )
        if self._is_short(large, latency_s, MOST_RATE):
            rate = 1 / _sought(
                lambda tried: self._is_short(large, latency_s, 1 / tried),
                1 / MOST_RATE,
                1 / LEAST_RATE,
            )
        return np.log([latency_s, rate])

    def _is_short(self, row: _Row, latency_s: float, rate: float) -> bool:
        return bool(self.times_s(latency_s, rate, [row])[0] < row.time_s)

    def errors(self, logs: Float64Array) -> Float64Array:
        """Return the logarithms of predicted over measured, by those of latency and rate."""
        latency_s, rate = np.exp(logs).tolist()
        measured = np.array([row.time_s for row in self.rows])
        errors: Float64Array = np.log(self.times_s(latency_s, rate, self.rows) / measured)
        return errors


def fit_by_stack(
    measurements: Sequence[Measurement],
    stack: Stack,
    topology_of: Callable[[Link], Topology],
    start: Link,
) -> StackFit:
    """Return the numbers of the link with which ``stack`` takes the times of ``measurements``.

    ``topology_of`` returns where the ranks live, with a link of these numbers in the place of the
    measured one; ``start``: near which they are sought. Raises MeasurementError for collectives
    over other ranks, and MissingLibraryError without scipy.
    """
    topology = topology_of(start)
    every = _rows(measurements, topology)
    predictor = _Predictor(_few(every), stack, topology_of)
    first = predictor.start(start)
    found = scipy_module("optimize").least_squares(
        predictor.errors,
        first,
        bounds=(
            np.log([LEAST_LATENCY_S / 2, LEAST_RATE]),
            np.log([MOST_LATENCY_S, MOST_RATE]),
        ),
        loss="soft_l1",
        f_scale=BORNE,
        diff_step=DIFFERENCE / np.maximum(1.0, np.abs(first)),
        max_nfev=MOST_STEPS,
    )
    latency_s, rate = np.exp(found.x).tolist()
    errors = np.log(
        predictor.times_s(latency_s, rate, every) / np.array([row.time_s for row in every])
    )
    tells = np.abs(found.jac).max(axis=0) >= TELLS
    calibration = _calibration(found, tells, every, errors, stack)
    return StackFit(calibration, resolved(stack, topology))


def _sought(is_short: Callable[[float], bool], least: float, most: float) -> float:
    """Return the number from which on a time is no longer too short, within a few per cent."""
    while most / least > 1 + DIFFERENCE:
        middle = math.sqrt(least * most)
        if is_short(middle):
            least = middle
        else:
            most = middle
    return math.sqrt(least * most)


def _rows(measurements: Sequence[Measurement], topology: Topology) -> list[_Row]:
    """Return one row for all measurements of a kind and size, in the order of sizes."""
    cells: dict[tuple[str, int, float], list[Measurement]] = {}
    for each in measurements:
        if each.kind in COLLECTIVES and each.world_size != topology.world_size:
            raise MeasurementError(
                f"{each.source}: {each.taken_as}: needed {topology.world_size} ranks, as --sites "
                "or --base has, to be timed as by the stack"
            )
        cells.setdefault((each.kind, each.world_size, each.size_bytes), []).append(each)
    return [
        _Row(
            cell[0],
            math.exp(fmean(math.log(each.time_s) for each in cell)),
            tuple(dict.fromkeys(each.source for each in cell)),
        )
        for _, cell in sorted(cells.items())
    ]


def _few(rows: Sequence[_Row]) -> list[_Row]:
    """Return at most MOST_SIZES rows of each kind, evenly, the first and the last among them."""
    by_kind: dict[str, list[_Row]] = {}
    for row in rows:
        by_kind.setdefault(row.first.kind, []).append(row)
    found: list[_Row] = []
    for members in by_kind.values():
        places = np.linspace(0, len(members) - 1, min(MOST_SIZES, len(members))).round()
        found += [members[int(at)] for at in places]
    return found


def _calibration(
    found: object, tells: Float64Array, rows: Sequence[_Row], errors: Float64Array, stack: Stack
) -> Calibration:
    """Return the fit as the calibration of a link."""
    deviations = _deviations(found, tells)
    sources = tuple(dict.fromkeys(source for row in rows for source in row.sources))
    holds = f"beside the constants of the stack {stack.name}, which cost a message its overhead"
    logs = np.asarray(found.x)  # type: ignore[attr-defined]
    latency, rate = (
        _quantity(math.exp(logs[i]), deviations[i], sources, holds if i == 0 else "")
        if tells[i]
        else None
        for i in range(2)
    )
    sizes = np.abs(errors)
    return Calibration(
        base_s=None,
        latency_s=latency,
        overhead_s=None,
        rate_bytes_per_s=rate,
        warnings=tuple(_warnings(tells, rows, errors, stack)),
        measurements=len(rows),
        typical_error=float(np.median(np.expm1(sizes))),
        worst_error=float(np.expm1(sizes).max()),
        slice_bytes=0,
        parameters=int(tells.sum()),
        fitted_s=tuple(
            row.time_s * math.exp(error) for row, error in zip(rows, errors, strict=True)
        ),
    )


def _deviations(found: object, tells: Float64Array) -> Float64Array:
    """Return the standard error of the logarithm of each number; NaN where nothing tells it."""
    jacobian = np.asarray(found.jac)[:, tells]  # type: ignore[attr-defined]
    left = len(jacobian) - jacobian.shape[1]
    deviations = np.full(len(tells), np.nan)
    if left > 0 and jacobian.shape[1]:
        variance = float((np.asarray(found.fun) ** 2).sum()) / left  # type: ignore[attr-defined]
        deviations[tells] = np.sqrt(variance * np.diag(np.linalg.pinv(jacobian.T @ jacobian)))
    return deviations


def _quantity(value: float, deviation: float, sources: tuple[str, ...], holds: str) -> Quantity:
    factor = math.exp(SURE * deviation)
    return Quantity(value, value / factor, value * factor, sources, holds)


def _warnings(
    tells: Float64Array, rows: Sequence[_Row], errors: Float64Array, stack: Stack
) -> Iterator[str]:
    """Yield the numbers that no time tells, and where the library's form does not fit the times."""
    for told, name in zip(tells.tolist(), ("latency", "rate"), strict=True):
        if not told:
            yield f"the {name} of the link changes none of these times; another measurement may"
    off = [
        (row, math.exp(error))
        for row, error in zip(rows, errors.tolist(), strict=True)
        if abs(error) > math.log(FAR_OFF)
    ]
    if off:
        least, most = (format_bytes(each(row.first.size_bytes for row, _ in off))
                       for each in (min, max))  # fmt: skip
        worst, factor = max(off, key=lambda each: abs(math.log(each[1])))
        way = "too slow" if factor > 1 else "too quick"
        yield (
            f"the stack {stack.name} does not fit {len(off)} of {len(rows)} sizes, from {least} to "
            f"{most}: at {format_bytes(worst.first.size_bytes)} it is "
            f"{max(factor, 1 / factor):.3g} times {way}"
        )
