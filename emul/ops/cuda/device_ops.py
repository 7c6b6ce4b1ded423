"""The backend ``cupy``: fused into one launch, or paced step by step where the clock is the wall's.

It computes on any device that can be waited for; that of CuPy is one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Protocol, TypeVar

from emul.arrays import Array, Int64Array
from emul.ops.buffers import Buffers
from emul.ops.cuda.device_arrays import ArrayDevice, DeviceArrays
from emul.ops.cuda.gpu_ops import GpuOps, Launches
from emul.ops.cuda.pacing import RETURN_NS, Pace, PacingDevice, Reckoning
from emul.plans import Program

__all__ = ["ComputingDevice", "DeviceOps"]

Result = TypeVar("Result")

CAPTURED_AT_MOST = 8
"""Collectives that are kept as they were captured, with the work buffers that they need."""


class ComputingDevice(ArrayDevice, PacingDevice, Protocol):
    """A Device for a whole backend."""

    def synchronize(self) -> None:
        """Return when all that is queued is done, as soon as can be."""


class DeviceOps:
    """Carries out programs on one device; a call returns when it is done."""

    name = "cupy"

    def __init__(self, device: ComputingDevice) -> None:
        """Compile nothing yet."""
        self.device = device
        self.arrays = DeviceArrays(device, self.forget)
        self._fused = GpuOps(device)
        self._stepwise = GpuOps(device, stepwise=True)
        self._reckoning = Reckoning(device)
        self._captured: OrderedDict[Hashable, Pace] = OrderedDict()
        self._lock = Lock()

    def new_bytes(self, program: Program, buffers: Buffers, reduction: str, root: int) -> int:
        """Return the bytes of device memory that a call will allocate, tables apart."""
        ops = self._stepwise if buffers.revocable else self._fused  # on the wall clock, or not
        with self.device.current():
            return self._with_room(lambda: ops.new_bytes(program, buffers, reduction, root))

    def perform(self, program: Program, buffers: Buffers, reduction: str, root: int) -> Array:
        """Carry out ``program`` in one launch where it can be, and return the output.

        Raises CapacityError, having changed nothing, where the device has no room.
        """
        with self.device.current():
            work = self._with_room(lambda: self._fused.prepare(program, buffers, reduction, root))
            output: Array = self._fused.queue(work, buffers, root)
            self.device.synchronize()  # until here the tables of the work are in use
        return output

    def perform_on_time(
        self,
        program: Program,
        buffers: Buffers,
        reduction: str,
        root: int,
        *,
        due_ns: Int64Array,
        started_ns: int,
    ) -> tuple[Array, Int64Array]:
        """Carry out ``program`` so that no step ends before it is due; see TimedOps.

        A step that is due in the last RETURN_NS may end early: the way back to the host takes as
        long, and there the rest is waited for. It is captured when it is first asked for with these
        buffers, and replayed when it is asked for again. Raises BackendError when the device did
        not wait, CapacityError without room.
        """
        with self.device.current():
            pace, output = self._with_room(lambda: self._paced(program, buffers, reduction, root))
            late_ns = pace.run(due_ns, started_ns, ahead_ns=RETURN_NS)
            output = self._stepwise.finish(buffers, output, root)
            self.device.synchronize()
        return output, late_ns

    def forget(self) -> bool:
        """Free the buffers of captured collectives; say whether there were any."""
        with self._lock:
            there = bool(self._captured)
            self._captured.clear()
        return there

    def _with_room(self, work: Callable[[], Result]) -> Result:
        """Return the result of ``work``, called again with memory freed where there was no room."""
        try:
            return work()
        except MemoryError:
            if not self.forget():
                raise
        return work()

    def _paced(
        self, program: Program, buffers: Buffers, reduction: str, root: int
    ) -> tuple[Pace, Array]:
        """Return the collective as captured, and where its output will be."""
        self._reckoning.renew()
        out = buffers.out = buffers.output()
        if not self._stepwise.is_repeatable(program, buffers, reduction, root):
            work = self._stepwise.prepare(program, buffers, reduction, root)
            return self._pace_of(work, buffers), work.output
        places = (self._place(buffers.x), self._place(out))
        key = (program, reduction, root, buffers.x.dtype, buffers.in_place, places)
        with self._lock:
            pace = self._captured.get(key)
            if pace is not None:
                self._captured.move_to_end(key)
        if pace is not None:
            if buffers.in_place:
                buffers.keep()
            return pace, out
        work = self._stepwise.prepare(program, buffers, reduction, root)
        pace = self._pace_of(work, buffers)
        with self._lock:
            self._captured[key] = pace
            while len(self._captured) > CAPTURED_AT_MOST:
                self._captured.popitem(last=False)
        return pace, work.output

    def _place(self, array: Array) -> Hashable:
        """Return where ``array`` lies."""
        return self.device.pointer(array), array.shape, array.strides

    def _pace_of(self, work: Launches, buffers: Buffers) -> Pace:
        """Capture ``work``, whose last launches belong to the last step.

        It holds on to its own buffers; those of the caller are given anew with every call.
        """
        steps = [list(step) for step in work.steps]
        before = [] if steps else list(work.last)
        if steps:
            steps[-1] += work.last
        launches = [launch for step in [*steps, before] for launch in step]
        own = {
            id(array): array
            for launch in launches
            for array in launch.held
            if array is not buffers.x and array is not buffers.out
        }
        held, reckoning = tuple(own.values()), self._reckoning
        return Pace(self.device, steps, before=before, held=held, reckoning=reckoning)
