from typing import final

import numpy as np
import numpy.typing as npt

from emul.topology import Network

__all__ = ["MAX_LINKS", "dependencies", "schedule"]

MAX_LINKS: int

@final
class _Edges:
    def __init__(self, transfers: int, most: int) -> None: ...

def dependencies(
    row_src: npt.NDArray[np.int32],
    row_dst: npt.NDArray[np.int32],
    src_chunk: npt.NDArray[np.int32],
    dst_chunk: npt.NDArray[np.int32],
    nchunks: npt.NDArray[np.int32],
    reduce: npt.NDArray[np.uint8],
    first_row: npt.NDArray[np.int64],
    ranks: int,
    n_chunks: int,
) -> _Edges: ...
def schedule(
    src: npt.NDArray[np.int32],
    dst: npt.NDArray[np.int32],
    nbytes: npt.NDArray[np.int64],
    edges: _Edges,
    network: Network,
) -> tuple[
    npt.NDArray[np.int64],
    npt.NDArray[np.int32],
    npt.NDArray[np.int64],
    npt.NDArray[np.int64],
    npt.NDArray[np.int32],
    npt.NDArray[np.int32],
]: ...
