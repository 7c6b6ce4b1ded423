"""Whole calls of a World: plan, timeline and arithmetic, on the virtual clock.

Small calls are the interpreter's time, large ones that of memory; each has a calibration of its
kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import numpy as np
import pytest

from bench.conftest import Measured
from bench.measuring import INTERPRETER, Calibration, pieces, roof
from bench.worlds import WORKERS, exact_data
from emul import Prediction, Run, World
from emul.ops import CpuOps, NumpyOps, Ops, dtype_named

RANKS = 24
KIB, MIB = 1 << 10, 1 << 20
SMALL_CALLS = 20
PREDICTIONS = 10

SIZES = {"1-kib": (KIB, 40), "1-mib": (MIB, 40), "16-mib": (16 * MIB, 10)}
"""Bytes of a rank's buffer, and rounds."""

BY_ONE_THREAD: dict[str, Ops] = {"cpu": CpuOps(1), "numpy": NumpyOps(1)}

FEW = 12

AGAINST: dict[str, Callable[[int], Calibration]] = {
    "1-kib": lambda _: INTERPRETER,
    "1-mib": pieces,
    "16-mib": roof,
}
"""The calibration of calls, by the bytes of all ranks."""

CASES = (
    ("1-kib", "hierarchical", "float32"),
    ("1-kib", "ring", "float32"),
    ("1-mib", "hierarchical", "float32"),
    ("1-mib", "ring", "float32"),
    ("1-mib", "recursive_doubling", "float32"),
    ("1-mib", "hierarchical", "float16"),
    ("1-mib", "hierarchical", "int8"),
    ("16-mib", "hierarchical", "float32"),
)


def one_thread(backend: str) -> World:
    """Return a World whose arithmetic is done by one thread.

    Processor time does not show the gain of more threads, and where others have the cores they take
    up to half as much again.
    """
    return World("three-campus", backend=BY_ONE_THREAD[backend])


@pytest.mark.parametrize("backend", WORKERS)
@pytest.mark.parametrize(("size", "algorithm", "dtype"), CASES, ids=map("-".join, CASES))
def test_all_reduce(
    measured: Measured, backend: str, size: str, algorithm: str, dtype: str
) -> None:
    world, data = one_thread(backend), exact_data("all_reduce", RANKS, dtype)
    nbytes, rounds = SIZES[size]
    kind = dtype_named(dtype)
    x = np.empty((RANKS, nbytes // kind.itemsize), kind)
    data.fill(x)
    out, calls = np.empty_like(x), SMALL_CALLS if nbytes == KIB else 1

    def work() -> Run:
        for _ in range(calls):
            run = world.all_reduce(x, algorithm=algorithm, out=out)
        return run

    def check(run: Run) -> Mapping[str, Any]:
        assert run.output is out
        assert data.wrong(out) == 0
        assert run.time_s >= run.bound_s > 0
        return {"bytes": 2 * x.nbytes * calls, "calls": calls}

    against = AGAINST[size](x.nbytes)
    if backend == "numpy" and dtype == "float16":  # NumPy converts every element
        against, rounds = pieces(x.nbytes, kind), FEW
    measured(work, check, against=against, rounds=rounds, by=backend)


@pytest.mark.parametrize("backend", WORKERS)
@pytest.mark.parametrize("collective", ["all_gather", "reduce_scatter", "all_to_all", "broadcast"])
def test_collective_of_1_mib(measured: Measured, backend: str, collective: str) -> None:
    world, data = one_thread(backend), exact_data(collective, RANKS, "float32")
    width = MIB // 4 // RANKS * RANKS
    x = np.empty((RANKS, width // RANKS if collective == "all_gather" else width), np.float32)
    data.fill(x)

    def check(run: Run) -> Mapping[str, Any]:
        assert data.wrong(run.output) == 0
        return {"bytes": x.nbytes + run.output.nbytes, "calls": 1}

    call = getattr(world, collective)
    out = np.empty_like(call(x).output)
    measured(lambda: call(x, out=out), check, against=pieces(RANKS * MIB), rounds=40, by=backend)


@pytest.mark.parametrize("algorithm", ["hierarchical", "ring", "auto"])
def test_predict_anew(measured: Measured, algorithm: str) -> None:
    """Predictions of sizes that were not asked for before; plans are known."""
    world, sizes = World("three-campus"), count(1 << 16)
    predictions = 1 if algorithm == "auto" else PREDICTIONS

    def work() -> list[Prediction]:
        return [
            world.predict("all_reduce", next(sizes), algorithm=algorithm)
            for _ in range(predictions)
        ]

    def check(found: list[Prediction]) -> Mapping[str, Any]:
        assert all(each.time_s >= each.bound_s > 0 for each in found)
        assert len({each.time_s for each in found}) == len(found)
        return {"calls": len(found)}

    measured(work, check, against=INTERPRETER, rounds=10 if predictions == 1 else 20)


def test_making_a_world_and_a_first_call(measured: Measured) -> None:
    """The cost that a script pays once: topology, plan, proof, timeline."""
    x = np.ones((RANKS, 256), np.float32)

    def check(run: Run) -> Mapping[str, Any]:
        assert (run.output == RANKS).all()
        return {"calls": 1}

    work = lambda: World("three-campus").all_reduce(x, algorithm="hierarchical")  # noqa: E731
    measured(work, check, against=INTERPRETER, rounds=40)
