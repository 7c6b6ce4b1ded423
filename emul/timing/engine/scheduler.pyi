from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt

from emul.timing.effects.connection_table import ConnectionTable
from emul.timing.engine.columns import Rows
from emul.timing.engine.credit import Credit
from emul.timing.engine.dependencies import Edges
from emul.timing.engine.operations import Operations
from emul.timing.traffic import Transfers
from emul.topology import Network

__all__ = ["DEAD", "NEVER_ENDS", "STOP", "TOO_LATE", "Simulation"]

_Timed = tuple[dict[str, npt.NDArray[np.int64]], str | tuple[str, int, int, int] | None]

SavedState = tuple[Any, ...]

DEAD: str
NEVER_ENDS: str
STOP: int
TOO_LATE: str

@final
class Simulation:
    STATE: ClassVar[dict[str, str]]
    arrays: dict[str, npt.NDArray[Any]]
    connections: Any
    egress: Any
    credit: Credit
    edges: Edges
    operations: Operations
    free: npt.NDArray[np.int64]
    user: npt.NDArray[np.int32]
    on_link: npt.NDArray[np.int64]
    behind: npt.NDArray[np.int32]
    finish: npt.NDArray[np.int64]
    legs: npt.NDArray[np.uint8]
    arrival: npt.NDArray[np.int64]
    held_by: npt.NDArray[np.int32]
    arrived_last: npt.NDArray[np.int32]
    done: npt.NDArray[np.int64]
    waited_for: npt.NDArray[np.int32]
    ordered_after: npt.NDArray[np.int32]
    start_cause: npt.NDArray[np.uint8]
    done_cause: npt.NDArray[np.uint8]
    others: int
    stopped_at: int
    stopped_ps: int
    def __init__(
        self,
        traffic: Transfers,
        edges: Edges,
        network: Network,
        table: ConnectionTable,
        kept: int = 0,
        operations: Operations | None = None,
        fluid: object = None,
    ) -> None: ...
    moment: int
    def advance(self, until_ps: int = ..., but: int = ...) -> None: ...
    def watch(self, watched: npt.NDArray[np.uint8]) -> None: ...
    def events(self) -> npt.NDArray[np.int64]: ...
    def replace_events(self, events: npt.NDArray[np.int64], repeated: int) -> None: ...
    def save(self, kept: npt.NDArray[np.bool_], going_on: npt.NDArray[np.bool_]) -> SavedState: ...
    def restore(
        self,
        saved: SavedState,
        until_ps: int,
        connections: Rows,
        streams: npt.NDArray[np.int64],
        classes: Rows,
    ) -> None: ...
    def over(self) -> npt.NDArray[np.bool_]: ...
    def times(self) -> _Timed: ...
