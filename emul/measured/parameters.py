"""The numbers of the calibrated link: measured, or assumed where nothing was."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from emul.links import Link
from emul.measured.calibration import Calibration, Quantity

__all__ = ["ASSUMED", "TYPICAL", "Parameter", "parameters_of", "rounded"]

MICRO = 1e6
GBIT_PER_BYTE = 8 / 1e9
DIGITS = 6
"""Significant digits that are written: more than any measurement has."""
NOTHING = 1e-3
"""A number below this part of the upper end of its interval is written as 0."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number of the calibrated link, named and counted as in a topology file.

    ``base_us``, which no link has, is of the software: the cost of a call beside its steps. ``low``
    and ``high`` are the ends of the interval that holds the true value with ``confidence``, None
    where they are open or not known. ``status`` is ``measured`` or ``assumed``, ``source`` the
    files or the reason.
    """

    name: str
    value: float
    unit: str
    low: float | None
    high: float | None
    status: str
    source: str
    confidence: float | None = None

    @property
    def source_line(self) -> str:
        """The source of the number in a topology file."""
        interval = self.interval
        return f"{self.status}: {self.source}{f'; {interval} {self.unit}' if interval else ''}"

    @property
    def interval(self) -> str:
        """The interval in words, empty where it is not known."""
        if self.low is None or self.confidence is None:
            return ""
        ends = f"from {self.low:g} to {self.high:g}" if self.high else f"at least {self.low:g}"
        return f"{100 * self.confidence:.3g} % {ends}"


ASSUMED: Mapping[str, Link] = MappingProxyType(
    {
        "node": Link(370.8e9, 0.5e-6),
        "site": Link(49.0e9, 1e-6),
        "trunk": Link(12.25e9, 100e-6),
    }
)
TYPICAL: Mapping[str, str] = MappingProxyType(
    {"node": "NVLink 4", "site": "a fabric of 400 Gbit/s", "trunk": "20 km at 100 Gbit/s"}
)
"""Assumed where nothing is known."""


def parameters_of(
    calibration: Calibration,
    otherwise: Link,
    said: str,
    taken: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Parameter, ...]:
    """Return the numbers of the calibrated link; numbers that were not measured are as in
    ``otherwise``.

    It is never better than the data allow, nor worse: where they give a bound, it keeps to that.
    ``said`` says where ``otherwise`` is from; ``taken`` the measurements taken from each file.
    """
    latency, overhead = calibration.latency_s, calibration.overhead_s
    assumed_latency_s, assumed_overhead_s, assumed_rate, bound = _within(calibration, otherwise)
    lacks = f"not measured; {said}"
    held = bool(latency and latency.holds)
    quantity = partial(_scaled, taken=taken)
    parameters = [
        quantity("latency_us", "us", MICRO, latency, assumed_latency_s, lacks + bound[0]),
        quantity(
            "overhead_us",
            "us",
            MICRO,
            overhead,
            0.0 if held else assumed_overhead_s,
            "in latency_us" if held else lacks + bound[0],
        ),
        quantity(
            "rate_gbit_per_s",
            "Gbit/s",
            GBIT_PER_BYTE,
            calibration.rate_bytes_per_s,
            assumed_rate,
            lacks + bound[1],
        ),
    ]
    if calibration.base_s is not None:
        parameters.insert(0, quantity("base_us", "us", MICRO, calibration.base_s, 0.0, ""))
    return tuple(parameters)


def _within(
    calibration: Calibration, otherwise: Link
) -> tuple[float, float, float, tuple[str, str]]:
    """Return latency, overhead and rate of ``otherwise``, within the bounds of the data.

    Beside them stand the reasons why they are not as in ``otherwise``, empty where they are.
    """
    latency_s, overhead_s = otherwise.latency_s, otherwise.overhead_s
    rate, reasons = otherwise.rate_bytes_per_s, ["", ""]
    if calibration.latency_s is None and latency_s + overhead_s > calibration.most_step_s:
        latency_s = min(latency_s, calibration.most_step_s)
        overhead_s = calibration.most_step_s - latency_s
        reasons[0] = ", but no more than the data allow"
    if calibration.rate_bytes_per_s is None and rate < calibration.least_rate_bytes_per_s:
        rate = calibration.least_rate_bytes_per_s
        reasons[1] = ", but no less than the data allow"
    return latency_s, overhead_s, rate, (reasons[0], reasons[1])


def _scaled(
    name: str,
    unit: str,
    scale: float,
    found: Quantity | None,
    otherwise: float,
    why: str,
    *,
    taken: Mapping[str, str],
) -> Parameter:
    """Return a quantity in SI units as a parameter in ``unit``."""
    if found is None:
        return Parameter(name, rounded(otherwise * scale), unit, None, None, "assumed", why)
    low, high = (rounded(e * scale) if math.isfinite(e) else None for e in (found.low, found.high))
    files = ", ".join(
        (each if each == each.strip() else repr(each))
        + (f" ({taken[each]})" if each in taken else "")
        for each in found.sources
    )
    source = files + (f"; {found.holds}" if found.holds else "")
    value = 0.0 if found.value < NOTHING * found.high < math.inf else found.value
    sure = None if low is None else found.confidence
    return Parameter(name, rounded(value * scale), unit, low, high, "measured", source, sure)


def rounded(value: float) -> float:
    """Return ``value`` with as many digits as are written."""
    return float(f"{value:.{DIGITS}g}")
