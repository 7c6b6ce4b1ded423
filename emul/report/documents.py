"""The JSON files: emul's own, and the one that nccl-tests writes, for which parsers exist."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from emul.errors import ArgumentError
from emul.ops import NCCL_NAMES
from emul.report.rows import PerfRow

__all__ = ["check_writable", "json_document", "nccl_document", "write_json", "write_text"]

SCHEMA = "emul-perf-1"
NCCL_JSON_VERSION = 3
"""JSON_FILE_VERSION of nccl-tests, src/util.cu."""


def environment(version: str) -> dict[str, Any]:
    """Return what a reader needs to know about where the figures were measured."""
    return {
        "emul": version,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "system": platform.system(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
    }


def json_document(version: str, rows: Sequence[PerfRow]) -> dict[str, Any]:
    """Return emul's own document: one object per line of the table."""
    return {
        "schema": SCHEMA,
        "environment": environment(version),
        "rows": [asdict(row) for row in rows],
    }


def nccl_document(
    rows: Sequence[PerfRow], *, args: Sequence[str], config: dict[str, Any], times: tuple[str, str]
) -> dict[str, Any]:
    """Return the document that nccl-tests writes with -J.

    Times are the modelled ones, in microseconds. The environment variables of the caller, which
    nccl-tests copies, are left out.
    """
    busbws = [row.busbw_GBps for row in rows if row.busbw_GBps is not None]
    wrong = sum(row.wrong or 0 for row in rows)
    return {
        "version": NCCL_JSON_VERSION,
        "start_time": times[0],
        "args": list(args),
        "env": [],
        "nccl_version": 0,
        "config": config,
        "results": [_nccl_result(row, config["iterations"]) for row in rows],
        "out_of_bounds": {"count": wrong, "okay": wrong == 0},
        "average_bus_bandwidth": {
            "bandwidth": sum(busbws) / len(busbws) if busbws else 0.0,
            "okay": "unchecked",
        },
        "end_time": times[1],
    }


def _nccl_result(row: PerfRow, iterations: int) -> dict[str, Any]:
    return {
        "size": row.size_bytes,
        "count": row.count,
        "type": NCCL_NAMES.get(row.dtype, row.dtype),
        "redop": row.redop,
        "root": str(row.root),
        "out_of_place": {
            "time": row.modelled_s * 1e6,
            "alg_bw": row.algbw_GBps or 0.0,
            "bus_bw": row.busbw_GBps or 0.0,
            "nwrong": row.wrong,
        },
        "in_place": None,
        "actual_iterations": iterations,
        "experiment_name": f"{row.collective} {row.topology} {row.algorithm}",
    }


def check_writable(path: Path) -> None:
    """Raise ArgumentError when ``path`` cannot be written; asked before long work begins."""
    folder = path.parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ArgumentError(f"{path}: cannot be written: needed a file name in a folder of yours")


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write ``document`` to ``path``, whole or not at all."""
    write_text(path, json.dumps(document, indent=1, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, whole or not at all."""
    if path.exists() and not path.is_file():  # a pipe or a device
        path.write_text(text, encoding="utf-8")
        return
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
