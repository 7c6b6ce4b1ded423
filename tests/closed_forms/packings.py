"""The best packings of trees by their worst partition and cut, all of which are enumerated."""

from itertools import combinations


def set_partitions(n):
    """All partitions of n sites, as the number of the part of each site."""

    def extended(labels):
        if len(labels) == n:
            yield labels
            return
        for label in range(max(labels, default=-1) + 2):
            yield from extended([*labels, label])

    yield from extended([])


def spanning_rate(n, rates):
    """The most bytes per second over spanning trees, up and down (Tutte, Nash-Williams 1961).

    ``rates``: of each pair of sites. The least, over the partitions, of the rate across over the
    number of parts less one.
    """
    return min(
        sum(rate for (a, b), rate in rates.items() if labels[a] != labels[b]) / max(labels)
        for labels in set_partitions(n)
        if max(labels)
    )


def one_way_s(n, rates, demands):
    """The least time for a share of each site to come to all others (Edmonds 1973).

    The most, over the cuts, of what has to enter over the rate into them.
    """
    worst = 0.0
    for size in range(1, n):
        for inside in combinations(range(n), size):
            entering = sum(demands[site] for site in range(n) if site not in inside)
            rate = sum(each for (a, b), each in rates.items() if (a in inside) != (b in inside))
            worst = max(worst, entering / rate)
    return worst


def spanning_trees(n, pairs):
    """All sets of pairs that are a tree of all sites."""
    for chosen in combinations(pairs, n - 1):
        reached = {0}
        for _ in chosen:
            for pair in chosen:
                if reached & set(pair):
                    reached |= set(pair)
        if len(reached) == n:
            yield chosen
