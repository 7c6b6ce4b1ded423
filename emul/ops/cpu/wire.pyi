from typing import final

import numpy as np
import numpy.typing as npt

__all__ = ["FORMATS", "CarriedSteps", "carry"]

NUMBERS: dict[str, int]
FORMATS: tuple[str, ...]

def carry(values: npt.NDArray[np.float32], wire: str, *, wide: bool = True) -> None: ...

@final
class CarriedSteps:
    def __init__(
        self,
        wire: str,
        places: tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int64]],
        first_place: npt.NDArray[np.int64],
        rows: tuple[
            npt.NDArray[np.int32],
            npt.NDArray[np.int32],
            npt.NDArray[np.int64],
            npt.NDArray[np.int64],
            npt.NDArray[np.int64],
            npt.NDArray[np.uint8],
        ],
        first_row: npt.NDArray[np.int64],
        exchanges: npt.NDArray[np.uint8],
    ) -> None: ...
    def run(self, work: npt.NDArray[np.float32], low: int, high: int) -> None: ...
