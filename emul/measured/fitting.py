"""The fit: positive parameters, relative errors, few outliers borne, and how sure it is."""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from statistics import NormalDist
from types import ModuleType
from typing import Any

import numpy as np

from emul.arrays import Float64Array
from emul.errors import MissingLibraryError
from emul.measured.linear_model import Model
from emul.measured.medians import CONFIDENCE, Interval

__all__ = ["Fit", "fit", "scipy_module"]


NORMAL = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
"""Standard errors from the middle to either end of an interval, where they are told."""
MAD_TO_SIGMA = 1.4826
"""Standard deviation over median absolute deviation, of normal draws."""
CLIP_SIGMAS = 3.0
"""Residuals beyond this count as if they were this large."""
OUTLIER_SIGMAS = 2.0
"""Where the loss begins to grow more slowly than the square."""
FIRST_SIGMA = 0.05
"""Assumed: the relative error with which the first of two passes begins."""
LEAST_SIGMA = 1e-6
"""Nobody measures a time better than this part of it."""
LEAST_FREEDOM = 0.5
"""Residuals fewer than this are rounding of none."""
NO_WEIGHT = 1e-9
"""A row whose error moves a parameter by less than this part of the others' does not count."""
LEAST_PART = 1e-12
"""A parameter that adds less than this part to every row is as good as 0."""


@dataclass(frozen=True)
class Fit:
    """Parameters of a model, SI units, and the covariance of those that are active.

    ``half_widths`` are as of normal errors, NaN where there is nothing to tell them from;
    ``influence``, (4, rows), is the change of a parameter with the relative error of a row;
    ``residuals`` the logarithms of model over measurement, ``deviations`` their expected
    sizes, and ``errors`` the relative errors of rows from which intervals are made.
    """

    model: Model
    theta: Float64Array
    covariance: Float64Array
    influence: Float64Array
    quantile: float
    residuals: Float64Array
    deviations: Float64Array
    errors: Float64Array

    def half_width(self, weights: Float64Array) -> float:
        """Return the half-width of the interval of a weighted sum of the parameters."""
        if not np.isfinite(self.covariance).all():
            return float("nan")
        variance = float(weights @ self.covariance @ weights)
        quantile = NORMAL if math.isnan(self.quantile) else self.quantile
        return quantile * math.sqrt(max(variance, 0.0))

    def interval(self, weights: Float64Array) -> Interval:
        """Return the interval of a weighted sum of the parameters.

        The ends of the intervals of all rows are put together as squares, each side for itself (G.
        Y. Zou, A. Donner, Statistics in Medicine 27 (2008) 1693: recovery of variances). So a
        number that comes from one median alone has its interval, exactly; and none is surer than
        the least sure of the medians that it comes from.
        """
        moved = weights @ self.influence
        counts = np.flatnonzero(np.abs(moved) > NO_WEIGHT * np.abs(moved).max())
        rows = [self._row_interval(int(row)) for row in counts]
        ends = np.array([[row.low, row.high] for row in rows]) * moved[counts, None]
        squares = np.sort(ends, axis=1) ** 2
        told = self.model.spreads[counts] > 0
        value = float(weights @ self.theta)
        down = math.sqrt(squares[:, 0].sum())
        beyond = _stretched(math.sqrt(squares[~told, 1].sum()), value)
        up = math.hypot(beyond, math.sqrt(squares[told, 1].sum()))
        sure = [row.confidence for row in rows]
        confidence = sure[0] if len(sure) == 1 else min(CONFIDENCE, *sure)
        return Interval(float(np.maximum(0.0, value - down)), value + up, confidence)

    def _row_interval(self, row: int) -> Interval:
        """Return the relative errors between which the error of a row lies; NaN if nothing tells
        it."""
        told = self.model.intervals[row]
        if told is not None:
            return told
        half = self.errors[row] * (NORMAL if self.model.spreads[row] else self.quantile)
        return Interval(-half, half)

    @property
    def half_widths(self) -> list[float]:
        """The half-width of each parameter's interval."""
        return [self.half_width(row) for row in np.eye(len(self.theta))]


def _stretched(up: float, value: float) -> float:
    """Return how far an upper end is from ``value`` where no file tells the errors of times.

    They are factors, so a time is off by more above than below. From the double of the value on,
    the tangent is taken.
    """
    if not 0 < up < value:
        return up * (math.e - 1)
    return value * math.expm1(up / value)


def scipy_module(name: str) -> ModuleType:
    """Return a module of scipy, which only calibrating needs."""
    try:
        return importlib.import_module(f"scipy.{name}")
    except ImportError:
        raise MissingLibraryError(
            "calibrating needs scipy, which is not installed: pip install '.[calibrate]'"
        ) from None


def fit(model: Model) -> Fit:
    """Return the parameters that fit best: twice, for the second pass knows how noisy rows are."""
    first = np.full(len(model.times_s), FIRST_SIGMA)
    theta = _solve(model, first, _start(model))
    scale = _deviations(model, theta, first)
    theta = _solve(model, scale, theta)
    deviations = _deviations(model, theta, scale)
    freedom = _freedom(model, theta, deviations)
    errors = _errors(model, _residuals(model, theta), scale, freedom)
    inverse = _inverse(model, theta, errors)
    influence = inverse @ (_jacobian(model, theta, errors) / errors[:, None]).T
    known = freedom > 0 or (model.spreads > 0).all()
    covariance = inverse if known else np.full_like(inverse, np.nan)
    residuals = _residuals(model, theta)
    quantile = _quantile(freedom)
    return Fit(model, theta, covariance, influence, quantile, residuals, deviations, errors)


def _start(model: Model) -> Float64Array:
    """Return parameters to start from: the parameters of least relative squares, none below 0."""
    scaled = model.pays / model.times_s[:, None]
    norms = np.linalg.norm(scaled, axis=0)
    norms[norms == 0] = 1.0
    found: Any = scipy_module("optimize").nnls(scaled / norms, np.ones(len(scaled)))[0]
    theta: Float64Array = found / norms
    return theta


def _solve(model: Model, deviations: Float64Array, start: Float64Array) -> Float64Array:
    """Return the parameters of least loss; their logarithms are the unknowns."""
    active = model.active
    scaled = (model.pays / model.times_s[:, None])[:, active]
    least = LEAST_PART / scaled.max(axis=0)

    def theta_of(logs: Float64Array) -> Float64Array:
        theta = np.zeros(model.pays.shape[1])
        theta[active] = least * np.exp(logs)
        return theta

    def residuals(logs: Float64Array) -> Float64Array:
        return _residuals(model, theta_of(logs)) / deviations

    def jacobian(logs: Float64Array) -> Float64Array:
        theta = theta_of(logs)
        scale = model.predict(theta) * deviations
        columns: Float64Array = (model.slopes(theta) * theta)[:, active] / scale[:, None]
        return columns

    first = np.log(np.maximum(start[active] / least, 2.0))
    found: Any = scipy_module("optimize").least_squares(
        residuals, first, jacobian, bounds=(0.0, np.inf), loss="soft_l1", f_scale=OUTLIER_SIGMAS,
        xtol=1e-14, ftol=1e-14, gtol=1e-14,
    )  # fmt: skip
    return theta_of(found.x)


def _residuals(model: Model, theta: Float64Array) -> Float64Array:
    residuals: Float64Array = np.log(model.predict(theta) / model.times_s)
    return residuals


def _deviations(model: Model, theta: Float64Array, before: Float64Array) -> Float64Array:
    """Return the relative error of each row: from its file, else from the residuals.

    ``before`` are those from which the freedom of the residuals is found.
    """
    untold = model.spreads == 0
    freedom = _freedom(model, theta, before)
    sizes = np.abs(_residuals(model, theta)[untold])
    if not freedom:
        return np.where(untold, LEAST_SIGMA, model.spreads)
    most = CLIP_SIGMAS * MAD_TO_SIGMA * float(np.median(sizes))
    clipped = np.minimum(sizes, most) if most else sizes
    sigma = max(LEAST_SIGMA, float(np.sqrt((clipped**2).sum() / freedom)))
    return np.where(untold, sigma, model.spreads)


def _errors(
    model: Model, residuals: Float64Array, scale: Float64Array, freedom: float
) -> Float64Array:
    """Return the relative errors of rows that stand for the sureness of the parameters.

    Of rows that tell none they are those of an estimate that bears outliers: the root of the mean
    square of the bounded residuals, over the mean of their slopes, with the correction for few
    rows (P. J. Huber, Robust Statistics (1981), section 7.6). ``scale`` is the scale of the loss.
    """
    untold = model.spreads == 0
    if not freedom:
        return np.where(untold, LEAST_SIGMA, model.spreads)
    stretch = 1 + (residuals / scale / OUTLIER_SIGMAS)[untold] ** 2
    bounded, slopes = (residuals / scale)[untold] ** 2 / stretch, stretch**-1.5
    mean = float(slopes.mean())
    parameters = len(stretch) - freedom
    few = 1 + parameters / len(stretch) * float(slopes.var()) / mean**2
    sigma = few * scale[untold] * math.sqrt(float(bounded.sum()) / freedom) / mean
    errors = model.spreads.copy()
    errors[untold] = np.maximum(sigma, LEAST_SIGMA)
    return errors


def _freedom(model: Model, theta: Float64Array, deviations: Float64Array) -> float:
    """Return of how many residuals the rows whose file tells no error have the noise.

    That is their number less the parameters that they settle, which are the sum of their leverages:
    a row that alone settles a parameter says nothing of its own error.
    """
    jacobian = _jacobian(model, theta, deviations)
    leverages = np.einsum("ri,ij,rj->r", jacobian, _inverse(model, theta, deviations), jacobian)
    left = float((1 - leverages[model.spreads == 0]).sum())
    return left if left > LEAST_FREEDOM else 0.0


def _jacobian(model: Model, theta: Float64Array, deviations: Float64Array) -> Float64Array:
    """Return the derivatives of the relative error of each row, in its deviations, (rows, 4)."""
    jacobian: Float64Array = model.slopes(theta) / (model.predict(theta) * deviations)[:, None]
    return jacobian


def _inverse(model: Model, theta: Float64Array, deviations: Float64Array) -> Float64Array:
    """Return the inverse of the normal equations, 0 for parameters that nobody pays."""
    active, size = model.active, len(theta)
    inverse = np.zeros((size, size))
    jacobian = _jacobian(model, theta, deviations)[:, active]
    norms = np.linalg.norm(jacobian, axis=0)
    _, singular, right = np.linalg.svd(jacobian / norms, full_matrices=False)
    inverse[np.ix_(active, active)] = (right.T / singular**2) @ right / np.outer(norms, norms)
    return inverse


def _quantile(freedom: float) -> float:
    """Return the quantile of Student's t for a two-sided interval; NaN without freedom."""
    upper = (1 + CONFIDENCE) / 2
    return float(scipy_module("special").stdtrit(freedom, upper)) if freedom > 0 else math.nan
