"""``emul topology list | show NAME | check FILE``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from emul.cli.help import Command, Group, option, options
from emul.cli.names import SHOWN_TOPOLOGY, Recorded
from emul.cli.terminal import print_table, say, say_each, say_fitted, terminal_width

if TYPE_CHECKING:
    from emul.topology import LinkOrigin

__all__ = ["topology"]


@click.group(
    cls=Group,
    examples={
        "all presets": "emul topology list",
        "the links of one": "emul topology show three-campus",
    },
    page="plan-campuses.md",
)
def topology() -> None:
    """Show where ranks live, and the links between them."""


WIDE = options(
    "Table", option("--wide", is_flag=True, help="All columns, also beyond the terminal.")
)


@topology.command(
    "list",
    cls=Command,
    examples={
        "topologies and links": "emul topology list",
        "with every column": "emul topology list --wide",
    },
    page="plan-campuses.md",
)
@WIDE
def list_(wide: bool) -> None:
    """List the topologies that come with emul, and the presets of links."""
    from emul.report.topologies import link_list, topology_list
    from emul.topology import link_preset_names, load, preset_names, preset_table

    print_table(topology_list(load(name) for name in preset_names()), wide=wide)
    print_table(link_list(preset_table(name) for name in link_preset_names()), wide=wide)


@topology.command(
    cls=Command,
    short_help="Show the links of a topology, or the figures of a link.",
    examples={
        "the links of a preset": "emul topology show three-campus",
        "every figure of a link, with its source": "emul topology show metro_dwdm_16km",
    },
    page="plan-campuses.md",
)
@click.argument("name", metavar="NAME|FILE|LINK", type=SHOWN_TOPOLOGY)
@options(
    "Figures",
    option("--sources", is_flag=True, help="Every figure of every link, and its source."),
)
@WIDE
def show(name: str, sources: bool, wide: bool) -> None:
    """Show the graph of a topology and its links: one-way delay, RTT, rate and BDP of each.

    Paths over several trunks come after them. Of a preset of links, show every figure and its
    source.
    """
    from emul.report.graph_picture import graph_lines
    from emul.report.topologies import path_lines, topology_sheet
    from emul.topology import link_preset_names, load_document, preset_table

    if name in link_preset_names():
        _show_links([preset_table(name)])
        return
    document = load_document(name)
    heading, table = topology_sheet(document.topology)
    say_fitted(heading, None if wide else terminal_width())
    for line in graph_lines(document.topology):
        say(line)
    print_table(table, wide=wide)
    for line in path_lines(document.topology):
        say(line)
    if sources:
        _show_links(document.tables)
    else:
        _say_notes(document.tables)


def _show_links(links: Sequence[LinkOrigin]) -> None:
    from emul.report.topologies import link_sheets

    for sheet in link_sheets(links):
        print_table(sheet)
    _say_notes(links)


def _say_notes(links: Sequence[LinkOrigin]) -> None:
    from emul.topology import notes_of

    say_each("note: ", (note for link in links for note in notes_of(link)))


@topology.command(
    cls=Command,
    examples={
        "a file of your own": "emul topology check campuses.toml",
        "and its links, as emul reads them": "emul topology show campuses.toml --sources",
    },
    page="plan-campuses.md",
)
@click.argument("file", type=Recorded(".toml"))
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
