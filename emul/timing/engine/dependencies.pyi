from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt

from emul.timing.engine.columns import Saved
from emul.timing.traffic import Traffic

__all__ = [
    "POSTS_KIND",
    "STARTS_KIND",
    "UPON_ARRIVAL_KIND",
    "UPON_ISSUE_KIND",
    "UPON_SENT_KIND",
    "Edges",
    "dependencies",
    "edges_between",
]

STARTS_KIND: int
UPON_ISSUE_KIND: int
POSTS_KIND: int
UPON_ARRIVAL_KIND: int
UPON_SENT_KIND: int

@final
class _Collector:
    def __init__(self, traffic: Traffic, ranks: int, posts: bool) -> None: ...
    def _take_lanes(self, traffic: Traffic) -> None: ...
    def take_waits(self, waits: object) -> None: ...
    def edges_by_transfer(self) -> Edges: ...

@final
class Edges:
    STATE: ClassVar[dict[str, str]]
    arrays: dict[str, npt.NDArray[Any]]
    before_start: npt.NDArray[np.int32]
    before_done: npt.NDArray[np.int32]
    def __init__(self, transfers: int, most: int) -> None: ...
    def save(self, which: npt.NDArray[np.int64], number: npt.NDArray[np.int32]) -> Saved: ...
    def restore(self, saved: Saved, kept: int) -> None: ...
    def table(
        self,
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.uint8]]: ...

def dependencies(traffic: Traffic, ranks: int, posts: bool = False) -> Edges: ...
def edges_between(
    earlier: npt.NDArray[np.int32],
    later: npt.NDArray[np.int32],
    kind: npt.NDArray[np.uint8],
    transfers: int,
) -> Edges: ...
