"""``emul topology list | show NAME | check FILE``."""

from __future__ import annotations

from pathlib import Path

import click

from emul.cli.params import print_wide
from emul.topology import load, preset_names, read_topology

__all__ = ["topology"]


@click.group()
def topology() -> None:
    """Show where ranks live and what joins them."""


@topology.command("list")
def list_() -> None:
    """List the topologies that come with emul."""
    from emul.report import topology_list

    print_wide(topology_list(load(name) for name in preset_names()))


@topology.command()
@click.argument("name", metavar="NAME|FILE")
def show(name: str) -> None:
    """Show the links of a topology: one-way delay, RTT, rate and BDP of each."""
    from emul.report import topology_sheet

    heading, table = topology_sheet(load(name))
    click.echo(heading)
    print_wide(table)


@topology.command()
@click.argument("file", type=click.Path(path_type=Path))
def check(file: Path) -> None:
    """Check a topology file, and say what it describes."""
    found = read_topology(file)
    click.echo(
        f"{file}: good: {found.world_size} ranks at {len(found.sites)} sites, "
        f"{len(found.trunks)} trunks"
    )
