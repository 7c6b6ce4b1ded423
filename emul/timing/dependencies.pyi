from typing import final

import numpy as np
import numpy.typing as npt

__all__ = ["Edges", "dependencies"]

@final
class _Collector:
    def __init__(
        self, ranks: int, n_chunks: int, transfers: int, most: int, lockstep: bool
    ) -> None: ...
    def edges_by_transfer(self) -> Edges: ...

@final
class Edges:
    def __init__(self, transfers: int, most: int) -> None: ...

def dependencies(
    row_src: npt.NDArray[np.int32],
    row_dst: npt.NDArray[np.int32],
    src_chunk: npt.NDArray[np.int32],
    dst_chunk: npt.NDArray[np.int32],
    nchunks: npt.NDArray[np.int32],
    reduce: npt.NDArray[np.uint8],
    first_row: npt.NDArray[np.int64],
    first_of_step: npt.NDArray[np.int64],
    lockstep: bool,
    ranks: int,
    n_chunks: int,
) -> Edges: ...
