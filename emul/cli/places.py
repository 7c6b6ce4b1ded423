"""The ranks that a command works on: of a topology, or given by their number or their sites."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from emul.cli.help import option
from emul.cli.names import TOPOLOGY
from emul.cli.params import Whole
from emul.errors import LONGEST_SHOWN, shown

if TYPE_CHECKING:
    from emul.topology import Document, Topology

__all__ = ["PLACES", "document_asked", "ranks_asked", "ranks_by_name", "ranks_in", "topology_asked"]

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


def ranks_asked(asked: Mapping[str, Any], algorithm: str) -> Topology:
    """Return the topology of these options, for a plan that is looked at and not timed.

    Where none is given, a plan in the file ``algorithm`` says how many ranks there are: they are
    on one node, unless the default topology has as many.
    """
    from emul.cli.algorithms import in_file
    from emul.plans import Plan
    from emul.topology import topology_of_sites

    where = topology_asked(asked)
    plan = None if any(asked[name] is not None for name in NAMES) else in_file(algorithm)
    if not isinstance(plan, Plan) or plan.world_size == where.world_size:
        return where
    return topology_of_sites([(plan.world_size,)])


def topology_asked(asked: Mapping[str, Any]) -> Topology:
    """Return the topology of these options, else the default one.

    Raises UsageError where two of them are given.
    """
    return document_asked(asked).topology


def document_asked(asked: Mapping[str, Any]) -> Document:
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
    return load_document(DEFAULT_TOPOLOGY if topology is None else topology)
