"""The fit: positive parameters, relative errors, few outliers borne, and how sure it is."""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from emul.errors import MissingLibraryError
from emul.measured.model import Model

__all__ = ["Fit", "fit", "scipy_module"]

Floats = npt.NDArray[np.float64]

CONFIDENCE = 0.95
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
LEAST_TOLD = 1e-3
"""Assumed: however steady a ping or a stream was, tomorrow it differs by this part."""
LEAST_PART = 1e-12
"""A parameter that adds less than this part to every row is as good as 0."""


@dataclass(frozen=True)
class Fit:
    """Parameters of a model, SI units, and the covariance of those that are active.

    ``half_widths`` are those of 95 % intervals, NaN where there is nothing to tell them from;
    ``residuals`` the logarithms of model over measurement, ``deviations`` what they are expected
    to be.
    """

    model: Model
    theta: Floats
    covariance: Floats
    quantile: float
    residuals: Floats
    deviations: Floats

    def half_width(self, weights: Floats) -> float:
        """Return the half-width of the interval of a weighted sum of the parameters."""
        if not np.isfinite(self.covariance).all():
            return float("nan")
        variance = float(weights @ self.covariance @ weights)
        return self.quantile * math.sqrt(max(variance, 0.0))

    @property
    def half_widths(self) -> list[float]:
        """The half-width of each parameter's interval."""
        return [self.half_width(row) for row in np.eye(len(self.theta))]


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
    theta = _solve(model, np.full(len(model.times_s), FIRST_SIGMA), _start(model))
    sigma = _sigma(model, _residuals(model, theta))
    theta = _solve(model, _deviations(model, sigma), theta)
    residuals = _residuals(model, theta)
    deviations = _deviations(model, _sigma(model, residuals))
    quantile = _quantile(len(residuals) - len(model.active))
    covariance = _covariance(model, theta, deviations)
    return Fit(model, theta, covariance, quantile, residuals, deviations)


def _start(model: Model) -> Floats:
    """Return parameters to start from: those of least relative squares, none below 0."""
    scaled = model.pays / model.times_s[:, None]
    norms = np.linalg.norm(scaled, axis=0)
    norms[norms == 0] = 1.0
    found: Any = scipy_module("optimize").nnls(scaled / norms, np.ones(len(scaled)))[0]
    theta: Floats = found / norms
    return theta


def _solve(model: Model, deviations: Floats, start: Floats) -> Floats:
    """Return the parameters of least loss; their logarithms are what is sought."""
    active = model.active
    scaled = (model.pays / model.times_s[:, None])[:, active]
    least = LEAST_PART / scaled.max(axis=0)

    def theta_of(logs: Floats) -> Floats:
        theta = np.zeros(model.pays.shape[1])
        theta[active] = least * np.exp(logs)
        return theta

    def residuals(logs: Floats) -> Floats:
        return _residuals(model, theta_of(logs)) / deviations

    def jacobian(logs: Floats) -> Floats:
        theta = theta_of(logs)
        scale = model.predict(theta) * deviations
        columns: Floats = (model.slopes(theta) * theta)[:, active] / scale[:, None]
        return columns

    first = np.log(np.maximum(start[active] / least, 2.0))
    found: Any = scipy_module("optimize").least_squares(
        residuals, first, jacobian, bounds=(0.0, np.inf), loss="soft_l1", f_scale=OUTLIER_SIGMAS,
        xtol=1e-14, ftol=1e-14, gtol=1e-14,
    )  # fmt: skip
    return theta_of(found.x)


def _residuals(model: Model, theta: Floats) -> Floats:
    residuals: Floats = np.log(model.predict(theta) / model.times_s)
    return residuals


def _sigma(model: Model, residuals: Floats) -> float:
    """Return the relative error of rows whose file does not tell one."""
    untold = model.spreads == 0
    freedom = len(residuals) - len(model.active)
    if not untold.any() or freedom <= 0:
        return LEAST_SIGMA
    sizes = np.abs(residuals[untold])
    most = CLIP_SIGMAS * MAD_TO_SIGMA * float(np.median(sizes))
    clipped = np.minimum(sizes, most) if most else sizes
    left = max(1.0, untold.sum() - len(model.active))
    return max(LEAST_SIGMA, float(np.sqrt((clipped**2).sum() / left)))


def _deviations(model: Model, sigma: float) -> Floats:
    """Return the relative error of each row: what its file tells, else ``sigma``."""
    told = np.maximum(model.spreads, LEAST_TOLD)
    deviations: Floats = np.where(model.spreads > 0, told, sigma)
    return deviations


def _covariance(model: Model, theta: Floats, deviations: Floats) -> Floats:
    """Return the covariance of the parameters, 0 for those that nobody pays.

    It is NaN where there are no more rows than parameters and files tell no spread.
    """
    active, size = model.active, len(theta)
    covariance = np.zeros((size, size))
    if len(model.times_s) <= len(active) and (model.spreads == 0).any():
        return np.full((size, size), np.nan)
    scale = model.predict(theta) * deviations
    jacobian = (model.slopes(theta) / scale[:, None])[:, active]
    norms = np.linalg.norm(jacobian, axis=0)
    _, singular, right = np.linalg.svd(jacobian / norms, full_matrices=False)
    inverse = (right.T / singular**2) @ right / np.outer(norms, norms)
    covariance[np.ix_(active, active)] = inverse
    return covariance


def _quantile(freedom: int) -> float:
    """Return the quantile of Student's t for a two-sided interval; normal without freedom."""
    special = scipy_module("special")
    upper = (1 + CONFIDENCE) / 2
    return float(special.stdtrit(freedom, upper) if freedom > 0 else special.ndtri(upper))
