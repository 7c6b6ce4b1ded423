"""The Device of the CPU with a clock that waits, and work that is captured and replayed."""

import ctypes
import threading
import time

from host_device import HostDevice

Clock = ctypes.CFUNCTYPE(ctypes.c_longlong)


class SteppedClock:
    """Moves on by the next of ``moves`` nanoseconds (the last one for ever) each time it is read.

    ``at_most`` readings are given; after them it stands still.
    """

    def __init__(self, *moves, at_most=1 << 62):
        self.moves = list(moves)
        self.now_ns = 1_000_000
        self.at_most = at_most
        self.readings = 0

    def __call__(self):
        self.readings += 1
        if self.readings <= self.at_most:
            self.now_ns += self.moves.pop(0) if len(self.moves) > 1 else self.moves[0]
        return self.now_ns


class Monotonic:
    """The clock of the host, of which each reading but the first sleeps a little, as a GPU naps.

    It falls ``behind_ns`` back after the first reading: then waits end as much later.
    """

    def __init__(self, behind_ns=0):
        self.behind_ns = behind_ns
        self.readings = 0

    def __call__(self):
        self.readings += 1
        if self.readings == 1:
            return time.monotonic_ns()
        time.sleep(1e-4)
        return time.monotonic_ns() - self.behind_ns


class Mark:
    """What a thread does, if there is one."""

    def __init__(self, thread):
        self.thread = thread

    @property
    def done(self):
        return self.thread is None or not self.thread.is_alive()

    def synchronize(self):
        if self.thread is not None:
            self.thread.join()


class PacedDevice(HostDevice):
    """Queued work runs at once, captured work when it is replayed, as a GPU does it.

    ``clock`` is a function that returns nanoseconds, time.monotonic_ns unless told otherwise.
    Between capture and end nothing may be allocated, and nothing waited for.
    """

    def __init__(self, *, clock=time.monotonic_ns, **more):
        super().__init__(**more)
        self.clock = Clock(clock)
        self.capturing = None
        self.marks = 0

    def empty(self, shape, dtype):
        assert self.capturing is None, "allocated while capturing"
        return super().empty(shape, dtype)

    def upload(self, table):
        assert self.capturing is None, "uploaded while capturing"
        return super().upload(table)

    def download(self, array):
        assert self.capturing is None, "downloaded while capturing"
        return super().download(array)

    def copy(self, target, source):
        self._queue(lambda: super(PacedDevice, self).copy(target, source))

    def launch(self, kernel, grid, block, arguments):
        arguments = tuple(arguments)
        self._queue(lambda: super(PacedDevice, self).launch(kernel, grid, block, arguments))

    def _queue(self, work):
        if self.capturing is None:
            work()
        else:
            self.capturing.append(work)

    def write(self, target, table):
        assert self.capturing is None, "written while capturing"
        assert (target.shape, target.dtype) == (table.shape, table.dtype)
        target[...] = table

    def write_aside(self, target, table):
        self.write(target, table)

    def captured(self, queue):
        self.capturing = []
        try:
            queue()
        finally:
            works, self.capturing = self.capturing, None

        def replay():
            for work in works:
                work()

        return replay

    def mark(self):
        assert self.capturing is None, "waited while capturing"
        self.marks += 1
        return Mark(None)

    def elapsed_s(self, work):
        started = time.perf_counter()
        work()
        return time.perf_counter() - started


class ThreadedDevice(PacedDevice):
    """Replays in a thread of its own, so that the host is free meanwhile, as it is beside a GPU."""

    thread = None

    def captured(self, queue):
        replay = super().captured(queue)

        def replay_aside():
            self.thread = threading.Thread(target=replay)
            self.thread.start()

        return replay_aside

    def mark(self):
        super().mark()
        return Mark(self.thread)


class BusyDevice(ThreadedDevice):
    """Has other work to do before what is queued for it, copies from the host too."""

    def __init__(self, busy_s, **more):
        super().__init__(**more)
        self.busy_s = busy_s
        self.copies = []

    def write(self, target, table):
        self.copies.append((target, table.copy()))

    def write_aside(self, target, table):
        ThreadedDevice.write(self, target, table)

    def captured(self, queue):
        replay = PacedDevice.captured(self, queue)

        def work():
            time.sleep(self.busy_s)
            for target, table in self.copies:
                ThreadedDevice.write(self, target, table)
            replay()

        def replay_aside():
            self.thread = threading.Thread(target=work)
            self.thread.start()

        return replay_aside
