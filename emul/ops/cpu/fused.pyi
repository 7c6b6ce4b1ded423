from typing import Any, final

import numpy as np
import numpy.typing as npt

__all__ = ["INSTRUCTION_SETS", "Fused"]

INSTRUCTION_SETS: tuple[str, ...]
NUMBERS: dict[str, int]
REDUCTIONS: tuple[str, ...]
TYPES: tuple[str, ...]

@final
class Fused:
    def __init__(
        self,
        tape: npt.NDArray[np.int32],
        tape_from: npt.NDArray[np.int64],
        leaf_rank: npt.NDArray[np.int32],
        leaf_low: npt.NDArray[np.int64],
        leaf_from: npt.NDArray[np.int64],
        target_rank: npt.NDArray[np.int32],
        target_low: npt.NDArray[np.int64],
        target_from: npt.NDArray[np.int64],
        starts: npt.NDArray[np.int64],
        copies: npt.NDArray[np.uint8],
        most_spilled: int,
    ) -> None: ...
    @property
    def arrays(self) -> tuple[Any, ...]: ...
    @property
    def elements(self) -> int: ...
    def run(
        self,
        source: int,
        source_stride: int,
        target: int,
        target_stride: int,
        itemsize: int,
        dtype: str,
        reduction: str,
        divisor: int,
        *,
        in_place: bool,
        large: bool,
        threads: int,
        slab: int,
        instructions: str,
    ) -> None: ...
