"""A request that is ready to be carried out: its plan, its program, and its predicted time."""

from __future__ import annotations

from collections.abc import Callable

from emul.errors import OutageError
from emul.plans import Plan, Program, SymmetricPlan
from emul.runtime.prediction import Prediction
from emul.runtime.request import Request
from emul.stacks import Stack
from emul.timing import Footprint, Slicing

__all__ = ["Prepared"]


class Prepared:
    """A request whose plan is proven: its ``program``, and its ``prediction``, made when asked for.

    ``plan``, ``stack``: who sends what, and how. ``request``, ``company``: the question, so
    that it can be asked of another planner; None for one that nobody can. The prediction is of the
    collective alone, all of whose ranks start at a moment; where links change, to be asked for it
    may raise OutageError.
    """

    __slots__ = ("_predict", "_prediction", "company", "plan", "program", "request", "stack")

    def __init__(
        self,
        plan: Plan | SymmetricPlan,
        program: Program,
        stack: Stack,
        predict: Callable[[], Prediction],
    ) -> None:
        """Take the program, and who predicts."""
        self.plan, self.program, self.stack = plan, program, stack
        self.request: Request | None = None
        self.company = 1
        self._predict = predict
        self._prediction: Prediction | None = None

    @property
    def nbytes(self) -> int:
        """The bytes of the whole vector, as in Prediction."""
        return self.program.layout.shape.width * self.program.itemsize

    @property
    def prediction(self) -> Prediction:
        """The prediction, of which there is one."""
        if self._prediction is None:
            self._prediction = self._predict()
        return self._prediction

    @property
    def arrives(self) -> bool:
        """Whether no outage is in the way of the collective alone."""
        try:
            _ = self.prediction
        except OutageError:
            return False
        return True

    def in_windows(
        self, slicing: Slicing | None, communicator: int, in_full: Callable[[], Footprint]
    ) -> Footprint | None:
        """Return its footprint with windows of its rings; None, as it has none.

        ``in_full``: makes that of all transfers, which may raise CapacityError.
        """

    def predicted(self) -> Prepared:
        """Return this, having predicted. Raises the faults of timing."""
        _ = self.prediction
        return self

    def __getstate__(self) -> tuple[None, dict[str, object]]:
        """Return the program and its prediction, without who made it and who asked."""
        names = ("plan", "program", "stack", "company")
        state = {name: getattr(self, name) for name in names}
        return None, state | {"_prediction": self.prediction, "_predict": None, "request": None}

    def asked(self, request: Request, company: int = 1) -> Prepared:
        """Return this, having noted the question."""
        self.request, self.company = request, company
        return self
