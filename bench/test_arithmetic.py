"""The arithmetic of one thread, against scaling the same bytes in place.

The counted work is the part that no implementation can save: the input read once, the output
written once. For an all_reduce of N rows of S bytes that is 2 N S, as much as scaling the rows in
place moves, and ``of_roof`` says how near to that a backend comes.
"""

from __future__ import annotations

import numpy as np
import pytest

from bench.conftest import Measured
from bench.measuring import roof
from bench.worlds import WORKERS, Arithmetic, exact_data, textbook_ring

MIB = 1 << 20
RANKS, ROW_BYTES = 8, 64 * MIB
ROUNDS = {"float32": 15, "float16": 3, "bfloat16": 6}
TASK = "all_reduce of 8 x 64 MiB {} by a ring, one thread"

OTHERS = (
    ("all_reduce", "ring", (8,), "float32", 4),
    ("all_reduce", "halving_doubling", (8,), "float32", 16),
    ("all_reduce", "hierarchical", (8, 8, 8), "float32", 4),
    ("reduce_scatter", "direct", (8,), "int32", 16),
    ("all_gather", "ring", (8,), "uint8", 16),
    ("all_to_all", "pairwise", (8,), "float64", 16),
)


@pytest.mark.parametrize("backend", WORKERS)
@pytest.mark.parametrize("dtype", ROUNDS)
def test_all_reduce_of_64_mib(measured: Measured, backend: str, dtype: str) -> None:
    ours = Arithmetic(backend, "all_reduce", "ring", (RANKS,), row_bytes=ROW_BYTES, dtype=dtype)
    measured(
        ours.execute,
        ours.check,
        against=roof(ours.nbytes),
        rounds=ROUNDS[dtype],
        prepare=ours.prepare,
        task=TASK.format(dtype),
        by=backend,
    )


def test_textbook_ring_of_64_mib(measured: Measured) -> None:
    data = exact_data("all_reduce", RANKS, "float32")
    x = np.empty((RANKS, ROW_BYTES // 4), np.float32)
    data.fill(x)
    work = np.empty_like(x)

    def check(_: object) -> dict[str, int]:
        assert data.wrong(work) == 0
        return {"bytes": 2 * work.nbytes}

    measured(
        lambda: textbook_ring(work),
        check,
        against=roof(work.nbytes),
        rounds=8,
        prepare=lambda: np.copyto(work, x),
        task=TASK.format("float32"),
        by="textbook",
    )


@pytest.mark.parametrize("backend", WORKERS)
@pytest.mark.parametrize(
    ("collective", "algorithm", "sites", "dtype", "mib"),
    OTHERS,
    ids=[f"{collective}-{algorithm}-{mib}-mib" for collective, algorithm, _, _, mib in OTHERS],
)
def test_collective(
    measured: Measured,
    backend: str,
    collective: str,
    algorithm: str,
    sites: tuple[int, ...],
    dtype: str,
    mib: int,
) -> None:
    ours = Arithmetic(backend, collective, algorithm, sites, row_bytes=mib * MIB, dtype=dtype)
    against = roof(ours.nbytes)
    measured(ours.execute, ours.check, against=against, rounds=40, prepare=ours.prepare, by=backend)
