"""``emul plan list | show | check | write``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from emul.cli.params import Subcommands, Whole
from emul.cli.terminal import print_table, say

if TYPE_CHECKING:
    from emul.plans import Plan
    from emul.topology import Topology

__all__ = ["plan"]


@click.group(cls=Subcommands)
def plan() -> None:
    """Show plans: which rank sends which chunk to which rank."""


@plan.command("list")
def list_() -> None:
    """List the collectives, and the algorithms that do each."""
    from emul.report.plans import plan_list

    print_table(plan_list())


# fmt: off
_topology = click.option("--topology", default="three-campus", show_default=True,
                         metavar="NAME|FILE",
                         help="A preset (see emul topology list) or a TOML file.")  # fmt: skip
_root = click.option(
    "-r",
    "--root",
    type=Whole(0),
    default=0,
    show_default=True,
    help="Of broadcast, reduce, gather, scatter; of send_recv how far.",
)
# fmt: on


def _named_plan(collective: str, algorithm: str, where: Topology, root: int) -> Plan:
    from emul.plans import build_plan

    return build_plan(collective, algorithm, where.ranks_by_node, root=root)


@plan.command()
@click.argument("collective", metavar="COLLECTIVE|FILE.xml")
@click.argument("algorithm", required=False)
@_topology
@_root
@click.option("--steps", type=Whole(0), default=8, show_default=True,
              help="Draw so many steps.")  # fmt: skip
def show(collective: str, algorithm: str | None, topology: str, root: int, steps: int) -> None:
    """Draw a plan: its steps with their transfers, and the bytes over each link.

    The plan is that of an algorithm for a collective, or that of a file in MSCCL XML.
    """
    from emul.plans import is_plan_file, read_plan
    from emul.report.plans import plan_sheet
    from emul.topology import load

    where = load(topology)
    if is_plan_file(collective):
        drawn = read_plan(collective)
    elif algorithm is None:
        raise click.UsageError("Missing argument 'ALGORITHM'.")
    else:
        drawn = _named_plan(collective, algorithm, where, root)
    for line in plan_sheet(drawn, where, steps):
        say(line)


@plan.command()
@click.argument("file", type=click.Path(path_type=Path))
def check(file: Path) -> None:
    """Prove that FILE, a plan in MSCCL XML, computes its collective, and describe it.

    Exit status 2, with the line, for an element that emul does not know, a race, a deadlock, or a
    wrong result.
    """
    from emul.plans import read_plan
    from emul.report.plans import plan_words

    proven = read_plan(file)
    say(f"{file}: proven: {proven}", *plan_words(proven))


@plan.command()
@click.argument("collective")
@click.argument("algorithm")
@click.argument("file", type=click.Path(path_type=Path))
@_topology
@_root
def write(collective: str, algorithm: str, file: Path, topology: str, root: int) -> None:
    """Write the plan of an algorithm to FILE as MSCCL XML, which is read back as the same plan."""
    from emul.files import check_outputs, write_text
    from emul.plans import plan_xml
    from emul.topology import load

    check_outputs({"FILE": file}, [topology])
    text = plan_xml(_named_plan(collective, algorithm, load(topology), root))
    write_text(file, text)
    say(f"{file}: {len(text.splitlines())} lines")
