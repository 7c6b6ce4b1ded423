from typing import ClassVar, final

import numpy as np
import numpy.typing as npt

__all__ = ["EVER_DRY", "Operations"]

EVER_DRY: int

@final
class Operations:
    STATE: ClassVar[dict[str, str]]
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
    def put_back(self) -> None: ...
