from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt

from emul.timing.engine.columns import Saved

__all__ = ["EVER_DRY", "Operations"]

EVER_DRY: int

@final
class Operations:
    STATE: ClassVar[dict[str, str]]
    arrays: dict[str, npt.NDArray[Any]]
    failed_at: npt.NDArray[np.int64]
    path: npt.NDArray[np.int64]
    lost_at: npt.NDArray[np.int64]
    up_at: npt.NDArray[np.int64]
    lost: npt.NDArray[np.int32]
    any_failed: bool
    def __init__(
        self, of: npt.NDArray[np.int32], start_of: npt.NDArray[np.int32], number: int
    ) -> None: ...
    @staticmethod
    def one(transfers: int) -> Operations: ...
    def save(self, which: npt.NDArray[np.int64], number: npt.NDArray[np.int32]) -> Saved: ...
    def restore(self, saved: Saved) -> None: ...
