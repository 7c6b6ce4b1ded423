"""The GPUs of what stands in for CuPy, and their memory, by CuPy's pool.

It comes in multiples of 512 bytes and goes back to the arena of the stream that was current; there
it is handed out again first.
"""

import bisect
import math

import numpy as np

UNIT_BYTES = 512


class CUDARuntimeError(RuntimeError):
    """What CUDA says; ``status`` is its number."""

    def __init__(self, status):
        super().__init__(f"CUDA error {status}")
        self.status = status


class OutOfMemoryError(MemoryError):
    pass


class Gpu:
    """One device: its streams, memory and what went wrong on it."""

    def __init__(self, driver, number, room):
        self.driver, self.number, self.room = driver, number, room
        self.fault = None
        self.allocated = []
        self.idle = {}
        self.pool = Pool(self)
        self.streams = []
        self.null = None

    def check(self):
        if self.fault is not None:
            raise CUDARuntimeError(self.fault)

    def block(self, nbytes, stream):
        """A block of ``nbytes`` for ``stream``: the one that it gave back last, or a new one."""
        units = -(-nbytes // UNIT_BYTES) * UNIT_BYTES
        free = self.idle.get((stream, units))
        if free:
            return free.pop()
        if not self.has_room(units):
            self.pool.free_all_blocks()
            if not self.has_room(units):
                raise OutOfMemoryError(f"Out of memory allocating {nbytes} bytes")
        self.room -= units
        memory = np.full(units + UNIT_BYTES, 0xA5, np.uint8)
        first = -memory.__array_interface__["data"][0] % UNIT_BYTES
        block = memory[first : first + units]
        bisect.insort(self.allocated, (block.__array_interface__["data"][0], units))
        return block

    def has_room(self, units):
        limit = self.pool.limit or math.inf
        return units <= self.room and self.pool.total_bytes() + units <= limit

    def holds(self, address):
        """Whether ``address`` is of its memory, or just behind it."""
        at = bisect.bisect_right(self.allocated, (address, 1 << 62)) - 1
        return at >= 0 and address <= sum(self.allocated[at])


class Pool:
    """``get_default_memory_pool()``: of the current device, in CuPy as here."""

    def __init__(self, gpu):
        self.gpu, self.limit, self.used = gpu, 0, 0

    def used_bytes(self):
        return self.used

    def free_bytes(self):
        return sum(units * len(blocks) for (_, units), blocks in self.gpu.idle.items())

    def total_bytes(self):
        return self.used + self.free_bytes()

    def get_limit(self):
        return self.limit

    def set_limit(self, size):
        self.limit = size

    def free_all_blocks(self):
        """Give back what nobody uses, of all streams; what is queued is waited for."""
        for stream in list(self.gpu.streams):
            stream.drain()
        for (_, units), blocks in self.gpu.idle.items():
            for block in blocks:
                self.gpu.allocated.remove((block.__array_interface__["data"][0], units))
                self.gpu.room += units
        self.gpu.idle.clear()


class Memory:
    """A block in use; it goes back to the arena of the stream that was current."""

    def __init__(self, gpu, nbytes):
        self.gpu, self.stream = gpu, gpu.driver.stream(gpu)
        self.block = gpu.block(nbytes, self.stream) if nbytes else np.empty(0, np.uint8)
        gpu.pool.used += len(self.block)

    def __del__(self):
        if hasattr(self, "block") and len(self.block):
            self.gpu.pool.used -= len(self.block)
            self.gpu.idle.setdefault((self.stream, len(self.block)), []).append(self.block)
