"""What people look at: traces and pages, as they are made of a prediction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.conftest import Measured
from bench.measuring import INTERPRETER
from emul import Prediction, World
from emul.report import PerfRow, modelled_row
from emul.report.html import Origin, PerfFindings, perf_page, write_report

COUNT = 1 << 20
ROUNDS = 10


def ring_of_campuses() -> tuple[World, Prediction]:
    world = World("three-campus")
    return world, world.predict("all_reduce", COUNT, algorithm="ring")


@pytest.mark.parametrize("name", ["run.json", "run.pftrace"])
def test_trace(measured: Measured, tmp_path: Path, name: str) -> None:
    """Slices, arrows and counts of every transfer, written to a file."""
    _, prediction = ring_of_campuses()
    path = tmp_path / name

    def check(_: object) -> Mapping[str, Any]:
        assert path.stat().st_size > 100 * len(prediction.timeline)
        return {"transfers": len(prediction.timeline)}

    measured(lambda: prediction.to_perfetto(path), check, against=INTERPRETER, rounds=ROUNDS)


def row_of(world: World, prediction: Prediction) -> PerfRow:
    return modelled_row(world, prediction, np.dtype(np.float32), redop="sum", root=0, seed=0)


def test_page(measured: Measured, tmp_path: Path) -> None:
    """The pictures and tables of one size; the changes are predictions, and left out."""
    world, prediction = ring_of_campuses()
    findings = PerfFindings(world, [row_of(world, prediction)], prediction)
    origin = Origin.of("0", ["emul", "perf"], datetime(2026, 12, 1))
    path = tmp_path / "page.html"

    def check(_: object) -> Mapping[str, Any]:
        assert path.read_text().count("<svg") >= 3
        return {"calls": 1}

    measured(
        lambda: write_report(path, perf_page(findings, origin)),
        check,
        against=INTERPRETER,
        rounds=ROUNDS,
    )
