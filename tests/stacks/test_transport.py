"""NCCL's transport: who tells it, the bytes that are in flight, the cost of hosts, its levers."""

from dataclasses import replace

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples
from stacks.rooms import MIB, NVLINK, campuses, nodes_of, room

import emul
from emul import ArgumentError, CapacityError, Link, Node, Site, Topology, Trunk, World
from emul.cli.main import main
from emul.links import Transport
from emul.links.transport import ASSUMED_WINDOW_BYTES
from emul.stacks.nccl import NODE_TREES, choose
from emul.stacks.profile import load_stack
from emul.stacks.transport import as_sent, resolved, with_options
from emul.timing import NCCL_SLICING

GBIT = 125e6
FAR_S = 50e-3
RTT_S = 2 * FAR_S
MESSAGE_S, COMPLETION_S = 10e-6, 15e-6
STEP_S, CALL_S = 11e-6, 8.4e-6
"""Of the profile; and of the tuner for Simple, beyond 3 us of a link in a room."""


def far(**transport):
    return campuses(2, 1, Link(GBIT, FAR_S, transport=Transport(**transport)))


def sent_s(topology, nbytes, **options):
    """Seconds of one message from the first rank to the second."""
    world = World(topology, stack="nccl", stack_options=options)
    prediction = world.predict("broadcast", nbytes, dtype="uint8", algorithm="direct")
    assert prediction.bound_s <= prediction.time_s
    return prediction.time_s


# Who tells it


@pytest.mark.parametrize(
    ("transport", "net", "assumed"),
    [
        ({}, "Socket", True),
        ({"framing": "tcp"}, "Socket", False),
        ({"framing": "tcp-jumbo", "recovery": "sr"}, "Socket", False),
        ({"recovery": "reno"}, "Socket", False),
        ({"recovery": "cubic"}, "Socket", False),
        ({"recovery": "bbr"}, "Socket", False),
        ({"framing": "roce-v2"}, "IB", False),
        ({"framing": "ib"}, "IB", False),
        ({"recovery": "gbn"}, "IB", False),
        ({"recovery": "sr"}, "IB", False),
    ],
)
def test_the_links_tell_the_transport(transport, net, assumed):
    stack = World(far(**transport), stack="nccl").stack
    assert (stack.net, stack.net_assumed) == (net, assumed)


def test_a_variable_has_the_last_word():
    stack = World(far(framing="tcp"), stack="nccl", stack_options={"NCCL_NET": "ib"}).stack
    assert (stack.net, stack.net_assumed) == ("IB", False)
    assert World(far(framing="tcp"), stack=stack).stack is stack


def test_tcp_on_one_link_beyond_nodes_is_enough_and_links_inside_nodes_tell_nothing():
    rdma = Link(49e9, 3e-6, transport=Transport(framing="roce-v2"))
    tcp = Link(GBIT, FAR_S, transport=Transport(framing="tcp"))
    sites = tuple(Site(name, (Node(1, tcp), Node(1, tcp)), rdma) for name in "ab")
    both = Topology("both", sites, (Trunk(("a", "b"), tcp),))
    assert World(both, stack="nccl").stack.net == "Socket"
    assert World(replace(both, sites=sites[:1], trunks=()), stack="nccl").stack.net == "IB"


def test_the_head_of_a_table_says_it():
    assert World(far(), stack="nccl").stack.told == "nccl  NCCL_NET=Socket (assumed)"
    options = {"NCCL_NET": "IB", "NCCL_ALGO": "Ring"}
    told = World(far(), stack="nccl", stack_options=options).stack.told
    assert told == "nccl  NCCL_NET=IB  NCCL_ALGO=Ring"


# What is in flight


@pytest.mark.parametrize("sockets", [1, 2, 8])
@pytest.mark.parametrize("mib", [1, 8, 9, 64])
def test_sockets_send_their_windows_each_round_trip(sockets, mib):
    options = {} if sockets == 1 else {"NCCL_SOCKET_NTHREADS": 1, "NCCL_NSOCKS_PERTHREAD": sockets}
    window, nbytes = 2 * sockets * 4 * MIB, mib * MIB
    full = GBIT * RTT_S  # a window that holds as much as the path never waits
    rounds = 0 if window >= full else -(-nbytes // window) - 1
    rest_s = (nbytes - rounds * window) / GBIT
    expected_s = CALL_S + STEP_S + MESSAGE_S + rounds * RTT_S + rest_s + FAR_S + COMPLETION_S
    assert sent_s(far(), nbytes, **options) == pytest.approx(expected_s, rel=1e-6)


def test_over_rdma_slots_are_held_for_a_round_trip():
    # Two channels with 8 slots of 128 KiB: 16 of a message's slices are under way at a time.
    slice_s, nbytes = (128 << 10) / GBIT, 64 * MIB
    rounds = nbytes // (16 * (128 << 10)) - 1
    expected_s = CALL_S + STEP_S + rounds * (RTT_S + slice_s) + 16 * slice_s + FAR_S
    found_s = World(far(recovery="gbn"), stack="nccl").predict(
        "send_recv", nbytes, dtype="uint8").time_s  # fmt: skip
    assert found_s == pytest.approx(expected_s, rel=1e-3)


def test_a_silence_halves_the_windows_and_slow_start_opens_them_again():
    world = World(far(), stack="nccl")
    x = emul.NoData(4 * MIB, "uint8")

    def call_s(silence_s):
        world.compute(silence_s)
        return world.broadcast(x, algorithm="direct").time_s

    warm_s = call_s(0)
    assert call_s(0.2) == warm_s  # one timer is 0.2 s and a round trip, and the last ends 50 ms ago
    # 8 MiB halved for 3 timers are 1 MiB; 1 + 2 MiB, and 1 of 4: two round trips more.
    more_s = 2 * RTT_S + MIB / GBIT - 4 * MIB / GBIT
    assert call_s(3 * 0.3 + 0.2) == pytest.approx(warm_s + more_s, rel=1e-3)
    # From ten segments on, 14480 x (2^k - 1) B are through after k round trips: 4 MiB after 9.
    assert 8 * RTT_S < call_s(60.0) - FAR_S < 9 * RTT_S


@examples(30)
@given(
    st.sampled_from(["nccl"]), st.sampled_from(["Socket", "IB"]),
    st.floats(1e8, 5e10), st.floats(1e-4, 0.1), st.integers(1, 64 * MIB),
    st.sampled_from(["all_reduce", "broadcast", "send_recv"]),
)  # fmt: skip
def test_a_trunk_with_its_defaults_and_one_written_out_are_equal(
    stack, net, rate, delay_s, nbytes, collective
):
    bare = campuses(2, 2, Link(rate, delay_s))
    out = campuses(2, 2, Link(rate, delay_s, transport=Transport(4.0 * MIB, streams=2)))
    half = campuses(2, 2, Link(rate, delay_s, transport=Transport(4.0 * MIB)))
    times = [
        World(each, stack=stack, stack_options={"NCCL_NET": net})
        .predict(collective, nbytes, dtype="uint8").timeline.total_ps
        for each in (bare, out, half)
    ]  # fmt: skip
    assert times[0] == times[1] == times[2]


# What hosts cost


def lan(rate=12.5e9, ranks=1):
    return Topology("lan", (Site("a", (Node(ranks, NVLINK),) * 2, Link(rate, 5e-6)),))


@pytest.mark.parametrize(
    ("options", "bytes_per_s"),
    [
        ({}, 1 / 0.285e-9),  # one thread copies both what is sent and what is received
        ({"NCCL_SOCKET_NTHREADS": 1}, 2 / 0.19e-9),  # one for each channel, each way
        ({"NCCL_SOCKET_NTHREADS": 4}, 12.5e9),  # faster than the wire
    ],
)
def test_the_threads_of_a_host_bound_its_nic(options, bytes_per_s):
    nbytes = 1 << 30
    time_s = sent_s(lan(), nbytes, **options)
    assert time_s == pytest.approx(nbytes / bytes_per_s, rel=1e-3)


def test_copies_and_calls_are_the_hosts_and_not_the_wires():
    world = World(lan(), stack="nccl")
    large = world.predict("broadcast", 1 << 28, dtype="uint8", algorithm="direct")
    assert large.binding == "host"
    spent = large.critical_path.by_place_s()
    assert sum(sum(terms.values()) for terms in spent.values()) == pytest.approx(large.time_s)
    wire_s = sum(terms.get("share", 0.0) for terms in spent.values())
    assert wire_s == pytest.approx((1 << 28) / 12.5e9, rel=1e-6)
    # What the library and its hosts cost; the link has the rest, 5 us and 4 bytes.
    small = world.predict("broadcast", 4, dtype="uint8", algorithm="direct")
    host_s = small.critical_path.spent_s("the hosts", "host")
    assert host_s == pytest.approx(small.time_s - 5e-6, abs=1e-8)


def test_hosts_cost_nothing_over_rdma():
    time_s = sent_s(lan(), 1 << 30, NCCL_NET="IB")
    assert time_s == pytest.approx((1 << 30) / 12.5e9, rel=1e-3)


# The choice of the tuner


def test_a_tree_on_two_nodes_carries_half_of_a_rings_bytes_beyond_the_node():
    sent = {}
    for name in ("ring", NODE_TREES):
        world = World(room(4, 4), stack="nccl")
        timeline = world.predict("all_reduce", 8 * MIB, algorithm=name).timeline
        sent[name] = world.network.port_bytes(timeline.src, timeline.dst, timeline.nbytes)[:, 2]
    # A ring of n ranks sends 2 (n - 1) / n S out of a node, a tree S.
    assert sent["ring"].sum() / sent[NODE_TREES].sum() == pytest.approx(2 * 7 / 8, rel=1e-3)


def test_the_tuner_takes_trees_on_two_nodes_whose_nics_are_slow():
    # Ring: 16 / 30 of the NICs; tree: 0.92 of twice the NICs, halved; so the tree by 0.92 to 0.53.
    slow = replace(nodes_of(2), between_bytes_per_s=12.5e9)
    for nbytes in (64 * MIB, 1 << 30, 8 << 30):
        assert choose("all_reduce", slow, nbytes).family == "tree"
    assert choose("all_reduce", nodes_of(2), 1 << 30).family == "ring"  # NICs as fast as NVLink
    assert choose("all_reduce", replace(slow, ranks=(8,) * 3), 1 << 30).family == "ring"
    newest = load_stack("nccl@2.31")
    assert choose("all_reduce", slow, 1 << 30, stack=newest).family == "ring"


@pytest.mark.parametrize(
    ("options", "taken"),
    [({}, False), ({"NIC_PATH": "PXN"}, True), ({"NCCL_NET": "IB"}, True),
     ({"NCCL_NET": "IB", "NIC_PATH": "PHB"}, False), ({"NCCL_PROTO": "LL128"}, True),
     ({"NCCL_PROTO": "^LL"}, True), ({"NCCL_PROTO": "LL,Simple"}, False)],
)  # fmt: skip
def test_ll128_needs_a_nic_near_its_gpu_between_nodes(options, taken):
    stack = resolved(with_options(load_stack("nccl"), options), room(8, 8))
    if "NCCL_NET" not in options:
        stack = replace(stack, net="Socket")
    found = {choose("all_reduce", nodes_of(2), 1 << k, stack=stack).protocol for k in range(3, 34)}
    assert ("LL128" in found) == taken
    if options.get("NCCL_PROTO") != "LL,Simple":  # one node has no NIC in the way
        inside = (choose("all_reduce", nodes_of(1), 1 << k, stack=stack) for k in range(34))
        assert "LL128" in {each.protocol for each in inside}


# Levers


def test_levers_choose_algorithm_and_protocol():
    def chosen(collective="all_reduce", nbytes=1 << 20, **options):
        stack = with_options(load_stack("nccl"), options)
        found = choose(collective, nodes_of(3), nbytes, stack=stack)
        return found.family, found.protocol

    assert chosen(NCCL_ALGO="Ring", NCCL_PROTO="simple") == ("ring", "Simple")
    assert chosen(NCCL_ALGO="^ring")[0] == "tree"
    assert chosen(NCCL_ALGO="allreduce:tree,NVLS;broadcast:ring")[0] == "tree"
    assert chosen("broadcast", NCCL_ALGO="allreduce:tree")[0] == "ring"
    assert chosen(nbytes=8, NCCL_PROTO="^LL,LL128")[1] == "Simple"
    with pytest.raises(ArgumentError, match="NCCL_ALGO=Tree: NCCL has no such way for all_gather"):
        chosen("all_gather", NCCL_ALGO="Tree")


def test_ring_is_ncclalgo_ring_on_all_nics():
    world = World(room(4, 4), stack="nccl")
    forced = World(room(4, 4), stack="nccl", stack_options={"NCCL_ALGO": "Ring"})
    for count in (2, 1 << 22):
        named = world.predict("all_reduce", count, algorithm="ring")
        assert named.timeline.total_ps == forced.predict("all_reduce", count).timeline.total_ps
    assert named.plan.algorithm == "ring:channels"


def test_levers_of_buffers_and_channels():
    def bytes_in_flight(**options):
        stack = resolved(with_options(load_stack("nccl"), options), far(recovery="gbn"))
        return stack.slots * stack.slice_bytes

    assert bytes_in_flight(NCCL_BUFFSIZE="8M") == 8 * MIB
    two, four = (sent_s(far(), 64 * MIB, NCCL_MIN_NCHANNELS=n) for n in (2, 4))
    assert two - four > 2 * RTT_S
    wide = World(far(), stack="nccl", stack_options={"NCCL_NCHANNELS_PER_NET_PEER": 4}).stack
    assert as_sent(far(), wide).trunks[0].link.transport.streams == 4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"NCCL_ALGOS": "Ring"}, "unknown stack option 'NCCL_ALGOS': .*did you mean NCCL_ALGO?"),
        ({"NCCL_ALGO": "Rings"}, "unknown name in NCCL_ALGO 'Rings': .*did you mean Ring?"),
        ({"NCCL_ALGO": "NVLS"}, "NCCL_ALGO='NVLS': needed one of Tree, Ring, PAT"),
        ({"NCCL_ALGO": "Ring;Tree"}, "every entry but the first needs a function"),
        ({"NCCL_ALGO": "alltoall:Ring"}, "unknown function in NCCL_ALGO 'alltoall'"),
        ({"NCCL_NET": "tcp"}, "unknown value of NCCL_NET 'tcp': needed one of Socket, IB"),
        ({"NCCL_SOCKET_NTHREADS": "17"}, "needed a whole number from 0 to 16"),
        ({"NCCL_NSOCKS_PERTHREAD": "x"}, "needed a whole number from 1 to 64"),
        ({"NCCL_NSOCKS_PERTHREAD": 8, "NCCL_SOCKET_NTHREADS": 9}, "needed at most 64 sockets"),
        ({"NCCL_BUFFSIZE": "0"}, "NCCL_BUFFSIZE='0': needed bytes from 8"),
        (3, "stack_options 3: needed names with their values"),
    ],
)
def test_what_nccl_does_not_know_is_refused(options, said):
    with pytest.raises(ArgumentError, match=said):
        World(room(2, 2), stack="nccl", stack_options=options)


def test_a_stack_without_variables_refuses_them():
    with pytest.raises(ArgumentError, match="stack gloo with the option 'NCCL_ALGO': needed"):
        World(room(2, 2), stack="gloo", stack_options={"NCCL_ALGO": "Ring"})


def test_a_profile_starts_from_another_and_sets_options(tmp_path):
    path = tmp_path / "ours.toml"
    path.write_text(
        'base = "nccl"\n[options]\nNCCL_ALGO = "Ring"\nNCCL_MIN_NCHANNELS = 8\n'
        "[sockets]\nmessage_us = 1\n[tuner_rules]\ntwo_nodes_by_inside = false\n"
    )
    stack = load_stack(str(path))
    assert stack.options == {"NCCL_ALGO": "Ring", "NCCL_MIN_NCHANNELS": "8"}
    assert (stack.sockets.message_s, stack.sockets.completion_s) == (1e-6, 15e-6)
    assert (stack.rules.two_nodes_by_inside, stack.rules.lone_gpus_by_tree) == (False, True)
    assert stack.sources == load_stack("nccl").sources


def test_rings_over_very_many_ranks_are_refused_at_once_with_the_way_out():
    large = room(*[8] * 180)
    with pytest.raises(CapacityError, match=r"over 1440 ranks by ring:channels.* NCCL_ALGO=Tree"):
        World(large, stack="nccl").predict("all_reduce", 1 << 27, algorithm="ring")
    options = {"NCCL_ALGO": "Ring"}
    with pytest.raises(CapacityError, match="33154560 transfers: needed at most 8388608"):
        World(large, stack="nccl", stack_options=options).predict("all_reduce", 1 << 27)


# The window that is assumed


def test_one_window_is_assumed_and_the_same_everywhere():
    stack = load_stack("nccl")
    assert stack.sockets.window_bytes == ASSUMED_WINDOW_BYTES == 4 * MIB
    assert stack.slots * stack.slice_bytes == ASSUMED_WINDOW_BYTES
    assert NCCL_SLICING.slots * NCCL_SLICING.slice_bytes == ASSUMED_WINDOW_BYTES


TRUNK = """
[[site]]
name = "a"
nodes = 1
ranks_per_node = 1
site_link = {{ rate_gbit_per_s = 10, latency_us = 1 }}
node_link = {{ rate_gbit_per_s = 10, latency_us = 1 }}
[[site]]
name = "b"
nodes = 1
ranks_per_node = 1
site_link = {{ rate_gbit_per_s = 10, latency_us = 1 }}
node_link = {{ rate_gbit_per_s = 10, latency_us = 1 }}
[[trunk]]
between = ["a", "b"]
rate_gbit_per_s = 10
latency_us = 20000
{more}
"""


@pytest.mark.parametrize("stated", [False, True])
def test_a_window_that_is_assumed_is_shown_and_said(tmp_path, stated):
    path = tmp_path / "far.toml"
    path.write_text(TRUNK.format(more="window_bytes = 1e9" if stated else ""))
    runner = CliRunner()
    shown = runner.invoke(main, ["topology", "show", str(path), "--sources"]).output
    assert ("window of a stream" in shown) != stated
    said = "window of 4 MiB assumed for each stream"
    assert (said in " ".join(shown.split())) != stated
    for stack in ("ideal", "nccl"):
        arguments = ["perf", "-b", "64M", "-e", "64M", "--no-data", "--stack", stack]
        words = runner.invoke(main, [*arguments, "--topology", str(path)]).output
        assert (said in " ".join(words.split())) != stated


@examples(12)
@given(
    st.sampled_from(["all_reduce", "broadcast", "send_recv"]),
    st.sampled_from([{}, {"window_bytes": 2.0**18, "streams": 2}, {"window_bytes": 3e4}]),
    st.sampled_from([1e8, 1e10]), st.sampled_from([1e-4, 5e-2]), st.integers(1, 1 << 22),
)  # fmt: skip
def test_the_first_call_of_a_program_is_as_predicted_and_its_path_adds_up(
    collective, transport, rate, delay_s, nbytes
):
    world = World(campuses(2, 2, Link(rate, delay_s, transport=Transport(**transport))),
                  stack="nccl")  # fmt: skip
    prediction = world.predict(collective, nbytes, dtype="uint8")
    run = getattr(world, collective)(emul.NoData(nbytes, "uint8"))
    assert round(run.time_s * 1e12) == prediction.timeline.total_ps >= prediction.bound_ps
    segments = prediction.critical_path.segments
    assert sum(each.duration_ps for each in segments) == prediction.timeline.total_ps
    assert min(each.duration_ps for each in segments) >= 0
