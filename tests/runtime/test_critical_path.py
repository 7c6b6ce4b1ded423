"""Why a program takes as long as it does: worked by hand, and over random programs."""

import random
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from every_link import drawn
from nightly import fewer
from program_paths import MarkedProgram, assert_contiguous
from random_programs import Tiny
from strategies import sites_of_one
from two_sites import ones, two_sites

from emul import ArgumentError, Link, Mark, NoData, Node, Site, Topology, World
from emul.links import Changes, Jitter, State, Transport
from emul.units import PS_PER_S

MS = PS_PER_S // 1000
TRUNK = Link(1e8, 3e-3, 1e-6)
"""A message of 1e6 bytes over it, from NICs that take no time: 1 us + 10 ms + 3 ms."""
MESSAGE_PS = MS // 1000 + 13 * MS
MESSAGE = NoData(10**6, "uint8")


def two_ranks(**arguments):
    """Two ranks a trunk apart."""
    return World(sites_of_one(lambda a, b: TRUNK, 2), **arguments)


def told(path):
    """Return kind or operation, the rank at the end, and the picoseconds of each row."""
    return [(row.operation or row.kind, row.rank, row.duration_ps) for row in path.rows]


def broadcast(member, **how):
    return member.broadcast(MESSAGE, algorithm="direct", **how)


def bucket_step(world, compute_s):
    """One step: after each of four parts of the backward pass a bucket is sent."""
    handles = []
    for _ in range(4):
        world.compute(compute_s)
        handles.append(broadcast(world, async_op=True))
    for handle in handles:
        handle.wait()
    world.mark("step")


def test_a_step_whose_compute_binds_waits_for_its_last_bucket_alone():
    world = two_ranks(slicing=None)
    bucket_step(world, 0.020)
    bucket_step(world, 0.020)
    path = world.critical_path()
    assert path.binding == "compute"
    assert path.total_ps == 4 * 20 * MS + MESSAGE_PS
    assert told(path)[0] == ("broadcast", 0, MESSAGE_PS)
    assert [row.kind for row in path.rows[1:]] == ["compute"] * 4


def test_a_step_whose_communication_binds_goes_through_every_bucket():
    world = two_ranks(slicing=None)
    bucket_step(world, 0.002)
    bucket_step(world, 0.002)
    path = world.critical_path()
    assert told(path) == [("broadcast", 0, MESSAGE_PS)] * 4 + [("compute", 0, 2 * MS)]
    assert path.binding == "trunk s0 -> s1, share"
    assert path.by_term_ps() == {
        "share": 40 * MS, "latency": 12 * MS, "compute": 2 * MS, "overhead": 4 * MS // 1000
    }  # fmt: skip


def test_a_straggler_is_named_by_its_compute():
    world = World(two_sites(2), slicing=None)
    world.compute(0.010)
    world.compute(0.007, ranks=[3])
    world.all_reduce(ones(4), algorithm="ring")
    *_, late, before = world.critical_path().rows
    assert (late.kind, late.rank, late.duration_ps) == ("compute", 3, 7 * MS)
    assert (before.kind, before.rank, before.duration_ps) == ("compute", 3, 10 * MS)


def test_of_32_micro_batches_through_two_stages_the_first_stage_and_one_message_count():
    world, half = two_ranks(), NoData(500_000, "uint8")
    for _ in range(32):
        world.compute(0.010, ranks=[0])
        world.send(half, 0, 1, async_op=True)
        world.recv(0, 1)
        world.compute(0.010, ranks=[1])
    path = world.critical_path()
    message_ps = MESSAGE_PS - 5 * MS
    assert path.total_ps == 33 * 10 * MS + message_ps == round(world.now_s * PS_PER_S)
    expected = [("compute", 1, 10 * MS), ("send", 1, message_ps)]
    assert told(path) == expected + [("compute", 0, 10 * MS)] * 32


def test_messages_to_and_fro_alternate_with_the_compute_of_either_rank():
    world = two_ranks()
    for _ in range(3):
        for rank in (0, 1):
            world.compute(0.010, ranks=[rank])
            world.send(MESSAGE, rank, 1 - rank, async_op=True)
            world.recv(rank, 1 - rank)
    turn = [("send", 0, MESSAGE_PS), ("compute", 1, 10 * MS)]
    turn += [("send", 1, MESSAGE_PS), ("compute", 0, 10 * MS)]
    assert told(world.critical_path()) == 3 * turn


def test_two_groups_that_share_a_trunk_send_twice_as_long():
    world = World(two_sites(2, TRUNK), slicing=None)
    handles = [broadcast(world.group(pair), async_op=True) for pair in ((0, 2), (1, 3))]
    for handle in handles:
        handle.wait()
    path = world.critical_path()
    assert [row.operation for row in path.rows] == ["broadcast"]
    assert path.by_term_ps()["share"] == 20 * MS
    assert path.by_place_ps() == {"trunk a -> b": path.total_ps}


def test_a_wait_for_a_port_in_use_by_another_operation_has_a_term_of_its_own():
    # Rank 0 sends 1e6 bytes each to rank 1 and to rank 2 by one NIC of 1e9 bytes/s: 1 ms each.
    nic = Link(1e9, 0.0)
    world = World(sites_of_one(lambda a, b: Link(1e12, 3e-3), 3, nic=nic), slicing=None)
    first, second = (broadcast(world.group(pair), async_op=True) for pair in ((0, 1), (0, 2)))
    first.wait()
    second.wait()
    path = world.critical_path()
    (row,) = path.rows
    assert row.communicator == 2
    assert path.by_term_ps() == {"latency": 3 * MS, "others": MS, "share": MS}
    assert [part.place for part in row.parts if part.term == "others"] == ["NICs of s0"]


def test_messages_of_one_sender_go_one_after_the_other():
    world = two_ranks()
    for _ in range(2):
        world.send(MESSAGE, 0, 1, async_op=True)
    for _ in range(2):
        world.recv(0, 1)
    path = world.critical_path()
    assert told(path) == [("send", 1, MESSAGE_PS), ("send", 0, MESSAGE_PS - 3 * MS)]
    assert [row.number for row in path.rows] == [1, 0]


def send_three(world):
    """Let rank 0 send three messages of 4000 bytes at once, and rank 1 receive them."""
    for _ in range(3):
        world.send(NoData(4000, "uint8"), 0, 1, async_op=True)
    for _ in range(3):
        world.recv(0, 1)


def test_an_eager_message_waits_for_the_port_and_the_connection_that_those_before_it_use():
    # Open MPI copies 4000 bytes when it is called, 20 us each; a message then takes 31 us of
    # overhead and of copies, 0.18 ns for each byte, on its port, and 40 us on the trunk.
    world = two_ranks(stack="openmpi")
    send_three(world)
    us = PS_PER_S // 10**6
    port_ps, trunk_ps, ready_ps = 31 * us + 4000 * 180, 40 * us, 60 * us
    on_port_ps = 20 * us + 2 * port_ps
    at_trunk_ps = on_port_ps + 31 * us
    on_trunk_ps = 20 * us + 31 * us + 2 * trunk_ps
    waits = [
        (part.place, part.duration_ps)
        for part in world.critical_path().parts
        if part.term == "others"
    ]
    assert waits == [
        ("trunk s0 -> s1", on_trunk_ps - at_trunk_ps),
        ("NICs of s0", on_port_ps - ready_ps),
    ]


@pytest.mark.parametrize("far", [True, False])
def test_a_gap_after_a_message_of_the_operation_before_is_no_use_of_the_link(far, monkeypatch):
    # The first message takes its connection at 1 us; the second comes there 1 us after rank 0 is
    # done with the first one, and may begin 20 ms after that.
    monkeypatch.setattr("emul.runtime.clocks.ALONE", False)
    link = replace(TRUNK, transport=Transport(gap_s=0.020))
    one_node = Topology("one node", (Site("s0", (Node(2, link),), link),))
    world = World(sites_of_one(lambda a, b: link, 2) if far else one_node, slicing=None)
    for handle in [broadcast(world, async_op=True) for _ in range(2)]:
        handle.wait()
    path = world.critical_path()
    us = PS_PER_S // 10**6
    assert path.by_term_ps()["gap"] == 20 * MS + us - (MESSAGE_PS + us)
    assert "others" not in path.by_term_ps()


@pytest.mark.parametrize("waves", [1, 2])
def test_a_message_in_the_run_of_those_before_is_told_its_own_part(waves):
    # Losses hold the streams to a rate at which each message takes as long. The third comes to the
    # port 40 us after the first, and waits until the two before it have left the trunk.
    transport = Transport(loss=0.02, recovery="cubic", mtu_bytes=1500.0, streams=waves)
    trunk = replace(TRUNK, transport=transport, waves=waves)
    world = World(sites_of_one(lambda a, b: trunk, 2), stack="openmpi")
    send_three(world)
    spent = world.critical_path().by_term_ps()
    us = PS_PER_S // 10**6
    assert spent["loss"] > 800 * us
    assert abs(spent["others"] - (2 * spent["loss"] - 40 * us)) <= 2 * waves  # roundings
    assert "share" not in spent


def test_a_message_in_the_run_of_those_before_is_held_by_its_own_windows_alone():
    # Of 4000 bytes, 3000 leave in 30 us; the others when the window is back, after 6 ms.
    trunk = replace(TRUNK, transport=Transport(window_bytes=3000.0))
    world = World(sites_of_one(lambda a, b: trunk, 2), stack="openmpi")
    send_three(world)
    spent = world.critical_path().by_term_ps()
    us = PS_PER_S // 10**6
    assert (spent["window"], spent["share"]) == (5970 * us, 40 * us)
    assert spent["others"] == 2 * 6010 * us - 40 * us


def test_streams_that_were_held_for_different_times_leave_no_part_below_nothing():
    transport = Transport(window_bytes=3000.0, streams=5)
    trunk = replace(TRUNK, transport=transport, waves=2)
    world = World(sites_of_one(lambda a, b: trunk, 2), stack="openmpi", seed=1)
    for _ in range(5):
        world.send(NoData(4001, "uint8"), 0, 1, async_op=True)
    for _ in range(5):
        world.recv(0, 1)
    (row, *_) = world.critical_path().rows
    assert_contiguous(row.parts, row.from_ps, row.to_ps)


@pytest.mark.parametrize("more_s", [0.0, 0.001])
def test_a_wait_for_a_receivers_port_is_apart_from_the_way_to_it(more_s):
    """Two groups send 1e6 bytes each to one NIC of 1e9 bytes/s, over trunks of 3 ms and more."""
    changes = Changes(trace=(State(0.0, 1.0, more_s), State(1.0))) if more_s else Changes()
    nic, far = Link(1e9, 0.0), Link(1e12, 3e-3)
    sites = sites_of_one(lambda a, b: far, 3, nic=nic)
    trunks = tuple(replace(each, changes=changes) for each in sites.trunks)
    world = World(replace(sites, trunks=trunks), slicing=None)
    handles = [
        world.group(pair).reduce(MESSAGE, root=1, algorithm="direct", async_op=True)
        for pair in ((0, 2), (1, 2))
    ]
    for handle in handles:
        handle.wait()
    path = world.critical_path()
    latency_ps = 3 * MS + round(more_s * PS_PER_S)
    assert path.by_term_ps() == {"latency": latency_ps, "others": MS, "share": MS}
    assert {each.place for each in path.parts if each.term == "others"} == {"NICs of s2"}


def test_a_sender_that_waits_is_held_until_its_last_byte_has_left():
    world = two_ranks()
    world.send(MESSAGE, 0, 1)
    world.compute(0.020, ranks=[0])
    path = world.critical_path()
    assert told(path) == [("compute", 0, 20 * MS), ("send", 0, MESSAGE_PS - 3 * MS)]
    assert path.by_place_ps()["trunk s0 -> s1"] == MESSAGE_PS - 3 * MS


def test_a_rank_that_came_to_a_message_early_is_followed_from_there():
    # With handshakes a message is laid out when both have come: rank 0 at 10 ms, and computes on.
    world = two_ranks(stack="openmpi")
    world.compute(0.010, ranks=[0])
    world.send(MESSAGE, 0, 1, async_op=True)
    world.compute(0.005, ranks=[0])
    world.recv(0, 1)
    world.compute(0.001, ranks=[1])
    path = world.critical_path()
    kinds = [("compute", 1), ("send", 1), ("compute", 0)]
    assert [told_row[:2] for told_row in told(path)] == kinds
    assert path.rows[-1].duration_ps == 10 * MS


def test_a_receiver_that_comes_late_waits_for_nothing_but_its_own_compute():
    world = two_ranks()
    world.send(MESSAGE, 0, 1, async_op=True)
    world.compute(0.050, ranks=[1])
    world.recv(0, 1)
    assert told(world.critical_path()) == [("compute", 1, 50 * MS)]


@pytest.mark.parametrize("alone", [True, False])
def test_a_message_that_arrives_with_a_late_one_before_it_hangs_on_that_one(alone, monkeypatch):
    """Of messages with lost packets some are late by 20 ms, and those behind wait for them."""
    monkeypatch.setattr("emul.runtime.clocks.ALONE", alone)
    transport = Transport(loss=0.2, recovery="sr", mtu_bytes=256.0, rto_s=0.02, retries=1000)
    trunk = replace(TRUNK, jitter=Jitter(1e-3, 3.0), transport=transport)
    world = World(sites_of_one(lambda a, b: trunk, 2), seed=1)
    held = 0
    for _ in range(12):
        world.send(NoData(400, "uint8"), 0, 1, async_op=True)
    for number in range(12):
        world.recv(0, 1)
        path = world.critical_path()
        assert_contiguous(path.rows, 0, round(world.ranks_now_s[1] * PS_PER_S))
        held += path.rows[0].number < number
    assert held >= 3


def test_a_shorter_compute_on_a_plain_chain_makes_the_program_as_much_shorter():
    def program(shorter_s, number):
        world, computes = two_ranks(), iter(range(6))
        for rank in (0, 1, 0):
            for _ in range(2):
                less = shorter_s if next(computes) == number else 0.0
                world.compute(0.010 - less, ranks=[rank])
            world.send(MESSAGE, rank, 1 - rank, async_op=True)
            world.recv(rank, 1 - rank)
        return world.critical_path()

    whole = program(0.0, 0)
    assert sum(row.kind == "compute" for row in whole.rows) == 6
    for number in range(6):
        assert whole.total_ps - program(0.001, number).total_ps == MS


def test_rows_of_random_programs_agree_with_a_replay():
    terms = set()
    for number in range(fewer(60)):
        terms |= checked(MarkedProgram(number, Tiny(number).members))
    assert terms >= {"compute", "share", "latency", "others"}


def test_rows_agree_with_a_replay_whatever_links_there_are():
    terms = set()
    for number in range(30):
        world, _ = drawn(number)
        draw = random.Random(number)
        some = [draw.sample(range(world.size), draw.randint(1, world.size)) for _ in range(2)]
        members = [world, *map(world.group, some)]
        terms |= checked(MarkedProgram(number, members, counts=(7, 3001, 60_000)))
    assert terms >= {"share", "window", "gap", "loss", "jitter", "queue", "others"}


def checked(program):
    """Check the paths between some marks of a program; return the terms of their parts."""
    terms, pairs = set(), list(combinations(program.marks, 2))
    for begin, end in program.draw.sample(pairs, min(2, len(pairs))):
        if end.now_s < begin.now_s:
            with pytest.raises(ArgumentError, match="needed a moment after since"):
                program.world.critical_path(begin, end)
        else:
            path = program.world.critical_path(begin, end)
            program.check(path, begin, end)
            terms |= set(path.by_term_ps())
    return terms


def test_questions_for_paths_and_marks_change_no_time():
    def clocks(asks):
        world = World(two_sites(2))
        for turn in range(6):
            handles = [broadcast(world.group(pair), async_op=True) for pair in ((0, 2), (1, 2))]
            world.compute(0.001 * turn, ranks=[turn % 4])
            mark = world.mark("turn")
            if asks:
                assert mark.now_s >= 0
                assert world.critical_path(until=mark).total_ps >= 0
            for handle in handles:
                handle.wait()
        return world.ranks_now_s

    assert np.array_equal(clocks(asks=True), clocks(asks=False))


def test_marks_are_found_by_name_and_the_last_two_are_the_default():
    world = two_ranks()
    world.compute(0.001)
    assert world.critical_path().time_s == 0.001  # from the beginning to now
    first = world.mark("step")
    world.compute(0.002)
    assert world.critical_path().time_s == 0.002  # from the one mark to now
    second = world.mark("step")
    world.compute(0.004)
    other = world.mark("other", ranks=[1])
    world.compute(0.008)
    assert [mark.now_s for mark in (first, second, other)] == [0.001, 0.003, 0.007]
    assert other.ranks_now_s.tolist() == [0.007]
    assert world.critical_path().time_s == 0.004
    assert world.critical_path("step").time_s == 0.004
    assert world.critical_path(first, second).time_s == 0.002
    assert world.critical_path(until="step").time_s == 0.002
    assert world.critical_path(until=first).time_s == 0.001
    assert world.critical_path("other").time_s == 0.008
    assert isinstance(first, Mark)
    assert repr(first) == "<mark 'step' (0)>"


@pytest.mark.parametrize(
    ("since", "until", "words"),
    [
        ("stop", None, "needed a Mark or the name of one: 'step'"),
        (None, 3, "until 3: needed a Mark or the name of one: 'step'"),
        ("later", "step", "needed a mark after since"),
    ],
)
def test_marks_that_are_not_there_or_not_in_order_are_refused(since, until, words):
    world = two_ranks()
    world.mark("step")
    world.compute(0.001)
    world.mark("later")
    with pytest.raises(ArgumentError, match=words):
        world.critical_path(since, until)


def test_a_mark_of_before_a_restart_keeps_its_clocks_and_begins_no_path():
    world = two_ranks()
    broadcast(world)
    mark = world.mark("step")
    world.restart()
    assert mark.now_s == MESSAGE_PS / PS_PER_S
    with pytest.raises(ArgumentError, match="of this World since its start"):
        world.critical_path(mark)


def test_a_name_that_is_no_text_is_refused():
    with pytest.raises(ArgumentError, match="name 3: needed a text"):
        two_ranks().mark(3)


def test_the_words_name_ranks_operations_links_and_the_binding_cause():
    world = two_ranks(slicing=None)
    world.compute(0.020)
    world.compute(0.010, ranks=[0])
    broadcast(world)
    path = world.critical_path()
    assert path.words() == [
        "Path: 43 ms from the beginning to now.",
        "Compute: 30 ms (69.8 %): 30 ms of rank 0.",
        "Communication: 13 ms (30.2 %) in 1 operation: 13 ms of broadcast.",
        "At trunk s0 -> s1: 13 ms (30.2 %): 10 ms sending, 3 ms under way, 1 us overhead.",
        "Binding: compute, 30 ms of the 43 ms.",
    ]
    assert repr(path) == "<ProgramPath: 3 rows, 43 ms; binding compute>"
    assert "trunk s0 -&gt; s1" in path._repr_html_()
    world.mark("here")
    assert world.critical_path("here").words() == [
        "Path: no time passes from mark 'here' (0) to now."
    ]
    assert world.critical_path("here").binding == "nothing"


def test_an_operation_whose_transfers_are_forgotten_is_one_row_without_links(monkeypatch):
    def path(**arguments):
        world = World(two_sites(2), **arguments)
        groups = [world.group(pair) for pair in ((0, 2), (1, 3))]
        for _ in range(3):
            world.compute(0.001, ranks=[1])
            for group in groups:
                broadcast(group)
        for _ in range(12):  # all is over, and forgotten but for the last ones
            world.compute(1.0)
            broadcast(world)
        return world.critical_path()

    monkeypatch.setattr("emul.runtime.record.MOST_TRANSFERS", 1)
    bare, whole = path(), path(record=True)
    assert bare.by_term_ps()["not kept"] > 0
    assert "not kept" not in whole.by_term_ps()
    assert any("no longer kept" in line for line in bare.words())
    assert_contiguous(bare.rows, 0, whole.to_ps)
    rows = [[(r.rank, r.from_rank, r.from_ps) for r in each.rows] for each in (bare, whole)]
    assert rows[0] == rows[1]
