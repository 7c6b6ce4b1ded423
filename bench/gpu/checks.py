"""The tests on the GPU: the bodies that run everywhere, there, and some under a sanitizer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree as ET

from bench.gpu.record import Figure
from bench.gpu.setting import Setting

__all__ = ["gpu_tests", "sanitizer"]

ROOT = Path(__file__).resolve().parent.parent.parent
MARK = "gpu"
SANITIZED = "sanitized"
"""Marks of the tests that run on a GPU, and of those that a sanitizer watches."""

COUNTS = ("tests", "failures", "errors", "skipped")
SANITIZER = "compute-sanitizer"
WORKERS = 8
"""Processes that share the GPU: most of the tests' time goes into compiling kernels."""

TEST_S = 60
"""After so long a test is ended, where pytest-timeout is."""
FOUND_SOMETHING = 86
LINES_TOLD = 25

Run = Callable[[Sequence[str], float], "tuple[int | None, str]"]


def run(command: Sequence[str], limit_s: float) -> tuple[int | None, str]:
    """Run ``command`` at the root; return its exit status, None when it was stopped, and output."""
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired as stopped:
        said = stopped.stdout or b""
        return None, said.decode(errors="replace") if isinstance(said, bytes) else said
    return done.returncode, done.stdout


def gpu_tests(setting: Setting, folder: Path, run: Run = run) -> list[Figure]:
    """Run the tests that have the mark ``gpu``; all of them must pass."""
    report = folder / "tests.xml"
    command = [*_pytest(MARK), *_if_there("xdist", "-n", str(WORKERS)), f"--junitxml={report}"]
    status, said = run(command, _limit_s(setting, setting.scale.tests_s))
    counts = _counts(report) if report.exists() else dict.fromkeys(COUNTS, 0)
    passed = counts["tests"] - counts["failures"] - counts["errors"] - counts["skipped"]
    about = {"counts": counts, "status": status}
    if status != 0:
        about["said"] = "\n".join(said.splitlines()[-LINES_TOLD:])
    reached = status == 0 and passed > 0
    return [Figure("tests on the GPU that passed", passed, "", "all", reached, about)]


def sanitizer(setting: Setting, tool: str, run: Run = run) -> list[Figure]:
    """Run some of the tests under compute-sanitizer's ``tool``, where that is installed."""
    name = f"compute-sanitizer {tool}"
    program = shutil.which(SANITIZER)
    if program is None:
        return [Figure(name, None, "", "nothing found", None, {"skipped": "is not installed"})]
    watched = [program, "--tool", tool, "--error-exitcode", str(FOUND_SOMETHING)]
    # Of calls that CUDA refuses, some are only asking: what CuPy looks for at import.
    watched += ["--target-processes", "all", "--report-api-errors", "no"]
    status, said = run(
        [*watched, *_pytest(SANITIZED)], _limit_s(setting, setting.scale.sanitizer_s)
    )
    about = {"status": status, "said": "\n".join(said.splitlines()[-LINES_TOLD:])}
    if status is None:
        return [Figure(name, "did not end in time", "", "nothing found", None, about)]
    verdict = {0: "nothing found", FOUND_SOMETHING: "errors"}.get(status, "tests failed")
    return [Figure(name, verdict, "", "nothing found", status == 0, about)]


def _pytest(mark: str) -> list[str]:
    """Return the command; warnings of versions that nobody has tried are no errors there."""
    command = [sys.executable, "-m", "pytest", "tests", "-m", mark, "-q"]
    command += ["-p", "no:cacheprovider", "-W", "default"]
    return [*command, *_if_there("pytest_timeout", "--timeout", str(TEST_S))]


def _if_there(plugin: str, *options: str) -> list[str]:
    """Return ``options`` where the ``plugin`` of pytest that takes them is installed."""
    return list(options) if find_spec(plugin) else []


def _limit_s(setting: Setting, wanted_s: float) -> float:
    return max(1.0, min(wanted_s, setting.ends_at_s - time.monotonic()))


def _counts(report: Path) -> dict[str, int]:
    root = ET.parse(report).getroot()
    suites = [root] if root.tag == "testsuite" else list(root)
    return {name: sum(int(suite.get(name, 0)) for suite in suites) for name in COUNTS}
