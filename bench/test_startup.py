"""Start-up, in processes of their own, against an import of NumPy alone."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.conftest import Measured
from bench.measuring import NUMPY_START, run_command

EMUL = str(Path(sysconfig.get_path("scripts")) / "emul")
ROUNDS = 10


IMPORTED = {"alone": "emul", "World": "emul.World"}  # what it is used for decides what it loads


@pytest.mark.parametrize("used", IMPORTED)
def test_import_emul(measured: Measured, used: str) -> None:
    code = f"import emul; print({IMPORTED[used]}.__name__, len(emul.__all__))"
    command = (sys.executable, "-c", code)

    def check(printed: str) -> Mapping[str, Any]:
        name, number = printed.split()
        assert name == IMPORTED[used].rpartition(".")[2]
        assert int(number) > 0
        return {"calls": 1}

    measured(lambda: run_command(*command), check, against=NUMPY_START, rounds=ROUNDS)


PRINTED = {
    "--help": "Commands:",
    "perf --help": "Sizes:",
    "plan list": "hierarchical",
    "topology list": "three-campus",
}


@pytest.mark.parametrize("arguments", PRINTED)
def test_command(measured: Measured, arguments: str) -> None:
    def check(printed: str) -> Mapping[str, Any]:
        assert PRINTED[arguments] in printed
        return {"calls": 1}

    measured(
        lambda: run_command(EMUL, *arguments.split()), check, against=NUMPY_START, rounds=ROUNDS
    )
