"""The JSON files: emul's own, and the one that nccl-tests writes, for which parsers exist."""

from __future__ import annotations

import csv
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from emul.files import write_text
from emul.ops import NCCL_NAMES
from emul.reading.printable import printable
from emul.report.closing import Closing, Overflow
from emul.report.perf_result import PerfResult
from emul.report.perf_row import PerfRow
from emul.wall.lag import Lag

__all__ = [
    "Contents",
    "Environment",
    "PerfContents",
    "document",
    "nccl_document",
    "perf_document",
    "rows_csv",
    "write_json",
]

NCCL_JSON_VERSION = 3
"""JSON_FILE_VERSION of nccl-tests, src/util.cu."""

STAMP = "%Y-%m-%d %H:%M:%S"
"""Of moments, as nccl-tests writes them."""

FORMULA = ("=", "+", "-", "@")
"""The beginnings of a cell that a spreadsheet works out."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The machine and the versions that the figures depend on."""

    emul: str
    python: str
    numpy: str
    system: str
    machine: str
    cores: int | None

    @classmethod
    def here(cls, version: str) -> Environment:
        """Return those of this process, of emul's ``version``."""
        return cls(
            version,
            platform.python_version(),
            np.__version__,
            platform.system(),
            platform.machine(),
            os.cpu_count(),
        )


class Contents(Protocol):
    """The contents of a document of emul's own: a dataclass with the name of its schema."""

    SCHEMA: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class PerfContents:
    """The lines of the table of emul perf, and all that the words under it say.

    ``lag``: of all timed calls, null if nobody waited. ``closing``: the conclusions about the last
    row; ``overflow``: those about whole numbers, null where none could leave their type; ``words``:
    both in sentences. All three are missing or empty after an interrupt.
    """

    SCHEMA: ClassVar[str] = "emul-perf-2"

    rows: Sequence[PerfRow]
    lag: Lag | None
    closing: Closing | None
    overflow: Overflow | None
    words: Sequence[str]


def document(version: str, contents: Contents, *, interrupted: bool = False) -> dict[str, Any]:
    """Return a document of emul's own: ``contents`` behind the schema and the environment.

    A document that lacks lines says that the run was ``interrupted``.
    """
    return {
        "schema": contents.SCHEMA,
        "environment": asdict(Environment.here(version)),
        **interruption(interrupted),
        **asdict(contents),
    }


def perf_document(version: str, result: PerfResult) -> dict[str, Any]:
    """Return the document of ``emul perf``."""
    contents = PerfContents(
        result.rows,
        result.lag if result.lag.arrivals else None,
        result.closing,
        result.overflow,
        result.words,
    )
    return document(version, contents, interrupted=result.interrupted)


def rows_csv(rows: Sequence[PerfRow]) -> str:
    """Return the rows as CSV, under the names of the JSON; a missing value is an empty cell.

    A text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [field.name for field in fields(PerfRow)]
    writer.writerow(names)
    for row in rows:
        writer.writerow(_csv_cell(getattr(row, name)) for name in names)
    return text.getvalue()


def _csv_cell(value: Any) -> Any:
    if isinstance(value, Mapping):
        value = "; ".join(f"{name}: {each}" for name, each in value.items())
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        text = printable(value)
        return f"'{text}" if text.startswith(FORMULA) else text
    return value


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
