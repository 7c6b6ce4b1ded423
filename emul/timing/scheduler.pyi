import numpy as np
import numpy.typing as npt

from emul.timing.conditions import Conditions
from emul.timing.dependencies import Edges
from emul.timing.traffic import Transfers
from emul.topology import Network

__all__ = ["CAUSES", "DEAD", "NEVER_ENDS", "TOO_LATE", "schedule"]

CAUSES: tuple[str, str, str]
DEAD: str
NEVER_ENDS: str
TOO_LATE: str

def schedule(
    traffic: Transfers, edges: Edges, network: Network, conditions: Conditions
) -> tuple[dict[str, npt.NDArray[np.int64]], str | tuple[str, int, int, int] | None]: ...
