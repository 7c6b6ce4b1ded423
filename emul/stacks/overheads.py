"""A topology whose links cost their senders the overhead of a library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from emul.links import Link
from emul.topology import NodeRuns, Topology

__all__ = ["with_overheads"]


def with_overheads(topology: Topology, overhead_s: Mapping[str, float]) -> Topology:
    """Return ``topology`` with the overheads of messages that are given, by kind of hop."""
    if not overhead_s:
        return topology

    def link(kind: str, was: Link) -> Link:
        return replace(was, overhead_s=overhead_s.get(kind, was.overhead_s))

    return replace(
        topology,
        sites=tuple(
            replace(
                site,
                link=link("site", site.link),
                nodes=NodeRuns.of(site.nodes).changed(
                    lambda node: replace(node, link=link("node", node.link))
                ),
            )
            for site in topology.sites
        ),
        trunks=tuple(replace(trunk, link=link("trunk", trunk.link)) for trunk in topology.trunks),
    )
