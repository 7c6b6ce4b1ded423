"""An NVIDIA GPU through CuPy, 13 or newer: the only module that imports it.

Nothing is decided here, so that little can be tested on a GPU alone. Work goes to CuPy's current
stream, which the caller may choose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from emul.errors import BackendError, CapacityError, DTypeError
from emul.ops.cuda.device import DeviceArray, Kernel
from emul.ops.cuda.kernel_sources import NVRTC_OPTIONS, KernelSource
from emul.units import format_bytes

__all__ = ["CupyDevice", "import_cupy"]

LEAST_MAJOR = 13
"""The oldest CuPy whose calls are used here."""


def import_cupy() -> Any:
    """Import CuPy. Raises ImportError when it is not there, or too old."""
    import cupy  # type: ignore[import-not-found, unused-ignore]  # only where a GPU is

    if int(cupy.__version__.split(".")[0]) < LEAST_MAJOR:
        raise ImportError(f"CuPy {cupy.__version__}: needed {LEAST_MAJOR} or newer")
    return cupy


class CupyDevice:
    """The GPU called ``number`` by CUDA, in memory of CuPy's own pool."""

    def __init__(self, cupy: Any, number: int) -> None:
        """Ask for its properties; ``cupy`` is the module."""
        self.cupy = cupy
        self.number = number
        self.properties: dict[str, Any] = cupy.cuda.runtime.getDeviceProperties(number)
        self.multiprocessors = int(self.properties["multiProcessorCount"])
        self._kernels: dict[KernelSource, Kernel] = {}
        with self.current():
            self._aside = cupy.cuda.Stream(non_blocking=True)

    @property
    def name(self) -> str:
        """Its model, such as NVIDIA H200."""
        name: bytes = self.properties["name"]
        return name.decode()

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make it CUDA's current device for a while, with the stream that is current on it."""
        with self.cupy.cuda.Device(self.number):
            yield

    def is_array(self, value: object) -> bool:
        """Say whether ``value`` is a CuPy array on this GPU."""
        return isinstance(value, self.cupy.ndarray) and value.device.id == self.number

    def from_dlpack(self, array: object) -> DeviceArray:
        """Return a view of another library's array on this GPU, ordered before later work."""
        return self.cupy.from_dlpack(array)

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> DeviceArray:
        """Return a new array; raises CapacityError, which is a MemoryError, without room.

        Raises DTypeError for an element type that this CuPy does not know.
        """
        try:
            return self.cupy.empty(shape, dtype)
        except (TypeError, ValueError) as error:
            raise DTypeError(
                f"CuPy {self.cupy.__version__} has no arrays of {dtype} ({error}): needed CuPy 14 "
                "with NumPy 2.1.2 or newer for bfloat16"
            ) from error
        except self.cupy.cuda.memory.OutOfMemoryError as error:
            needed = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
            raise CapacityError(
                f"{self.name}: {format_bytes(needed)} could not be allocated ({error}): use a "
                "smaller size or fewer ranks, or free arrays of the GPU"
            ) from error

    def upload(self, table: npt.NDArray[Any]) -> DeviceArray:
        """Return a copy of ``table`` on the device, ready for use on any stream."""
        array = self.empty(table.shape, table.dtype)
        self.write(array, table)
        self.synchronize()
        return array

    def download(self, array: DeviceArray) -> npt.NDArray[Any]:
        """Return a copy in NumPy, when all that was queued before it is done."""
        copied: npt.NDArray[Any] = self.cupy.asnumpy(array)
        return copied

    def copy(self, target: DeviceArray, source: DeviceArray) -> None:
        """Queue copying ``source`` into ``target``."""
        self.cupy.copyto(target, source)

    def write(self, target: DeviceArray, table: npt.NDArray[Any]) -> None:
        """Queue copying ``table`` into ``target``, which has its elements side by side."""
        target.set(table, stream=self.cupy.cuda.get_current_stream())

    def write_aside(self, target: DeviceArray, table: npt.NDArray[Any]) -> None:
        """Copy ``table`` into ``target`` at once, beside all queued work."""
        target.set(table, stream=self._aside)
        self._aside.synchronize()

    def pointer(self, array: DeviceArray) -> int:
        """Return the address of the first element."""
        return int(array.data.ptr)

    def kernel(self, source: KernelSource) -> Kernel:
        """Return ``source`` compiled and loaded, so that it can be launched while capturing."""
        if source not in self._kernels:
            module = self.cupy.RawModule(code=source.text, options=NVRTC_OPTIONS)
            kernel = module.get_function(source.entry)
            if not kernel.num_regs:  # asking for its registers loads a kernel
                raise BackendError(f"{self.name}: {source.entry} was not loaded by CuPy")
            self._kernels[source] = kernel
        return self._kernels[source]

    def launch(
        self, kernel: Kernel, grid: int, block: int, arguments: Sequence[np.generic]
    ) -> None:
        """Queue ``grid`` blocks of ``block`` threads on the current stream."""
        kernel((grid,), (block,), tuple(arguments))

    def captured(self, queue: Callable[[], None]) -> Callable[[], None]:
        """Return a launcher of all work that ``queue`` queues: one CUDA graph, on the current
        stream.

        It is captured on a stream of its own: the default one cannot be.
        """
        with self.cupy.cuda.Stream(non_blocking=True) as stream:
            stream.begin_capture()
            try:
                queue()
            except BaseException:
                with suppress(Exception):  # of what was captured so far: what is wrong is known
                    stream.end_capture()
                raise
            graph = stream.end_capture()
        launch: Callable[[], None] = graph.launch
        return launch

    def synchronize(self) -> None:
        """Return when all that is queued is done, as soon as can be."""
        self.cupy.cuda.get_current_stream().synchronize()

    def mark(self) -> Any:
        """Return an event behind all that is queued now, which is waited for by sleeping."""
        event = self.cupy.cuda.Event(block=True, disable_timing=True)
        event.record()
        return event

    def elapsed_s(self, work: Callable[[], object]) -> float:
        """Return the seconds that the device takes for the work that ``work`` queues."""
        begin, end = self.cupy.cuda.Event(), self.cupy.cuda.Event()
        begin.record()
        work()
        end.record()
        end.synchronize()
        return float(self.cupy.cuda.get_elapsed_time(begin, end)) / 1e3

    def free_bytes(self) -> int:
        """Return the free bytes of the GPU and of CuPy's pool within its limit, together."""
        pool = self.cupy.get_default_memory_pool()
        free, _ = self.cupy.cuda.runtime.memGetInfo()
        there = int(free) + int(pool.free_bytes())
        limit = int(pool.get_limit())
        return min(there, limit - int(pool.used_bytes())) if limit else there

    def facts(self) -> dict[str, str]:
        """Return the facts about it that stand beside measured figures."""
        runtime = self.cupy.cuda.runtime
        with self.current():
            free, total = runtime.memGetInfo()
        return {
            "device": self.name,
            "compute capability": f"{self.properties['major']}.{self.properties['minor']}",
            "multiprocessors": str(self.multiprocessors),
            "memory": f"{format_bytes(total)}, {format_bytes(free)} free",
            "CUDA driver": _version(runtime.driverGetVersion()),
            "CUDA runtime": _version(runtime.runtimeGetVersion()),
            "CuPy": self.cupy.__version__,
        }


def _version(number: int) -> str:
    """Return CUDA's number of a version as people write it: 13020 is 13.2."""
    return f"{number // 1000}.{number % 1000 // 10}"
