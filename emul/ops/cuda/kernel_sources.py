"""Which text a kernel is compiled from: its definitions, the shared files, and its own file.

A text includes nothing, so that NVRTC needs no header; ``#line`` makes a compiler name the real
file and line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from emul.errors import unknown_name
from emul.ops.dtypes import DTYPES

__all__ = [
    "ALIGNMENT",
    "MOST_SPILLED",
    "NVRTC_OPTIONS",
    "OPERATORS",
    "SHARED",
    "THREADS",
    "TILE_BYTES",
    "KernelSource",
]

NVRTC_OPTIONS = ("--std=c++17", "--fmad=false")
"""Without contraction, or the bits would differ from NumPy's.

CuPy appends -ftz=true, which overrules any --ftz here: subnormal numbers and rounded quotients are
matters of element.cuh.
"""

THREADS = 256
"""Of a block."""

ALIGNMENT = 16
"""Bytes that one load or store carries, at addresses that are multiples of it."""

TILE_BYTES = 16 << 10
"""Of one row of elements: four vectors of 16 bytes for each thread of a block."""

MOST_SPILLED = 32
"""Values that the fused kernel spills at most, 16 bytes each for every thread."""

OPERATORS = ("sum", "prod", "min", "max", "avg")

SHARED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "copy": ("element.cuh", "tiles.cuh", "rows.cuh"),
        "reduce": ("element.cuh", "tiles.cuh", "rows.cuh"),
        "recv_reduce_copy": ("element.cuh", "tiles.cuh", "rows.cuh"),
        "fused": ("element.cuh", "tiles.cuh", "instructions.h"),
        "start": ("clock.cuh",),
        "wait": ("clock.cuh",),
        "tick": ("clock.cuh",),
    }
)
"""The files beside each kernel that its text begins with. Other kernels need none."""


@dataclass(frozen=True, slots=True)
class KernelSource:
    """One kernel for one element type and reduction; ``spilled``: see fused.cu.

    Checked on construction: raises ArgumentError for names that are unknown.
    """

    kernel: str
    dtype: str = "float32"
    reduction: str = "sum"
    spilled: int = 0

    def __post_init__(self) -> None:
        """Refuse element types and reductions that no kernel knows."""
        if self.dtype not in DTYPES:
            raise unknown_name("dtype", self.dtype, DTYPES)
        if self.reduction not in OPERATORS:
            raise unknown_name("reduction", self.reduction, OPERATORS)

    @property
    def entry(self) -> str:
        """The name of the function to launch."""
        return f"emul_{self.kernel}"

    @property
    def text(self) -> str:
        """The whole text, ready for a compiler."""
        return self.definitions + self.shared + _file(f"{self.kernel}.cu")

    @property
    def blocks(self) -> int:
        """How many blocks a multiprocessor must have room for: as many as cost next to no spilling.

        Three leave a thread 80 registers, two 128. With NVRTC 13.0.48 and 13.5.37 for sm_90, only
        minima and maxima of uint8 spill any: four bytes.
        """
        wide_quotient = self.reduction == "avg" and DTYPES[self.dtype].itemsize == 8
        return 2 if self.spilled or wide_quotient else 3

    @property
    def definitions(self) -> str:
        """The definitions that make it one of its kind."""
        values = {f"EMUL_{name.upper()}": number for number, name in enumerate(DTYPES)}
        values |= {f"EMUL_{name.upper()}": number for number, name in enumerate(OPERATORS)}
        values["EMUL_TYPE"] = tuple(DTYPES).index(self.dtype)
        values["EMUL_OP"] = OPERATORS.index(self.reduction)
        values |= {"EMUL_BLOCKS": self.blocks, "EMUL_SPILLED": self.spilled}
        values |= {"EMUL_THREADS": THREADS, "EMUL_TILE_BYTES": TILE_BYTES}
        lines = [f"#define {name} {value}\n" for name, value in values.items()]
        return "".join(
            [*lines, "#define EMUL_BOUNDS __launch_bounds__(EMUL_THREADS, EMUL_BLOCKS)\n"]
        )

    @property
    def shared(self) -> str:
        """The text of the files that it shares with others of its kind."""
        return "".join(_file(name) for name in SHARED.get(self.kernel, ()))


@cache
def _file(name: str) -> str:
    path = files("emul.kernels").joinpath(name)
    return f'#line 1 "{path}"\n{path.read_text()}\n'
