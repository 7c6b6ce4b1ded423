"""Runs of consecutive numbers, taken apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from emul.arrays import Int64Array

__all__ = ["expand"]


def expand(lengths: npt.NDArray[Any]) -> tuple[Int64Array, Int64Array]:
    """Return, for every member of every run, the number of its run and its place in the run.

    >>> expand(np.array([2, 3]))
    (array([0, 0, 1, 1, 1]), array([0, 1, 0, 1, 2]))
    """
    run = np.repeat(np.arange(len(lengths)), lengths)
    starts = np.cumsum(lengths) - lengths
    return run, np.arange(len(run)) - starts[run]
