"""Random worlds with every kind of link, and random calls on them; a number is always the same."""

import math
import random
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from strategies import root_of

from emul import Link, Node, Site, Topology, Trunk, World
from emul.links import (
    Changes,
    Diurnal,
    Jitter,
    OtherTraffic,
    Outages,
    State,
    Transport,
)
from emul.links.link import TCP
from emul.plans import COLLECTIVES, algorithms_for
from emul.reading.toml_table import TomlTable
from emul.timing import Slicing
from emul.topology import Conduit, Waypoint
from emul.topology.library import link_preset_names
from emul.topology.toml.link_tables import from_preset, link_of

STACKS = ("ideal", "ideal", "ideal", "nccl", "gloo", "openmpi")
VECTOR_FORMS = ("reduce_scatter", "all_gather", "gather", "scatter", "all_to_all")
LEVELS = ("ring", "direct")
FEW_SLICES = 24


@dataclass(frozen=True)
class Call:
    """A collective to predict on a world."""

    world: World
    collective: str
    count: object
    algorithm: str
    root: int
    collapse: bool

    def predict(self):
        return self.world.predict(
            self.collective,
            self.count,
            dtype="uint8",
            algorithm=self.algorithm,
            **root_of(self.collective, self.root),
            collapse=self.collapse,
        )


@lru_cache(maxsize=64)
def preset(name, *, is_trunk):
    return link_of(from_preset(TomlTable({"preset": name}, "fuzz", ""), is_trunk=is_trunk))


class Draw(random.Random):
    """Draws for a vector of ``nbytes``, of whose order token buckets are."""

    def __init__(self, number):
        super().__init__(number)
        self.nbytes = int(2 ** self.uniform(0, 30))

    def burst_bytes(self):
        return maybe(self, self.nbytes * 10 ** self.uniform(-2, 1), 0.4)


def maybe(draw, value, part=0.3):
    """``value`` sometimes, else nothing."""
    return value if draw.random() < part else type(value)()


def drawn_transport(draw):
    recovery = draw.choice(("none", "none", "gbn", "sr", *TCP))
    lossy = recovery != "none" and draw.random() < 0.7
    return Transport(
        window_bytes=maybe(draw, 10 ** draw.uniform(3, 7), 0.5),
        streams=draw.choice((1, 1, 2, 5)),
        chunk_bytes=maybe(draw, 10 ** draw.uniform(2, 5)),
        turnaround_s=maybe(draw, 10 ** draw.uniform(-7, -4)),
        gap_s=maybe(draw, 10 ** draw.uniform(-7, -4)),
        loss=10 ** draw.uniform(-6, -1.5) if lossy else 0.0,
        recovery=recovery,
        mtu_bytes=draw.choice((1448.0, 4096.0)),
        rto_s=maybe(draw, 10 ** draw.uniform(-4, 0), 0.5),
        slow_start=recovery in TCP and draw.random() < 0.5,
    )


def drawn_others(draw):
    return OtherTraffic(
        load=maybe(draw, draw.uniform(0, 0.9)),
        queue_bytes=maybe(draw, 10 ** draw.uniform(2, 6)),
        buffer_bytes=draw.choice((math.inf, math.inf, 1e4, 1e6)),
        lossless=draw.random() < 0.2,
        burst_bytes=draw.burst_bytes(),
    )


def drawn_link(draw, kind, *, is_trunk):
    if kind == "any" and draw.random() < 0.25:
        return preset(draw.choice(link_preset_names()), is_trunk=is_trunk)
    plain = Link(
        10 ** draw.uniform(6, 11),
        draw.choice((0.0, 10 ** draw.uniform(-7, -1))),
        draw.choice((0.0, 10 ** draw.uniform(-7, -4))),
    )
    others = drawn_others(draw)
    if kind == "plain":
        return replace(plain, others=OtherTraffic(burst_bytes=others.burst_bytes * is_trunk))
    return replace(
        plain,
        transport=drawn_transport(draw),
        jitter=Jitter(maybe(draw, 10 ** draw.uniform(-6, -3)), draw.uniform(1, 9)),
        others=others if is_trunk else replace(others, burst_bytes=0.0),
        waves=draw.choice((1, 1, 2, 4)) if is_trunk else 1,
    )


def drawn_changes(draw):
    """A trace, load by the hour, or outages; mostly nothing."""
    kind = draw.choice(("no", "no", "no", "trace", "diurnal", "outages"))
    if kind == "trace":
        states = [State(0.0, draw.uniform(0.1, 2.0), maybe(draw, draw.uniform(0, 0.01)))]
        for _ in range(draw.randint(0, 3)):
            states.append(
                State(
                    states[-1].from_s + 10 ** draw.uniform(-4, 0),
                    draw.choice((0.3, 1.0, 1.5, draw.uniform(0.01, 3))),
                    maybe(draw, draw.uniform(0, 0.01)),
                    draw.choice((None, None, 0.0)),
                )
            )
        return Changes(trace=tuple(states), repeat_s=maybe(draw, states[-1].from_s + 1.0))
    if kind == "diurnal":
        return Changes(diurnal=Diurnal(draw.uniform(0, 0.4), draw.uniform(0.4, 0.9)))
    if kind == "outages":
        return Changes(outages=Outages(schedule=((10 ** draw.uniform(-4, 0), 1e-2),)))
    return Changes()


def drawn_topology(draw):
    """Sites and trunks; of one in three topologies all links are plain, but for token buckets."""
    sites, kind = [], draw.choice(("any", "any", "plain"))
    for s in range(draw.choice((1, 2, 2, 3, 4))):
        link = drawn_link(draw, kind, is_trunk=False)
        inner = [drawn_link(draw, kind, is_trunk=False) for _ in range(draw.randint(1, 2))]
        nodes = tuple(
            Node(draw.randint(1, 3), draw.choice(inner)) for _ in range(draw.randint(1, 3))
        )
        limit = 10 ** draw.uniform(6, 11)
        sites.append(
            Site(
                f"s{s}",
                nodes,
                link,
                draw.choice((math.inf, limit)),
                draw.choice((None, math.inf, 10 ** draw.uniform(6, 11))),
                draw.burst_bytes(),
            )
        )
    if draw.random() < 0.2:  # all alike, as excerpts need them
        sites = [replace(sites[0], name=site.name) for site in sites]
    pairs = [(a.name, b.name) for i, a in enumerate(sites) for b in sites[i + 1 :]]
    trunks = tuple(
        Trunk(pair, drawn_link(draw, kind, is_trunk=True), changes=drawn_changes(draw))
        for pair in pairs
    )
    return Topology(f"fuzz {len(sites)}", tuple(sites), trunks)


def drawn_graph(draw):
    """A sparse connected graph: waypoints, shared NICs, conduits, and paths that are asked for."""
    whole = drawn_topology(draw)
    recovery = draw.choice(("none", "gbn", "sr", *TCP))
    sites = [replace(site, nodes=tuple(map(with_nics(draw), site.nodes))) for site in whole.sites]
    while len(sites) < draw.randint(2, 6):
        sites.append(replace(sites[draw.randrange(len(sites))], name=f"more {len(sites)}"))
    sites = [replace(site, transit_s=maybe(draw, 10 ** draw.uniform(-6, -3))) for site in sites]
    waypoints = [Waypoint(f"w{i}", draw.choice((0.0, 1e-4))) for i in range(draw.randint(0, 2))]
    names = [place.name for place in (*sites, *waypoints)]
    draw.shuffle(names)
    pairs = {(name, draw.choice(names[:at])) for at, name in enumerate(names) if at}
    for _ in range(draw.randint(0, 3)):
        a, b = draw.sample(names, 2)
        pairs |= set() if (b, a) in pairs else {(a, b)}
    conduits = tuple(
        Conduit(f"c{i}", 10 ** draw.uniform(6, 11), drawn_outage(draw))
        for i in range(draw.randint(0, 2))
    )
    held = [None, None, *(conduit.name for conduit in conduits)]
    trunks = tuple(
        Trunk(pair, of_one_recovery(draw, recovery), None, drawn_changes(draw), draw.choice(held))
        for pair in sorted(pairs)
    )
    return Topology("graph", tuple(sites), trunks, "", tuple(waypoints), conduits)


def with_nics(draw):
    number = draw.choice((1, 2, 3))
    return lambda node: replace(node, nic_of=min(number, node.ranks))


def of_one_recovery(draw, recovery):
    """A link that can be on a path with others of the same recovery."""
    link = drawn_link(draw, "any", is_trunk=True)
    transport = replace(
        link.transport, recovery=recovery, loss=0.0 if recovery == "none" else link.transport.loss,
        slow_start=link.transport.slow_start and recovery in TCP,
    )  # fmt: skip
    return replace(link, transport=transport, others=replace(link.others, burst_bytes=0.0))


def drawn_outage(draw):
    down = Outages(schedule=((10 ** draw.uniform(-4, 0), 1e-2),))
    return Changes(outages=down if draw.random() < 0.2 else None)


def drawn_algorithm(draw, collective, topology, *, uneven):
    names = algorithms_for(collective, uneven=uneven)
    if "hierarchical" in names and draw.random() < 0.25:
        level = draw.choice(("node", "site", "trunk"))
        pieces = draw.choice(("", ",pieces=2", ",pieces=3"))
        return f"hierarchical:{level}={draw.choice(LEVELS)}{pieces}"
    return draw.choice(("auto", *names))


def drawn_call(number, drawn=drawn_topology):
    draw = Draw(number)
    topology = drawn(draw)
    n, collective = topology.world_size, draw.choice(tuple(COLLECTIVES))
    stack = draw.choice(STACKS)
    nbytes = min(draw.nbytes, 1 << 24) if stack == "nccl" else draw.nbytes  # its slices are short
    slice_bytes = max(1, nbytes // draw.randint(1, FEW_SLICES))
    slicing = draw.choice((None, Slicing(slice_bytes, draw.choice((1, 2, 8)))))
    world = World(
        topology,
        slicing=slicing if stack == "ideal" else Slicing(),
        seed=number,
        stack=stack,
        start_s=draw.choice((0.0, 0.0, 2.5)),
    )
    uneven = collective in VECTOR_FORMS and stack == "ideal" and draw.random() < 0.3
    if uneven:
        shape = (n, n) if collective == "all_to_all" else n
        most = max(1, nbytes // n)
        count = np.random.default_rng(number).integers(0, most + 1, shape)
    else:
        blocks = max(1, nbytes // n)
        count = blocks * n if COLLECTIVES[collective].input_whole else blocks
    return Call(
        world,
        collective,
        count,
        drawn_algorithm(draw, collective, topology, uneven=uneven),
        draw.randrange(n),
        draw.random() < 0.3,
    )
