"""``emul plan list | show | check | write``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emul.cli.calls import ROOT
from emul.cli.help import Command, Group, option, options
from emul.cli.names import PLAN
from emul.cli.params import Size, Whole
from emul.cli.places import PLACES, ranks_asked
from emul.cli.terminal import print_table, say, say_fitted, terminal_width

if TYPE_CHECKING:
    from emul.plans import Plan
    from emul.topology import Topology

__all__ = ["plan"]


PAGE = "invent.md"


@click.group(
    cls=Group,
    examples={
        "the algorithms of each collective": "emul plan list",
        "the steps of one": "emul plan show all_reduce ring --ranks 4",
    },
    page=PAGE,
)
def plan() -> None:
    """Show plans: which rank sends which chunk to which rank."""


@plan.command(
    "list",
    cls=Command,
    examples={
        "all of them": "emul plan list",
        "kept in a file": "emul plan list > algorithms.txt",
    },
    page=PAGE,
)
def list_() -> None:
    """List the collectives, and the algorithms that do each."""
    from emul.report.plans import plan_list

    print_table(plan_list())


RANKS = options(
    "Ranks",
    *PLACES,
    ROOT,
    option(
        "--size",
        type=Size(),
        default="32M",
        show_default=True,
        help="Bytes of the whole vector, on which the trees of packed depend.",
    ),
)

ASKED = "[COLLECTIVE] ALGORITHM|FILE.xml|FILE.py:NAME"

named = click.argument("asked", nargs=-1, required=True, metavar=ASKED, type=PLAN)


def _plan_and_places(asked: tuple[str, ...], given: Mapping[str, Any]) -> tuple[Plan, Topology]:
    """Return the proven plan that the arguments name, and the topology that it is for.

    ``given`` has the options of RANKS.
    """
    from emul.cli.algorithms import plan_asked

    if not 1 <= len(asked) <= 2:
        raise click.UsageError(f"{len(asked)} arguments {' '.join(asked)}: needed {ASKED}")
    where = ranks_asked(given, asked[-1])
    collective = _collective(asked)
    return plan_asked(collective, asked[-1], given["root"], where, given["size"]), where


def _collective(asked: tuple[str, ...]) -> str | None:
    """Return the collective among the arguments; refuse one that stands alone."""
    from emul.plans import COLLECTIVES, algorithms_for, collective_meant

    if len(asked) == 2:
        return collective_meant(asked[0]).name
    if asked[0] in COLLECTIVES:
        some = ", ".join(algorithms_for(asked[0]))
        raise click.UsageError(f"Missing argument 'ALGORITHM': needed one of {some}, or a file")
    return None


@plan.command(
    cls=Command,
    examples={
        "the first steps of an algorithm": "emul plan show all_reduce ring --ranks 4",
        "one of yours over sites of 6 and 2 ranks": "emul plan show mine.py:my_plan --sites 6,2",
    },
    page=PAGE,
)
@named
@RANKS
@options(
    "Drawing",
    option("--steps", type=Whole(0), default=8, show_default=True, help="Draw so many steps."),
)
def show(asked: tuple[str, ...], steps: int, **given: Any) -> None:
    """Draw a plan: its steps with their transfers, and the bytes over each link.

    Of packed, also its trees or routes, each with its share.

    The plan is that of an algorithm for a collective, that of a file in MSCCL XML, or the one that
    a function in a Python file yields (see emul plan check).
    """
    from emul.report.plans import plan_sheet

    drawn, where = _plan_and_places(asked, given)
    for line in plan_sheet(drawn, where, steps):
        say(line)


@plan.command(
    cls=Command,
    examples={
        "a function of yours, for 8 ranks": "emul plan check mine.py:my_plan --ranks 8",
        "a plan in MSCCL XML": "emul plan check plan.xml",
    },
    page=PAGE,
)
@named
@RANKS
def check(asked: tuple[str, ...], **given: Any) -> None:
    """Prove that a plan computes its collective, and describe it.

    FILE.xml is a plan in MSCCL XML; its ranks are those of the file. FILE.py:NAME is a function of
    yours that yields steps, or returns a Plan, or is one. The file is executed, as your own code.

    \b
      from emul import Send, algorithm

    \b
      @algorithm("all_reduce")
      def star(n):
          for rank in range(1, n):
              yield [Send(rank, 0, c, reduce=True) for c in range(n)]
          yield [Send(0, rank, c) for rank in range(1, n) for c in range(n)]

    A step is a list of Send. All rows of a step read the state before the step, so ranks may
    exchange chunks in one; a chunk of a rank may be written by one row of a step only, so ranks
    that reduce into the same chunk take a step each. The function is given the number of ranks
    and, by the names of its parameters: sites (ranks of each), nodes, root, chunks. Without
    @algorithm it is taken for COLLECTIVE, or all_reduce, with as many chunks as ranks.

    Exit status 2, with rank, step and chunk, for a wrong result; with the line for an error in a
    file, an element that emul does not know, a race, or a deadlock.
    """
    from emul.plans import is_plan_file, read_plan
    from emul.report.plans import plan_words

    as_it_says = all(value is None for name, value in given.items() if name != "size")
    if len(asked) == 1 and as_it_says and is_plan_file(asked[0]):
        proven = read_plan(asked[0])
    else:
        proven, _ = _plan_and_places(asked, given)
    say_fitted([f"{asked[-1]}: proven: {proven}", *plan_words(proven)], terminal_width())


@plan.command(
    cls=Command,
    examples={
        "for emul, to be read back": "emul plan write all_reduce ring ring.xml --ranks 8",
        "for the run time of MSCCL": (
            "emul plan write mine.py:my_plan mine.xml --ranks 8 --for msccl"
        ),
    },
    page=PAGE,
)
@named
@click.argument("file", type=click.Path(path_type=Path))
@options(
    "File",
    option(
        "--for",
        "reader",
        type=click.Choice(["emul", "msccl"]),
        default="emul",
        show_default=True,
        help="msccl: only what the run time of MSCCL reads, within its limits.",
    ),
)
@RANKS
def write(asked: tuple[str, ...], file: Path, reader: str, **given: Any) -> None:
    """Write a plan to FILE as MSCCL XML, which emul reads back as the same plan.

    With --for msccl, FILE is one that MSCCL's runtime takes: without the attributes that emul adds,
    within its limits; emul reads it back as an equivalent plan. A plan that it cannot run is
    refused with the reason.
    """
    from emul.cli.algorithms import file_read
    from emul.files import check_outputs, write_text
    from emul.plans import msccl_xml, plan_xml

    check_outputs({"FILE": file}, [file_read(asked[-1]), given["topology"] or ""])
    written, _ = _plan_and_places(asked, given)
    text = (msccl_xml if reader == "msccl" else plan_xml)(written)
    write_text(file, text)
    say(f"{file}: {len(text.splitlines())} lines")
