"""NCCL's own tuner, against values worked out by hand."""

from dataclasses import replace
from itertools import pairwise
from math import inf

import pytest
from closed_forms.nccl import nccl_pat_us, nccl_ring_all_reduce_us, nccl_tree_all_reduce_us
from hypothesis import given
from hypothesis import strategies as st
from stacks.rooms import EIGHT_ALONE, H100, MIB, THREE, latency_us, nodes_of

from emul import ArgumentError
from emul.stacks.nccl import NODE_TREES, Setting, choose
from emul.stacks.nccl_tuner import BASE_US, FAMILIES, PROTOCOLS, Nodes, estimate_s


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(("ranks", "nodes"), [(8, 1), (16, 2), (24, 3), (8, 8), (256, 32)])
def test_the_latencies_are_the_closed_forms(ranks, nodes, protocol):
    seen = nodes_of(nodes, ranks // nodes)
    ring_us = nccl_ring_all_reduce_us(ranks, nodes, protocol)
    tree_us = nccl_tree_all_reduce_us(ranks, nodes, protocol)
    assert latency_us("all_reduce", "ring", protocol, seen) == pytest.approx(ring_us)
    assert latency_us("all_reduce", "tree", protocol, seen) == pytest.approx(tree_us)
    half_us = (ring_us + BASE_US["ring"][PROTOCOLS.index(protocol)]) / 2
    for collective in ("reduce_scatter", "all_gather"):
        assert latency_us(collective, "ring", protocol, seen) == pytest.approx(half_us)
    if ranks == nodes and protocol == "Simple":
        assert latency_us("all_gather", "pat", protocol, seen) == pytest.approx(
            nccl_pat_us(ranks, nodes)
        )


@pytest.mark.parametrize(
    ("nodes", "family", "protocol", "us"),
    [
        (H100, "ring", "LL", 6.6 + 14 * 0.6),
        (H100, "ring", "LL128", 14 + 14 * 1.9),
        (H100, "ring", "Simple", 8.4 + 14 * 3.4),
        (H100, "tree", "Simple", 8.4 + 2 * 7 * 4.0),
        (THREE, "ring", "LL", 6.6 + 42 * 1.0 + 4 * 2.7),
        (THREE, "ring", "Simple", 8.4 + 42 * 3.4 + 4 * 14),
        (THREE, "tree", "LL128", 14 + 2 * (7 * 1.25 + 8.5)),
        (EIGHT_ALONE, "ring", "LL", 6.6 + 14 * 5.0),
        (EIGHT_ALONE, "ring", "LL128", 14 + 14 * 8.5),
        (EIGHT_ALONE, "tree", "Simple", 8.4 + 2 * 3 * 14),
        (replace(H100, inside_bytes_per_s=24e9), "ring", "Simple", 8.4 + 14 * 5.7),
    ],
)
def test_the_latency_of_an_all_reduce(nodes, family, protocol, us):
    assert latency_us("all_reduce", family, protocol, nodes) == pytest.approx(us)


@pytest.mark.parametrize("collective", ["broadcast", "reduce"])
def test_the_latency_of_a_chain_is_one_hop(collective):
    assert latency_us(collective, "ring", "LL", H100) == pytest.approx(6.6 + 0.6)
    assert latency_us(collective, "ring", "Simple", THREE) == pytest.approx(8.4 + 14)
    assert latency_us(collective, "ring", "LL", EIGHT_ALONE) == pytest.approx(6.6 + 2.7)


@pytest.mark.parametrize(
    ("collective", "family", "protocol", "nodes", "gb_per_s"),
    [
        ("all_reduce", "ring", "Simple", H100, 371 * 8 / 14),
        ("all_reduce", "ring", "LL128", H100, 371 * 0.92 * 8 / 14),
        ("all_reduce", "ring", "LL", H100, 141 * 8 / 14),  # half of 371 is above the cap
        ("all_reduce", "ring", "LL", nodes_of(2), 39.0 * 16 / 30),
        ("all_reduce", "ring", "LL", THREE, 20.4 * 24 / 46),
        ("all_reduce", "ring", "Simple", EIGHT_ALONE, 49 * 8 / 14),
        ("all_reduce", "ring", "LL", EIGHT_ALONE, 20.4 * 8 / 14),
        ("all_reduce", "ring", "LL", replace(THREE, between_bytes_per_s=2e9), 16 / 2 * 24 / 46),
        ("all_reduce", "tree", "Simple", THREE, 371 * 0.92 / 2),
        ("all_reduce", "tree", "LL", nodes_of(2, 1), 2 * 41.4 / 3.8 * 0.85 / 2),
        ("all_reduce", "tree", "LL128", H100, 371 * 0.92 * 7 / 9 / 2),
        ("all_reduce", "tree", "LL128", THREE, 371 * 0.92 * 120 / 128 / 2),
        ("all_gather", "ring", "Simple", H100, 371 * 8 / 7),
        ("all_gather", "pat", "Simple", EIGHT_ALONE, 49 * 0.75),
        ("broadcast", "ring", "Simple", H100, 371),
    ],
)
def test_the_bandwidth_for_large_vectors(collective, family, protocol, nodes, gb_per_s):
    # beyond 1 GiB no correction of trees, and the plateau is the same for both
    less, more = (estimate_s(collective, family, protocol, nodes, k << 31) for k in (1, 2))
    assert (1 << 31) / (more - less) / 1e9 == pytest.approx(gb_per_s)


def test_trees_are_slower_than_their_ports_at_medium_sizes():
    # 1 MiB = 64 B x 2^14: half of the rate is left by Simple
    time_s = estimate_s("all_reduce", "tree", "Simple", THREE, MIB)
    assert time_s == pytest.approx(92.4e-6 + MIB / (371e9 * 0.92 / 2 * 0.5))


def test_a_simple_ring_between_nodes_has_a_plateau():
    # 16 channels x 24 ranks x 64 B
    below, at = (estimate_s("all_reduce", "ring", "Simple", THREE, k) for k in (24575, 24576))
    assert at - below == pytest.approx(0.4 * 207.2e-6, rel=1e-3)


def test_one_node_goes_from_ll_over_ll128_to_simple_rings():
    # where base + 14 steps + bytes / rate of two protocols are equal
    ll128_from = (40.6 - 15.0) * 1e-6 / (14 / 8 / 141e9 - 14 / 8 / (0.92 * 371e9))
    simple_from = (56.0 - 40.6) * 1e-6 / (14 / 8 / (0.92 * 371e9) - 14 / 8 / 371e9)
    for nbytes, protocol in [
        (8, "LL"),
        (0.999 * ll128_from, "LL"),
        (1.001 * ll128_from, "LL128"),
        (0.999 * simple_from, "LL128"),
        (1.001 * simple_from, "Simple"),
        (1 << 34, "Simple"),
    ]:
        expected = Setting("all_reduce", "ring", "ring", protocol)
        assert choose("all_reduce", H100, int(nbytes)) == expected


def ring_from(nodes):
    """The least power of two at which an all-reduce goes by a ring."""
    sizes = (1 << k for k in range(3, 40))
    return next(size for size in sizes if choose("all_reduce", nodes, size).family == "ring")


def test_trees_hold_out_the_longer_the_more_nodes_there_are():
    assert ring_from(H100) == 8
    froms = [ring_from(nodes_of(count)) for count in (2, 4, 8, 16, 32)]
    assert all(fewer < more for fewer, more in pairwise(froms))
    assert choose("all_reduce", THREE, 1024) == Setting("all_reduce", NODE_TREES, "tree", "LL")
    assert choose("all_reduce", THREE, 1 << 30).algorithm == "ring:channels"
    assert choose("all_reduce", EIGHT_ALONE, 1024).algorithm == "double_binary_tree"
    assert choose("all_reduce", EIGHT_ALONE, 1 << 30).algorithm == "ring"


@pytest.mark.parametrize(("count", "log"), [(8, 3), (16, 4), (32, 5)])
def test_large_vectors_leave_the_tree_where_the_table_says(count, log):
    # Simple, beyond 1 GiB: 1.4 times the ring's latency against that of the tree, and rates
    n, bus = 8 * count, 371e9
    ring_us = 1.4 * (8.4 + (2 * (n - 1) - 2 * (count - 1)) * 3.4 + 2 * (count - 1) * 14)
    tree_us = 8.4 + 2 * (7 * 4.0 + log * 14)
    crossing = (ring_us - tree_us) * 1e-6 / (2 / (0.92 * bus) - 2 * (n - 1) / n / bus)
    below, above = (
        choose("all_reduce", nodes_of(count), int(part * crossing)) for part in (0.999, 1.001)
    )
    assert (below.family, below.protocol) == ("tree", "Simple")
    assert (above.family, above.protocol) == ("ring", "Simple")


def test_pat_is_for_single_gpus_only():
    assert choose("all_gather", EIGHT_ALONE, 1 << 17).algorithm == "pat"
    assert choose("reduce_scatter", EIGHT_ALONE, 1 << 17).protocol == "Simple"
    assert estimate_s("all_gather", "pat", "Simple", THREE, 8) == inf
    assert estimate_s("all_gather", "pat", "LL", EIGHT_ALONE, 8) == inf
    sizes = [1 << k for k in range(3, 34)]
    assert {choose("all_gather", THREE, size).family for size in sizes} == {"ring"}
    assert {choose("all_reduce", EIGHT_ALONE, size).family for size in sizes} == {"tree", "ring"}


def test_ll128_does_not_go_over_pci():
    pci = replace(H100, inside_bytes_per_s=24e9)
    found = {choose("all_reduce", pci, 1 << k).protocol for k in range(3, 34)}
    assert found == {"LL", "Simple"}


def test_sends_and_receives_are_small_by_ll_and_only_inside_a_node():
    for collective, blocks in (("all_to_all", 8), ("gather", 8), ("send_recv", 1)):
        least = choose(collective, H100, blocks * 16384)
        assert least == Setting(collective, "direct", "ring", "LL")
        assert choose(collective, H100, blocks * 16385).protocol == "Simple"
        assert choose(collective, THREE, 24).protocol == "Simple"


def test_one_rank_alone_has_nothing_to_choose():
    alone = Nodes((1,), 371e9, 49e9)
    assert choose("all_reduce", alone, 8) == Setting("all_reduce", "ring", "ring", "Simple")


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ((), "nodes = 0: needed a whole number of nodes, 1 or more"),
        ((8, 0), "ranks = 0: needed a whole number of ranks, 1 or more"),
    ],
)
def test_nodes_without_ranks_are_refused(nodes, message):
    with pytest.raises(ArgumentError, match=message):
        Nodes(nodes, 371e9, 49e9)
    with pytest.raises(ArgumentError, match="between_bytes_per_s = 0"):
        Nodes((8,), 371e9, 0.0)


@given(
    st.sampled_from(list(FAMILIES)),
    st.lists(st.integers(1, 9), min_size=1, max_size=40),
    st.integers(0, 1 << 40),
)
def test_what_is_chosen_is_never_slower_than_another(collective, ranks, nbytes):
    nodes = Nodes(tuple(ranks), 371e9, 49e9)
    setting = choose(collective, nodes, nbytes)
    if nodes.world_size > 1:
        best_s = estimate_s(collective, setting.family, setting.protocol, nodes, nbytes)
        for family in ("tree", "ring", "pat"):
            for protocol in PROTOCOLS:
                assert best_s <= estimate_s(collective, family, protocol, nodes, nbytes)
