"""A newcomer's first quarter of an hour: installation, start-up, the default sweep, the tests.

Run from the root of a clone, with a Python that has emul's test requirements installed. A fresh
clone is installed into a fresh virtual environment, as the README says. The table has each figure
beside its bound. No bound is enforced; a command that fails ends the report.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.measuring import ROOT

__all__ = ["add_options", "measure"]

REPEATS = 15


def timed(command: list[str], cwd: Path, **more: Any) -> tuple[float, str]:
    """Return the seconds that ``command`` took and its output; it must succeed."""
    started = time.perf_counter()
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True, **more)
    return time.perf_counter() - started, done.stdout


def median_s(command: list[str], cwd: Path) -> float:
    """Return the median time of ``command`` after one run that does not count."""
    return statistics.median([timed(command, cwd)[0] for _ in range(REPEATS + 1)][1:])


def first_table(scratch: Path) -> tuple[dict[str, float], Path]:
    """Clone, install and run as a newcomer does; return seconds, and where it was installed."""
    started = time.perf_counter()
    timed(["git", "clone", "--quiet", str(ROOT), "clone"], scratch)
    timed([sys.executable, "-m", "venv", "venv"], scratch)
    bin_dir = scratch / "venv" / "bin"
    environment = {**os.environ, "PATH": f"{bin_dir}{os.pathsep}{os.environ['PATH']}"}
    shell = ["bash", "-c", "pip install . >/dev/null && emul perf --json ../perf.json"]
    with subprocess.Popen(
        shell, cwd=scratch / "clone", env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = (time.perf_counter() for line in process.stdout if line.startswith("  "))
        first_line_s = next(lines) - started
        for _ in lines:
            pass
    assert process.returncode == 0, "the README's command failed"
    return {
        "clone_to_first_line_s": first_line_s,
        "clone_to_table_s": time.perf_counter() - started,
    }, bin_dir


def start_up(bin_dir: Path, scratch: Path) -> dict[str, float]:
    """Return the start-up times of the command line and of the import."""
    python = str(bin_dir / "python")
    with_emul = [python, "-c", "import numpy, emul"]
    with_numpy = [python, "-c", "import numpy"]
    pairs = [(timed(with_emul, scratch)[0], timed(with_numpy, scratch)[0]) for _ in range(REPEATS)]
    return {
        "emul_help_s": median_s([str(bin_dir / "emul"), "--help"], scratch),
        "import_emul_over_numpy_s": statistics.median(ours - numpy for ours, numpy in pairs),
    }


def default_sweep(bin_dir: Path, scratch: Path, algorithm: str) -> dict[str, Any]:
    """Run ``emul perf``; return its time and how far measured is from modelled."""
    path = scratch / f"{algorithm}.json"
    command = [str(bin_dir / "emul"), "perf", "--algorithm", algorithm, "--json", str(path)]
    seconds, _ = timed(command, scratch)
    rows = json.loads(path.read_text())["rows"]
    assert rows, "no line"
    long = [row for row in rows if row["modelled_s"] >= 5e-3]
    return {
        "seconds": seconds,
        "lines": len(rows),
        "wrong": sum(row["wrong"] for row in rows),
        "lines_of_5_ms_or_more": len(long),
        "largest_measured_over_modelled": max(row["wall_s"] / row["modelled_s"] for row in long),
        "rows": rows,
    }


def suite_s() -> float:
    """Return the seconds of the whole suite in this environment."""
    return timed([sys.executable, "-m", "pytest", "-n", "auto"], ROOT)[0]


def report(figures: dict[str, Any]) -> str:
    """Return the table: the bound and the figure."""
    default, hierarchical = figures["default"], figures["hierarchical"]
    lines = [
        (
            "clone to first line of the table",
            "< 120 s",
            f"{figures['clone_to_first_line_s']:.1f} s",
        ),
        ("clone to whole table", "", f"{figures['clone_to_table_s']:.1f} s"),
        ("emul --help", "< 0.3 s", f"{figures['emul_help_s']:.3f} s"),
        ("import emul over numpy", "< 0.15 s", f"{figures['import_emul_over_numpy_s']:.3f} s"),
        ("emul perf, defaults", "< 60 s", f"{default['seconds']:.1f} s"),
        ("wrong elements", "0", f"{default['wrong']}"),
        (
            "measured / modelled, >= 5 ms",
            "< 1.02",
            f"{default['largest_measured_over_modelled']:.6f}",
        ),
        (
            "the same, hierarchical",
            "< 1.02",
            f"{hierarchical['largest_measured_over_modelled']:.6f}",
        ),
        ("test suite", "< 300 s", f"{figures['test_suite_s']:.0f} s"),
    ]
    return "\n".join(f"{what:34} {asked:>9} {measured:>12}" for what, asked, measured in lines)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add nothing: every option is common to all reports."""


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure everything, print the table; return the figures."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        figures, bin_dir = first_table(scratch)
        found: dict[str, Any] = {
            **figures,
            **start_up(bin_dir, scratch),
            "default": default_sweep(bin_dir, scratch, "auto"),
            "hierarchical": default_sweep(bin_dir, scratch, "hierarchical"),
            "test_suite_s": suite_s(),
        }
    print(report(found))
    return found
