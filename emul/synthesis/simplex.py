"""A small linear programme whose columns are made when they are needed.

The revised simplex with an explicit inverse, in float64 and without any product of matrices, whose
order of summation would be the library's: so the same machine words on every machine. Limits are
moved apart a little, each by another part, so that no two columns are as good and no pivot goes
around in a circle (Charnes, Econometrica 20 (1952) 160). The answer is of the limits as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from emul.arrays import Float64Array
from emul.errors import CapacityError

__all__ = ["Answer", "Column", "Price", "maximise"]

TOLERANCE = 1e-9
"""Of a gain, where the largest limit is 1."""

APART = 1e-8
"""By up to this part of the largest one limits are moved apart."""

MOST_PIVOTS = 50_000

MOST_WORK = 1 << 31
"""Numbers of the inverse that are changed by all pivots: some seconds."""

GOLDEN = 0.6180339887498949
"""Its multiples are spread most evenly over [0, 1)."""


class Column(NamedTuple):
    """What one unit of a ``key`` takes of each limit, and its gain."""

    key: Hashable
    takes: Float64Array
    gain: float


Price = Callable[[Float64Array, Float64Array], Column | None]
"""Returns a column that gains more than it costs at given prices of the limits, if there is one;
the parts of the limits that are left say which of those that cost the same is taken."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The ``amounts`` of the columns that are used, the ``prices`` of the limits and the gain."""

    amounts: dict[Hashable, float]
    prices: Float64Array
    gain: float


def maximise(limits: Float64Array, price: Price) -> Answer:
    """Return the largest gain of columns whose sum stays within ``limits``, (m,), from 0 on.

    Raises CapacityError where that takes too many pivots.
    """
    tableau, most = _Tableau(limits), min(MOST_PIVOTS, MOST_WORK // len(limits) ** 2)
    for _ in range(most):
        slack = int(np.argmin(tableau.prices))
        if tableau.prices[slack] < -TOLERANCE:
            direction = tableau.inverse[:, slack].copy()
            tableau.enter(slack, direction, 0.0, -tableau.prices[slack])
            continue
        column = price(np.maximum(tableau.prices, 0.0), tableau.left())
        if column is None:
            return tableau.answer()
        used = np.flatnonzero(column.takes)
        direction = (tableau.inverse[:, used] * column.takes[used]).sum(axis=1)
        cost = float((tableau.prices[used] * column.takes[used]).sum())
        tableau.enter(column, direction, column.gain, column.gain - cost)
    raise CapacityError(f"trees for {len(limits)} limits: needed {most} pivots at most")


class _Tableau:
    """The inverse of the basis, the amounts of its columns and the prices of the limits."""

    def __init__(self, limits: Float64Array) -> None:
        m = len(limits)
        self.scale = float(limits.max())
        self.limits = limits / self.scale
        self.amounts = self.limits + APART * ((np.arange(1, m + 1) * GOLDEN) % 1.0 + 0.01)
        self.inverse = np.eye(m)
        self.prices = np.zeros(m)
        self.basis: list[Column | int] = list(range(m))
        """The columns of the basis; of a limit that is not full, its number."""
        self.gains = np.zeros(m)

    def left(self) -> Float64Array:
        """Return the part of each limit that is left, (m,)."""
        left = np.zeros(len(self.limits))
        for amount, each in zip(self.amounts.tolist(), self.basis, strict=True):
            if isinstance(each, int):
                left[each] = amount
        return left

    def enter(
        self, entering: Column | int, direction: Float64Array, gain: float, better: float
    ) -> None:
        """Take a column into the basis; ``better``: its gain beyond its cost."""
        rising = direction > TOLERANCE
        if not rising.any():
            raise CapacityError("trees without a limit: needed a rate for every arc")
        ratio = np.where(rising, self.amounts / np.where(rising, direction, 1.0), np.inf)
        leaves = int(np.argmin(ratio))
        row = self.inverse[leaves] / direction[leaves]
        amount = self.amounts[leaves] / direction[leaves]
        self.inverse -= direction[:, None] * row[None, :]
        self.inverse[leaves] = row
        self.amounts = np.maximum(self.amounts - direction * amount, 0.0)
        self.amounts[leaves] = amount
        self.prices += better * row
        self.basis[leaves], self.gains[leaves] = entering, gain

    def answer(self) -> Answer:
        """Return the amounts for the limits as they were given."""
        amounts = np.maximum((self.inverse * self.limits[None, :]).sum(axis=1), 0.0) * self.scale
        used = {
            each.key: float(amount)
            for each, amount in zip(self.basis, amounts, strict=True)
            if isinstance(each, Column) and amount > 2 * APART * self.scale
        }
        prices = np.maximum(self.prices, 0.0)
        return Answer(used, prices, float((self.gains * amounts).sum()))
