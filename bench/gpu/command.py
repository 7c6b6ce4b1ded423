"""Measures a GPU against its targets, having run the tests there.

    python -m bench.gpu --out DIR                 # everything, within eight minutes
    python -m bench.gpu --out DIR --first         # the most telling sections, within 90 s
    python -m bench.gpu --out DIR --only NAMES    # sections by name, or by its first words
    python -m bench.gpu --out DIR --dry-run       # on the CPU, at tiny sizes

run from the root of a clone, with a Python that has emul, its test requirements and CuPy
installed. It needs no network. DIR gets ``gpu.json`` (device, driver, versions, every figure and
its target), ``gpu.txt`` (the same as a table) and ``run.json``, which
``python -m bench.compare`` holds against a baseline of that kind of GPU; they are written anew
after each section. README.md beside this file says how to spend fifteen minutes on a machine
without a network.

Times are medians by events of the device, and figures of speed are ratios to a copy on the device
in the same run. Work is checked before its time counts. Each section stands alone: a failure is
recorded, and the rest goes on. Exit status: 0, also where something asked was missed; 1 when a
section failed; 2 without a GPU, or for a section that is not there.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.baseline import BadInput
from bench.command import program
from bench.gpu import bits, checks, clocks, memory, variants
from bench.gpu.record import Section, recorded
from bench.gpu.report import comparable, document, environment, table
from bench.gpu.setting import FIRST, FULL, TINY, Setting
from emul.ops.cuda.choice import find_gpu
from emul.ops.cuda.cupy_device import CupyDevice

__all__ = ["add_options", "chosen", "main", "measure_sections", "run", "sections"]

FAILED = 1


def sections(setting: Setting, folder: Path) -> list[Section]:
    """Return all sections: those of a first look, then the tests, then the rest."""
    return [
        Section("smoke", lambda: bits.smoke(setting), first=True),
        Section("subnormals", lambda: bits.subnormals(setting), first=True),
        Section("copy", lambda: memory.copying(setting), first=True),
        *(
            Section(f"fused {dtype}", lambda dtype=dtype: memory.fused(setting, dtype), first=True)
            for dtype in memory.FUSED
        ),
        Section("fused ranks", lambda: memory.fused_ranks(setting), first=True),
        Section("tick", lambda: clocks.tick(setting), first=True),
        Section("waits", lambda: clocks.wait_errors(setting), _waits_s(setting), first=True),
        Section("small", lambda: clocks.small(setting), first=True),
        Section("return path", lambda: clocks.return_path(setting), first=True),
        Section("emulated", lambda: clocks.emulated(setting), first=True),
        Section("step by step", lambda: memory.stepwise(setting), first=True),
        Section("torch", lambda: memory.torch_sum(setting), first=True),
        Section("variants blocks", lambda: variants.blocks(setting), first=True),
        Section("variants texts", lambda: variants.texts(setting), first=True),
        Section("tests", lambda: checks.gpu_tests(setting, folder), 20),
        Section("ring", lambda: memory.ring(setting)),
        Section("host", lambda: clocks.host_idle(setting)),
        Section("memcheck", lambda: checks.sanitizer(setting, "memcheck"), 10),
        Section("initcheck", lambda: checks.sanitizer(setting, "initcheck"), 10),
        Section("other collectives", lambda: memory.other_collectives(setting), 10),
        Section("long rows", lambda: memory.long_rows(setting), 10),
    ]


def chosen(all_of_them: list[Section], first: bool, only: str | None) -> list[Section]:
    """Return the sections asked for; raises BadInput for a name that none has."""
    if only is None:
        return [section for section in all_of_them if section.first or not first]
    kept = []
    for name in only.split(","):
        found = [each for each in all_of_them if f"{each.name} ".startswith(f"{name.strip()} ")]
        if not found:
            known = ", ".join(each.name for each in all_of_them)
            raise BadInput(f"--only {name.strip()!r}: no such section: needed one of {known}")
        kept += found
    return [section for section in all_of_them if section in kept]


def _waits_s(setting: Setting) -> float:
    """Return about how long the waits take, which are drawn evenly by their logarithms."""
    scale = setting.scale
    mean_ns = scale.longest_wait_ns / np.log(scale.longest_wait_ns / clocks.SHORTEST_WAIT_NS)
    return float(scale.waits * mean_ns / 1e9) + 1.0


def measure_sections(setting: Setting, out: Path, asked: list[Section]) -> int:
    """Measure the sections ``asked`` and write the figures to ``out``; return the exit status."""
    device = setting.device
    about = environment(device.facts())
    print("  ".join(f"{name}: {value}" for name, value in about["device"].items()), flush=True)
    records = []
    for record in recorded(asked, setting.ends_at_s):
        records.append(record)
        print(table([record]).partition("\n")[2], flush=True)
        gc.collect()  # frees what the section had on the device
        seconds = time.monotonic() - setting.began_s
        _write(out / "gpu.json", document(about, records, seconds))
        (out / "gpu.txt").write_text(table(records) + "\n")
        _write(out / "run.json", comparable(device.name, records))
    print(f"{time.monotonic() - setting.began_s:.1f} s", flush=True)
    return FAILED if any(record.error for record in records) else 0


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, default=str) + "\n")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command line to ``parser``."""
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--first", action="store_true", help="what tells most, within 90 s")
    which.add_argument("--only", metavar="NAMES", help="these sections, with commas between them")
    parser.add_argument("--dry-run", action="store_true", help="on the CPU, at tiny sizes")


def run(options: argparse.Namespace) -> int:
    """Find the GPU, measure, write; return the exit status."""
    scale = TINY if options.dry_run else FIRST if options.first else FULL
    began_s = time.monotonic()
    device, reason = _on_the_cpu() if options.dry_run else _on_the_gpu()
    if device is None:
        raise BadInput(f"{reason}: needed an NVIDIA GPU")
    setting = Setting(device, scale, began_s)
    wanted = chosen(sections(setting, options.out), options.first, options.only)
    options.out.mkdir(parents=True, exist_ok=True)
    with device.current():
        return measure_sections(setting, options.out, wanted)


def _on_the_gpu() -> tuple[Any, str]:
    """Return the GPU, or None and why there is none."""
    found = find_gpu()
    return found.device, found.reason


def _on_the_cpu() -> tuple[Any, str]:
    """Return the tests' stand-in for a GPU, which needs a C++ compiler."""
    sys.path.insert(0, str(checks.ROOT / "tests"))
    from fake_cupy import FakeCupy  # type: ignore[import-not-found, unused-ignore]

    return CupyDevice(FakeCupy(), 0), ""


main = program("gpu")
