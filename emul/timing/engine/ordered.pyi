import numpy as np
import numpy.typing as npt

from emul.timing.engine.tables import Tables

__all__ = ["times_in_order", "total_in_order"]

def total_in_order(tables: Tables) -> int | None: ...
def times_in_order(tables: Tables) -> dict[str, npt.NDArray[np.int64]] | None: ...
