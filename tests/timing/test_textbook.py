"""Times on uniform links, to the picosecond: links.md 3.1, with alpha = overhead + latency.

Whole chunks are sent (no slices), so nothing hides a latency.
"""

import pytest
from strategies import one_site

from emul import Link, Node, Site, Topology, Trunk, World

FABRIC = Link(rate_bytes_per_s=1e10, latency_s=5e-6, overhead_s=3e-6)
ALPHA_PS = 8_000_000
PS_PER_BYTE = 100
BLOCK = 60_000
POWERS = [2, 4, 8, 16, 32]
ANY = [2, 3, 5, 6, 7, 8, 13, 16, 24]


def log2(n):
    return (n - 1).bit_length()


def time_ps(collective, algorithm, n, count):
    world = World(one_site(n, FABRIC), slicing=None)
    prediction = world.predict(collective, count, dtype="uint8", algorithm=algorithm)
    assert prediction.critical_path.total_ps == prediction.timeline.total_ps
    return prediction.timeline.total_ps


@pytest.mark.parametrize("n", POWERS)
@pytest.mark.parametrize("algorithm", ["halving_doubling", "halving_doubling:far_first"])
def test_halving_doubling(algorithm, n):
    moved_ps = (n - 1) * BLOCK * PS_PER_BYTE
    once = log2(n) * ALPHA_PS + moved_ps
    assert time_ps("all_reduce", algorithm, n, n * BLOCK) == 2 * once
    assert time_ps("reduce_scatter", algorithm, n, n * BLOCK) == once
    assert time_ps("all_gather", algorithm, n, BLOCK) == once


@pytest.mark.parametrize("n", POWERS)
def test_recursive_doubling(n):
    expected = log2(n) * (ALPHA_PS + BLOCK * PS_PER_BYTE)
    assert time_ps("all_reduce", "recursive_doubling", n, BLOCK) == expected


@pytest.mark.parametrize("n", ANY)
def test_bruck_and_pat(n):
    # PAT's steps move the same bytes in another order: the farthest first, with one block. Where n
    # is no power of two, some of them need not wait for what the last one brought.
    expected = log2(n) * ALPHA_PS + (n - 1) * BLOCK * PS_PER_BYTE
    for collective, count in (("all_gather", BLOCK), ("reduce_scatter", n * BLOCK)):
        assert time_ps(collective, "bruck", n, count) == expected
        saved_ps = expected - time_ps(collective, "pat", n, count)
        assert saved_ps == 0 if n in POWERS else 0 <= saved_ps < log2(n) * 5_000_000


@pytest.mark.parametrize("n", ANY)
def test_bruck_all_to_all(n):
    blocks = [sum(j >> k & 1 for j in range(n)) for k in range(log2(n))]
    expected = sum(ALPHA_PS + number * BLOCK * PS_PER_BYTE for number in blocks)
    assert time_ps("all_to_all", "bruck", n, n * BLOCK) == expected


@pytest.mark.parametrize("n", ANY)
def test_pairwise_all_to_all(n):
    expected = (n - 1) * (ALPHA_PS + BLOCK * PS_PER_BYTE)
    assert time_ps("all_to_all", "pairwise", n, n * BLOCK) == expected


@pytest.mark.parametrize("n", ANY)
def test_one_shot_and_two_shot(n):
    # links.md 3.5, at a rank instead of a site: the port sends n - 1 messages one after the other.
    message_ps = 3_000_000 + BLOCK * PS_PER_BYTE
    one = (n - 1) * message_ps + 5_000_000
    assert time_ps("all_reduce", "direct:one_shot", n, BLOCK) == one
    assert time_ps("reduce_scatter", "direct", n, n * BLOCK) == one


@pytest.mark.parametrize("n", ANY)
def test_a_tree_of_one_level_more_costs_one_latency_more(n):
    # 2 ceil(log2 n)(alpha + c/R) + 2 S/R for chunks of c is what a full pipeline takes at most;
    # without bytes only the levels are left, of which the roots of both trees are one.
    count = 16 * 1000
    whole = 2 * log2(n) * (ALPHA_PS + 1000 * PS_PER_BYTE) + 2 * count * PS_PER_BYTE
    overheads = 2 * 16 * 2 * 3_000_000
    assert 2 * ALPHA_PS < time_ps("all_reduce", "double_binary_tree", n, count) < whole + overheads


@pytest.mark.parametrize(("sites", "ranks"), [(2, 2), (3, 4), (4, 3)])
def test_hierarchical(sites, ranks):
    # links.md 3.4, unpipelined: 2(m-1)(o + L + S/(mR)) inside, 2(K-1)(o + L + S/(mK r)) across.
    # There r is a share of the trunk, 2.5 GB/s for each of its ranks.
    trunk = Link(rate_bytes_per_s=2.5e9 * ranks, latency_s=100e-6, overhead_s=7e-6)
    names = [f"s{i}" for i in range(sites)]
    node = Node(1, FABRIC)
    topology = Topology(
        "sites",
        tuple(Site(name, (node,) * ranks, FABRIC) for name in names),
        tuple(Trunk((a, b), trunk) for i, a in enumerate(names) for b in names[i + 1 :]),
    )
    count = sites * ranks * BLOCK
    prediction = World(topology, slicing=None).predict(
        "all_reduce", count, dtype="uint8", algorithm="hierarchical"
    )
    inside = 2 * (ranks - 1) * (ALPHA_PS + sites * BLOCK * PS_PER_BYTE)
    across = 2 * (sites - 1) * (107_000_000 + BLOCK * 400)
    assert prediction.timeline.total_ps == inside + across
