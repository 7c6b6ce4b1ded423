"""Arguments of functions: a value of the caller as a number, a name or a flag, or the refusal.

The functions with a ``value`` return it. Those with keywords only refuse, and name the keyword.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import islice
from numbers import Integral, Real
from operator import index

import numpy as np

from emul.arrays import Int32Array
from emul.errors import ArgumentError, shown, unknown_name

__all__ = [
    "checked_ranks",
    "finite",
    "flag",
    "fraction",
    "is_array",
    "loss_probability",
    "not_negative",
    "one_of",
    "positive",
    "positive_or_unlimited",
    "rank",
    "whole",
    "whole_numbers",
]


def whole(value: object, what: str, least: int | None = None, most: int | None = None) -> int:
    """Return ``value`` as an int, from ``least`` to ``most``.

    Whole numbers of any library are taken, True and False are not. Raises ArgumentError.
    """
    try:
        if isinstance(value, bool | np.bool_ | np.ma.MaskedArray):
            raise TypeError
        number = index(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ArgumentError(
            f"{what} {shown(value)}: needed a whole number{_range(least, most)}"
        ) from None
    if (least is not None and number < least) or (most is not None and number > most):
        raise ArgumentError(f"{what} {shown(number)}: needed a whole number{_range(least, most)}")
    return number


def finite(value: object, what: str, needed: str, least: float = -math.inf) -> float:
    """Return ``value`` as a float that is finite and not below ``least``; raises ArgumentError.

    Real numbers of any library are taken, texts, True and False are not.
    """
    number = math.nan
    if not isinstance(value, str | bytes | bytearray | bool | np.bool_ | np.ma.MaskedArray):
        try:
            number = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            number = math.nan
    if getattr(value, "shape", ()) != () or not (math.isfinite(number) and number >= least):
        raise ArgumentError(f"{what} {shown(value)}: needed {needed}")
    return number


def rank(value: object, what: str, ranks: int) -> int:
    """Return ``value`` as one of the ``ranks``; raises ArgumentError."""
    number = whole(value, what)
    if not 0 <= number < ranks:
        raise ArgumentError(f"{what} {shown(number)}: needed a rank from 0 to {ranks - 1}")
    return number


def flag(value: object, what: str) -> bool:
    """Return ``value`` if it is True or False; raises ArgumentError."""
    if not isinstance(value, bool | np.bool_):
        raise ArgumentError(f"{what} {shown(value)}: needed True or False")
    return bool(value)


def is_array(value: object) -> bool:
    """Say whether ``value`` is an array, of any library, with at least one dimension."""
    ndim = getattr(value, "ndim", 0)
    return isinstance(ndim, int) and ndim > 0


def one_of(value: object, what: str, known: Iterable[str]) -> str:
    """Return ``value`` if it is one of the names in ``known``; raises ArgumentError."""
    if not isinstance(value, str) or value not in known:
        raise unknown_name(what, value, known)
    return value


def _range(least: int | None, most: int | None) -> str:
    if most is None:
        return "" if least is None else f", {least} or more"
    return f" from {least} to {most}"


def _require(holds: Callable[[float], bool], needed: str, named: dict[str, float]) -> None:
    """Raise ArgumentError for the first of ``named`` that is no real number or fails."""
    for name, value in named.items():
        real = type(value) is float or isinstance(value, Real)
        if not (real and holds(float(value))):
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


def loss_probability(**named: float) -> None:
    """Require probabilities of loss: from 0 to less than 1, for at 1 nothing ever arrives."""
    _require(lambda x: 0 <= x < 1, "a probability from 0 to less than 1", named)


def fraction(**named: float) -> None:
    """Require parts of a whole: from 0 to 1, both included."""
    _require(lambda x: 0 <= x <= 1, "a fraction from 0 to 1", named)


def whole_numbers(what: str, least: int = 1, **named: float) -> None:
    """Require whole numbers of ``what``, at least ``least``."""
    for name, value in named.items():
        if not (isinstance(value, Integral) and value >= least):
            raise ArgumentError(
                f"{name} = {value!r}: needed a whole number of {what}, {least} or more"
            )


def checked_ranks(ranks: Iterable[int], world_size: int) -> Int32Array:
    """Return ``ranks`` in rising order. Raises ArgumentError where they are not a world's."""
    if isinstance(ranks, str | bytes | bytearray | np.ma.MaskedArray):
        raise ArgumentError(f"ranks {shown(ranks)}: needed whole numbers, one for each rank")
    try:
        found = sorted(whole(rank, "ranks with") for rank in islice(ranks, world_size + 1))
    except TypeError:
        raise ArgumentError(
            f"ranks {shown(ranks)}: needed whole numbers, one for each rank"
        ) from None
    if not found or found[0] < 0 or found[-1] >= world_size or len(set(found)) < len(found):
        raise ArgumentError(
            f"ranks {shown(found)}: needed at least one, each once, from 0 to {world_size - 1}"
        )
    return np.array(found, dtype=np.int32)
