import numpy as np
import numpy.typing as npt

from emul.timing.dependencies import Edges
from emul.topology import Network

__all__ = ["CAUSES", "MAX_LINKS", "schedule"]

CAUSES: tuple[str, str, str]
MAX_LINKS: int

def schedule(
    src: npt.NDArray[np.int32],
    dst: npt.NDArray[np.int32],
    nbytes: npt.NDArray[np.int64],
    begins: npt.NDArray[np.uint8],
    frees: npt.NDArray[np.int32],
    edges: Edges,
    network: Network,
) -> tuple[
    npt.NDArray[np.int64],
    npt.NDArray[np.int32],
    npt.NDArray[np.int64],
    npt.NDArray[np.int64],
    npt.NDArray[np.int32],
    npt.NDArray[np.uint8],
    npt.NDArray[np.int32],
    npt.NDArray[np.uint8],
]: ...
