"""Refuse numbers that mean nothing, in one sentence each."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral, Real

from emul.errors import ArgumentError

__all__ = [
    "fraction",
    "loss_probability",
    "not_negative",
    "not_negative_or_unlimited",
    "positive",
    "positive_or_unlimited",
    "same_length",
    "whole",
]


def _require(holds: Callable[[float], bool], needed: str, named: dict[str, float]) -> None:
    """Raise ArgumentError for the first of ``named`` that is no real number or fails."""
    for name, value in named.items():
        if not (isinstance(value, Real) and holds(float(value))):
            raise ArgumentError(f"{name} = {value!r}: needed {needed}")


def positive(unit: str, **named: float) -> None:
    """Require finite numbers above 0, in ``unit``.

    >>> positive("bytes per second", rate_bytes_per_s=0.0)
    Traceback (most recent call last):
    emul.errors.ArgumentError: rate_bytes_per_s = 0.0: needed a finite number above 0, in bytes \
per second
    """
    _require(lambda x: 0 < x < math.inf, f"a finite number above 0, in {unit}", named)


def positive_or_unlimited(unit: str, **named: float) -> None:
    """Require numbers above 0, infinity included, in ``unit``."""
    _require(lambda x: x > 0, f"a number above 0 or infinity, in {unit}", named)


def not_negative(unit: str, **named: float) -> None:
    """Require finite numbers, 0 or more, in ``unit``."""
    _require(lambda x: 0 <= x < math.inf, f"a finite number, 0 or more, in {unit}", named)


def not_negative_or_unlimited(unit: str, **named: float) -> None:
    """Require numbers, 0 or more, infinity included, in ``unit``."""
    _require(lambda x: x >= 0, f"a number, 0 or more or infinity, in {unit}", named)


def loss_probability(**named: float) -> None:
    """Require probabilities of loss: from 0 to less than 1, for at 1 nothing ever arrives."""
    _require(lambda x: 0 <= x < 1, "a probability from 0 to less than 1", named)


def fraction(**named: float) -> None:
    """Require parts of a whole: from 0 to 1, both included."""
    _require(lambda x: 0 <= x <= 1, "a fraction from 0 to 1", named)


def whole(what: str, least: int = 1, **named: float) -> None:
    """Require whole numbers of ``what``, at least ``least``."""
    for name, value in named.items():
        if not (isinstance(value, Integral) and value >= least):
            raise ArgumentError(
                f"{name} = {value!r}: needed a whole number of {what}, {least} or more"
            )


def same_length(least: int, **named: list[float]) -> None:
    """Require lists of one length, at least ``least`` entries each."""
    lengths = {name: len(values) for name, values in named.items()}
    if len(set(lengths.values())) != 1 or min(lengths.values()) < least:
        said = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise ArgumentError(f"{said}: needed lists of one length, {least} or more entries each")
