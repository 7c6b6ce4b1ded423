from typing import final

import numpy as np
import numpy.typing as npt

__all__ = ["FAULTS", "Holdings"]

FAULTS: tuple[str, ...]

@final
class Holdings:
    def __init__(
        self,
        ranks: npt.NDArray[np.uint64],
        origin: npt.NDArray[np.int64],
        first: int,
        part: bool,
        places: int,
        channels: int,
    ) -> None: ...
    @property
    def ranks(self) -> npt.NDArray[np.uint64]: ...
    @property
    def origin(self) -> npt.NDArray[np.int64]: ...
    def take(
        self,
        number: int,
        src: npt.NDArray[np.int32],
        dst: npt.NDArray[np.int32],
        src_chunk: npt.NDArray[np.int32],
        dst_chunk: npt.NDArray[np.int32],
        nchunks: npt.NDArray[np.int32],
        channel: npt.NDArray[np.int32],
        reduce: npt.NDArray[np.bool_],
    ) -> tuple[int, int, int, int]: ...
