"""Which files a parameter comes from."""

from __future__ import annotations

import numpy as np

from emul.measured.linear_model import Model

__all__ = ["sources_of"]

LEAST_SHARE = 0.1
"""A file whose lines have less than this part of all influence on a parameter is not named."""


def sources_of(model: Model, column: int) -> tuple[str, ...]:
    """Return the files that a parameter comes from, the one of most influence first.

    Of least squares, a parameter is a weighted sum of the measurements; the influence of a file is
    the sum of its weights, without their signs.
    """
    scaled = (model.pays / model.times_s[:, None])[:, model.active]
    weights = np.abs(np.linalg.pinv(scaled / np.linalg.norm(scaled, axis=0)))
    by_file: dict[str, float] = {}
    for source, weight in zip(model.sources, weights[model.active.index(column)], strict=True):
        by_file[source] = by_file.get(source, 0.0) + float(weight)
    least = LEAST_SHARE * sum(by_file.values())
    named = [source for source in by_file if by_file[source] >= least]
    return tuple(sorted(named, key=lambda source: -by_file[source]))
