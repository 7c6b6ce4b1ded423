"""``emul topology list | show NAME | check FILE``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from emul.cli.params import Subcommands
from emul.cli.terminal import print_wide, say, say_each

if TYPE_CHECKING:
    from emul.topology import LinkOrigin

__all__ = ["topology"]


@click.group(cls=Subcommands)
def topology() -> None:
    """Show where ranks live, and the links between them."""


@topology.command("list")
def list_() -> None:
    """List the topologies that come with emul, and the presets of links."""
    from emul.report import link_list, topology_list
    from emul.topology import link_preset_names, load, preset_names, preset_table

    print_wide(topology_list(load(name) for name in preset_names()))
    print_wide(link_list(preset_table(name) for name in link_preset_names()))


@topology.command()
@click.argument("name", metavar="NAME|FILE|LINK")
@click.option("--sources", is_flag=True, help="Every figure of every link, and its source.")
def show(name: str, sources: bool) -> None:
    """Show the links of a topology: one-way delay, RTT, rate and BDP of each.

    Of a preset of links, show every figure and its source.
    """
    from emul.report import topology_sheet
    from emul.topology import link_preset_names, load_document, preset_table

    if name in link_preset_names():
        _show_links([preset_table(name)])
        return
    document = load_document(name)
    heading, table = topology_sheet(document.topology)
    say(*heading)
    print_wide(table)
    if sources:
        _show_links(document.tables)
    else:
        _say_notes(document.tables)


def _show_links(links: Sequence[LinkOrigin]) -> None:
    from emul.report import link_sheets

    for sheet in link_sheets(links):
        print_wide(sheet)
    _say_notes(links)


def _say_notes(links: Sequence[LinkOrigin]) -> None:
    from emul.topology import notes_of

    say_each("note: ", (note for link in links for note in notes_of(link)))


@topology.command()
@click.argument("file", type=click.Path(path_type=Path))
def check(file: Path) -> None:
    """Check a topology file, and describe it."""
    from emul.topology import read_document

    document = read_document(file)
    described = document.topology
    say(
        f"{file}: good: {described.world_size} ranks at {len(described.sites)} sites, "
        f"{len(described.trunks)} trunks"
    )
    _say_notes(document.tables)
