"""How a fit differs from its data, in sentences: each says no more than was tested."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from emul.measured.forms import ALGORITHMS
from emul.measured.measurement import Measurement
from emul.measured.merging import Settled
from emul.measured.populations import APART

__all__ = ["has_another_form", "words_of_misfit"]

OUTLYING_SIGMAS = 5.0
LEAST_OUTLIER = 0.01
"""Errors below this are never called outliers, however well the rest fits."""
CHANCE = 0.01
"""A pattern of signs that noise makes less often than this is not noise."""

ByAlgorithm = Callable[[str], Settled]


def has_another_form(found: Settled, measurements: Sequence[Measurement]) -> bool:
    """Say whether the errors of a fit are large, and follow a pattern that noise does not make.

    Along the sizes, noise changes its sign at random. If signs come in so few runs that chance
    makes as few less often than CHANCE, the form does not fit the data (A. Wald, J. Wolfowitz,
    Annals of Mathematical Statistics 11 (1940) 147).
    """
    return found.typical_error > APART and _chance_of_runs(_signs(found, measurements)) < CHANCE


def _signs(found: Settled, measurements: Sequence[Measurement]) -> list[bool]:
    """Return the sign of the mean error of each cell, along the sizes of each kind."""
    errors: dict[tuple[str, int, str, float], list[float]] = {}
    for each, error in zip(measurements, found.fit.residuals, strict=True):
        cell = (each.kind, each.world_size, each.algorithm, each.size_bytes)
        errors.setdefault(cell, []).append(float(error))
    return [sum(errors[cell]) > 0 for cell in sorted(errors)]


def _chance_of_runs(signs: Sequence[bool]) -> float:
    """Return how likely chance makes as few runs of one sign, the number of each sign given."""
    n, positive = len(signs), sum(signs)
    runs = 1 + sum(one != other for one, other in pairwise(signs))
    ways = 0
    for each in range(2, runs + 1):
        half = each // 2
        if each % 2:
            ways += _parts(positive, half + 1) * _parts(n - positive, half)
            ways += _parts(positive, half) * _parts(n - positive, half + 1)
        else:
            ways += 2 * _parts(positive, half) * _parts(n - positive, half)
    return ways / math.comb(n, positive) if 0 < positive < n else 1.0


def _parts(number: int, parts: int) -> int:
    """Return in how many ways ``number`` signs fall into ``parts`` runs."""
    return math.comb(number - 1, parts - 1) if number else 0


def words_of_misfit(
    found: Settled, measurements: Sequence[Measurement], algorithm: str, by: ByAlgorithm
) -> Iterator[str]:
    """Yield how the form differs from the data, where it does; ``by`` fits another algorithm."""
    typical = found.typical_error
    if typical > APART:
        another = has_another_form(found, measurements)
        yield f"{_off(typical)}; {_of_form(another)}{_others(found, measurements, algorithm, by)}"
    else:
        yield from _outliers(found, measurements)


def _off(typical: float) -> str:
    return f"half of the times are off by {typical:.0%} or more"


def _of_form(another: bool) -> str:
    if another:
        return (
            "not at random along the sizes, so the form is not that of these data, and their noise "
            "gives no interval"
        )
    return "no pattern along the sizes shows that the form is wrong, so this may be noise"


def _others(
    found: Settled, measurements: Sequence[Measurement], algorithm: str, by: ByAlgorithm
) -> str:
    """Return the errors of the other closed forms of the collectives."""
    open_kinds = {each.kind for each in measurements if not each.algorithm} & set(ALGORITHMS)
    names = list(dict.fromkeys(name for kind in sorted(open_kinds) for name in ALGORITHMS[kind]))
    taken = algorithm or (names[0] if names else "")
    errors = {name: by(name).typical_error for name in names if name != taken}
    if not errors:
        return ""
    best = min(errors, key=errors.__getitem__)
    if errors[best] < min(APART, found.typical_error):
        return f"; --algorithm {best} fits, off by {errors[best]:.2%} in the median"
    told = ", ".join(f"{name} {error:.0%}" for name, error in errors.items())
    return f"; no other form fits better than {APART:.0%} ({told} in the median)"


def _outliers(found: Settled, measurements: Sequence[Measurement]) -> Iterator[str]:
    sizes = np.abs(found.fit.residuals)
    limits = OUTLYING_SIGMAS * found.fit.deviations
    outlying = np.flatnonzero((sizes > limits) & (sizes > LEAST_OUTLIER))
    if outlying.size:
        worst = measurements[int(outlying[np.argmax(sizes[outlying])])]
        of = f" of {worst.size_bytes:.0f} B" if worst.size_bytes else ""
        yield (
            f"{outlying.size} of {len(sizes)} measurements are outliers and count little; the "
            f"worst is {worst.kind}{of} in {worst.source}"
        )
