"""NVRTC through ctypes: compiles CUDA C++ where neither a GPU nor a CUDA toolkit is."""

import ctypes
import hashlib
import importlib.util
import json
import os
import re
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

ARCHITECTURES = ("sm_80", "sm_90", "sm_100", "sm_120")
WITHOUT = "needs NVRTC: pip install nvidia-cuda-nvrtc (Linux)"
FOLDER = Path(__file__).parent.parent / "build" / "nvrtc"

CUPY_APPENDS = ("-ftz=true", "-arch=sm_90", "--device-as-default-execution-space")
"""The options that CuPy adds on an H200, behind its caller's; of two, NVRTC takes the last one.

Source: ``_compile_with_cache_cuda`` and ``compile_using_nvrtc`` in cupy/cuda/compiler.py, the same
from v13.0 to v14.2.
"""


class Compiled(NamedTuple):
    """PTX, the log of the compiler, and machine code (none for compute_90)."""

    ptx: str
    log: str
    code: bytes


def as_cupy(options, architecture="sm_90"):
    """The options that CuPy compiles with where it is given ``options``, on such a GPU."""
    return (*options, *(each.replace("sm_90", architecture) for each in CUPY_APPENDS))


@lru_cache(maxsize=1)
def library():
    """The library of the wheel, or None where there is none."""
    spec = importlib.util.find_spec("nvidia")
    for folder in spec.submodule_search_locations if spec else ():
        for path in sorted(Path(folder).glob("*/lib/libnvrtc.so.*")):
            if "builtins" not in path.name and "alt" not in path.name:
                for part in path.parent.glob("libnvrtc-builtins.so.*"):
                    ctypes.CDLL(str(part))  # early ones do not look for it beside themselves
                return ctypes.CDLL(str(path))
    return None


@lru_cache(maxsize=1)
def build():
    """The file of the library, and the time at which it was written."""
    return library()._name, os.stat(library()._name).st_mtime_ns


def compiled(text, options, name="kernel.cu"):
    """The ``Compiled`` of ``text``, kept on disk for all who ask with the same options.

    Raises SyntaxError with the log of the compiler.
    """
    key = hashlib.sha256(repr((text, options, name, build())).encode()).hexdigest()[:24]
    kept = FOLDER / f"{key}.json"
    if not kept.exists():
        made = _compiled(text, options, name)
        FOLDER.mkdir(parents=True, exist_ok=True)
        new = kept.with_suffix(f".{os.getpid()}")
        new.write_text(json.dumps((made.ptx, made.log, made.code.hex())))
        new.rename(kept)
    ptx, said, code = json.loads(kept.read_text())
    return Compiled(ptx, said, bytes.fromhex(code))


def _compiled(text, options, name):
    nvrtc, program = library(), ctypes.c_void_p()
    made = nvrtc.nvrtcCreateProgram(
        ctypes.byref(program), text.encode(), name.encode(), 0, None, None
    )
    assert made == 0, "no program"
    array = (ctypes.c_char_p * len(options))(*[each.encode() for each in options])
    try:
        failed = nvrtc.nvrtcCompileProgram(program, len(options), array)
        said = _read(nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog, program)
        if failed:
            raise SyntaxError(_text(said))
        ptx = _read(nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX, program)
        code = _read(nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN, program)
        return Compiled(_text(ptx), _text(said), code)
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _read(size_of, read, program):
    size = ctypes.c_size_t()
    assert size_of(program, ctypes.byref(size)) == 0
    content = ctypes.create_string_buffer(size.value)
    assert read(program, content) == 0
    return content.raw


def _text(content):
    return content.rstrip(b"\0").decode()


@lru_cache(maxsize=1)
def nvdisasm():
    """The path of the disassembler of the wheel, or None where there is none."""
    spec = importlib.util.find_spec("nvidia")
    for folder in spec.submodule_search_locations if spec else ():
        for path in Path(folder).glob("*/bin/nvdisasm"):
            return path
    return None


def disassembled(code):
    """The instructions of machine code in their order, without addresses and encodings."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(code)
        file.flush()
        done = subprocess.run(
            [nvdisasm(), "-c", file.name], capture_output=True, text=True, check=True
        )
    return re.findall(r"^\s+/\*[0-9a-f]+\*/\s+(.*?)\s*;", done.stdout, re.MULTILINE)
