from collections.abc import Mapping
from typing import final

import numpy as np
import numpy.typing as npt

__all__ = ["CODES", "Followed", "TapeWriter"]

CODES: Mapping[str, int]

@final
class Followed:
    def __init__(
        self,
        at: npt.NDArray[np.int32],
        leaf_places: npt.NDArray[np.int32],
        most_joins: int,
        commutes: bool,
    ) -> None: ...
    @property
    def at(self) -> npt.NDArray[np.int32]: ...
    @property
    def left(self) -> npt.NDArray[np.int32]: ...
    @property
    def right(self) -> npt.NDArray[np.int32]: ...
    @property
    def origin(self) -> npt.NDArray[np.int32]: ...
    @property
    def need(self) -> npt.NDArray[np.int32]: ...
    @property
    def leaves(self) -> int: ...
    @property
    def joins(self) -> int: ...
    def take(
        self,
        first_row: npt.NDArray[np.int64],
        src: npt.NDArray[np.int32],
        dst: npt.NDArray[np.int32],
        src_place: npt.NDArray[np.int32],
        dst_place: npt.NDArray[np.int32],
        nplaces: npt.NDArray[np.int32],
        reduce: npt.NDArray[np.bool_],
        most_of_a_step: int,
    ) -> None: ...

@final
class TapeWriter:
    def __init__(self, of: Followed, targets: int) -> None: ...
    @property
    def instructions(self) -> npt.NDArray[np.int32]: ...
    @property
    def leaf_order(self) -> npt.NDArray[np.int32]: ...
    @property
    def length(self) -> int: ...
    @property
    def leaves_used(self) -> int: ...
    @property
    def most_spilled(self) -> int: ...
    def reduce(
        self, results: npt.NDArray[np.int32], first_target: npt.NDArray[np.int64]
    ) -> None: ...
    def move(self, leaves: npt.NDArray[np.int32], in_place: bool) -> None: ...
