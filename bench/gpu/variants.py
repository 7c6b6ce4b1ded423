"""The fused all_reduce with one thing in its kernel changed: to be tried where it is too slow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from bench.gpu.memory import all_reduce, of_copy
from bench.gpu.record import Figure
from bench.gpu.setting import Setting
from emul.ops.cuda.device import Kernel
from emul.ops.cuda.gpu_ops import BLOCKS_PER_MULTIPROCESSOR
from emul.ops.cuda.kernel_sources import KernelSource

__all__ = ["CHANGES", "Varied", "blocks", "texts"]

CHANGES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "stores that are streamed": ("st.global.v4", "st.global.cs.v4"),
        "loads past the coherent caches": (
            "ld.global.L1::no_allocate",
            "ld.global.nc.L1::no_allocate",
        ),
        "loads that fetch 256 bytes": (
            "L1::no_allocate.v4",
            "L1::no_allocate.L2::256B.v4",
        ),
        "loads that are evicted first": ("L1::no_allocate.v4", "L1::evict_first.v4"),
        "one piece of a row at a time": ("EMUL_UNITS = 2", "EMUL_UNITS = 1"),
        "four pieces of a row at a time": ("EMUL_UNITS = 2", "EMUL_UNITS = 4"),
    }
)
"""A text of the kernel, and the text in its place."""

BLOCKS = (3, 6, 64)
"""Per multiprocessor, beside the product's number; 3 are as many as there is room for."""


@dataclass(frozen=True, slots=True)
class Altered(KernelSource):
    """A source of which one text is replaced by another."""

    change: tuple[str, str] = ("", "")

    @property
    def text(self) -> str:
        """The whole text, with the change."""
        old, new = self.change
        plain = KernelSource(self.kernel, self.dtype, self.reduction, self.spilled).text
        assert old in plain, f"{old!r} does not stand in the kernel"
        return plain.replace(old, new)


class Varied:
    """A device that compiles another text, or seems to have other multiprocessors."""

    def __init__(
        self, device: Any, change: tuple[str, str] | None = None, blocks: int | None = None
    ) -> None:
        """Change one of the two; the rest is that of ``device``."""
        self.device, self.change = device, change
        self.multiprocessors = device.multiprocessors
        if blocks is not None:  # the product launches so many for each at most
            self.multiprocessors = max(
                1, device.multiprocessors * blocks // BLOCKS_PER_MULTIPROCESSOR
            )

    def __getattr__(self, name: str) -> Any:
        """Return the rows on the device."""
        return getattr(self.device, name)

    def kernel(self, source: KernelSource) -> Kernel:
        """Return the kernel of the changed text."""
        if self.change is None or source.kernel != "fused":
            return self.device.kernel(source)
        parts = (source.kernel, source.dtype, source.reduction, source.spilled)
        return self.device.kernel(Altered(*parts, self.change))


def blocks(setting: Setting) -> list[Figure]:
    """Return how near to copying other numbers of blocks come."""
    return [
        _varied(setting, Varied(setting.device, blocks=number), f"{number} blocks")
        for number in BLOCKS
    ]


def texts(setting: Setting) -> list[Figure]:
    """Return how near to copying the kernel comes with one text replaced."""
    return [
        _varied(setting, Varied(setting.device, change), name) for name, change in CHANGES.items()
    ]


def _varied(setting: Setting, device: Varied, name: str) -> Figure:
    """Return the figure of one variant; a refusal of the compiler stands in its place."""
    name = f"fused all_reduce, float32, with {name}"
    try:
        job = all_reduce(replace(setting, device=device), "float32")
    except Exception as error:  # of a compiler, or of a result that is wrong
        return Figure(name, None, about={"skipped": str(error)[-300:]})
    return of_copy(setting, job, name, job.nbytes, None)
