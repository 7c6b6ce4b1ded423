"""The wall clock on the device: step after step, and after each a wait for the moment it is due.

A whole collective is captured once and replayed as one, so launches cost no gaps and the host has
nothing to do meanwhile. The due moments stand in a table on the device, relative to a start that
the device stamps; new delays are one small copy into it. How late each wait ended is stamped too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from emul.arrays import Int64Array
from emul.errors import BackendError
from emul.ops.cuda.device import Device, DeviceArray, Launch
from emul.ops.cuda.kernel_sources import KernelSource

__all__ = ["ERRORS", "RETURN_NS", "Pace", "PacingDevice", "Reckoning", "tick_ns"]


STOP, START, ELAPSED, ERROR, LONGEST = range(5)
"""Words of a table (kernels/clock.cuh)."""

WORDS = 5

ERRORS = {
    1: "a wait was longer than the whole collective",
    2: "the clock of the device stands still",
    3: "the waits were told to end",
}

SPARE_NS = 1_000_000_000
"""By so much one wait may exceed the whole, before it is taken for a clock that jumped."""

LOOKING_S = 300e-6
"""So long before the end the host stops sleeping and looks whether the device is done: waking up
takes a virtual machine up to so long. Where the device is late by as much, it sleeps again."""

RETURN_NS = 200_000
"""So long before the moment of a call the waits on a device end, for the host to wait exactly: to
see the event, to fetch the table and to hand the result over takes some 0.1 ms (estimated)."""

TICKS = 256

ROUND_TRIPS = 20
"""From host to device and back, of which the quickest gives the difference of the two clocks."""

RECKONED_FOR_NS = 1_000_000_000
"""So long that is believed. Clocks that drift by 20 millionths (assumed) go 20 us apart in it."""

NO_START = np.iinfo(np.int64).max
"""The start of a table whose host knows nothing of the device's clock."""


class Mark(Protocol):
    """A place in the queue."""

    @property
    def done(self) -> bool:
        """Whether all that was queued before it is done."""

    def synchronize(self) -> None:
        """Sleep until it is, without using the host's processor."""


class PacingDevice(Device, Protocol):
    """A Device that can be waited for without using the host's processor, and replay work."""

    def write(self, target: DeviceArray, table: npt.NDArray[Any]) -> None:
        """Queue copying ``table`` into ``target``, of the same shape; it may be changed then."""

    def write_aside(self, target: DeviceArray, table: npt.NDArray[Any]) -> None:
        """Copy ``table`` into ``target`` at once, beside all queued work."""

    def captured(self, queue: Callable[[], None]) -> Callable[[], None]:
        """Return a function that queues all work of ``queue`` as one; nothing is carried out now.

        ``queue`` may launch and copy; it may neither allocate nor wait.
        """

    def mark(self) -> Mark:
        """Return the place behind all that is queued now."""


class Pace:
    """A collective that was captured with a wait after each step."""

    def __init__(
        self,
        device: PacingDevice,
        steps: Sequence[Sequence[Launch]],
        *,
        before: Sequence[Launch] = (),
        held: tuple[DeviceArray, ...] = (),
        reckoning: Reckoning | None = None,
    ) -> None:
        """Capture ``steps``, each with its launches; those ``before`` them are not waited for.

        Nothing is carried out yet. The arrays that they work on must be there whenever it is;
        those that are ``held`` are. Without a ``reckoning``, a call begins for the device as much
        later as the launch takes.
        """
        self.device = device
        self.n_steps = len(steps)
        self.held = held
        self.reckoning = reckoning
        self.table = device.upload(np.zeros(WORDS + 2 * self.n_steps, dtype=np.int64))
        start, wait = (device.kernel(KernelSource(name)) for name in ("start", "wait"))
        pace = np.uint64(device.pointer(self.table))

        def queue() -> None:
            device.launch(start, 1, 1, (pace,))
            for launch in before:
                launch.queue(device)
            for number, step in enumerate(steps):
                for launch in step:
                    launch.queue(device)
                device.launch(wait, 1, 1, (pace, np.int32(self.n_steps), np.int32(number)))

        self.replay = device.captured(queue)

    def run(self, due_ns: Int64Array, started_ns: int, *, ahead_ns: int = 0) -> Int64Array:
        """Replay it, and sleep until it is done; return by how much each step was late.

        ``due_ns`` (steps,): nanoseconds after ``started_ns`` of the monotonic clock, never falling.
        The device waits until ``ahead_ns`` before the last of them, the caller for the rest: a step
        that is due in between is late only where it ends after its moment. Returns (steps,)
        nanoseconds of the device's clock. Raises BackendError when a step was not waited for; an
        exception from a signal handler ends the waits at once.
        """
        last_ns = max(0, int(due_ns[-1]) - ahead_ns) if self.n_steps else 0
        waits_ns = np.minimum(due_ns, last_ns)
        self.queue(waits_ns, started_ns)
        try:
            _await(self.device.mark(), (started_ns + last_ns) / 1e9)
        except BaseException:
            self.stop()
            raise
        late = self.lateness()
        ahead = waits_ns < due_ns
        late[ahead] = np.maximum(0, late + waits_ns - due_ns)[ahead]
        return late

    def queue(self, due_ns: Int64Array, started_ns: int) -> None:
        """Write the table and replay, without waiting for it."""
        head = np.zeros(WORDS + self.n_steps, dtype=np.int64)
        head[WORDS:] = due_ns
        head[LONGEST] = head[-1] + SPARE_NS if self.n_steps else 0
        head[START] = NO_START if self.reckoning is None else self.reckoning.start_ns(started_ns)
        head[ELAPSED] = time.monotonic_ns() - started_ns
        # A stop must hold also where it comes before this copy is carried out: it is left alone.
        self.device.write(self.table[STOP + 1 : len(head)], head[STOP + 1 :])
        self.replay()

    def stop(self) -> None:
        """End all waits at once, and return when the queue is done."""
        word = self.table[STOP : STOP + 1]
        self.device.write_aside(word, np.ones(1, dtype=np.int64))
        self.device.mark().synchronize()
        self.device.write_aside(word, np.zeros(1, dtype=np.int64))

    def lateness(self) -> Int64Array:
        """Return by how much each step was late, in nanoseconds, when all is done: (steps,).

        Raises BackendError when something was wrong with a wait.
        """
        found: Int64Array = self.device.download(self.table)
        late = found[WORDS + self.n_steps :]
        error = int(found[ERROR])
        if error:
            first = int(np.argmax(late < 0)) if (late < 0).any() else 0
            raise BackendError(
                f"device {self.device.name}, step {first} of {self.n_steps}: "
                f"{ERRORS.get(error, f'error {error}')}: needed a device whose %globaltimer runs"
            )
        return late


class Reckoning:
    """The difference of the clocks of device and host, measured anew now and then."""

    def __init__(self, device: PacingDevice) -> None:
        """Reckon nothing yet."""
        self.device = device
        self.reckoned: tuple[int, int] | None = None

    def start_ns(self, host_ns: int) -> int:
        """Return the moment ``host_ns`` of the monotonic clock by the clock of the device.

        That is later than any where nothing was reckoned.
        """
        return NO_START if self.reckoned is None else host_ns + self.reckoned[1]

    def renew(self) -> None:
        """Reckon again if that was never done, or too long ago; takes some 0.5 ms (estimated).

        The device is waited for, and stamps its clock between two looks at that of the host: of
        the quickest of ROUND_TRIPS, the middle. So it is off by half of that one at most.
        """
        if self.reckoned and time.monotonic_ns() - self.reckoned[0] < RECKONED_FOR_NS:
            return
        heads = np.zeros((ROUND_TRIPS, WORDS), dtype=np.int64)
        heads[:, START] = NO_START
        table, start = self.device.upload(heads), self.device.kernel(KernelSource("start"))
        first, trips = self.device.pointer(table), []
        for number in range(ROUND_TRIPS):
            head = np.uint64(first + number * heads.strides[0])
            before_ns = time.monotonic_ns()
            self.device.launch(start, 1, 1, (head,))
            stamp_ns = int(self.device.download(table)[number, START])
            after_ns = time.monotonic_ns()
            trips.append((after_ns - before_ns, stamp_ns - (before_ns + after_ns) // 2))
        self.reckoned = (time.monotonic_ns(), min(trips)[1])


def tick_ns(device: PacingDevice) -> tuple[int, int]:
    """Return by how many nanoseconds the clock of ``device`` moves on: at least, and the median.

    Raises BackendError when it stands still.
    """
    moved = device.upload(np.zeros(TICKS, dtype=np.int64))
    arguments = (np.uint64(device.pointer(moved)), np.int32(TICKS))
    device.launch(device.kernel(KernelSource("tick")), 1, 1, arguments)
    found = device.download(moved)
    if (found <= 0).any():
        raise BackendError(f"device {device.name}: {ERRORS[2]}: needed a %globaltimer that runs")
    return int(found.min()), int(np.median(found))


def _await(mark: Mark, due_s: float) -> None:
    """Return when ``mark`` is done, expected at ``due_s`` of the monotonic clock.

    Sleeps until shortly before; signal handlers run meanwhile.
    """
    rest_s = due_s - LOOKING_S - time.monotonic()
    if rest_s > 0:
        time.sleep(rest_s)
    while not mark.done:
        if time.monotonic() > due_s + LOOKING_S:
            mark.synchronize()
