"""Random topologies of unequal sites and trunks: a full mesh, or a random ring and some more."""

import random
from itertools import combinations

from emul import Link, Node, Site, Topology, Trunk

NODE = Link(370.8e9, 0.5e-6, 2.9e-6)
FABRIC = Link(12.25e9, 6e-6, 11e-6)


def random_sites(seed, sites, part=1.0, most_ranks=6, order=None):
    """Of 1 to ``most_ranks`` ranks each; 0.05 to 5 GB/s and 0.1 to 10 ms on the trunks.

    ``part``: of the pairs beyond a ring that have a trunk. ``order``: of the sites in the file.
    """
    draw = random.Random(seed)
    found = []
    for number in range(sites):
        ranks = draw.randint(1, most_ranks)
        nodes = [ranks // 2, ranks - ranks // 2] if ranks > 3 else [ranks]
        found.append(Site(f"s{number}", tuple(Node(each, NODE) for each in nodes), FABRIC))
    ring = draw.sample(range(sites), sites)
    joined = {frozenset((ring[i], ring[i - 1])) for i in range(sites)}
    trunks = []
    for a, b in combinations(range(sites), 2):
        link = Link(5e7 * 100 ** draw.random(), 1e-4 * 100 ** draw.random(), 30e-6)
        if draw.random() < part or frozenset((a, b)) in joined:
            trunks.append(Trunk((f"s{a}", f"s{b}"), link))
    placed = found if order is None else [found[number] for number in order]
    return Topology("random", tuple(placed), tuple(trunks))
