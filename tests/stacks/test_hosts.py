"""What the hosts of gloo and Open MPI cost: calls, sockets of messages, copies of bytes."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples

import emul
from emul import Link, Node, Site, Topology, World
from emul.errors import StackError
from emul.report.stacks import stack_numbers
from emul.stacks import Constants, Sockets, Stack
from emul.stacks.profile import load_stack, read_stack
from emul.stacks.transport import as_sent

US = 1e-6
WIRE, DELAY_S = 12.5e9, 5e-6
NEAR = Link(1e12, 0.0)
OURS = Stack(
    "ours",
    constants=Constants(call_s=1 * US, message_s=4 * US, completion_s=8 * US),
    sockets=Sockets(
        send_byte_s=0.1e-9, receive_byte_s=0.3e-9, message_s=2 * US, completion_s=3 * US
    ),
    more_call_s={"send_recv": 16 * US},
)


def lan(rate=WIRE, nodes=2):
    return Topology("lan", (Site("a", (Node(1, NEAR),) * nodes, Link(rate, DELAY_S)),))


def sent(stack, nbytes, rate=WIRE):
    world = World(lan(rate), stack=stack)
    return world.predict("send_recv", nbytes, dtype="uint8", algorithm="direct")


@pytest.mark.parametrize(("rate", "byte_s"), [(WIRE, 0.4e-9), (1e9, 1e-9)])
def test_a_message_takes_its_calls_and_the_slower_of_copies_and_wire(rate, byte_s):
    # One thread copies what is sent and what is received: 0.1 + 0.3 ns for each byte of a port.
    nbytes = 1 << 20
    calls_s = (1 + 16) * US + (4 + 2) * US + (8 + 3) * US
    assert sent(OURS, nbytes, rate).time_s == pytest.approx(
        calls_s + nbytes * byte_s + DELAY_S, abs=1e-11
    )


def test_the_path_has_the_hosts_in_one_term_and_the_wire_in_its_own():
    nbytes = 1 << 20
    prediction = sent(OURS, nbytes)
    path = prediction.critical_path
    spent = path.by_place_s()
    assert prediction.binding == "host"
    assert sum(sum(terms.values()) for terms in spent.values()) == pytest.approx(prediction.time_s)
    wire_s = sum(terms.get("share", 0.0) for terms in spent.values())
    assert wire_s == pytest.approx(nbytes / WIRE, abs=1e-11)
    host_s = path.spent_s("the hosts", "host")
    assert host_s == pytest.approx(34 * US + nbytes * (0.4e-9 - 1 / WIRE), abs=1e-11)


def test_a_call_of_one_collective_takes_longer_and_those_of_others_do_not():
    plain = replace(OURS, more_call_s={})
    assert sent(OURS, 8).time_s - sent(plain, 8).time_s == pytest.approx(16 * US)
    times = [
        World(lan(), stack=each).predict("broadcast", 8, algorithm="direct").timeline.total_ps
        for each in (OURS, plain)
    ]
    assert times[0] == times[1]


@examples(15)
@given(
    st.sampled_from(["gloo", "openmpi"]), st.sampled_from([1e9, 5e10]), st.integers(1, 1 << 20),
    st.sampled_from(["all_reduce", "all_gather", "broadcast", "reduce_scatter"]),
)  # fmt: skip
def test_the_first_call_of_a_program_is_as_predicted(stack, rate, count, collective):
    count *= 3 if collective == "reduce_scatter" else 1
    world = World(lan(rate, nodes=3), stack=stack)
    prediction = world.predict(collective, count, dtype="uint8")
    run = getattr(world, collective)(emul.NoData(count, "uint8"))
    assert round(run.time_s * 1e12) == prediction.timeline.total_ps >= prediction.bound_ps
    segments = prediction.critical_path.segments
    assert sum(each.duration_ps for each in segments) == prediction.timeline.total_ps


@pytest.mark.parametrize(
    "more",
    [{"message_s": 3 * US}, {"completion_s": 4 * US}, {"send_byte_s": 0.2e-9},
     {"receive_byte_s": 0.6e-9}],
)  # fmt: skip
def test_a_host_that_costs_more_takes_longer(more):
    slower = replace(OURS, sockets=replace(OURS.sockets, **more))
    assert sent(slower, 1 << 16).time_s > sent(OURS, 1 << 16).time_s + 0.9 * US


@pytest.mark.parametrize("name", ["gloo", "openmpi"])
def test_fast_nics_carry_what_a_core_copies(name):
    stack = load_stack(name)
    copied = 1 / (stack.sockets.send_byte_s + stack.sockets.receive_byte_s)
    assert copied == pytest.approx(5.556e9, rel=1e-3)  # 0.09 and 0.09 ns
    fast, slow = (as_sent(lan(rate), stack).sites[0].link for rate in (50e9, 1.25e9))
    assert fast.available_bytes_per_s == pytest.approx(copied)
    assert slow.available_bytes_per_s == 1.25e9
    for key in ("copies", "calls"):
        assert stack.sources[key].startswith("measured: ")


def test_numbers_of_hosts_are_shown_each_with_its_own_source():
    said = {name: (value, source) for name, value, source in stack_numbers(load_stack("gloo"))}
    assert said["copy of a byte"][0] == "0.09 ns sent, 0.09 ns received"
    assert said["calls of a message"][0] == "5 us sent, 7 us received"
    assert said["more per call of all_gather"][0] == "95 us"
    assert "window of a socket" not in said
    assert said["per call"] == ("220 us", load_stack("gloo").sources["call_us"])
    assert said["per control"][1].startswith("assumed: ")
    assert "copy of a byte" not in {name for name, *_ in stack_numbers(load_stack("ideal"))}


def test_a_stack_without_costs_leaves_links_as_they_are():
    there = lan()
    assert as_sent(there, replace(OURS, sockets=Sockets())) is there
    assert as_sent(there, load_stack("ideal")) is there


def test_a_profile_says_the_time_of_calls_over_that_of_its_base(tmp_path):
    file = tmp_path / "ours.toml"
    file.write_text('base = "gloo"\n[more_call_us]\nall_gather = 7\n')
    stack, base = read_stack(file), load_stack("gloo")
    assert stack.more_call_s == {**base.more_call_s, "all_gather": 7 * US}
    assert stack.for_call("all_gather").constants.call_s == pytest.approx(227 * US)
    assert stack.for_call("all_reduce") is stack
    file.write_text("[more_call_us]\nallgather = 7\n")
    with pytest.raises(StackError, match=r"unknown key 'more_call_us\.allgather': needed one of"):
        read_stack(file)
    file.write_text("[more_call_us]\nall_gather = -7\n")
    with pytest.raises(StackError, match=r"more_call_us\.all_gather = -7: needed a number from 0"):
        read_stack(file)
