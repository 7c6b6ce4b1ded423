"""The files of a run: one JSON, a table, and a run that bench.compare understands."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from bench import gpu_class, machine
from bench.gpu.record import Figure, SectionRecord

__all__ = ["SCHEMA", "comparable", "document", "environment", "table"]

SCHEMA = "emul-gpu-1"
PACKAGES = ("emul", "numpy", "ml_dtypes", "cupy-cuda13x", "cupy-cuda12x", "torch", "pytest")
QUERY = ("name", "driver_version", "memory.total", "clocks.max.sm", "clocks.max.memory")

CALIBRATION = "device copy of as many bytes"


def environment(facts: Mapping[str, str]) -> dict[str, Any]:
    """Return the environment of figures: the device, its driver, the machine, versions."""
    return {
        "device": dict(facts),
        "nvidia_smi": _nvidia_smi(),
        "machine": machine(),
        "kernel": platform.release(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def document(
    about: Mapping[str, Any], records: Sequence[SectionRecord], seconds: float
) -> dict[str, Any]:
    """Return the JSON: every figure with its target, and the outcome of each section."""
    return {
        "schema": SCHEMA,
        "environment": dict(about),
        "seconds": seconds,
        "reached": sum(figure.reached is True for figure in _figures(records)),
        "missed": [figure.name for figure in _figures(records) if figure.reached is False],
        "failed": [record.name for record in records if record.error is not None],
        "sections": [record.as_json() for record in records],
    }


def comparable(device_name: str, records: Sequence[SectionRecord]) -> dict[str, Any]:
    """Return the run for bench.compare: times as ratios to the copy, of this class of machines."""
    return {
        "machine_info": {"emul": {"machine_class": gpu_class(device_name), **machine()}},
        "benchmarks": [
            {
                "fullname": f"bench/gpu::{figure.name}",
                "extra_info": {
                    "seconds": figure.about["seconds"],
                    "calibration_s": figure.about["seconds"] * figure.value,
                    "calibration": CALIBRATION,
                },
            }
            for figure in _figures(records)
            if "copy bandwidth" in figure.name and isinstance(figure.value, float) and figure.value
        ],
    }


def table(records: Sequence[SectionRecord]) -> str:
    """Return a line for each figure, and for each section that met an error."""
    lines = [("figure", "value", "asked", "")]
    for record in records:
        lines += [_line(figure) for figure in record.figures]
        if record.error is not None:
            lines.append((record.name, "-", "", f"failed: {record.error.splitlines()[-1]}"))
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    return "\n".join(
        f"{name:<{widths[0]}}  {value:>{widths[1]}}  {asked:>{widths[2]}}  {verdict}".rstrip()
        for name, value, asked, verdict in lines
    )


def _line(figure: Figure) -> tuple[str, str, str, str]:
    value = f"{figure.value:.4g}" if isinstance(figure.value, float | int) else figure.value or "-"
    verdict = {True: "reached", False: "missed", None: ""}[figure.reached]
    skipped = figure.about.get("skipped")
    if skipped:
        verdict = f"skipped: {skipped}"
    return figure.name, f"{value} {figure.unit}".strip(), figure.asked, verdict


def _figures(records: Iterable[SectionRecord]) -> list[Figure]:
    return [figure for record in records for figure in record.figures]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _nvidia_smi() -> dict[str, str] | None:
    """Return the facts that nvidia-smi prints of the first GPU; None where it says nothing."""
    command = ["nvidia-smi", f"--query-gpu={','.join(QUERY)}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    values = done.stdout.splitlines()[0].split(", ") if done.stdout else []
    return dict(zip(QUERY, values, strict=False))
