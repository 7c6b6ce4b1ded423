"""A stack's constants on the machine at hand, from rows whose links nothing shaped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from emul.measured.fitting import scipy_module
from emul.stacks import Constants, Stack
from emul.validation.columns import LinkMeasurements, MeasuredLinks, MeasuredRow
from emul.validation.prediction import Predictor

__all__ = ["calibrated_stacks"]

NAMES = tuple(field.name for field in fields(Constants))
STEP = 1e-2
SPREAD = 0.1
"""Relative error that is expected of a row: assumed; medians of calls below 1 ms moved by 22 %
when the processes were started anew."""

TRUST = 0.5
"""Logarithm by which a constant may be off the profile's before it weighs as much as a row that is
off by SPREAD: assumed. A constant that the rows do not tell stays as in the profile."""

LOOSE = 2.0
"""The same of the rate of the hosts themselves, of which the profile knows nothing."""

LEAST_ROWS = 3

FITTED = "fitted: to the collectives without shaping, from the values of the profile"
"""The source of the constants of such a stack."""


@dataclass(frozen=True, slots=True)
class _UnshapedRows:
    """The unshaped rows of one stack, of which constants and the rate of the hosts are fitted."""

    stack: Stack
    rows: Sequence[MeasuredRow]
    table: MeasuredLinks

    def residuals(self, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return weighted logarithms of predicted over measured, and of the constants of the
        profile."""
        predictor = Predictor(self._table(float(x[-1])), self.constants(x))
        off = [math.log(predictor.seconds(row) / row.measured_s) for row in self.rows]
        trust = np.append(np.full(len(x) - 1, TRUST), LOOSE)
        return np.concatenate([np.array(off) / SPREAD, (x - 1) / trust])

    def constants(self, x: npt.NDArray[np.float64]) -> Stack:
        """Return the stack with its constants scaled by exp(x - 1)."""
        scales = dict(zip(NAMES, np.exp(x - 1).tolist(), strict=False))
        scaled = {name: getattr(self.stack.constants, name) * scales[name] for name in NAMES}
        sources = {**self.stack.sources, "constants": FITTED}
        return replace(self.stack, constants=Constants(**scaled), sources=sources)

    def _table(self, x: float) -> MeasuredLinks:
        """Return the links with the rate of the hosts scaled by exp(x - 1)."""
        scale = math.exp(x - 1)

        def scaled(link: LinkMeasurements) -> LinkMeasurements:
            goodput = {ends: rate * scale for ends, rate in link.goodput.items()}
            return replace(link, goodput=goodput)

        return MeasuredLinks(
            self.table.path, {name: scaled(link) for name, link in self.table.links.items()}
        )


def calibrated_stacks(
    rows: Sequence[MeasuredRow], table: MeasuredLinks, predictor: Predictor
) -> dict[str, Stack]:
    """Return the stacks of the unshaped rows with constants fitted to these, by name.

    Stacks of fewer than three such rows are left out. Raises MissingLibraryError without SciPy.
    """
    least_squares: Any = scipy_module("optimize").least_squares
    found: dict[str, list[MeasuredRow]] = {}
    stacks: dict[str, Stack] = {}
    for row in rows:
        if not row.rate_bytes_per_s:
            stack = predictor.stack_of(row)
            stacks[stack.name] = stack
            found.setdefault(stack.name, []).append(row)
    fitted = {}
    for name, unshaped in found.items():
        if len(unshaped) >= LEAST_ROWS:
            fit = _UnshapedRows(stacks[name], unshaped, table)
            start = np.ones(len(NAMES) + 1)
            best = least_squares(fit.residuals, start, loss="soft_l1", diff_step=STEP)
            fitted[name] = fit.constants(best.x)
    return fitted
