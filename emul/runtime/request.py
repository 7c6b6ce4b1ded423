"""The request of a caller: one collective, without any array."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

from emul.errors import ArgumentError, shown
from emul.plans import Encoding, Plan, Schedule, Shape, WireFormat
from emul.plans.custom import CustomAlgorithm, check_pickles

__all__ = ["AUTO", "Algorithm", "Request"]

Algorithm = str | Plan | Schedule
"""A name, the path of a plan file, FILE.py:NAME, a plan, or a function that yields steps."""

AUTO = "auto"


class Request(NamedTuple):
    """One collective: its ``shape`` (with the counts), the bytes of an element, ``op``, algorithm.

    ``root`` is a rank among those of the shape; of send_recv, how far along each rank sends.
    ``wire``: the format of elements on the wire, where that is not theirs in memory. Two
    requests that are equal have the same plan, program and modelled time on the same topology. One
    by a function of the caller can be pickled if that can be: else ArgumentError.
    """

    shape: Shape
    itemsize: int
    op: str = "sum"
    algorithm: Algorithm = AUTO
    root: int = 0
    wire: WireFormat | None = None

    def check_algorithm(self) -> None:
        """Refuse an algorithm of the wrong kind: ArgumentError."""
        algorithm = self.algorithm
        if not (isinstance(algorithm, str | Plan) or _is_schedule(algorithm)):
            raise ArgumentError(
                f"algorithm {shown(algorithm)}: needed a name, a Plan, or a function that yields "
                "steps"
            )
        if isinstance(algorithm, str) and "\0" in algorithm:
            raise ArgumentError(f"algorithm {shown(algorithm)}: needed a name or a path")

    @property
    def collective(self) -> str:
        """The name of the collective."""
        return self.shape.collective.name

    @property
    def nbytes(self) -> int:
        """The bytes of the whole vector in memory, of the longest one where counts differ."""
        return self.shape.width * self.itemsize

    @property
    def encoding(self) -> Encoding:
        """How its elements go on the wire."""
        return Encoding(self.itemsize, self.wire)

    @property
    def wire_nbytes(self) -> int:
        """The bytes of that vector on the wire, encoded as one chunk."""
        return self.encoding.nbytes(self.shape.width)

    @property
    def name_of_algorithm(self) -> str | None:
        """The name of the algorithm: None for ``auto``, empty for a function of the caller."""
        if self.algorithm == AUTO:
            return None
        if isinstance(self.algorithm, Plan):
            return self.algorithm.algorithm
        return self.algorithm if isinstance(self.algorithm, str) else ""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the fields; name the algorithm that cannot be pickled."""
        if not isinstance(self.algorithm, str | Plan | CustomAlgorithm):
            check_pickles(self.algorithm, str(getattr(self.algorithm, "__name__", "custom")))
        return Request, tuple(self)

    def by(self, algorithm: Algorithm) -> Request:
        """Return the same request with another algorithm."""
        return self._replace(algorithm=algorithm)

    def of_any_op(self) -> Request:
        """Return the request that stands for all operators: none of them changes a time."""
        return self if self.op == "sum" else self._replace(op="sum")


def _is_schedule(algorithm: object) -> bool:
    """Say whether this may be a function that yields steps; caches keep it by its hash."""
    return (
        callable(algorithm) and not isinstance(algorithm, type) and isinstance(algorithm, Hashable)
    )
