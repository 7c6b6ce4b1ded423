from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt

from emul.timing.effects.connection_table import ConnectionTable
from emul.timing.engine.columns import Saved

__all__ = ["Credit"]

@final
class Credit:
    STATE: ClassVar[dict[str, str]]
    arrays: dict[str, npt.NDArray[Any]]
    of: npt.NDArray[np.int32]
    stands: npt.NDArray[np.uint8]
    following: npt.NDArray[np.int32]
    latest: npt.NDArray[np.int32]
    left: npt.NDArray[np.int64]
    first: npt.NDArray[np.int32]
    last: npt.NDArray[np.int32]
    def __init__(self, table: ConnectionTable) -> None: ...
    def save(self, which: npt.NDArray[np.int64], number: npt.NDArray[np.int32]) -> Saved: ...
    def restore(
        self, saved: Saved, holds: npt.NDArray[np.bool_], starts: npt.NDArray[np.int64]
    ) -> None: ...
