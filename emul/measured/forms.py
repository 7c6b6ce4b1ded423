"""Closed forms: how often a measurement pays the latency, the overhead and the bytes of a link.

With base b of a call, latency L, overhead o and rate R, a measurement of S bytes takes
b + l L + m o + f S / R, where l, m and f follow from the collective, the number of ranks and the
algorithm. Where `emul.links.formulas` has the closed form, they are read off from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType

from emul.errors import MeasurementError, unknown_name
from emul.links import formulas
from emul.measured.measurement import LATENCY, MESSAGE, STREAM, WINDOW, Measurement

__all__ = ["ALGORITHMS", "COLLECTIVES", "ClosedForm", "algorithm_of", "form_of"]

WINDOW_MESSAGES = 64
"""Messages between two answers in osu_bw and osu_bibw, their default (-W)."""


@dataclass(frozen=True, slots=True)
class ClosedForm:
    """How often a measurement pays for each cost; ``calls``: the base.

    Where ranks hand on pieces, slices of them hide time: ``pieces`` are in the vector, 0 where no
    piece is handed on. After the first, ``chained`` steps wait for the latency of a piece
    and send all of it; after the first rank, ``relays`` send on a piece while it comes in.
    """

    calls: int
    latencies: float
    overheads: float
    copies: float
    pieces: int = 0
    chained: float = 0
    relays: int = 0


Builder = Callable[[int], ClosedForm]
Formula = Callable[..., float]


def _steps(steps: Callable[[int], float], copies: Callable[[int], float]) -> Builder:
    """Return the form of an algorithm whose steps wait for each other."""

    def form(n: int) -> ClosedForm:
        return ClosedForm(1, steps(n), steps(n), copies(n))

    return form


def _of(formula: Formula, *, per_pair: bool = False) -> Builder:
    """Return the form that a closed form of `emul.links.formulas` says; it is linear."""

    def form(n: int) -> ClosedForm:
        steps = formula(n, 0.0, alpha_s=1.0, rate_bytes_per_s=1.0)
        copies = formula(n, 1.0, alpha_s=0.0, rate_bytes_per_s=1.0)
        return ClosedForm(1, steps, steps, copies / n if per_pair else copies)

    return form


def _ring(formula: Formula) -> Builder:
    """Return the form of a ring, in which all hand on a piece in every step."""
    whole = _of(formula)

    def form(n: int) -> ClosedForm:
        found = whole(n)
        return replace(found, pieces=n, chained=found.latencies - 1)

    return form


def _tree(n: int, nbytes: float, *, alpha_s: float, rate_bytes_per_s: float) -> float:
    return formulas.tree_all_reduce_s(
        n, nbytes, alpha_s=alpha_s, rate_bytes_per_s=rate_bytes_per_s, chunk_bytes=0.0
    )


def _fan(n: int) -> ClosedForm:
    """Return the form of n - 1 messages that one port sends or takes in, one after the other."""
    return ClosedForm(1, 1, n - 1, (n - 1) / n)


def _rooted_ring(n: int) -> ClosedForm:
    """Return the form of a chain of ranks that hand on a vector in n chunks."""
    return ClosedForm(1, n - 1, 2 * (n - 1), 2 * (n - 1) / n, pieces=n, relays=n - 2)


_chain = _steps(lambda n: n - 1, lambda n: 1)
"""A chain of ranks that hand on a vector in pieces too small to matter."""
_one_pass = _ring(formulas.ring_one_pass_s)
_bruck = _of(formulas.bruck_all_gather_s)

ALGORITHMS: Mapping[str, Mapping[str, Builder]] = MappingProxyType(
    {
        "all_reduce": {
            "ring": _ring(formulas.ring_all_reduce_s),
            "halving_doubling": _of(formulas.halving_doubling_all_reduce_s),
            "recursive_doubling": _of(formulas.doubling_all_reduce_s),
            "double_binary_tree": _of(_tree),
        },
        "reduce_scatter": {"ring": _one_pass, "pat": _bruck},
        "all_gather": {"ring": _one_pass, "bruck": _bruck, "pat": _bruck},
        "broadcast": {"chain": _chain, "ring": _rooted_ring},
        "reduce": {"chain": _chain, "ring": _rooted_ring},
        "all_to_all": {
            "direct": _fan,
            "pairwise": _of(formulas.pairwise_all_to_all_s, per_pair=True),
            "bruck": _of(formulas.bruck_all_to_all_s, per_pair=True),
        },
        "gather": {"direct": _fan},
        "scatter": {"direct": _fan},
        "send_recv": {"direct": lambda n: ClosedForm(1, 1, 1, 1)},
    }
)
"""By collective, the algorithms that have a closed form; the first is the default."""

COLLECTIVES = tuple(ALGORITHMS)

POINT_TO_POINT: Mapping[str, ClosedForm] = MappingProxyType(
    {
        LATENCY: ClosedForm(0, 1, 0, 0),
        MESSAGE: ClosedForm(0, 1, 1, 1),
        STREAM: ClosedForm(0, 0, 0, 1),
        WINDOW: ClosedForm(0, 2, WINDOW_MESSAGES + 1, WINDOW_MESSAGES),
    }
)
"""The kinds of measurements between two ranks; the answer at the end of a window is a message as
well."""


def algorithm_of(measurement: Measurement, asked: str) -> str:
    """Return the algorithm by which a collective was done: as its file says, or as ``asked``.

    Where neither says it, that is the first of ALGORITHMS. Raises MeasurementError for an
    algorithm without a closed form.
    """
    known = ALGORITHMS[measurement.kind]
    if measurement.algorithm and measurement.algorithm not in known:
        raise MeasurementError(
            f"{measurement.source}: {measurement.kind} by {measurement.algorithm!r}: needed an "
            f"algorithm that has a closed form, one of {', '.join(known)}"
        )
    if measurement.algorithm:
        return measurement.algorithm
    return asked if asked in known else next(iter(known))


def check_algorithm(asked: str, kinds: set[str]) -> None:
    """Refuse an algorithm that none of the collectives among ``kinds`` has a closed form for."""
    known = {name for kind in kinds & set(ALGORITHMS) for name in ALGORITHMS[kind]}
    if asked and asked not in known:
        raise unknown_name("algorithm", asked, sorted(known) or ["none: no collective is measured"])


def form_of(measurement: Measurement, asked: str = "") -> ClosedForm:
    """Return the form of a measurement; ``asked`` is the algorithm that the user names.

    >>> form_of(Measurement("all_reduce", 1.0, "a.log", world_size=4))
    ClosedForm(calls=1, latencies=6.0, overheads=6.0, copies=1.5, pieces=4, chained=5.0, relays=0)
    """
    if measurement.kind in POINT_TO_POINT:
        return POINT_TO_POINT[measurement.kind]
    return _built(measurement.kind, algorithm_of(measurement, asked), measurement.world_size)


@lru_cache(maxsize=1024)
def _built(collective: str, algorithm: str, world_size: int) -> ClosedForm:
    return ALGORITHMS[collective][algorithm](world_size)
