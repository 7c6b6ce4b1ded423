"""Messages of a library over TCP share a NIC, as flows do: max-min fair, at both of its ends."""

from dataclasses import replace

import numpy as np
import pytest
from by_hand import ONE_MESSAGE
from hypothesis import given
from hypothesis import strategies as st
from joint_programs import Joint, message
from nightly import examples
from strategies import cases, count_for, program_of

from emul import Link, Node, Site, Stack, Topology, Trunk, World
from emul.links import Changes, State, Transport
from emul.links.link import OtherTraffic
from emul.plans import Multiplicity, Partition, Plan, Step
from emul.timing import Compute, Issue, Wait, time_plan
from emul.topology import Network, Waypoint

RATE, NVLINK = 1e9, Link(1e11, 0.0)
BARE = Stack("bare", shares_ports=True)
BYTES = 4_000_000


def one_site(nodes, nic=None, ranks=1):
    site = Site("a", (Node(ranks, NVLINK),) * nodes, nic or Link(RATE, 0.0))
    return Topology("one", (site,), ())


def by_uplinks(nodes, delay_s=0.0, nic=100 * RATE, trunk=100 * RATE):
    """The same as so many sites, whose uplinks are as quick as the NIC of a node."""
    sites = tuple(
        Site(f"s{i}", (Node(1, NVLINK),), Link(nic, 0.0), uplink_bytes_per_s=RATE)
        for i in range(nodes)
    )
    trunks = tuple(
        Trunk((sites[i].name, sites[j].name), Link(trunk, delay_s))
        for i in range(nodes)
        for j in range(i + 1, nodes)
    )
    return Topology("many", sites, trunks)


def predicted(topology, collective, algorithm, nbytes=BYTES, stack=BARE, root=0):
    world = World(topology, stack=stack)
    width = count_for(collective, world.size, nbytes // world.size)
    rooted = {"root": root} if collective in ("broadcast", "reduce", "gather", "scatter") else {}
    return world.predict(collective, width, dtype="uint8", algorithm=algorithm, **rooted)


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
def test_a_binomial_broadcast_takes_its_levels_one_after_the_other(levels):
    # The root sends to all of its children at once, so each gets a part of its NIC, and so on: with
    # k children k shares of S / R pass before the first can go on, which has k - 1 (Gloo).
    found = predicted(one_site(2**levels), "broadcast", "gloo:binomial")
    shares = levels * (levels + 1) / 2
    assert found.time_s == pytest.approx(shares * BYTES / RATE, rel=1e-6)
    alone = predicted(one_site(2**levels), "broadcast", "gloo:binomial", stack=Stack("turns"))
    assert alone.time_s == pytest.approx(levels * BYTES / RATE, rel=1e-6)


def test_a_receiver_shares_its_nic_among_its_senders():
    # Three send to rank 0; the third has half the rate, and its bytes do not keep the others back.
    nic = Link(RATE, 0.0)
    slow = Site("b", (Node(1, NVLINK),), Link(RATE / 5, 0.0))
    site = Site("a", (Node(1, NVLINK),) * 3, nic)
    topology = Topology("mixed", (site, slow), (Trunk(("a", "b"), Link(100 * RATE, 0.0)),))
    found = predicted(topology, "gather", "direct", nbytes=4 * 1_000_000)
    block = 1_000_000
    # 0.4 R each until the quick ones are through after 2.5 block / R; by then half has come.
    quick, last = 2.5 * block / RATE, 5 * block / RATE
    times = sorted(found.timeline.done_ps[found.timeline.dst == 0] / 1e12)
    assert times == pytest.approx([quick, quick, last], rel=1e-6)


def test_a_short_message_does_not_wait_behind_a_long_one_at_its_receiver():
    # Both come at once, so the short one has half of the NIC until it is through.
    partition = Partition(1, 11, np.array([0, 10, 11]))
    steps = [Step.of([1], [0], 0, reduce=False), Step.of([2], [0], 1, reduce=False)]
    plan = Plan("all_reduce", "by hand", 3, 0, partition, lambda: iter(steps), order="free")
    program = program_of(plan, 11 * BYTES, 1)
    done_ps = time_plan(program, Network.of(one_site(3)), stack=BARE).done_ps
    alone_s = BYTES / RATE
    assert (done_ps / 1e12).tolist() == pytest.approx([11 * alone_s, 2 * alone_s], rel=1e-6)


def test_one_thread_hands_messages_over_one_after_the_other():
    # It copies at 2 R, so the second message begins when half of the first has left; then they
    # share. The first has half of its bytes to go at R / 2, the second ends when the NIC has.
    nic = Link(RATE, 0.0, host_bytes_per_s=2 * RATE)
    found = predicted(one_site(3, nic), "broadcast", "direct")
    times = found.timeline.done_ps / 1e12 / (BYTES / RATE)
    assert times.tolist() == pytest.approx([1.5, 2.0], rel=1e-6)
    path = found.critical_path
    assert path.total_ps == found.total_ps
    assert path.by_place_s() == {
        "NICs of a": {"share": pytest.approx(1.5 * BYTES / RATE, rel=1e-6)},
        "the hosts": {"host": pytest.approx(0.5 * BYTES / RATE, rel=1e-6)},
    }


def test_the_rate_that_a_nic_leaves_goes_to_others_on_the_trunk():
    # Over a trunk of 1.5 R one sender has 0.5 R at its NIC, so the other gets all of R.
    slow, quick = (Site(name, (Node(1, NVLINK),), Link(rate, 0.0)) for name, rate in
                   (("slow", RATE / 2), ("quick", RATE)))  # fmt: skip
    far = Site("far", (Node(1, NVLINK),) * 2, Link(RATE, 0.0))
    wide = Link(100 * RATE, 0.0)
    relay = Trunk(("mid", "far"), Link(1.5 * RATE, 0.0))
    topology = Topology(
        "two",
        (slow, quick, far),
        (Trunk(("slow", "mid"), wide), Trunk(("quick", "mid"), wide), relay),
        waypoints=(Waypoint("mid"),),
    )
    plan = Plan(
        "all_reduce", "by hand", 4, 0, Partition.uniform(1), lambda: iter([step]), order="free"
    )
    step = Step.of([0, 1], [2, 3], 0, reduce=False)
    program = program_of(plan, BYTES, 1)
    done_ps = time_plan(program, Network.of(topology), stack=BARE).done_ps
    assert (done_ps / 1e12).tolist() == pytest.approx([2 * BYTES / RATE, BYTES / RATE], rel=1e-6)


def test_the_nic_that_binds_is_named_and_the_path_adds_up():
    found = predicted(by_far_sites(), "gather", "direct")
    path = found.critical_path
    assert path.total_ps == found.total_ps
    assert path.binding_place == "NICs of a"
    assert path.binding == "share"


def by_far_sites():
    """Two ranks send over a trunk that is wide enough to one whose NIC is not."""
    far = Site("b", (Node(1, NVLINK), Node(1, NVLINK)), Link(10 * RATE, 0.0))
    near = Site("a", (Node(1, NVLINK),), Link(RATE, 0.0))
    return Topology("far", (near, far), (Trunk(("a", "b"), Link(50 * RATE, 1e-3)),))


@examples(60)
@given(cases, st.integers(2, 6), st.sampled_from([0.0, 1e-4]), st.integers(0, 3))
def test_both_descriptions_of_a_network_take_the_same_time(case, nodes, delay_s, root):
    collective, algorithm = case
    if algorithm.startswith(("hierarchical", "packed")):
        return  # whose sites they are is what these go by
    one, many = one_site(nodes, Link(RATE, delay_s)), by_uplinks(nodes, delay_s)
    times = [predicted(each, collective, algorithm, root=root % nodes).time_s
             for each in (one, many)]  # fmt: skip
    assert times[0] == pytest.approx(times[1], rel=1e-6)


@examples(60)
@given(
    st.sampled_from(["gloo", "openmpi", "nccl"]),
    st.sampled_from(["all_reduce", "all_gather", "reduce_scatter", "broadcast", "all_to_all"]),
    st.integers(2, 6),
    st.sampled_from([0.0, 1e-4, 1e-3]),
    st.sampled_from([1 << 12, 1 << 16, 1 << 20, 1 << 24]),
    st.sampled_from([1.0, 100.0]),
)
def test_libraries_take_the_same_time_over_both_descriptions(
    stack, collective, nodes, delay_s, nbytes, wide
):
    # NCCL's choice goes by the rate of a NIC, so that is the same in both.
    one = one_site(nodes, Link(RATE, delay_s))
    many = by_uplinks(nodes, delay_s, nic=RATE, trunk=wide * RATE)
    algorithm = "direct" if collective == "all_to_all" else "auto"
    times = [predicted(each, collective, algorithm, nbytes, stack=stack).time_s
             for each in (one, many)]  # fmt: skip
    assert times[0] == pytest.approx(times[1], rel=0.02)


def test_one_that_stands_for_several_has_a_nic_and_loads_the_trunk_as_all_of_them():
    # Three messages, each between NICs of its own: over a trunk of 2 R each gets 2/3 R; over one
    # that is wide enough, all of its NIC.
    sliced = Stack("sliced", slice_bytes=BYTES, shares_ports=True)
    program = program_of(ONE_MESSAGE, BYTES, 1)
    three = replace(program, multiplicity=Multiplicity.alike(len(program), 3))
    for trunk, expected in ((2 * RATE, 1.5), (10 * RATE, 1.0)):
        sites = tuple(Site(name, (Node(1, NVLINK),), Link(RATE, 0.0)) for name in "ab")
        topology = Topology("two", sites, (Trunk(("a", "b"), Link(trunk, 0.0)),))
        found = time_plan(three, Network.of(topology), stack=sliced)
        assert found.total_s == pytest.approx(expected * BYTES / RATE, rel=1e-6)


def test_a_token_bucket_lifts_a_trunk_that_messages_share():
    # 1 MB passes at the rate of the NIC, R; then the trunk gives a quarter of it to two senders.
    bucket = OtherTraffic(burst_bytes=1_000_000)
    sites = tuple(Site(name, (Node(1, NVLINK),) * 2, Link(RATE, 0.0)) for name in "ab")
    trunk = Link(RATE / 4, 0.0, others=bucket)
    topology = Topology("bucket", sites, (Trunk(("a", "b"), trunk),))
    world = World(topology, stack=BARE)
    found = world.predict("send_recv", 2_000_000, dtype="uint8", shift=2)
    # Rank 0 and 1 send over the trunk: 2 R out, R / 4 in, so that the bucket is empty after 4/7 ms.
    empty_s = 1_000_000 / (2 * RATE - RATE / 4)
    rest = 2 * 2_000_000 - 2 * RATE * empty_s
    there = found.timeline.done_ps[np.isin(found.timeline.src, [0, 1])].max() / 1e12
    assert there == pytest.approx(empty_s + rest / (RATE / 4), rel=1e-6)


@pytest.mark.parametrize("looks", [False, True])
def test_a_pair_of_nics_that_comes_later_has_the_limits_of_that_moment(looks):
    # From 0.5 s on a round trip is longer, so lost packets slow more. The trunk has room for
    # both messages, so the later one takes as long as alone, also where the first is under way.
    nodes, later_ps = (Node(1, NVLINK),) * 2, 600_000_000_000
    trunk = Link(RATE, 5e-3, transport=Transport(recovery="cubic", loss=1e-4))
    longer = Changes(trace=(State(), State(0.5, 1.0, 5e-3)))
    sites = tuple(Site(name, nodes, Link(RATE, 0.0)) for name in "ab")
    topology = Topology("two", sites, (Trunk(("a", "b"), trunk, changes=longer),))
    network = replace(Network.of(topology), shares_ports=True)
    joint = Joint(network, stack=BARE, looks=looks)
    joint.take(Issue(message(network, 0, 2, nbytes=20_000_000, stack=BARE), None))
    joint.take(Compute(np.full(4, later_ps)))
    later = joint.take(Issue(message(network, 1, 3, communicator=1, stack=BARE), None))
    joint.take(Wait(later))
    alone = time_plan(program_of(ONE_MESSAGE, 1_000_000, 1), Network.of(two_of_one(topology)),
                      stack=BARE, at_ps=later_ps)  # fmt: skip
    assert joint.done(later) == [later_ps + alone.total_ps] * 2


def two_of_one(topology):
    """The same with one node for each site."""
    sites = tuple(replace(site, nodes=site.nodes[:1]) for site in topology.sites)
    return replace(topology, sites=sites)


def test_stacks_that_cut_messages_take_turns_as_before():
    assert not replace(BARE, shares_ports=False).shares_ports
    for name, shares in (("ideal", False), ("nccl", False), ("gloo", True), ("openmpi", True)):
        assert World("one-campus", stack=name).stack.shares_ports is shares
