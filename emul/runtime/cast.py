"""Few ranks that stand for all of a World: its clocks are theirs, and operations go along axes."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from emul.arrays import Int32Array, Int64Array
from emul.errors import ArgumentError
from emul.plans import Encoded, Program, Shape
from emul.runtime.footprints import Footprints
from emul.runtime.operation import Operation
from emul.runtime.planner import Planner, Timing
from emul.runtime.prediction import Prediction
from emul.runtime.prepared import Prepared
from emul.stacks import IDEAL
from emul.timing import Footprint, Slicing
from emul.timing.along_axis import AlongAxis, AxisTimer
from emul.timing.joint.alone import AloneTimes
from emul.timing.mesh_windows import inner_windows, outer_windows
from emul.timing.quotient import INNER, MeshQuotient
from emul.timing.symmetry import Assumed, drawn_once

__all__ = ["Cast", "PreparedAlongAxis"]


KEPT = 32
"""Programs that are kept."""


class PreparedAlongAxis(Prepared):
    """A collective ``along`` an axis, and how draws by chance are made in it."""

    __slots__ = ("_quotient", "along", "assumed")

    def __init__(
        self, along: AlongAxis, quotient: MeshQuotient, program: Program, assumed: Assumed
    ) -> None:
        """Take the few ranks, and the program of all groups along the axis."""
        super().__init__(along.plan, program, IDEAL, _not_predicted)
        self.along, self.assumed = along, assumed
        self._quotient = quotient

    def in_windows(
        self, slicing: Slicing | None, communicator: int, in_full: Callable[[], Footprint]
    ) -> Footprint | None:
        """Return the footprint with windows of its rings; None where it has none."""
        axis, plan, shape, encoding = self.along
        if axis == INNER:
            return inner_windows(self._quotient, plan, shape, encoding, slicing, communicator)
        return outer_windows(self._quotient, plan, in_full())


class Cast:
    """The ranks of a ``quotient``, which play the parts of all ranks.

    ``planner``: for the few ranks, with their network. ``rank_of`` (n,): who plays each rank.
    """

    def __init__(self, quotient: MeshQuotient, timing: Timing) -> None:
        """Take the few ranks, and the settings of the World."""
        self.quotient, self.rank_of = quotient, quotient.rank_of
        self.planner = Planner(quotient.few, timing)
        self.size = quotient.network.world_size
        self._stands_for = np.bincount(self.rank_of, minlength=self.size)
        self._timer = AxisTimer(quotient, timing.slicing)
        self.prepare = lru_cache(maxsize=KEPT)(self._prepare_anew)

    def _prepare_anew(
        self, axis: str, shape: Shape, encoding: Encoded, algorithm: str
    ) -> PreparedAlongAxis:
        """Return the program of all groups along an axis in a collective of ``shape`` each.

        Raises ArgumentError where its ranks or shares are not alike.
        """
        plan = self.quotient.plan(axis, shape.collective.name, algorithm)
        program = self.quotient.program(axis, plan, shape, encoding)
        assumed = drawn_once(program, self.planner.network)
        along = AlongAxis(axis, plan, shape, encoding)
        return PreparedAlongAxis(along, self.quotient, program, assumed)

    def players(self, ranks: Int32Array) -> Int32Array:
        """Return who plays ``ranks``, rising; raises ArgumentError where they play others too."""
        players, counts = np.unique(self.rank_of[ranks], return_counts=True)
        more = np.flatnonzero(counts != self._stands_for[players])
        if len(more):
            player = players[more[0]]
            alike = np.flatnonzero(self.rank_of == player)
            left_out = np.setdiff1d(alike, ranks)[0]
            one = np.intersect1d(alike, ranks)[0]
            raise ArgumentError(
                f"ranks that do otherwise than those they sit like: rank {one} and not "
                f"{left_out}: needed all that are alike, or World.mesh, which times every rank"
            )
        return players.astype(np.int32)

    def time_alone(
        self, operation: Operation, starts_ps: Int64Array, footprints: Footprints
    ) -> AloneTimes:
        """Return the times of an operation that meets no other."""
        prepared, member = operation.prepared, operation.member
        assert isinstance(prepared, PreparedAlongAxis)
        of = prepared.along
        return self._timer.times(of, starts_ps, lambda: footprints.in_full(prepared, member))


def _not_predicted() -> Prediction:
    raise ArgumentError(
        "a prediction of groups along an axis: needed the times of their run, or World.predict"
    )
