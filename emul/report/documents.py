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

from emul.ops import NCCL_NAMES
from emul.report.files import write_text
from emul.report.perf_result import PerfResult
from emul.report.perf_row import PerfRow

__all__ = ["document", "json_document", "nccl_document", "write_json"]

SCHEMA = "emul-perf-1"
NCCL_JSON_VERSION = 3
"""JSON_FILE_VERSION of nccl-tests, src/util.cu."""

STAMP = "%Y-%m-%d %H:%M:%S"
"""Of moments, as nccl-tests writes them."""


def environment(version: str) -> dict[str, Any]:
    """Return the machine and the versions that the figures depend on."""
    return {
        "emul": version,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "system": platform.system(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
    }


def document(
    schema: str, version: str, contents: dict[str, Any], *, interrupted: bool = False
) -> dict[str, Any]:
    """Return a document of emul's own: ``contents`` behind the schema and the environment.

    A document that lacks lines says that the run was ``interrupted``.
    """
    return {
        "schema": schema,
        "environment": environment(version),
        **interruption(interrupted),
        **contents,
    }


def json_document(
    version: str, rows: Sequence[PerfRow], *, interrupted: bool = False
) -> dict[str, Any]:
    """Return the document of ``emul perf``: one object per line of the table."""
    contents = {"rows": [asdict(row) for row in rows]}
    return document(SCHEMA, version, contents, interrupted=interrupted)


def interruption(interrupted: bool) -> dict[str, bool]:
    """Return the key of a document that marks an interrupted run; no key for a complete one."""
    return {"interrupted": True} if interrupted else {}


def nccl_document(result: PerfResult) -> dict[str, Any]:
    """Return the document that nccl-tests writes with -J.

    Times are the modelled ones, in microseconds. The environment variables of the caller, which
    nccl-tests copies, are left out.
    """
    rows = result.rows
    busbws = [row.busbw_GBps for row in rows if row.busbw_GBps is not None]
    wrong = sum(row.wrong or 0 for row in rows)
    return {
        "version": NCCL_JSON_VERSION,
        "start_time": f"{result.started:{STAMP}}",
        "args": list(result.command),
        "env": [],
        "nccl_version": 0,
        "config": dict(result.config),
        **interruption(result.interrupted),
        "results": [_nccl_result(row, result.config["iterations"]) for row in rows],
        "out_of_bounds": {"count": wrong, "okay": wrong == 0},
        "average_bus_bandwidth": {
            "bandwidth": sum(busbws) / len(busbws) if busbws else 0.0,
            "okay": "unchecked",
        },
        "end_time": f"{result.ended:{STAMP}}",
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


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write ``document`` to ``path``, whole or not at all. Raises FileError."""
    write_text(path, json.dumps(document, indent=1, allow_nan=False) + "\n")
