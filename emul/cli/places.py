"""The ranks that a command works on: of a topology, or given by their number or their sites."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from emul.cli.help import option
from emul.cli.names import TOPOLOGY
from emul.cli.params import Whole
from emul.errors import LONGEST_SHOWN, shown

if TYPE_CHECKING:
    from emul.topology import Document, Topology

__all__ = ["PLACES", "document_asked", "ranks_by_name", "ranks_in", "topology_asked"]

DEFAULT_TOPOLOGY = "three-campus"
MOST_RANKS = 1_000_000
"""As in topology files."""


class Sites(click.types.StringParamType):
    """The ranks of each site, as 6,2; of the nodes of a site, as 4+2,2."""

    name = "sites"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return ``value`` where it can be read."""
        text = str(value)
        numbers = text.replace("+", ",").split(",")
        if not all(each.isascii() and each.isdigit() and len(each) <= 7 for each in numbers):
            self.fail(
                f"{text!r}: needed the ranks of each site, as 6,2, or of each of its nodes, as "
                "4+2,2",
                param,
                ctx,
            )
        ranks = list(map(int, numbers))
        if min(ranks) < 1 or sum(ranks) > MOST_RANKS:
            self.fail(f"{text!r}: needed 1 to {MOST_RANKS} ranks", param, ctx)
        return text


NAMES = ("topology", "ranks", "sites")

PLACES = (
    option(
        "--topology",
        type=TOPOLOGY,
        metavar="NAME|FILE",
        show_default=DEFAULT_TOPOLOGY,
        help="A preset (see emul topology list) or a TOML file.",
    ),
    option(
        "--ranks",
        type=Whole(1, MOST_RANKS),
        metavar="N",
        help="In place of a topology: N ranks on one node.",
    ),
    option(
        "--sites",
        type=Sites(),
        metavar="6,2",
        help="In place of a topology: sites of so many ranks, each of one node (of several: "
        "4+2,2), joined as in three-campus.",
    ),
)
"""The options that say where the ranks are."""


def ranks_in(text: str) -> int:
    """Return the number of ranks that ``text`` says, 0 if it says none."""
    legible = text.isdecimal() and len(text) <= len(str(MOST_RANKS))
    return int(text) if legible and int(text) <= MOST_RANKS else 0


def ranks_by_name(name_of_option: str, given: str | None) -> dict[str, int]:
    """Return the ranks of each place by its name, written NAME=RANKS,... in an option.

    Raises UsageError.
    """
    found: dict[str, int] = {}
    said = given if given and len(given) <= LONGEST_SHOWN else shown(given)
    for text in given.split(",") if given else []:
        name, _, number = (part.strip() for part in text.rpartition("="))
        if not name or name in found or not ranks_in(number):
            raise click.UsageError(
                f"{name_of_option} {said}: {shown(text)}: needed NAME=RANKS, each name once, 1 "
                "rank or more"
            )
        found[name] = ranks_in(number)
    return found


def topology_asked(asked: Mapping[str, Any], *algorithms: str) -> Topology:
    """Return the topology of these options; raises UsageError where two of them are given.

    Where none is, a plan among the files of ``algorithms`` says how many ranks there are: they are
    on one node, unless the default topology has as many.
    """
    return document_asked(asked, *algorithms).topology


def document_asked(asked: Mapping[str, Any], *algorithms: str) -> Document:
    """Return the same with the tables of its links, of which one without a file has none."""
    from emul.topology import Document, load_document, topology_of_sites

    topology, ranks, sites = (asked[name] for name in NAMES)
    given = [f"--{name}" for name in NAMES if asked[name] is not None]
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)}: needed one of them, which says it all")
    if ranks is not None:
        return Document(topology_of_sites([(ranks,)]), ())
    if sites is not None:
        nodes = [tuple(map(int, site.split("+"))) for site in sites.split(",")]
        return Document(topology_of_sites(nodes), ())
    if topology is not None:
        return load_document(topology)
    default, said = load_document(DEFAULT_TOPOLOGY), _ranks_of_plans(algorithms)
    if said in (None, default.topology.world_size):
        return default
    return Document(topology_of_sites([(said,)]), ())


def _ranks_of_plans(algorithms: Iterable[str]) -> int | None:
    """Return the ranks of the first plan in a file; None where no file has a plan."""
    from emul.cli.algorithms import in_file
    from emul.plans import Plan

    plans = (in_file(each) for each in algorithms)
    return next((each.world_size for each in plans if isinstance(each, Plan)), None)
