"""``emul plan list | show COLLECTIVE ALGORITHM``."""

from __future__ import annotations

import click

from emul.cli.params import print_wide

__all__ = ["plan"]


@click.group()
def plan() -> None:
    """Show what algorithms do: who sends which chunk to whom."""


@plan.command("list")
def list_() -> None:
    """List the collectives, and the algorithms that do each."""
    from emul.report.plans import plan_list

    print_wide(plan_list())


@plan.command()
@click.argument("collective")
@click.argument("algorithm")
@click.option("--topology", default="three-campus", show_default=True, metavar="NAME|FILE",
              help="A preset (see emul topology list) or a TOML file.")  # fmt: skip
@click.option("-r", "--root", type=int, default=0, show_default=True,
              help="Of broadcast, reduce, gather, scatter; of send_recv how far.")  # fmt: skip
@click.option("--steps", type=click.IntRange(0), default=8, show_default=True,
              help="Draw so many steps.")  # fmt: skip
def show(collective: str, algorithm: str, topology: str, root: int, steps: int) -> None:
    """Draw a plan: its steps, who sends what to whom, and the bytes over each trunk."""
    from emul.plans import build_plan
    from emul.report.plans import plan_sheet
    from emul.topology import load

    where = load(topology)
    sizes = tuple(site.ranks for site in where.sites)
    found = build_plan(collective, algorithm, sizes, root=root)
    for line in plan_sheet(found, where, steps):
        click.echo(line)
