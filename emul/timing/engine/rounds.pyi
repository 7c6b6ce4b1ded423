import numpy as np
import numpy.typing as npt

from emul.timing.generated import RingConnections

__all__ = ["total_of_rounds"]

def total_of_rounds(
    connections: RingConnections, call_ps: int, shifts: npt.NDArray[np.int64]
) -> int | None: ...
