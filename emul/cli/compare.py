"""``emul compare``: algorithms side by side, at a few sizes."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from emul.cli.params import INTERRUPTED, Size, Whole
from emul.cli.places import places_options, topology_asked
from emul.cli.terminal import columns, complain, say

if TYPE_CHECKING:
    from emul.cli.comparing import Contest

__all__ = ["compare"]

ALL = "all"
PART_OF_NAME = re.compile(r"(node|site|trunk|pieces)=")
"""With which a part of a hierarchy's name begins, behind a comma of its own."""


@click.command()
@click.argument("asked", nargs=-1, required=True, metavar="[COLLECTIVE] ALGORITHM...")
@click.option("--against", multiple=True, metavar="all|NAME,...",
              show_default="all, with one algorithm",
              help="Hold them against these too: names or files behind commas, or all that emul "
                   "has for the collective.")  # fmt: skip
@click.option("-b", "--minbytes", type=Size(), default="8K", help="First size.", show_default=True)
@click.option("-e", "--maxbytes", type=Size(), default="32M", help="Last size.", show_default=True)
@click.option("-f", "--stepfactor", type=Whole(2), default=64, show_default=True,
              help="Multiply each size by this.")  # fmt: skip
@click.option("-d", "--datatype", default="float32", show_default=True, help="Element type.")
@click.option("-o", "--op", default="sum", show_default=True, help="sum, prod, min, max or avg.")
@click.option("-r", "--root", type=Whole(0), show_default="0, or that of the file",
              help="Of broadcast, reduce, gather, scatter; of send_recv how far.")  # fmt: skip
@places_options
@click.option("--json", "json_path", type=click.Path(path_type=Path), metavar="FILE",
              help="Write all of it as JSON.")  # fmt: skip
def compare(
    asked: tuple[str, ...],
    against: tuple[str, ...],
    minbytes: int,
    maxbytes: int,
    stepfactor: int,
    datatype: str,
    op: str,
    root: int | None,
    topology: str | None,
    ranks: int | None,
    sites: str | None,
    json_path: Path | None,
) -> None:
    """Hold algorithms against each other: proven, time, x bound, bytes between sites, error.

    ALGORITHM is a name, FILE.xml, a plan, or FILE.py:NAME, a function of yours (see emul plan
    check; the file is executed). Times are modelled on the virtual clock. x bound is the time over
    the least that any algorithm could take. The error is that of random numbers, relative to the
    sum of their magnitudes.
    """
    from emul.cli.algorithms import collective_and_root, file_read
    from emul.report.files import check_outputs

    collective, subjects = _collective_of(asked)
    files = [*map(file_read, subjects), *([topology] if topology else [])]
    check_outputs({"--json": json_path}, files)
    where = topology_asked(topology, ranks, sites)
    said = {collective_and_root(collective, each, root) for each in subjects}
    if len(said) > 1:
        computed = ", ".join(sorted(f"{name}, root {start}" for name, start in said))
        raise click.UsageError(f"{' and '.join(subjects)} compute {computed}: needed one and the same")
    name, start = said.pop()
    contest = _contest(name, start, subjects, against, where, datatype, op)
    counts = _counts(contest, minbytes, maxbytes, stepfactor)
    done = _print(contest, counts)
    if json_path is not None and done:
        _write(json_path, contest, interrupted=done < len(counts))
    if done < len(counts):
        complain(f"emul compare: interrupted after {done} of {len(counts)} sizes")
        sys.exit(INTERRUPTED)
