"""Counts the instructions of fixed work under callgrind: a figure without noise.

    python -m bench.instructions --save before.json
    python -m bench.instructions --baseline before.json

Each workload runs in a process of its own with a fixed environment, once with one repetition and
once with five; a fourth of the difference is the count of a repetition, without the start of Python
and the imports. Counts are of this Python, NumPy, compiler and kind of processor, so both commands
must run on the same machine: a baseline of another is refused. They say nothing of caches and of
waiting, for which there are the benchmarks.

0: nothing takes more than the tolerance allows, or there is no valgrind. 1: something does.
2: the given counts cannot be compared.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import machine
from bench.baseline import BadInput, read_json
from bench.command import program

__all__ = ["WORKLOADS", "add_options", "counted", "main", "run", "verdicts"]

ROOT = Path(__file__).resolve().parent.parent
GOOD, MORE = 0, 1
SCHEMA = "emul-bench-instructions-1"
TOLERANCE = 0.01
"""Of a count. Two runs of the same build differed by less than a thousandth."""

FEW, MANY = 1, 5
TOTAL = re.compile(r"Collected : (\d+)")


def _arithmetic() -> Callable[[], object]:
    from bench.worlds import WORKERS, Arithmetic

    ours = [
        Arithmetic(backend, "all_reduce", "ring", (8,), row_bytes=1 << 18, dtype="float32")
        for backend in WORKERS
    ]

    def work() -> None:
        for each in ours:
            each.prepare()
            each.execute()
            each.check()

    return work


def _scheduling() -> Callable[[], object]:
    from bench.worlds import scheduled_ring

    return scheduled_ring(64)


def _predict() -> Callable[[], object]:
    from itertools import count

    from emul import World

    world, sizes = World("three-campus"), count(1 << 16)

    def work() -> None:
        found = world.predict("all_reduce", next(sizes), algorithm="hierarchical")
        assert found.time_s >= found.bound_s

    return work


def _call() -> Callable[[], object]:
    import numpy as np

    from emul import World

    world = World("three-campus")
    x = np.ones((world.size, 256), np.float32)

    def work() -> None:
        for _ in range(10):
            assert world.all_reduce(x, algorithm="hierarchical").output[0, 0] == world.size

    return work


WORKLOADS: Mapping[str, Callable[[], Callable[[], object]]] = {
    "arithmetic of 8 x 256 KiB": _arithmetic,
    "scheduling of 8064 transfers": _scheduling,
    "predictions of 24 ranks": _predict,
    "calls of 24 ranks with 1 KiB": _call,
}


def carry_out(name: str, times: int) -> None:
    """Do the work of ``name`` so many ``times``, after twice that everybody does."""
    work = WORKLOADS[name]()
    gc.disable()
    for _ in range(2 + times):
        work()
    os._exit(0)  # what Python tears down depends on more than the work


def counted(name: str, python: Sequence[str] = (sys.executable, "-m", "bench.instructions")) -> int:
    """Return the instructions of one repetition of ``name``."""
    command = [*python, "--run", name, "--times"]
    _run([*command, str(FEW)])  # so that no count has the compiling of Python files in it
    few, many = (_total([*command, str(times)]) for times in (FEW, MANY))
    return round((many - few) / (MANY - FEW))


def _total(command: list[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        callgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out"]
        said = _run([*callgrind, *command])
    total = TOTAL.search(said)
    if total is None:
        raise BadInput("valgrind said no number of instructions")
    return int(total[1])


def _run(command: list[str]) -> str:
    """Run ``command`` in an environment of its own; return its standard error."""
    fixed = {"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1", "PATH": os.defpath}
    done = subprocess.run(command, cwd=ROOT, env=fixed, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise BadInput(f"{Path(command[0]).name} ended with exit status {done.returncode}: {last}")
    return done.stderr


def build() -> dict[str, Any]:
    """Return the build that counts depend on."""
    here = machine()
    del here["cores"]
    return {**here, "compiler": platform.python_compiler(), "backends": list(_backends())}


def _backends() -> tuple[str, ...]:
    from bench.worlds import WORKERS

    return WORKERS


def verdicts(
    counts: Mapping[str, int], before: Mapping[str, Any], here: Mapping[str, Any], tolerance: float
) -> list[tuple[str, int, int, bool]]:
    """Return name, count before, count now, and whether that is too many, of each workload.

    Raises BadInput where they cannot be compared.
    """
    if before.get("schema") != SCHEMA or not isinstance(before.get("counts"), dict):
        raise BadInput("the baseline is none of instruction counts: needed one made by --save")
    other = [key for key, value in here.items() if before.get("build", {}).get(key) != value]
    if other:
        raise BadInput(f"the baseline is of another {', '.join(other)}: needed one made here")
    missing = sorted(set(counts) - set(before["counts"]))
    if missing:
        raise BadInput(f"{missing[0]} is not in the baseline: needed a new one, made by --save")
    old = before["counts"]
    return [(n, old[n], now, now > old[n] * (1 + tolerance)) for n, now in counts.items()]


def compared(found: list[tuple[str, int, int, bool]]) -> int:
    """Print the counts before and now; return the exit status."""
    for name, before, now, more in found:
        verdict = "more" if more else "ok"
        print(f"{name:32} {before:15,} {now:15,} {now / before - 1:+8.2%}  {verdict}")
    return MORE if any(more for *_, more in found) else GOOD


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command line to ``parser``."""
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the counts")
    parser.add_argument("--baseline", type=Path, metavar="FILE", help="compare with these counts")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help="default %(default)s")
    parser.add_argument("--only", choices=WORKLOADS, help="count one workload")
    parser.add_argument("--run", choices=WORKLOADS, help=argparse.SUPPRESS)
    parser.add_argument("--times", type=int, default=1, help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    """Count, save, compare; return the exit status."""
    if options.run:
        carry_out(options.run, options.times)
    if shutil.which("valgrind", path=os.defpath) is None:
        print("skipped: valgrind is not installed")
        return GOOD
    before = read_json(options.baseline, "counts") if options.baseline else None
    counts = {name: counted(name) for name in ([options.only] if options.only else WORKLOADS)}
    if options.save:
        document = {"schema": SCHEMA, "build": build(), "counts": counts}
        options.save.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if before is not None:
        return compared(verdicts(counts, before, build(), options.tolerance))
    for name, count in counts.items():
        print(f"{name:32} {count:15,}")
    return GOOD


main = program("instructions")

if __name__ == "__main__":
    sys.exit(main())
