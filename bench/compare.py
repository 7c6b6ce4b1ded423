"""Holds a run of the suites against a baseline; the exit status says whether it became slower.

    pytest bench --benchmark-only --benchmark-json=run.json
    python -m bench.compare run.json

run from the root of the repository. The compared figure is the ratio of each benchmark to the
calibration of its own run. 0: nothing is slower than its tolerance allows. 1: something is.
2: the given files cannot be compared.

A benchmark that seems slower is measured again in new processes before it is called so
(``--confirm``), after a pause each time, until it no longer does; of all these runs that one counts
which a third are below. A disturbance passes, luck is rare, a regression stays.

``--update`` makes the baseline anew of one run or several; of several, tolerances follow from how
far they are apart. ``--self-check 10`` runs the suites ten times, compares each run and prints the
verdicts: nothing has changed, so nothing may be found.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import machine_class
from bench.baseline import (
    BadInput,
    Baseline,
    Expected,
    Found,
    RunFile,
    baseline_of,
    read_baseline,
    read_run,
    write_baseline,
)
from bench.command import program

__all__ = ["Row", "add_options", "judged", "main", "run", "settled"]

ROOT = Path(__file__).resolve().parent.parent
BASELINES = ROOT / "bench" / "baselines"
GOOD, SLOWER = 0, 1
CONFIRM = 6
PAUSE_S = 15.0
"""Before a suspect is measured again: disturbances of a machine last from seconds to minutes."""


@dataclass(frozen=True, slots=True)
class Row:
    """One benchmark: the expected figures, and the found ones."""

    name: str
    expected: Expected
    found: Found

    @property
    def now(self) -> float:
        """The ratio that was found."""
        return self.found.ratio

    @property
    def change(self) -> float:
        """How much longer it takes than expected, as a part of that."""
        return self.now / self.expected.ratio - 1

    @property
    def verdict(self) -> str:
        """``slower`` or ``faster`` by more than the tolerance; else ``ok``."""
        allowed = 1 + self.expected.tolerance
        if self.now > self.expected.ratio * allowed:
            return "slower"
        return "faster" if self.now * allowed < self.expected.ratio else "ok"


def judged(run: RunFile, baseline: Baseline, tolerance: float | None = None) -> list[Row]:
    """Return a row for each benchmark of ``run``; raises BadInput where they cannot be compared.

    ``tolerance`` takes the place of those in the baseline.
    """
    if run.machine_class != baseline.machine_class:
        raise BadInput(
            f"{run.path}: of machine class {run.machine_class}, and the baseline of "
            f"{baseline.machine_class}: needed a run on such a machine, or --machine-class"
        )
    unknown = sorted(set(run.found) - set(baseline.benchmarks))
    if unknown:
        raise BadInput(
            f"{len(unknown)} of the run not in the baseline, such as {unknown[0]}: needed "
            "--update, with runs that have them"
        )
    return [
        Row(name, _allowed(baseline.benchmarks[name], found, name, tolerance), found)
        for name, found in sorted(run.found.items())
    ]


def _allowed(expected: Expected, found: Found, name: str, tolerance: float | None) -> Expected:
    if expected.calibration != found.calibration:
        raise BadInput(
            f"{name}: measured against {found.calibration!r}, and in the baseline against "
            f"{expected.calibration!r}: needed --update"
        )
    return expected if tolerance is None else replace(expected, tolerance=tolerance)


def settled(rows: Sequence[Row], again: Sequence[Mapping[str, Found]]) -> list[Row]:
    """Return ``rows`` by all that was found, in the first place and ``again``."""
    found = {row.name: [row.found] for row in rows}
    for each in again:
        for name, more in each.items():
            found[name].append(more)
    return [replace(row, found=Found.together(found[row.name])) for row in rows]


def measure(arguments: Sequence[str], path: Path, *, quiet: bool = True) -> RunFile:
    """Run pytest on some of the suites; return the run."""
    command = [sys.executable, "-m", "pytest", *arguments, "--benchmark-only"]
    command += [f"--benchmark-json={path}", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=ROOT, capture_output=quiet, text=True, check=False)
    if done.returncode != 0:
        last = (done.stdout or "").strip().splitlines()[-1:] or ["no output"]
        raise BadInput(f"pytest ended with exit status {done.returncode}: {last[0]}")
    return read_run(path)


def confirmed(rows: list[Row], times: int) -> list[Row]:
    """Measure seemingly slower benchmarks up to ``times`` times again; return the settled rows."""
    again: list[Mapping[str, Found]] = []
    with tempfile.TemporaryDirectory() as folder:
        while len(again) < times:
            suspects = [row.name for row in settled(rows, again) if row.verdict == "slower"]
            if not suspects:
                break
            print(f"measuring again: {', '.join(suspects)}", file=sys.stderr, flush=True)
            time.sleep(PAUSE_S)
            again.append(measure(suspects, Path(folder) / f"{len(again)}.json").found)
    return settled(rows, again)


def table(rows: Sequence[Row]) -> Table:
    """Return the table of benchmarks, ratios, changes and verdicts."""
    found = Table(box=None, pad_edge=False)
    found.add_column("benchmark", overflow="fold")
    for name in ("baseline", "now", "change", "allowed"):
        found.add_column(name, justify="right", no_wrap=True)
    found.add_column("verdict", no_wrap=True)
    for row in rows:
        colour = {"slower": "red", "faster": "green"}.get(row.verdict)
        found.add_row(
            row.name.removeprefix("bench/").replace("[", r"\["),
            f"{row.expected.ratio:.4g}",
            f"{row.now:.4g}",
            f"{row.change:+.1%}",
            f"+{row.expected.tolerance:.0%}",
            f"[{colour}]{row.verdict}[/]" if colour else row.verdict,
        )
    return found


def summary(rows: Sequence[Row], baseline: Baseline) -> str:
    """Return the last line: the number of each verdict, and of benchmarks that were not run."""
    verdicts = [row.verdict for row in rows]
    line = f"{len(rows)} compared: " + ", ".join(
        f"{verdicts.count(verdict)} {verdict}" for verdict in ("ok", "slower", "faster")
    )
    absent = len(baseline.benchmarks) - len(rows)
    return line + (f"; {absent} of the baseline were not run" if absent else "")


def compared(run: RunFile, baseline: Baseline, options: argparse.Namespace) -> int:
    """Print how ``run`` compares with ``baseline``; return the exit status."""
    if run.machine != baseline.machine:
        what = [key for key, value in baseline.machine.items() if run.machine.get(key) != value]
        print(f"note: the baseline is of another {', '.join(what)}", file=sys.stderr)
    rows = confirmed(judged(run, baseline, options.tolerance), options.confirm)
    Console(width=None if sys.stdout.isatty() else 140).print(table(rows))
    print(summary(rows, baseline))
    return SLOWER if any(row.verdict == "slower" for row in rows) else GOOD


def self_checked(baseline: Baseline, options: argparse.Namespace) -> int:
    """Run the suites as often as asked, compare each; return the worst exit status."""
    statuses = []
    keep = options.keep or Path(tempfile.mkdtemp())
    keep.mkdir(parents=True, exist_ok=True)
    for number in range(1, options.self_check + 1):
        selected = ["-k", options.k] if options.k else []
        run = classed(measure(["bench", *selected], keep / f"{number}.json"), options)
        statuses.append(compared(run, baseline, options))
        print(f"run {number} of {options.self_check}: exit status {statuses[-1]}", flush=True)
    print(f"{statuses.count(GOOD)} of {len(statuses)} runs green")
    return max(statuses)


def classed(run: RunFile, options: argparse.Namespace) -> RunFile:
    """Return ``run`` as of the class that was given, if one was."""
    given = options.machine_class
    return replace(run, machine_class=given) if given else run


def updated(runs: list[RunFile], path: Path) -> int:
    """Write the baseline that ``runs`` make; return the exit status."""
    classes = {run.machine_class for run in runs}
    if len(classes) > 1:
        raise BadInput(f"runs of different machine classes: {', '.join(sorted(classes))}")
    before = read_baseline(path) if path.exists() else None
    baseline = baseline_of(runs, before)
    write_baseline(path, baseline)
    print(f"{_shown(path)}: {len(baseline.benchmarks)} benchmarks, from {len(runs)} runs")
    return GOOD


def _shown(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command line to ``parser``."""
    add = parser.add_argument
    add("runs", nargs="*", type=Path, metavar="RUN.json", help="of pytest --benchmark-json")
    add("--baseline", type=Path, help="instead of bench/baselines/<machine class>.json")
    add("--machine-class", help="instead of the one that was detected when the run was made")
    add("--tolerance", type=float, help="for all benchmarks, as a part: 0.1 for ten per cent")
    add(
        "--confirm",
        type=int,
        default=CONFIRM,
        metavar="N",
        help="measure what seems slower up to N times again (default %(default)s)",
    )
    add("--update", action="store_true", help="make the baseline of these runs")
    add("--self-check", type=int, default=0, metavar="N", help="compare N runs made now")
    add("-k", metavar="EXPRESSION", help="of --self-check: which benchmarks, as for pytest")
    add("--keep", type=Path, metavar="FOLDER", help="of --self-check: where the runs are kept")


def run(options: argparse.Namespace) -> int:
    """Compare, update or check; return the exit status."""
    if bool(options.runs) == bool(options.self_check):
        raise BadInput("needed a run, or --self-check")
    if len(options.runs) > 1 and not options.update:
        raise BadInput("needed one run, unless with --update")
    runs = [classed(read_run(path), options) for path in options.runs]
    detected = runs[0].machine_class if runs else options.machine_class or machine_class()
    path = options.baseline or BASELINES / f"{detected}.json"
    if options.update:
        return updated(runs, path)
    baseline = read_baseline(path)
    if options.self_check:
        return self_checked(baseline, options)
    return compared(runs[0], baseline, options)


main = program("compare")

if __name__ == "__main__":
    sys.exit(main())
