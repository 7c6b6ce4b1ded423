"""The calls that a command was asked for, without data: a World and a request for each size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emul.runtime.request import Request
    from emul.topology import Topology
    from emul.world import World

__all__ = ["requests_asked"]

WITHOUT_DATA = {"no_data": True, "backend": "auto", "clock": "virtual", "dilation": 1.0}
"""The options of emul perf that such a command has no use for."""


def requests_asked(given: dict[str, Any], topology: Topology) -> tuple[World, list[Request], str]:
    """Return the World, the request of each size, and the name of the element type."""
    from emul.cli.algorithms import collective_and_root, root_argument
    from emul.cli.perf_setup import check_sizes, sizes_asked, world_asked
    from emul.cli.sweep import counts_of_sizes
    from emul.errors import unknown_name
    from emul.ops import REDUCTIONS, dtype_named

    check_sizes(given["minbytes"], given["maxbytes"], given["stepbytes"])
    if given["op"] not in REDUCTIONS:
        raise unknown_name("op", given["op"], REDUCTIONS)
    algorithm, dtype = given["algorithm"], dtype_named(given["datatype"]).name
    collective, root = collective_and_root(given["collective"], algorithm, given["root"])
    world = world_asked(given | WITHOUT_DATA, topology)
    how = {"dtype": dtype, "algorithm": algorithm, "wire": given.get("wire")}
    how |= root_argument(collective, root)
    requests = [
        world.request(collective, count, **how)
        for count in counts_of_sizes(collective, world.size, dtype, sizes_asked(given))
    ]
    return world, requests, dtype
