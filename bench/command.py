"""The one command line of the benchmarks.

    python -m bench                      # names the cases
    python -m bench CASE --help
    python -m bench CASE [options]

A case is a module with ``add_options(parser)`` and one of two functions. ``measure(options)``
measures, prints and returns the figures of a report; ``--out FILE`` writes the figures as JSON,
with the machine that they are of. ``run(options)`` does all of its work and returns the exit
status. BadInput becomes a sentence on standard error and exit status 2.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from bench import machine
from bench.baseline import BadInput

__all__ = ["PROGRAMS", "REPORTS", "main", "program"]

BAD_INPUT = 2

REPORTS = {
    "trunks": "bench.reports.trunks",
    "plans": "bench.reports.plans",
    "waits": "bench.reports.waits",
    "memory": "bench.reports.memory",
    "newcomer": "bench.reports.newcomer",
    "peers": "bench.peers.report",
}
PROGRAMS = {
    "compare": "bench.compare",
    "instructions": "bench.instructions",
    "gpu": "bench.gpu.command",
}
CASES = {**REPORTS, **PROGRAMS}

Program = Callable[..., int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the case that ``arguments`` name first; without one, name all cases."""
    given = sys.argv[1:] if arguments is None else arguments
    if given and given[0] in CASES:
        return program(given[0])(given[1:])
    width = max(map(len, CASES))
    lines = (f"  {name:{width}}  {_summary(import_module(CASES[name]))}" for name in CASES)
    print("usage: python -m bench CASE [options]", *lines, sep="\n")
    return 0 if given in ([], ["--help"], ["-h"]) else BAD_INPUT


def program(name: str) -> Program:
    """Return the case ``name`` as a function from arguments to an exit status."""

    def run(arguments: Sequence[str] | None = None) -> int:
        case = import_module(CASES[name])
        os.environ.setdefault("PYTHONHASHSEED", "0")
        options = _parser(name, case).parse_args(arguments)
        try:
            return _reported(case, options) if name in REPORTS else int(case.run(options))
        except BadInput as error:
            print(f"bench.{name}: {' '.join(str(error).split())}", file=sys.stderr)
            return BAD_INPUT

    return run


def _parser(name: str, case: Any) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m bench.{name}" if name in PROGRAMS else f"python -m bench {name}",
        description=case.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if name in REPORTS:
        parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures as JSON")
    case.add_options(parser)
    return parser


def _reported(case: Any, options: argparse.Namespace) -> int:
    document = {"machine": machine(), **case.measure(options)}
    if options.out:
        options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


def _summary(case: Any) -> str:
    return str(case.__doc__).partition("\n")[0]
