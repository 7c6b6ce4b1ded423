"""Arguments of the Python face: what is taken for a number, a name or a flag, and the refusals."""

from __future__ import annotations

import math
from collections.abc import Iterable
from operator import index

import numpy as np

from emul.errors import ArgumentError, shown, unknown_name

__all__ = ["finite", "flag", "is_array", "one_of", "rank", "whole"]


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
    """Return ``value`` as one of so many ``ranks``; raises ArgumentError."""
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
