"""What the kernels are compiled from, and that NVRTC compiles it for every GPU in use."""

from importlib.resources import files

import nvrtc
import pytest

from emul import ArgumentError
from emul.ops.cuda import NVRTC_OPTIONS, Source

KERNELS = ("copy", "reduce", "recv_reduce_copy")
needs_nvrtc = pytest.mark.skipif(nvrtc.library() is None, reason=nvrtc.WITHOUT)


def options_for(architecture):
    return [f"--gpu-architecture={architecture}", *NVRTC_OPTIONS]


@needs_nvrtc
@pytest.mark.parametrize("architecture", nvrtc.ARCHITECTURES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_kernels_compile_for_every_gpu(kernel, architecture):
    source = Source(kernel, "float16", "avg")
    assert f".entry {source.entry}(" in nvrtc.compiled(source.text, options_for(architecture))


@needs_nvrtc
def test_a_broken_source_does_not_compile_and_names_the_real_file():
    text = Source("copy").text.replace("emul_carry_out<emul_copying>(input", "emul_carry(input")
    with pytest.raises(SyntaxError, match=r"copy\.cu\(\d+\): error"):
        nvrtc.compiled(text, options_for("sm_90"))


def test_kernels_include_nothing():
    for entry in files("emul.kernels").iterdir():
        if entry.name.endswith((".cu", ".cuh")):
            assert "#include" not in entry.read_text()


@pytest.mark.parametrize("names", [("copy", "float8"), ("copy", "int8", "xor")])
def test_unknown_names_are_refused(names):
    with pytest.raises(ArgumentError, match="unknown"):
        Source(*names)
