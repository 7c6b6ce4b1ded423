"""Topologies as tables: what there is, and what one derives for each of its links."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.table import Table

from emul.links import Link
from emul.topology import Topology
from emul.units import format_bytes, format_rate, format_time

__all__ = ["topology_list", "topology_sheet"]


def topology_list(topologies: Iterable[Topology]) -> Table:
    """Return a table with a line for each topology."""
    table = Table("name", "sites", "ranks", "what it is", box=box.SIMPLE)
    for topology in topologies:
        sites, ranks = str(len(topology.sites)), str(topology.world_size)
        table.add_row(topology.name, sites, ranks, topology.description)
    return table


def topology_sheet(topology: Topology) -> tuple[str, Table]:
    """Return the heading and the table of the links of ``topology``, with derived figures."""
    sites = ", ".join(
        f"{site.name} {site.ranks} ranks on {len(site.nodes)} nodes" for site in topology.sites
    )
    heading = f"{topology.name}: {topology.description or 'no description'}\n{sites}"
    table = Table("link", box=box.SIMPLE)
    for column in ("km", "one-way delay", "RTT", "rate", "overhead", "BDP"):
        table.add_column(column, justify="right")
    km = {" - ".join(trunk.sites): trunk.km for trunk in topology.trunks}
    for name, link in topology.links():
        table.add_row(name, _km(km.get(name)), *_figures(link))
    return heading, table


def _km(km: float | None) -> str:
    return "" if km is None else f"{km:g}"


def _figures(link: Link) -> tuple[str, ...]:
    return (
        format_time(link.latency_s),
        format_time(link.rtt_s),
        format_rate(link.rate_bytes_per_s),
        format_time(link.overhead_s),
        format_bytes(link.bdp_bytes),
    )
