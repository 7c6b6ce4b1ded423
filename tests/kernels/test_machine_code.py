"""The machine code of the kernels for an H200: loads in a row, registers, and what is spilled."""

import re

import nvrtc
import pytest
from ptx import EVERY

from emul.ops.cuda import NVRTC_OPTIONS, KernelSource

OPTIONS = nvrtc.as_cupy((*NVRTC_OPTIONS, "--ptxas-options=-v"))

WITHOUT = "needs nvdisasm: pip install nvidia-cuda-nvdisasm (Linux)"
needs_nvrtc = pytest.mark.skipif(nvrtc.library() is None, reason=nvrtc.WITHOUT)
needs_nvdisasm = pytest.mark.skipif(nvrtc.nvdisasm() is None, reason=WITHOUT)

FOLDS = {"float32": "FADD", "bfloat16": r"H(?:ADD2|FMA2)(?:\.MMA)?\.BF16\w*"}
"""The instructions that fold the sum of each."""

MOST = {
    KernelSource("fused", "float32", "sum"): (80, 0, 0),
    KernelSource("fused", "bfloat16", "sum"): (80, 0, 0),
    KernelSource("fused", "uint8", "min"): (80, 8, 4),
    KernelSource("reduce", "float32", "sum"): (64, 0, 0),
    KernelSource("recv_reduce_copy", "float32", "sum"): (71, 0, 0),
    KernelSource("copy", "float32", "sum"): (54, 0, 0),
    KernelSource("wait"): (20, 0, 0),
    KernelSource("start"): (16, 0, 0),
    KernelSource("tick"): (16, 0, 0),
}
"""Registers of a thread, bytes of its own memory, and bytes that it spills there, at most.

As NVRTC 13.0.48 and 13.5.37 have them. With 80 registers, three blocks of 256 threads find room on
a multiprocessor, and with 128 two. Eight values and more that are set aside lie in memory.
"""
if EVERY:
    MOST[KernelSource("fused", "float32", "sum", spilled=4)] = (124, 0, 0)
    MOST[KernelSource("fused", "float32", "sum", spilled=8)] = (92, 256, 0)
    MOST[KernelSource("fused", "float32", "sum", spilled=32)] = (92, 1024, 0)
    MOST[KernelSource("fused", "float16", "min")] = (80, 0, 0)
    MOST[KernelSource("fused", "int8", "min")] = (80, 0, 0)
    MOST[KernelSource("fused", "uint8", "max")] = (80, 8, 4)
    MOST[KernelSource("fused", "int64", "avg")] = (92, 0, 0)


@needs_nvrtc
@pytest.mark.parametrize(
    ("source", "most"),
    MOST.items(),
    ids=[f"{each.kernel}-{each.dtype}-{each.reduction}-{each.spilled}" for each in MOST],
)
def test_registers_and_memory_of_a_thread_are_no_more_than_they_were(source, most):
    log = nvrtc.compiled(source.text, OPTIONS).log
    used = re.search(r"Used (\d+) registers", log).groups()
    used += re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores", log).groups()
    for what, number, limit in zip(("registers", "frame", "spilled"), used, most, strict=True):
        assert int(number) <= limit, what


def instructions(source):
    """The machine code of a kernel, one text for each instruction."""
    return nvrtc.disassembled(nvrtc.compiled(source.text, OPTIONS).code)


def registers_of(load):
    """The four that a load of sixteen bytes fills."""
    first = int(re.search(r"\.128 R(\d+)", load)[1])
    return {f"R{first + k}" for k in range(4)}


def folds(code, combined):
    """How many loads of sixteen bytes come one after the other before something is combined.

    For each such run, also whether that instruction reads one of them.
    """
    found, loaded = [], []
    for each in code:
        if re.search(r"LDG\.\S*\.128 ", each):
            loaded.append(each)
        elif loaded and re.match(rf"(@!?\w+ )?{combined} ", each):
            registers = set().union(*map(registers_of, loaded))
            found.append((len(loaded), bool(registers & set(re.findall(r"R\d+", each)))))
            loaded = []
    return found


@needs_nvrtc
@needs_nvdisasm
@pytest.mark.parametrize("dtype", FOLDS)
def test_eight_loads_of_sixteen_bytes_are_under_way_before_the_first_is_combined(dtype):
    code = instructions(KernelSource("fused", dtype, "sum"))
    assert (8, True) in folds(code, FOLDS[dtype])
    assert any(re.search(r"STG\.E\.128 ", each) for each in code)
    assert not any(re.search(r"\b(?:LDL|STL)\b", each) for each in code)


def test_a_run_of_loads_that_is_broken_is_not_one():
    code = ["LDG.E.NA.128 R4, [R2]", "IADD3 R9, R4", "LDG.E.NA.128 R8, [R2]", "FADD R1, R11, R1"]
    assert folds(code, "FADD") == [(2, True)]
    assert folds([*code[:1], "FADD R1, R20, R1", *code[1:]], "FADD") == [(1, False), (1, True)]
