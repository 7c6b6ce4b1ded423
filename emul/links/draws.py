"""Random numbers that are keyed, never drawn in turn: the same key, the same number.

A key is mixed from a seed, names and numbers; the order of calls does not matter, and the draws of
one link do not change when another link is added. The bits are the same on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from emul.arrays import Float64Array, UInt64Array
from emul.links.laws import exponentials, lognormals, mixes, uniforms

__all__ = ["exponential", "key_of", "lognormal", "mixed", "uniform"]


Drawn = TypeVar("Drawn", UInt64Array, Float64Array)


def key_of(seed: int, *words: str) -> int:
    """Return the key of ``words`` under ``seed``.

    >>> key_of(0, "jitter", "a -> b") == key_of(0, "jitter", "a -> b") != key_of(1, "jitter")
    True
    """
    text = "\0".join([str(seed), *words])
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def mixed(key: int | UInt64Array, number: npt.ArrayLike) -> UInt64Array:
    """Return keys made of a key and whole numbers, in the shape in which the two broadcast."""
    return _drawn(mixes, key, number)


def uniform(key: int | UInt64Array, number: npt.ArrayLike) -> Float64Array:
    """Return numbers above 0 and below 1, in steps of 2^-52."""
    return _drawn(uniforms, key, number)


def exponential(key: int | UInt64Array, number: npt.ArrayLike) -> Float64Array:
    """Return exponential numbers with a mean of 1."""
    return _drawn(exponentials, key, number)


def _drawn(
    law: Callable[[UInt64Array, UInt64Array], Drawn], key: int | UInt64Array, number: npt.ArrayLike
) -> Drawn:
    """Return the draws of a law by keys and numbers, in the shape in which the two broadcast."""
    keys, numbers = np.asarray(key, np.uint64), np.asarray(number).astype(np.uint64)
    if max(keys.ndim, numbers.ndim) > 1:
        keys, numbers = np.broadcast_arrays(keys, numbers)
    drawn = law(keys.reshape(-1), numbers.reshape(-1))
    return drawn if keys.ndim == 1 or numbers.ndim == 1 else drawn.reshape(keys.shape)


def lognormal(keys: UInt64Array, median: Float64Array, sigma: Float64Array) -> Float64Array:
    """Return one lognormal number per key, in the unit of ``median``: all (keys,).

    >>> same = np.ones(9999)
    >>> bool(0.9 < np.median(lognormal(mixed(7, np.arange(9999)), same, 0.5 * same)) < 1.1)
    True
    """
    return lognormals(keys, median, sigma)
