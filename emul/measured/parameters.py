"""The numbers of the calibrated link: measured, or assumed where nothing was."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from emul.links import Link
from emul.measured.calibration import Calibration, Quantity

__all__ = ["ASSUMED", "Parameter", "parameters_of", "rounded"]

MICRO = 1e6
GBIT_PER_BYTE = 8 / 1e9
DIGITS = 6
"""Significant digits that are written: more than any measurement has."""
NOTHING = 1e-3
"""What is below this part of the upper end of its interval is written as 0."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number of the calibrated link, named and counted as in a topology file.

    ``base_us``, which no link has, is of the software: what a call costs beside its steps. ``low``
    and ``high`` are the ends of the 95 % interval, None where it is not known. ``status`` is
    ``measured`` or ``assumed``, ``source`` the files or the reason.
    """

    name: str
    value: float
    unit: str
    low: float | None
    high: float | None
    status: str
    source: str

    @property
    def source_line(self) -> str:
        """What a topology file says of the number."""
        known = self.low is not None and self.high is not None
        interval = f"; 95 % from {self.low:g} to {self.high:g} {self.unit}" if known else ""
        return f"{self.status}: {self.source}{interval}"


ASSUMED: Mapping[str, Link] = MappingProxyType(
    {
        "node": Link(370.8e9, 0.5e-6),
        "site": Link(49.0e9, 1e-6),
        "trunk": Link(12.25e9, 100e-6),
    }
)
"""Assumed where nothing is known: NVLink 4, a fabric of 400 Gbit/s, 20 km at 100 Gbit/s."""


def parameters_of(calibration: Calibration, otherwise: Link, said: str) -> tuple[Parameter, ...]:
    """Return the numbers of the calibrated link; what was not measured is as in ``otherwise``.

    ``said`` says where ``otherwise`` is from.
    """
    found = calibration
    lacks = f"not measured; {said}"
    held = "latency_us" if found.latency_s else lacks
    parameters = [
        _parameter("latency_us", found.latency_s, otherwise.latency_s, lacks),
        _parameter(
            "overhead_us",
            found.overhead_s,
            0.0 if found.latency_s else otherwise.overhead_s,
            f"in {held}" if found.latency_s else lacks,
        ),
        _rate(found.rate_bytes_per_s, otherwise.rate_bytes_per_s, lacks),
    ]
    if found.base_s is not None:
        parameters.insert(0, _parameter("base_us", found.base_s, 0.0, ""))
    return tuple(parameters)


def _parameter(name: str, found: Quantity | None, otherwise_s: float, why: str) -> Parameter:
    return _scaled(name, "us", MICRO, found, otherwise_s, why)


def _rate(found: Quantity | None, otherwise: float, why: str) -> Parameter:
    return _scaled("rate_gbit_per_s", "Gbit/s", GBIT_PER_BYTE, found, otherwise, why)


def _scaled(
    name: str, unit: str, scale: float, found: Quantity | None, otherwise: float, why: str
) -> Parameter:
    """Return a quantity in SI units as a parameter in ``unit``."""
    if found is None:
        return Parameter(name, rounded(otherwise * scale), unit, None, None, "assumed", why)
    ends = [rounded(end * scale) if math.isfinite(end) else None for end in (found.low, found.high)]
    files = ", ".join(each if each == each.strip() else repr(each) for each in found.sources)
    source = files + (f"; {found.holds}" if found.holds else "")
    value = 0.0 if found.value < NOTHING * found.high else found.value
    return Parameter(name, rounded(value * scale), unit, ends[0], ends[1], "measured", source)


def rounded(value: float) -> float:
    """Return ``value`` with as many digits as are written."""
    return float(f"{value:.{DIGITS}g}")
