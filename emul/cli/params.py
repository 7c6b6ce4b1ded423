"""Parameter types that subcommands share, and groups of subcommands."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

import click

from emul.errors import ArgumentError
from emul.units import parse_size

__all__ = [
    "INTERRUPTED",
    "Amount",
    "Dilation",
    "Named",
    "Real",
    "Seconds",
    "Size",
    "Whole",
    "by_name",
]

INTERRUPTED = 130
"""Exit status: 128 + SIGINT, as shells count."""

MOST = (1 << 63) - 1
"""Of whole numbers: the largest that 64 bits hold, as the compiled parts count."""

MOST_REAL = 1e12
"""Of seconds, microseconds and factors: 32,000 years are no bound of anything."""

MOST_AMOUNT = 1e15

LEAST_DILATION = 1e-9
MOST_DILATION = 1e9
"""With more, a millisecond would last 12 days."""


class Size(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A number of bytes, with K, M, G or T for powers of 1024."""

    name = "size"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return ``value`` in bytes."""
        if isinstance(value, int):
            return value
        try:
            return parse_size(value)
        except ArgumentError as error:
            self.fail(str(error), param, ctx)


class Whole(click.IntRange):
    """A whole number from ``min`` on that 64 bits hold."""

    def get_metavar(self, param: click.Parameter, ctx: Any = None) -> str:
        """Return the word for it on help pages; click 8.1 gives no context."""
        return "N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return ``value`` as a number."""
        number = int(super().convert(value, param, ctx))
        if number > MOST:
            self.fail(f"{number}: needed at most {MOST}", param, ctx)
        return number


class Real(click.FloatRange):
    """A finite number from ``min`` on: a bound of nan or inf would never be broken."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return ``value`` as a number."""
        number = float(super().convert(value, param, ctx))
        if not (math.isfinite(number) and number <= MOST_REAL):
            self.fail(f"{number:g}: needed a finite number, at most {MOST_REAL:g}", param, ctx)
        return number


class _WithUnit(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A number above 0 with a unit behind it, of ``units``; without one, it is of 1."""

    units: ClassVar[Mapping[str, float]]
    needed: ClassVar[str]

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return ``value`` as a number."""
        text = str(value).strip()
        unit = text.lstrip("0123456789.eE+-")
        try:
            number = float(text.removesuffix(unit)) * self.units[unit.strip()]
        except (KeyError, ValueError):
            self.fail(f"{value!r}: needed {self.needed}", param, ctx)
        if not 0 < number <= MOST_AMOUNT:
            self.fail(f"{value!r}: needed {self.needed}, at most {MOST_AMOUNT:g}", param, ctx)
        return number


class Amount(_WithUnit):
    """A number of things, with K, M, B (or G) or T for powers of 1000."""

    name = "number"
    units: ClassVar[Mapping[str, float]] = MappingProxyType(
        {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12}
    )
    needed = "a number above 0, such as 48M or 48e6"


class Seconds(_WithUnit):
    """A time in seconds, or with its unit."""

    name = "time"
    units: ClassVar[Mapping[str, float]] = MappingProxyType(
        {"": 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6}
    )
    needed = "a time above 0, such as 0.5 or 500ms"


class Dilation(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A factor, or ``auto``."""

    name = "number|auto"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | str:
        """Return ``value`` as a number, unless it is ``auto``."""
        if value == "auto":
            return value
        try:
            number = float(value)
        except ValueError:
            self.fail(f"{value!r} is not a number, and not auto", param, ctx)
        if not LEAST_DILATION <= number <= MOST_DILATION:
            self.fail(
                f"dilation {number}: needed a finite number above 0, from {LEAST_DILATION:g} to "
                f"{MOST_DILATION:g}, or auto",
                param,
                ctx,
            )
        return number


class Named(click.types.StringParamType):
    """A name and a value, written NAME=VALUE; see ``by_name``."""

    name = "name=value"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return ``value``, if it is both."""
        name, _, text = value.partition("=")
        if not (name and text):
            self.fail(f"{value!r}: needed NAME=VALUE, as in NCCL_ALGO=Ring", param, ctx)
        return value


def by_name(given: Sequence[str]) -> dict[str, str]:
    """Return the values of an option of Named by their names; of one given twice, the last."""
    return {name: text for name, _, text in (each.partition("=") for each in given)}
