"""Rings: every rank sends only to the next one.

Reduce-scatter and all-gather take n - 1 steps each (Patarasuk and Yuan, JPDC 69, 2009);
all-reduce is one after the other. Broadcast is a chain from the root through which n chunks
flow, one behind the other; reduce is a chain that ends at the root.

``ring`` visits the ranks in their order, site by site. ``ring:interleaved`` goes to another site
with every hop, to show the cost. ``ring:bidirectional`` sends half of everything the other
way around. ``ring:channels`` runs several rings at once, which visit the ranks of a site in
rotated order, so that each crosses between other NICs (the rings of NCCL's channels).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain, pairwise, zip_longest
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from emul.errors import unknown_name
from emul.plans.places import Places
from emul.plans.plan import Partition, Plan, Step
from emul.plans.rounds import Rounds

__all__ = ["AROUND", "BUILDERS", "COLLECTIVES", "orders_of"]

COLLECTIVES = ("all_reduce", "reduce_scatter", "all_gather", "broadcast", "reduce")

AROUND = MappingProxyType(
    {"reduce_scatter": (True,), "all_gather": (False,), "all_reduce": (True, False)}
)
"""The phases of collectives that go around: whether they reduce block r to rank r, or spread it."""

MOST_CHANNELS = 8
"""Of ``ring:channels``; it has as many as its largest site has ranks, if those are fewer."""

RingOrder = npt.NDArray[np.int64]
Sites = list[list[int]]


def _site_by_site(sites: Sites) -> list[RingOrder]:
    return [np.array(list(chain(*sites)))]


def _interleaved(sites: Sites) -> list[RingOrder]:
    rounds = chain(*zip_longest(*sites))
    return [np.array([rank for rank in rounds if rank is not None])]


def _bidirectional(sites: Sites) -> list[RingOrder]:
    (order,) = _site_by_site(sites)
    return [order, order[::-1]]


def _channels(sites: Sites) -> list[RingOrder]:
    number = min(MOST_CHANNELS, max(map(len, sites)))
    rotated = [[np.roll(ranks, -channel).tolist() for ranks in sites] for channel in range(number)]
    return [np.array(list(chain(*each))) for each in rotated]


def _builder(
    name: str, of_sites: Callable[[Sites], list[RingOrder]]
) -> Callable[[str, Places, int], Plan]:
    def build(collective: str, places: Places, root: int) -> Plan:
        """Return the plan of the rings through sites of the given sizes."""
        n, orders = places.world_size, of_sites(_sites_of(places))

        def chains() -> Iterator[Step]:
            return _chain(orders, root, reduce=collective == "reduce")

        partition = Partition(n, len(orders), np.arange(n * len(orders) + 1, dtype=np.int64))
        around = collective in AROUND
        steps = Rounds(np.array(orders), AROUND[collective]) if around else chains
        return Plan(collective, name, n, root, partition, steps)

    return build


def _sites_of(places: Places) -> Sites:
    """Return the ranks of each site."""
    edges = np.cumsum((0, *places.sites)).tolist()
    return [list(range(a, b)) for a, b in pairwise(edges)]


_ORDERS: Mapping[str, Callable[[Sites], list[RingOrder]]] = MappingProxyType(
    {
        "ring": _site_by_site,
        "ring:interleaved": _interleaved,
        "ring:bidirectional": _bidirectional,
        "ring:channels": _channels,
    }
)

BUILDERS: Mapping[str, Callable[[str, Places, int], Plan]] = MappingProxyType(
    {name: _builder(name, of_sites) for name, of_sites in _ORDERS.items()}
)


def orders_of(ring: str, places: Places) -> list[RingOrder]:
    """Return the ranks as each ring of an algorithm visits them; ArgumentError for another name."""
    if ring not in _ORDERS:
        raise unknown_name("ring", ring, _ORDERS)
    return _ORDERS[ring](_sites_of(places))


def _chain(orders: list[RingOrder], root: int, *, reduce: bool) -> Iterator[Step]:
    """Yield the steps of chains that begin at the root, or end there with ``reduce``."""
    n = len(orders[0])
    starts = [int(np.flatnonzero(order == root)[0]) + (1 if reduce else 0) for order in orders]
    chains = [np.roll(order, -start) for order, start in zip(orders, starts, strict=True)]
    hop = np.arange(n - 1)
    for step in range(2 * n - 2 if n > 1 else 0):
        block = step - hop
        on_the_way = (block >= 0) & (block < n)
        at, blocks = hop[on_the_way], block[on_the_way]
        yield Step.of(
            np.concatenate([ranks[at] for ranks in chains]),
            np.concatenate([ranks[at + 1] for ranks in chains]),
            np.concatenate([_part(blocks, orders, c) for c in range(len(orders))]),
            reduce=reduce,
            channel=np.repeat(np.arange(len(orders)), len(at)),
        )


def _part(block: RingOrder, orders: list[RingOrder], channel: int) -> RingOrder:
    part: RingOrder = block * len(orders) + channel
    return part
