"""Parameters that the data cannot tell apart: put together, and said so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from emul.errors import MeasurementError
from emul.measured.fitting import Fit, fit
from emul.measured.linear_model import (
    BASE,
    LATENCY,
    OVERHEAD,
    SECONDS_PER_BYTE,
    Model,
)
from emul.measured.measurement import LATENCY as LATENCY_OF_A_PING
from emul.measured.measurement import Measurement
from emul.measured.ring_paths import Ring

__all__ = ["BLURRED", "SLICES", "Settled", "settled"]

BLURRED = 0.5
"""Parameters are told apart, and intervals are not wide, when they are within this part of them."""
SLICES = (0, 512 << 10)
"""The sizes that are tried where none is given: whole chunks, and the slices of NCCL and of emul
perf."""
CLEARLY = 0.9
"""A fit is better when its errors are less than this part of another's."""

PING, LOGS = "a ping", "logs of several world sizes"
WITH_OVERHEAD = "the overhead of a message included"
WITHOUT_OVERHEAD = "if there is no overhead"
WITH_BASE = "the base of the call included, spread over its steps"


@dataclass(frozen=True)
class Settled:
    """The best fit of the finest parameters that the data tell apart.

    ``words`` name the parameters that were put together; ``in_latency`` and ``in_overhead`` the
    other quantities that these two contain.
    """

    fit: Fit
    slice_bytes: int
    words: tuple[str, ...]
    in_latency: str
    in_overhead: str

    @property
    def typical_error(self) -> float:
        """The median of the relative errors."""
        return float(np.median(np.abs(np.expm1(self.fit.residuals))))


Settle = Callable[[Sequence[Measurement]], Settled]
"""From measurements to their best fit."""


def settled(
    measurements: Sequence[Measurement], algorithm: str, slices: Sequence[int], ring: Ring
) -> Settled:
    """Return the fit of least errors among ``slices``; a later one must be clearly better."""
    found = [_Merger(measurements, algorithm, each, ring).settle() for each in slices]
    errors = [float(np.abs(each.fit.residuals).sum()) for each in found]
    return found[min(range(len(found)), key=lambda i: errors[i] / (CLEARLY if i else 1.0))]


class _Merger:
    """Puts parameters together that the data cannot tell apart, and says so."""

    def __init__(
        self, measurements: Sequence[Measurement], algorithm: str, slice_bytes: int, ring: Ring
    ) -> None:
        self.measurements = measurements
        self.slice_bytes = slice_bytes
        self.model_of = partial(Model.of, algorithm=algorithm, slice_bytes=slice_bytes, ring=ring)
        self.model = self.model_of(measurements)
        self.words: list[str] = []
        self.in_latency = ""
        self.in_overhead = ""

    def settle(self) -> Settled:
        """Return the fit of the finest parameters that the data tell apart."""
        others = [LATENCY, SECONDS_PER_BYTE]
        if self._spanned(OVERHEAD, others):
            why = self._why(OVERHEAD, [LATENCY], "all measurements pay both in one proportion")
            self._put_overhead_in(why, self._remedy(OVERHEAD, others, self._with_a_ping(), PING))
        others = [
            each for each in (LATENCY, OVERHEAD, SECONDS_PER_BYTE) if each in self.model.active
        ]
        if self._spanned(BASE, others):
            why = self._why(BASE, [self._step], "all calls have as many steps")
            self._put_base_in(why, self._remedy(BASE, others, self._with_more_ranks(), LOGS))
        self._check_sizes()
        found = fit(self.model)
        if _blurred(found, LATENCY, OVERHEAD):
            self._put_overhead_in("the noise hides the difference", "more of the same")
            found = fit(self.model)
        if _blurred(found, BASE, self._step):
            self._put_base_in("the noise hides the difference", "logs of more world sizes")
            found = fit(self.model)
        sliced = self.slice_bytes if self.model.waits.any() else 0
        return Settled(found, sliced, tuple(self.words), self.in_latency, self.in_overhead)

    def _why(self, column: int, others: list[int], proportional: str) -> str:
        """Return why a parameter is a mixture of others: ``proportional`` if it is of one."""
        return proportional if self._spanned(column, others) else "they are too few or too alike"

    def _with_a_ping(self) -> list[Measurement]:
        shortest_s = min(each.time_s for each in self.measurements)  # so that it weighs enough
        return [*self.measurements, Measurement(LATENCY_OF_A_PING, shortest_s, "")]

    def _with_more_ranks(self) -> list[Measurement]:
        more = [replace(each, world_size=2 * each.world_size) for each in self.measurements]
        return [*self.measurements, *more]

    def _remedy(self, column: int, others: list[int], more: list[Measurement], told: str) -> str:
        """Return ``told`` if with ``more`` a parameter is no longer a mixture of ``others``."""
        return "" if self.model_of(more).spanned(column, others) else told

    @property
    def _step(self) -> int:
        """The parameter that a step of a collective costs, beside the latency if that is known."""
        return OVERHEAD if OVERHEAD in self.model.active else LATENCY

    def _spanned(self, column: int, others: list[int]) -> bool:
        active = self.model.active
        kept = [each for each in others if each in active]
        return column in active and bool(kept) and self.model.spanned(column, kept)

    def _put_overhead_in(self, why: str, remedy: str) -> None:
        together = self.model.paid_together
        self.model = self.model.without(OVERHEAD)
        self.in_latency = WITH_OVERHEAD if together else WITHOUT_OVERHEAD
        what = "the sum of both" if together else "what it is if there is no overhead"
        self.words.append(
            f"latency and overhead cannot be told apart: {why}; latency_us is {what}"
            f"{_would_tell(remedy)}"
        )

    def _put_base_in(self, why: str, remedy: str) -> None:
        name = "overhead" if self._step == OVERHEAD else "latency"
        self.model = self.model.without(BASE)
        if self._step == OVERHEAD:
            self.in_overhead = WITH_BASE
        else:
            self.in_latency = "; ".join(each for each in (self.in_latency, WITH_BASE) if each)
        self.words.append(
            f"the base of a call and the {name} of its steps cannot be told apart: {why}; "
            f"{name}_us holds both{_would_tell(remedy)}"
        )

    def _check_sizes(self) -> None:
        """Refuse data whose every line is a mixture of bytes and messages in one proportion."""
        others = [each for each in self.model.active if each != SECONDS_PER_BYTE]
        if self._spanned(SECONDS_PER_BYTE, others):
            sizes = {each.size_bytes for each in self.measurements}
            why = "sizes do not differ" if len(sizes) == 1 else "sizes are as the numbers of steps"
            raise MeasurementError(
                f"{', '.join(dict.fromkeys(self.model.sources))}: {why}, so "
                "time under way and time of sending cannot be told apart: needed two sizes or more "
                "of one collective over as many ranks"
            )


def _would_tell(remedy: str) -> str:
    return f" ({remedy} would tell)" if remedy else ""


def _blurred(found: Fit, one: int, other: int) -> bool:
    """Say whether the intervals of two parameters are as wide as their sum."""
    if not {one, other} <= set(found.model.active) or one == other:
        return False
    paid = (found.model.pays / found.model.times_s[:, None])[:, [one, other]]
    often = np.linalg.norm(paid, axis=0)
    both = float(often @ found.theta[[one, other]])
    widths = np.array(found.half_widths)[[one, other]] * often
    return bool((widths > BLURRED * both).all())
