"""Measures on a GPU what it must reach, having run the tests there.

    python -m bench.gpu --out DIR

run from the root of a clone, with a Python that has emul, its test requirements and CuPy
installed. It needs no network and ends within eight minutes. DIR gets ``gpu.json`` (device, driver,
versions, every figure and what was asked of it), ``gpu.txt`` (the same as a table) and
``run.json``, which ``python -m bench.compare`` holds against a baseline of that kind of GPU.

Times are medians by events of the device, and figures of speed are ratios to a copy on the device
in the same run. Work is checked before its time counts. Each section stands alone: what fails is
recorded, and the rest goes on. Exit status: 0, also where something asked was missed; 1 when a
section failed; 2 without a GPU.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.gpu import checks, clocks, memory
from bench.gpu.record import Section, recorded
from bench.gpu.report import comparable, document, environment, table
from bench.gpu.setting import FULL, Scale, Setting
from emul.ops.cuda.choice import find_gpu

__all__ = ["main", "measure", "sections"]

FAILED, WITHOUT_GPU = 1, 2


def sections(setting: Setting, folder: Path) -> list[Section]:
    """Return all sections: the tests, then what is asked, then what may be left out."""
    return [
        Section("tests", lambda: checks.gpu_tests(setting, folder), 20),
        Section("copy", lambda: memory.copying(setting)),
        *(
            Section(f"fused {dtype}", lambda dtype=dtype: memory.fused(setting, dtype), 15)
            for dtype in memory.ASKED_OF_FUSED
        ),
        Section("step by step", lambda: memory.stepwise(setting), 10),
        Section("rivals", lambda: memory.rivals(setting), 15),
        Section("tick", lambda: clocks.tick(setting)),
        Section("waits", lambda: clocks.wait_errors(setting), 40),
        Section("small", lambda: clocks.small(setting)),
        Section("emulated", lambda: clocks.emulated(setting), 10),
        Section("host", lambda: clocks.host_idle(setting), 5),
        Section("memcheck", lambda: checks.sanitizer(setting, "memcheck"), 10),
        Section("racecheck", lambda: checks.sanitizer(setting, "racecheck"), 10),
        Section("other collectives", lambda: memory.other_collectives(setting), 25),
    ]


def measure(device: Any, out: Path, scale: Scale = FULL) -> int:
    """Measure everything on ``device`` and write it to ``out``; return the exit status."""
    out.mkdir(parents=True, exist_ok=True)
    setting = Setting(device, scale)
    about = environment(device.facts())
    records = []
    for record in recorded(sections(setting, out), setting.ends_at_s):
        records.append(record)
        print(table([record]).partition("\n")[2], flush=True)
        gc.collect()  # frees what the section had on the device
        seconds = time.monotonic() - setting.began_s
        _write(out / "gpu.json", document(about, records, seconds))
    (out / "gpu.txt").write_text(table(records) + "\n")
    _write(out / "run.json", comparable(device.name, records))
    return FAILED if any(record.error for record in records) else 0


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, default=str) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Find the GPU, measure, write; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    out = parser.parse_args(arguments).out
    found = find_gpu()
    if found.device is None:
        print(f"bench.gpu: {found.reason}: needed an NVIDIA GPU", file=sys.stderr)
        return WITHOUT_GPU
    with found.device.current():
        return measure(found.device, out)


if __name__ == "__main__":
    sys.exit(main())
