"""``emul topology list | show NAME | check FILE | import FILE | export NAME OUTPUT``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from emul.cli.help import Command, Group, option, options
from emul.cli.names import SHOWN_TOPOLOGY, TOPOLOGY, Recorded
from emul.cli.params import Real, Whole
from emul.cli.places import ranks_by_name
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
    width = None if wide else terminal_width()
    say_fitted(heading, width)
    for line in graph_lines(document.topology):
        say(line)
    print_table(table, wide=wide)
    say_fitted(path_lines(document.topology), width)
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

    say_each("note: ", notes_of(links))


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


@topology.command(
    "import",
    cls=Command,
    short_help="Make a topology file of one that others wrote.",
    examples={
        "ASTRA-sim's network, as a file": "emul topology import net.yml -o net.toml",
        "a machine, as NCCL dumps it": "emul topology import dump.xml --nodes 4",
    },
    page="howto/wan.md",
)
@click.argument("file", type=Recorded(".graphml", ".gml", ".json", ".yml", ".yaml", ".xml"))
@options(
    "Lacking in the file",
    option("--ranks", metavar="NAME=RANKS,...", help="Places of a WAN at which ranks live."),
    option("--rate", type=Real(0), metavar="GBIT", help="Of trunks without one, Gbit/s each way."),
    option("--latency", type=Real(0), metavar="US", help="Of trunks without a delay, one way."),
    option("--delay", metavar="NAME=UNIT", help="Attribute of edges, in us, ms, s or km."),
    option(
        "--route-factor",
        type=Real(0),
        metavar="X",
        default=1.5,
        show_default=True,
        help="Glass over the line of sight.",
    ),
    option(
        "--nodes",
        type=Whole(1),
        default=1,
        show_default=True,
        help="Machines like the one of NCCL's dump.",
    ),
)
@options("File", option("-o", "--output", type=click.Path(path_type=Path), help="Write it there."))
def import_(
    file: Path,
    ranks: str | None,
    rate: float | None,
    latency: float | None,
    delay: str | None,
    route_factor: float,
    nodes: int,
    output: Path | None,
) -> None:
    """Make a topology file of GraphML, GML, InfraGraph, ASTRA-sim's YAML or NCCL's topology dump.

    The ending of FILE tells which. Delays come from attributes of edges or from coordinates; each
    number has its source, and what the file lacks is asked for by name.
    """
    from emul.files import check_outputs, write_text
    from emul.topology.importing import Lacking, imported_text

    given = Lacking(ranks_by_name("--ranks", ranks), rate, latency, route_factor, _unit_of(delay))
    text = imported_text(file, given, nodes=nodes)
    if output is None:
        for line in text.splitlines():
            say(line)
        return
    check_outputs({"--output": output}, [str(file)])
    write_text(output, text)
    say(f"{output}: {len(text.splitlines())} lines")


def _unit_of(given: str | None) -> tuple[str, str] | None:
    if given is None:
        return None
    name, _, unit = given.rpartition("=")
    if not name or unit not in ("us", "ms", "s", "km"):
        raise click.UsageError(f"--delay {given}: needed NAME=UNIT, the unit one of us, ms, s, km")
    return name, unit


@topology.command(
    cls=Command,
    short_help="Write the graph of a topology in another format.",
    examples={
        "for networkx or yEd": "emul topology export three-campus campuses.graphml",
        "InfraGraph": "emul topology export three-campus campuses.json --format infragraph",
    },
    page="howto/wan.md",
)
@click.argument("name", metavar="NAME|FILE", type=TOPOLOGY)
@click.argument("output", metavar="OUTPUT", type=click.Path(path_type=Path))
@options(
    "Format",
    option(
        "--format",
        "form",
        type=click.Choice(["graphml", "infragraph"]),
        default="graphml",
        show_default=True,
        help="Of OUTPUT.",
    ),
)
def export(name: str, output: Path, form: str) -> None:
    """Write places and trunks of a topology to OUTPUT: names, ranks, coordinates, rates, delays."""
    from emul.files import check_outputs, write_text
    from emul.topology import load
    from emul.topology.formats.graphml_text import graphml_text
    from emul.topology.formats.infragraph import infragraph_text

    text = (graphml_text if form == "graphml" else infragraph_text)(load(name))
    check_outputs({"OUTPUT": output}, [name])
    write_text(output, text)
    say(f"{output}: {form}, {len(text.splitlines())} lines")
