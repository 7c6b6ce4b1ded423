"""The .cu sources, compiled by the C++ compiler and held against NumPy, bit for bit."""

import ctypes
import os
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from strategies import program_of

from emul.ops import NumpyOps
from emul.plans import COLLECTIVES, Layout, Shape, build_plan

SHIM = Path(__file__).parent / "host_shim.hpp"
COMPILER = shutil.which(os.environ.get("CXX", "c++"))
OPS = {"sum": 0, "prod": 1, "min": 2, "max": 3}
TYPES = {
    "float64": "double",
    "float32": "float",
    "int8": "signed char",
    "int32": "int",
    "int64": "long long",
    "uint8": "unsigned char",
}

pytestmark = pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler")


def source(name):
    return files("emul.kernels").joinpath(f"{name}.cu").read_text()


def compiled(folder, dtype, reduction, texts):
    """A shared library with a launcher for each of the kernels in ``texts``."""
    parts = [f'#include "{SHIM}"', f"#define EMUL_TYPE {TYPES[dtype]}"]
    parts.append(f"#define EMUL_OP {OPS[reduction]}")
    for name, text in texts.items():
        parts += [f"namespace {name}_cu {{", text, "}"]
        parts.append(
            f'extern "C" void launch_{name}(int backwards, unsigned gx, unsigned gy, unsigned bx,\n'
            f"    void *work, const void *rows, int n)\n"
            f"{{ emul_launch(backwards, {{gx, gy, 1}}, {{bx, 1, 1}}, {name}_cu::emul_{name},\n"
            f"    (EMUL_TYPE *)work, (const {name}_cu::emul_row *)rows, n); }}"
        )
    unit, library = folder / "unit.cpp", folder / "unit.so"
    unit.write_text("\n".join(parts))
    command = [COMPILER, "-std=c++14", "-O1", "-fwrapv", "-ffp-contract=off", "-shared", "-fPIC"]
    done = subprocess.run(
        [*command, str(unit), "-o", str(library)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SyntaxError(done.stderr)
    return ctypes.CDLL(str(library))


def by_kernels(library, plan, x, geometry):
    """Carry out ``plan`` step by step: one launch for the copies, one for the reductions."""
    shape = Shape(COLLECTIVES[plan.collective], plan.world_size, x.shape[1])
    layout = Layout.of(plan, shape)
    work = np.zeros(layout.work_shape, x.dtype)
    work[:, : x.shape[1]] = x
    width, offsets = work.shape[1], layout.edges[0]
    for step in plan.steps():
        last = step.src_chunk + step.nchunks
        rows = np.stack(
            [
                step.src.astype(np.int64) * width + offsets[step.src_chunk],
                step.dst.astype(np.int64) * width + offsets[step.dst_chunk],
                offsets[last] - offsets[step.src_chunk],
            ],
            axis=1,
        )
        for name, chosen in (("copy", ~step.reduce), ("reduce", step.reduce)):
            table = np.ascontiguousarray(rows[chosen])
            launch = getattr(library, f"launch_{name}")
            launch.argtypes = [
                ctypes.c_int,
                *[ctypes.c_uint] * 3,
                *[ctypes.c_void_p] * 2,
                ctypes.c_int,
            ]
            launch.restype = None
            launch(*geometry, work.ctypes.data, table.ctypes.data, len(table))
    return work


def drawn(dtype, shape):
    generator = np.random.default_rng(7)
    if np.dtype(dtype).kind in "iu":
        info = np.iinfo(dtype)
        return generator.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
    x = generator.normal(size=shape).astype(dtype)
    x.flat[::7] = np.inf
    x.flat[3::11] = -np.inf
    return x


TEXTS = ("copy", "reduce")
GEOMETRIES = [(0, 1, 1, 1), (1, 3, 2, 4), (0, 2, 40, 3)]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("reduction", OPS)
def test_kernels_give_the_bits_of_numpy(tmp_path, dtype, reduction):
    library = compiled(tmp_path, dtype, reduction, {name: source(name) for name in TEXTS})
    for sizes, algorithm, count in [
        ((3, 2), "hierarchical", 37),
        ((5,), "ring", 3),
        ((4,), "direct", 64),
    ]:
        plan = build_plan("all_reduce", algorithm, sizes)
        x = drawn(dtype, (sum(sizes), count))
        expected = x.copy()
        NumpyOps().execute(program_of(plan, count, x.itemsize), expected, reduction)
        for geometry in GEOMETRIES:
            got = by_kernels(library, plan, x, geometry)
            assert np.array_equal(got, expected, equal_nan=expected.dtype.kind == "f")
            numbers = ~np.isnan(expected) if expected.dtype.kind == "f" else np.ones(x.shape, bool)
            assert got[numbers].tobytes() == expected[numbers].tobytes()


def test_a_nan_on_either_side_stays(tmp_path):
    for reduction in ("min", "max"):
        folder = tmp_path / reduction
        folder.mkdir()
        library = compiled(folder, "float32", reduction, {name: source(name) for name in TEXTS})
        x = np.array([[np.nan, 1.0], [1.0, np.nan]], dtype=np.float32)
        got = by_kernels(library, build_plan("all_reduce", "ring", (2,)), x, GEOMETRIES[1])
        assert np.isnan(got).all()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("reduce", "i < row.length", "i < row.length - 1"),
        (
            "reduce",
            "work[row.target + i], work[row.source",
            "work[row.source + i], work[row.source",
        ),
        ("reduce", "r < n_rows", "r < n_rows - 1"),
        ("copy", "blockIdx.x * blockDim.x + threadIdx.x", "blockIdx.x * blockDim.x"),
        ("copy", "work[row.source + i]", "work[row.source]"),
    ],
)
def test_mutants_are_caught(tmp_path, name, old, new):
    texts = {each: source(each) for each in TEXTS}
    assert old in texts[name]
    texts[name] = texts[name].replace(old, new)
    library = compiled(tmp_path, "float32", "sum", texts)
    x = drawn("int32", (5, 37)).astype(np.float32)
    plan = build_plan("all_reduce", "ring", (5,))
    expected = x.copy()
    NumpyOps().execute(program_of(plan, 37, 4), expected, "sum")
    wrong = [not np.array_equal(by_kernels(library, plan, x, g), expected) for g in GEOMETRIES]
    assert any(wrong)


def test_a_broken_source_does_not_compile(tmp_path):
    with pytest.raises(SyntaxError, match="error"):
        compiled(tmp_path, "float32", "sum", {"copy": source("copy").replace("long long i", "i")})


def test_kernels_include_nothing():
    for entry in files("emul.kernels").iterdir():
        if entry.name.endswith(".cu"):
            assert "#include" not in entry.read_text()
