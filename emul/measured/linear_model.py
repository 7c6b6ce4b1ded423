"""All measurements as rows of one model: base b, latency L, overhead o and seconds per byte g.

A row takes c b + l L + m o + f S g, less the time that is hidden where a ring hands on pieces of p
bytes in slices of s: the next step begins after the first slice. A step then takes no longer than
its port is busy, o + p g, or than a first slice is in flight, the larger of the two. Where a part h
of the hops goes over the measured link and the others take r on average, a step takes
max(o + p g, h (L + o + s g) + r) in place of L + o + p g; so
min(L, (1 - h) (L + o) + (p - h s) g - r) is hidden. The hops are the slowest run around the ring,
the run over most measured links.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emul.arrays import Float64Array
from emul.measured.forms import ClosedForm, form_of
from emul.measured.measurement import Measurement
from emul.measured.medians import Interval, deviation_of, median_interval
from emul.measured.ring_paths import ALIKE, Ring

__all__ = ["BASE", "LATENCY", "OVERHEAD", "SECONDS_PER_BYTE", "Model"]


BASE, LATENCY, OVERHEAD, SECONDS_PER_BYTE = range(4)
"""The columns of a model, and the places of its parameters."""

FEWEST_SAMPLES = 2
"""Of which the extremes are an interval of the median."""
LEAST_TOLD, MOST_TOLD = 1e-3, 10.0
"""Assumed, where measurements are weighed: a steady ping differs by this part tomorrow, and one
that stalls still counts for something."""
SAME = 1e-6
"""A column whose part beside the others is below this is a mixture of them."""


@dataclass(frozen=True)
class Model:
    """Rows of measurements: how often each pays for each cost, and its seconds.

    ``pays`` is (rows, 4), how often a row pays each parameter; ``spreads`` the relative standard
    errors that files tell, 0 where they do not; ``intervals`` those of the rows that are medians,
    from relative error to relative error, None for others. Each of ``waits`` steps hides latency,
    but no more than the time that a row of ``hides``, (rows, 4), makes of the parameters, less
    ``other_s``.
    """

    pays: Float64Array
    times_s: Float64Array
    spreads: Float64Array
    intervals: tuple[Interval | None, ...]
    waits: Float64Array
    hides: Float64Array
    other_s: Float64Array
    sources: tuple[str, ...]

    @classmethod
    def of(
        cls,
        measurements: Sequence[Measurement],
        *,
        algorithm: str = "",
        slice_bytes: int = 0,
        ring: Ring = ALIKE,
    ) -> Model:
        """Return the model of ``measurements``; with 0 ``slice_bytes`` pieces go whole.

        Rings over as many ranks as ``ring`` has go over its links, all others over the measured.
        """
        forms = [form_of(each, algorithm) for each in measurements]
        sizes = np.array([each.size_bytes for each in measurements], float)
        pays = np.array([(f.calls, f.latencies, f.overheads, f.copies) for f in forms], float)
        pays[:, SECONDS_PER_BYTE] *= sizes
        pieces = sizes / np.array([form.pieces or 1 for form in forms])
        slices = np.minimum(pieces, slice_bytes or np.inf)
        pays[:, SECONDS_PER_BYTE] -= _numbers(forms, "relays") * (pieces - slices)
        paths = [
            ring.slowest_path(int(form.latencies) if each.world_size == ring.world_size else 0)
            for each, form in zip(measurements, forms, strict=True)
        ]
        part = np.array([path.part_measured for path in paths])
        none = np.zeros_like(part)
        return cls(
            pays,
            np.array([each.time_s for each in measurements], float),
            np.array([_spread(each) for each in measurements], float),
            tuple(_interval(each) for each in measurements),
            _numbers(forms, "chained"),
            np.stack([none, 1 - part, 1 - part, pieces - part * slices], axis=1),
            np.array([path.others_s(s) for path, s in zip(paths, slices, strict=True)]),
            tuple(each.source for each in measurements),
        )

    @property
    def active(self) -> list[int]:
        """The parameters that any row pays."""
        return [i for i in range(self.pays.shape[1]) if self.pays[:, i].any()]

    def predict(self, theta: Float64Array) -> Float64Array:
        """Return the seconds of each row by the parameters ``theta``."""
        hidden = np.minimum(theta[LATENCY], self.hides @ theta - self.other_s)
        seconds: Float64Array = self.pays @ theta - self.waits * hidden
        return seconds

    def slopes(self, theta: Float64Array) -> Float64Array:
        """Return the derivatives of the seconds of each row, (rows, 4)."""
        all_latency = theta[LATENCY] < self.hides @ theta - self.other_s
        hidden = np.where(all_latency[:, None], np.eye(len(theta))[LATENCY], self.hides)
        slopes: Float64Array = self.pays - self.waits[:, None] * hidden
        return slopes

    def without(self, column: int) -> Model:
        """Return the model in which nobody pays a parameter, which is then 0."""
        pays = self.pays.copy()
        pays[:, column] = 0.0
        return replace(self, pays=pays)

    def spanned(self, column: int, others: Sequence[int]) -> bool:
        """Say whether the payments of the rows for ``column`` are a mixture of active
        ``others``."""
        scaled = self.pays / self.times_s[:, None]
        mixed, wanted = scaled[:, list(others)], scaled[:, column]
        mixed = mixed / np.linalg.norm(mixed, axis=0)
        mixture: Any = np.linalg.lstsq(mixed, wanted, rcond=None)[0]
        rest = np.linalg.norm(wanted - mixed @ mixture)
        return bool(rest < SAME * np.linalg.norm(wanted))

    @property
    def paid_together(self) -> bool:
        """Whether every row pays latency and overhead equally often."""
        return bool((self.pays[:, LATENCY] == self.pays[:, OVERHEAD]).all())


def _spread(measurement: Measurement) -> float:
    """Return the relative standard error of a time, 0 where the file does not tell it."""
    told = measurement.spread
    if len(measurement.samples) >= FEWEST_SAMPLES:
        told = deviation_of(measurement.single_times_s)
    elif not told:
        return 0.0
    return min(MOST_TOLD, max(LEAST_TOLD, told))


def _interval(measurement: Measurement) -> Interval | None:
    """Return the interval of a time that is a median, as relative errors."""
    if len(measurement.samples) < FEWEST_SAMPLES:
        return None
    found = median_interval(measurement.single_times_s)
    low, high = found.low / measurement.time_s - 1, found.high / measurement.time_s - 1
    return Interval(min(0.0, low), max(0.0, high), found.confidence)


def _numbers(forms: Sequence[ClosedForm], name: str) -> Float64Array:
    return np.array([getattr(form, name) for form in forms], float)
