"""Graphs of sites of one rank each, with ports that never bind, and messages over them."""

import numpy as np

from emul import Link, Node, Site, Topology, Trunk
from emul.plans import Partition, Plan, Program, Shape, Step, collective_named
from emul.timing import time_plan
from emul.topology import Network

PORT = Link(1e18, 0.0)
MS = 1e-3
PS_PER_S = 10**12


def site(name, ranks=1, nodes=1, **more):
    return Site(name, (Node(ranks, PORT),) * nodes, PORT, **more)


def graph(names, trunks, **more):
    """Sites of one rank called by single letters, and trunks such as ``{"ab": Link(...)}``."""
    joined = tuple(
        each if isinstance(each, Trunk) else Trunk(tuple(pair), each)
        for pair, each in trunks.items()
    )
    return Topology("graph", tuple(map(site, names)), joined, **more)


def timed(topology, messages, **more):
    """The timeline of messages (src, dst, bytes), all of which may start at once."""
    total = sum(nbytes for _, _, nbytes in messages)
    n = topology.world_size
    edges = np.cumsum([0, *(nbytes for _, _, nbytes in messages)])
    steps = [
        Step.of(src, dst, at, reduce=False, channel=at) for at, (src, dst, _) in enumerate(messages)
    ]
    plan = Plan("all_reduce", "by hand", n, 0, Partition(1, total, edges), lambda: iter(steps))
    program = Program.of(plan, Shape(collective_named("all_reduce"), n, total), 1)
    return time_plan(program, Network.of(topology), **more)


def arrivals_ps(topology, messages, **more):
    """When each message arrives, in the order of their arguments."""
    return timed(topology, messages, **more).arrival_ps.tolist()
