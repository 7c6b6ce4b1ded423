import numpy as np
import numpy.typing as npt

from emul.timing.transfer_times import TransferTimes

__all__ = ["CAUSES", "first_causes"]

CAUSES: tuple[str, str, str]

def first_causes(
    moments: npt.NDArray[np.int64], times: TransferTimes, begins: npt.NDArray[np.uint8]
) -> npt.NDArray[np.int32]: ...
