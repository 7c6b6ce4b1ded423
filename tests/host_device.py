"""A Device of NumPy arrays and a C++ compiler: the same kernels, launched on the CPU."""

import ctypes
import hashlib
import os
import shutil
import subprocess
from functools import partial
from pathlib import Path

import numpy as np

SHIM = Path(__file__).parent / "kernels" / "host_shim.hpp"
COMPILER = shutil.which(os.environ.get("CXX", "c++"))
FLAGS = ("-std=c++17", "-O0", "-g0", "-fwrapv", "-ffp-contract=off", "-shared", "-fPIC")
FOLDER = Path(__file__).parent.parent / "build" / "kernels"
WITHOUT_COMPILER = "needs a C++ compiler, which runs the kernels in place of a GPU"
ORDERS = ("forwards", "backwards", "shuffled")


def library_of(name, unit, flags=FLAGS, folder=FOLDER):
    """A shared library of a text in C++, kept in ``folder`` by what is in it.

    Raises SyntaxError with what the compiler says.
    """
    unit = f'#include "{SHIM}"\n{unit}'
    command = [COMPILER, *flags, "-x", "c++", "-"]
    key = hashlib.sha256(repr((unit, command, SHIM.read_text())).encode()).hexdigest()[:24]
    library = Path(folder) / f"{name}-{key}.so"
    if not library.exists():
        Path(folder).mkdir(parents=True, exist_ok=True)
        new = library.with_suffix(f".{os.getpid()}")
        done = subprocess.run(
            [*command, "-o", str(new)], input=unit, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SyntaxError(done.stderr)
        new.rename(library)
    return ctypes.CDLL(str(library))


def compiled(text, entry, folder, flags=()):
    """A shared library with a launcher for ``entry``; see ``library_of``."""
    return library_of(entry, f"{text}\nEMUL_LAUNCHER({entry})\n", (*FLAGS, *flags), folder)


class InCpp:
    """A kernel as a C++ compiler has it; ``reads_clock``: it calls what ``launch`` is given."""

    def __init__(self, text, entry, flags=(), folder=FOLDER):
        self.library = compiled(text, entry, folder, flags)
        self.launcher = getattr(self.library, f"launch_{entry}")
        self.launcher.argtypes = [ctypes.c_int, ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p]
        self.launcher.restype = None
        self.reads_clock = "emul_host_clock" in text

    def launch(self, order, grid, block, arguments, clock):
        """Run all threads; ``arguments`` is the address of an array of pointers to each."""
        if self.reads_clock:
            pointer = ctypes.c_void_p.in_dll(self.library, "emul_host_clock")
            pointer.value = ctypes.cast(clock, ctypes.c_void_p).value
        self.launcher(order, grid, block, arguments)


class HostDevice:
    """Runs kernels on NumPy arrays; ``order`` is one of ORDERS, that of blocks and of threads.

    ``threads`` replaces the threads of every block, ``mutate`` is a function of a text; ``build``
    makes a kernel of a text and an entry, as InCpp does with ``flags`` and ``folder``.
    """

    name = "host"
    multiprocessors = 2
    clock = None

    def __init__(
        self, *, order="forwards", threads=None, mutate=None, build=None, flags=(), folder=FOLDER
    ):
        self.order = ORDERS.index(order)
        self.threads = threads
        self.mutate = mutate or (lambda text: text)
        self.folder = folder
        self.build = build or partial(InCpp, flags=tuple(flags), folder=folder)
        self.kernels = {}
        self.launches = 0
        self.allocated_bytes = 0

    def is_array(self, value):
        return isinstance(value, np.ndarray)

    def empty(self, shape, dtype):
        array = np.empty(shape, dtype)
        self.allocated_bytes += array.nbytes
        if self.pointer(array) % 16:
            memory = np.empty(array.nbytes + 16, np.uint8)
            first = -self.pointer(memory) % 16
            array = memory[first : first + array.nbytes].view(dtype).reshape(shape)
        array.view(np.uint8)[...] = 0xA5
        return array

    def upload(self, table):
        return table.copy()

    def download(self, array):
        return array.copy()

    def copy(self, target, source):
        target[...] = source

    def pointer(self, array):
        return array.__array_interface__["data"][0]

    def kernel(self, source):
        if source not in self.kernels:
            self.kernels[source] = self.build(self.mutate(source.text), source.entry)
        return self.kernels[source]

    def launch(self, kernel, grid, block, arguments):
        assert grid > 0
        values = [np.array(each) for each in arguments]
        pointers = np.array([each.__array_interface__["data"][0] for each in values], np.uint64)
        self.launches += 1
        threads = block if kernel.reads_clock else self.threads or block
        kernel.launch(self.order, grid, threads, pointers.ctypes.data, self.clock)

    def free_bytes(self):
        return 1 << 34
