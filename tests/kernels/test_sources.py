"""What the kernels are compiled from, and that NVRTC compiles it for every GPU in use."""

import re
from functools import cache
from importlib.resources import files
from itertools import cycle, islice

import nvrtc
import pytest

from emul import ArgumentError
from emul.ops import DTYPES, REDUCTIONS
from emul.ops.cuda import NVRTC_OPTIONS, KernelSource
from emul.ops.cuda.gpu_ops import SLOTS
from emul.ops.cuda.kernel_sources import SHARED

FOLDS = [
    KernelSource("fused", "float32"),
    KernelSource("fused", "bfloat16"),
    KernelSource("fused", "float16"),
]
FOLDS += [KernelSource("fused", "bfloat16", "avg")]
IN_ORDER = {
    "float32": r"add(?:\.rn)?\.f32",
    "float16": r"add\.rn\.f16x2",
    "bfloat16": r"fma\.rn\.bf16x2",
}
"""What folds the sum of each, two of a half at once."""

needs_nvrtc = pytest.mark.skipif(nvrtc.library() is None, reason=nvrtc.WITHOUT)

ALONE = [name for name, shared in SHARED.items() if "element.cuh" not in shared]
ASIDE = {"sm_80": 0, "sm_90": 0, "sm_100": 0, "sm_120": 16}
"""Bytes of a thread for which there is no register, where nothing is kept; outside of loops."""


@cache
def compiled(source, architecture):
    options = nvrtc.as_cupy((*NVRTC_OPTIONS, "--ptxas-options=-v"), architecture)
    return nvrtc.compiled(source.text, options)


def sources_for(architecture):
    """Some of each kernel; over all architectures, every type, reduction and number kept."""
    turn = nvrtc.ARCHITECTURES.index(architecture)
    first, second = islice(zip(cycle(DTYPES), cycle(REDUCTIONS)), 2 * turn, 2 * turn + 2)
    halves = KernelSource("recv_reduce_copy", "bfloat16", ("sum", "prod", "avg", "max")[turn])
    more = KernelSource(("copy", "reduce", "copy", "reduce")[turn], *first)
    return [
        KernelSource("fused", *second, spilled=SLOTS[turn]),
        FOLDS[turn],
        halves,
        more,
        *map(KernelSource, ALONE),
    ]


def test_every_type_reduction_and_number_kept_has_its_turn():
    every = [each for name in nvrtc.ARCHITECTURES for each in sources_for(name)]
    fused = [each for each in every if each.kernel == "fused"]
    assert {each.kernel for each in every} == set(SHARED)
    assert {each.dtype for each in every} == set(DTYPES)
    assert {each.reduction for each in fused} == set(REDUCTIONS)
    assert {each.spilled for each in fused} == set(SLOTS)


@needs_nvrtc
@pytest.mark.parametrize("architecture", nvrtc.ARCHITECTURES)
def test_kernels_compile_for_every_gpu(architecture):
    for source in sources_for(architecture):
        ptx, said, _ = compiled(source, architecture)
        assert ".ftz" not in ptx
        assert f".entry {source.entry}(" in ptx
        assert "error" not in said
        if not source.spilled:
            assert int(re.search(r"(\d+) bytes stack frame", said)[1]) <= ASIDE[architecture]


@needs_nvrtc
@pytest.mark.parametrize("turn", range(3))
def test_a_fold_has_eight_loads_of_sixteen_bytes_under_way(turn):
    """All of them come before the first that is combined."""
    source = FOLDS[turn]
    ptx = compiled(source, nvrtc.ARCHITECTURES[turn]).ptx
    found = re.findall(rf"(no_allocate\.v4\.u32)|({IN_ORDER[source.dtype]})", ptx)
    runs = re.findall("l+", "".join("l" if load else "c" for load, _ in found))
    assert 8 in map(len, runs)
    assert "c" in "".join("l" if load else "c" for load, _ in found)


@needs_nvrtc
def test_a_broken_source_does_not_compile_and_names_the_real_file():
    text = KernelSource("copy").text.replace(
        "emul_carry_out<emul_copying>(input", "emul_carry(input"
    )
    with pytest.raises(SyntaxError, match=r"copy\.cu\(\d+\): error"):
        nvrtc.compiled(text, ["--gpu-architecture=sm_90"])


def test_kernels_include_nothing():
    for entry in files("emul.kernels").iterdir():
        if entry.name.endswith((".cu", ".cuh")):
            assert "#include" not in entry.read_text()


def test_every_kernel_is_listed_with_what_it_shares():
    names = {entry.name for entry in files("emul.kernels").iterdir()}
    assert {f"{kernel}.cu" for kernel in SHARED} == {n for n in names if n.endswith(".cu")}
    assert {each for shared in SHARED.values() for each in shared} <= names


@pytest.mark.parametrize("names", [("copy", "float8"), ("copy", "int8", "xor")])
def test_unknown_names_are_refused(names):
    with pytest.raises(ArgumentError, match="unknown"):
        KernelSource(*names)
