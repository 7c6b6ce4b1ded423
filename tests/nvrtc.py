"""NVRTC through ctypes: compiles CUDA C++ where neither a GPU nor a CUDA toolkit is."""

import ctypes
import importlib.util
from functools import lru_cache
from pathlib import Path

ARCHITECTURES = ("sm_80", "sm_90", "sm_100", "sm_120")
WITHOUT = "needs NVRTC: pip install nvidia-cuda-nvrtc (Linux)"


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


def compiled(text, options, name="kernel.cu"):
    """The PTX of ``text``, and what the compiler says of it; raises SyntaxError with that.

    For an architecture such as sm_90, it also makes machine code.
    """
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
            raise SyntaxError(said)
        return _read(nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX, program), said
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _read(size_of, read, program):
    size = ctypes.c_size_t()
    assert size_of(program, ctypes.byref(size)) == 0
    text = ctypes.create_string_buffer(size.value)
    assert read(program, text) == 0
    return text.value.decode()
