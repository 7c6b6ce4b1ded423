"""Whether a GPU has the bits of NumPy: the first thing to know of one."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.gpu.record import Figure
from bench.gpu.setting import Setting
from bench.worlds import one_site
from emul import World
from emul.ops import DTYPES, REDUCTIONS, NumpyOps
from emul.ops.cuda.device_ops import DeviceOps

__all__ = ["smoke", "subnormals"]

RANKS, ELEMENTS = 4, 4099
"""An odd number of elements, so that some are beyond the last sixteen bytes of a row."""

FLOATS = ("float64", "float32", "float16", "bfloat16")


def smoke(setting: Setting) -> list[Figure]:
    """Return in how many reductions of any bits, of each type and kind, the bits are NumPy's."""
    cases = [(dtype, "sum") for dtype in DTYPES]
    cases += [("float32", reduction) for reduction in REDUCTIONS if reduction != "sum"]
    draws = np.random.default_rng(0)

    def rows() -> Iterator[tuple[str, str, npt.NDArray[Any]]]:
        for dtype, reduction in cases:
            kind = DTYPES[dtype]
            drawn = draws.integers(0, 256, (RANKS, ELEMENTS * kind.itemsize), np.uint8)
            yield dtype, reduction, drawn.view(kind)

    return [_alike(setting, "reductions of any bits, as NumPy has them", rows(), list(DTYPES))]


def subnormals(setting: Setting) -> list[Figure]:
    """Return in how many reductions subnormal numbers are kept, which some options flush to 0."""

    def rows() -> Iterator[tuple[str, str, npt.NDArray[Any]]]:
        for dtype in FLOATS:
            kind = DTYPES[dtype]
            bits = np.dtype(f"u{kind.itemsize}")
            below = np.array(_least_normal(kind)).view(bits)
            drawn = np.random.default_rng(1).integers(0, int(below), (RANKS, ELEMENTS), bits)
            negative = bits.type(1 << 8 * kind.itemsize - 1) * bits.type(1)
            signs = np.arange(RANKS * ELEMENTS).reshape(RANKS, ELEMENTS) % 3 == 0
            for reduction in REDUCTIONS:
                yield dtype, reduction, np.where(signs, drawn | negative, drawn).view(kind)

    name = "reductions of subnormal numbers, as NumPy has them"
    return [_alike(setting, name, rows(), ["float32"])]


def _least_normal(kind: np.dtype[Any]) -> Any:
    """Return the least positive number of ``kind`` that is not subnormal."""
    if kind.kind == "f":
        return np.finfo(kind).smallest_normal
    return np.array(2.0**-126, np.float32).astype(kind)[()]  # bfloat16


def _alike(
    setting: Setting,
    name: str,
    cases: Iterator[tuple[str, str, npt.NDArray[Any]]],
    stepwise: Collection[str],
) -> Figure:
    """Carry out each case there and by NumPy; the types ``stepwise`` also step by step."""
    topology, ops = one_site(RANKS), DeviceOps(setting.device)
    by_numpy = World(topology, backend=NumpyOps())
    fused, in_steps = (World(topology, backend=ops, clock=clock) for clock in ("virtual", "wall"))
    tried, wrong = 0, []
    for dtype, reduction, x in cases:
        expected = by_numpy.all_reduce(x, op=reduction, algorithm="ring").output
        for way, world in (("fused", fused), ("in steps", in_steps))[: 1 + (dtype in stepwise)]:
            there = setting.device.upload(x)
            output = world.all_reduce(there, op=reduction, algorithm="ring").output
            tried += 1
            if not _same(setting.device.download(output), expected):
                wrong.append(f"{dtype} {reduction}, {way}")
    value = f"{tried - len(wrong)} of {tried}"
    return Figure(name, value, "", "all", not wrong, {"wrong": wrong})


def _same(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> bool:
    """Whether all bits are the same, but for which NaN it is."""
    nan = expected != expected
    bits = np.dtype(f"u{expected.dtype.itemsize}")
    same = (found.view(bits) == expected.view(bits)) | (nan & (found != found))
    return bool(same.all())
