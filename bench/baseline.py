"""Runs of the suites, and the ratios they are held against: reading, making, writing.

A run is JSON of pytest-benchmark, as --benchmark-json and --benchmark-autosave write it; of each
benchmark it has the ratio to its calibration in ``extra_info``. A baseline is of a class of
machines; it keeps for each benchmark the ratio, how far unchanged runs strayed from it, and from
that how much slower counts as slower.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = [
    "BadInput",
    "Baseline",
    "Expected",
    "Found",
    "RunFile",
    "baseline_of",
    "read_baseline",
    "read_json",
    "read_run",
    "write_baseline",
]

SCHEMA = "emul-bench-baseline-1"

TOLERANCE_AT_LEAST = 0.15
"""With 8 % two of ten unchanged runs were called slower, by 14.5 %: for minutes on end the machine
was in another state than that of the three runs that the baseline was of."""

TOLERANCE_AT_MOST = 0.20
"""So that 30 % more is found though the run that shows it may have strayed to the fast side."""

TOLERANCE_PER_SPREAD = 1.5
"""The spread of ten runs is not that of a hundred."""

TOLERANCE_OF_ONE_RUN = TOLERANCE_AT_MOST
"""Where there are too few runs to know a spread."""


class BadInput(Exception):  # noqa: N818 - not a fault of the program
    """The given files cannot be compared; the message says in one line why, and the way out."""


@dataclass(frozen=True, slots=True)
class Found:
    """A benchmark in one run: the quickest round, and the quickest calibration."""

    seconds: float
    calibration_s: float
    calibration: str

    def __post_init__(self) -> None:
        """Refuse a ratio that is no positive number."""
        if not all(each > 0 and math.isfinite(each) for each in (self.seconds, self.calibration_s)):
            raise ValueError(f"seconds {self.seconds}, calibration_s {self.calibration_s}")

    @property
    def ratio(self) -> float:
        """How many times as long as its calibration it takes."""
        return self.seconds / self.calibration_s

    @classmethod
    def together(cls, several: Sequence[Found]) -> Found:
        """Return one figure of several runs: the run that a third of them are below, by ratio.

        The lowest is of a lucky one, and of seven runs it hides a slow-down of 30 % on a machine
        whose ratios stray by 8 %; above the middle are those that others on the machine disturbed.
        """
        return sorted(several, key=lambda each: each.ratio)[(len(several) + 1) // 3]


@dataclass(frozen=True, slots=True)
class RunFile:
    """One run: its file, its class of machines, the benchmarks found."""

    path: Path
    machine_class: str
    machine: Mapping[str, Any]
    found: Mapping[str, Found]


@dataclass(frozen=True, slots=True)
class Expected:
    """A benchmark in a baseline; ``tolerance``: so much more is no regression yet."""

    ratio: float
    calibration: str
    spread: float
    tolerance: float

    def __post_init__(self) -> None:
        """Refuse numbers that no ratio or tolerance can have."""
        if not (self.ratio > 0 and math.isfinite(self.ratio) and 0 <= self.tolerance < 1):
            raise ValueError(f"ratio {self.ratio}, tolerance {self.tolerance}")


@dataclass(frozen=True, slots=True)
class Baseline:
    """Expected ratios by benchmark, from up to ``runs`` runs each, on one class of machines."""

    machine_class: str
    machine: Mapping[str, Any]
    runs: int
    benchmarks: Mapping[str, Expected] = field(default_factory=dict)


def read_json(path: Path, what: str) -> Any:
    """Return the JSON in ``path``; raises BadInput, saying that ``what`` was needed."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}: needed {what}") from error
    except ValueError as error:
        raise BadInput(f"{path}: not JSON ({error}): needed {what}") from error


def read_run(path: Path) -> RunFile:
    """Return the run in ``path``; raises BadInput when it is none of these suites."""
    what = "a run, as pytest bench --benchmark-only --benchmark-json=FILE writes it"
    document = read_json(path, what)
    try:
        about = dict(document["machine_info"]["emul"])
        found = {each["fullname"]: _found(each["extra_info"]) for each in document["benchmarks"]}
        run = RunFile(path, str(about.pop("machine_class")), about, found)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{path}: no run of these suites ({error!r}): needed {what}") from error
    if not found:
        raise BadInput(f"{path}: no benchmark in it: needed {what}")
    return run


def _found(info: Mapping[str, Any]) -> Found:
    return Found(float(info["seconds"]), float(info["calibration_s"]), str(info["calibration"]))


def read_baseline(path: Path) -> Baseline:
    """Return the baseline in ``path``; raises BadInput when there is none."""
    what = "one of this class of machines; bench.compare RUN.json ... --update makes one"
    document = read_json(path, what)
    try:
        if document["schema"] != SCHEMA:
            raise ValueError(f"schema {document['schema']!r}")
        benchmarks = {name: Expected(**each) for name, each in document["benchmarks"].items()}
        return Baseline(
            document["machine_class"], document["machine"], document["runs"], benchmarks
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"{path}: no baseline ({error!r}): needed {what}") from error


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Write ``baseline``, the same text for the same figures."""
    document = {"schema": SCHEMA, **asdict(baseline)}
    document["benchmarks"] = dict(sorted(document["benchmarks"].items()))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def baseline_of(runs: Sequence[RunFile], before: Baseline | None = None) -> Baseline:
    """Return the baseline that ``runs`` make: medians, and tolerances by their spread.

    Benchmarks that no run has are kept from ``before``, so that a part can be updated alone; where
    one run only has a benchmark, the spread and tolerance of before are kept as well.
    """
    names = sorted({name for run in runs for name in run.found})
    kept = dict(before.benchmarks) if before else {}
    for name in names:
        kept[name] = _expected(
            [run.found[name] for run in runs if name in run.found], kept.get(name)
        )
    most = max(len(runs), before.runs if before else 0)
    return Baseline(runs[0].machine_class, runs[0].machine, most, kept)


def _expected(found: Sequence[Found], before: Expected | None) -> Expected:
    calibrations = {each.calibration for each in found}
    if len(calibrations) > 1:
        raise BadInput(f"the runs have different calibrations: {', '.join(sorted(calibrations))}")
    ratio = statistics.median(each.ratio for each in found)
    if len(found) > 1:
        spread = max(abs(each.ratio / ratio - 1) for each in found)
        wanted = max(TOLERANCE_AT_LEAST, TOLERANCE_PER_SPREAD * spread)
        tolerance = min(wanted, TOLERANCE_AT_MOST)
    elif before is not None:
        spread, tolerance = before.spread, before.tolerance
    else:
        spread, tolerance = 0.0, TOLERANCE_OF_ONE_RUN
    return Expected(_short(ratio), found[0].calibration, _short(spread), _short(tolerance))


def _short(value: float) -> float:
    """Return four significant digits, more than any of these figures has."""
    return float(f"{value:.4g}")
