"""Programs of single ranks on a World: the moments that the World's own calls come to."""

import random
import re
from dataclasses import replace

import pytest
from drawn_acts import meeting_programs
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples
from strategies import link, one_site

from emul import ArgumentError, Link, NoData, Node, ProgramError, Site, Topology, Trunk, World
from emul.links import Changes, Outages, Transport
from emul.programs import Compute, Issue, Log, Mark, RankGroup, Recv, Send, Wait

NIC = Link(1e10, 1e-6)
SITES = tuple(Site(name, (Node(2, NIC),), NIC) for name in ("north", "south"))
TOPOLOGY = Topology("two sites", SITES, (Trunk(("north", "south"), Link(1e8, 3e-3, 1e-6)),))
"""Ranks 0 and 1, and ranks 2 and 3, between which a trunk draws nothing by chance."""

GROUPS = [RankGroup(), RankGroup([0, 2]), RankGroup([1, 3]), RankGroup([1, 2, 3])]
COUNTS = (300, 6000, 65532, 262140)


def moments(world):
    return world.ranks_now_s.tolist(), sorted(row[1:] for row in map(astuple, world.history))


def astuple(row):
    return row.number, row.collective, row.issued_ps, row.started_ps, row.done_ps


@examples(12)
@given(st.integers(0, 1 << 30))
def test_a_program_comes_to_the_moments_of_the_same_calls(seed):
    """Ranks out of step, groups that share trunks, operations waited for in any order."""
    rng, api = random.Random(seed), World(TOPOLOGY)
    members = {group: api if group.ranks is None else api.group(group.ranks) for group in GROUPS}
    programs, open_still = [[] for _ in range(4)], []

    def wait(name, group, handle):
        handle.wait()
        for rank in group.ranks or range(4):
            programs[rank].append(Wait(name))

    for turn in range(10):
        for rank, program in enumerate(programs):
            seconds = rng.randrange(8_000_000) / 1e9
            api.compute(seconds, ranks=[rank])
            program.append(Compute(seconds))
        group, count, name = rng.choice(GROUPS), rng.choice(COUNTS), f"turn {turn}"
        x, call = NoData(count, "float32"), {"algorithm": "ring"}
        open_still.append((name, group, members[group].all_reduce(x, async_op=True, **call)))
        for rank in group.ranks or range(4):
            programs[rank].append(Issue("all_reduce", count, group=group, name=name, **call))
        if rng.random() < 0.4:
            wait(*open_still.pop(rng.randrange(len(open_still))))
    for each in open_still:
        wait(*each)
    world = World(TOPOLOGY)
    run = world.run(dict(enumerate(programs)))
    assert moments(world) == moments(api)
    assert run.ranks_now_s.tolist() == api.ranks_now_s.tolist()


@examples(12)
@given(st.integers(0, 1 << 30))
def test_a_mark_at_the_end_is_the_clock_at_the_end(seed):
    """Operations that are issued after it, at earlier moments, may have changed it."""
    programs = [[*program, Mark("end")] for program in meeting_programs(seed, ranks=4)]
    run = World(TOPOLOGY).run(programs.__getitem__)
    ends = {mark.rank: mark.at_s for mark in run.marks if mark.name == "end"}
    assert [ends[rank] for rank in range(4)] == run.ranks_now_s.tolist()


def test_a_mark_is_corrected_by_an_operation_that_is_issued_after_it():
    """Both send over one trunk; the second rank issues in a later round, at the same moment."""
    many = 1 << 22
    first = [Send(2, many), Wait(), Mark("sent")]
    second = [Compute(0.0), Compute(0.0), Compute(0.0), Compute(0.0), Send(3, many), Wait()]
    receivers = {2: [Recv(0, many)], 3: [Recv(1, many)]}
    alone = World(TOPOLOGY).run({0: first, 2: receivers[2]})
    shared = World(TOPOLOGY).run({0: first, 1: second} | receivers)
    assert shared.marks[0].at_s == shared.ranks_now_s[0] > 1.1 * alone.marks[0].at_s


def test_an_operation_may_meet_one_whose_ranks_came_apart():
    """The arrival of rank 0 is needed until its operation is over."""
    one, other = (RankGroup(ranks) for ranks in ([0, 2], [1, 3]))
    x, how = NoData(1 << 16, "float32"), {"algorithm": "ring"}
    world, api = World(TOPOLOGY), World(TOPOLOGY)
    calls = [Issue("all_reduce", 1 << 16, group=group, **how) for group in (one, other)]
    ranks_of_other = [Compute(1e-3), Compute(0.0), calls[1], Wait()]
    programs = [[calls[0], Wait()], ranks_of_other, [Compute(0.0), calls[0], Wait()]]
    world.run(dict(enumerate([*programs, ranks_of_other])))
    api.compute(1e-3, ranks=[1, 3])
    handles = [api.group(g.ranks).all_reduce(x, async_op=True, **how) for g in (one, other)]
    for handle in handles:
        handle.wait()
    assert moments(world) == moments(api)


def test_ranks_that_come_late_are_waited_for():
    world = World(one_site(2, link()))
    broadcast = Issue("broadcast", 1000, name="b")
    alone_s = world.predict("broadcast", 1000).time_s
    run = world.run({0: [Compute(0.25), broadcast, Mark("issued")], 1: [broadcast, Wait("b")]})
    assert run.time_s == 0.25 + alone_s
    assert run.ranks_now_s.tolist() == [0.25, run.time_s]
    assert run.marks == (("issued", 0, 0.25),)
    (row,) = run.operations
    assert (row.collective, row.issued_ps, row.done_ps) == (
        "broadcast",
        0,
        round(run.time_s * 1e12),
    )


def test_a_pipeline_waits_for_its_first_message_alone():
    """Stages compute 10 ms for each of 32 parts; a part takes less to send than to compute."""
    world = World(TOPOLOGY.of_ranks([0, 2]))
    sent_s = world.predict("broadcast", 100_000, dtype="float16").time_s
    assert sent_s < 0.010

    def acts(rank):
        for part in range(32):
            if rank:
                yield from (Recv(0, 100_000, dtype="float16"), Wait(), Compute(0.010))
            else:
                yield from (Compute(0.010), Send(1, 100_000, dtype="float16", name=f"{part}"))

    run = world.run(acts)
    assert run.time_s == pytest.approx(33 * 0.010 + sent_s, abs=1e-11)
    assert run.ranks_now_s[0] == 0.320


def test_a_log_and_its_files_are_the_same_program(tmp_path):
    log = Log([[Compute(0.5), Issue("all_reduce", 8), Wait(), Mark("step")]] * 4)
    log.write(tmp_path / "all.jsonl")
    log.write_by_rank(tmp_path / "ranks")
    times = {
        World(TOPOLOGY).run(program).time_s
        for program in (log, tmp_path / "all.jsonl", str(tmp_path / "ranks"))
    }
    assert times == {0.5 + World(TOPOLOGY).predict("all_reduce", 8).time_s}


def test_programs_go_on_where_the_last_one_ended():
    """On the same communicators."""
    world, group = World(TOPOLOGY), RankGroup([0, 2])
    acts = [Issue("all_reduce", 8, group=group), Wait()]
    first, second = (world.run({0: acts, 2: acts}) for _ in range(2))
    assert second.ranks_now_s[0] == 2 * first.time_s == first.time_s + second.time_s
    rows = first.operations + second.operations
    assert [(row.number, row.communicator) for row in rows] == [(0, 1), (1, 1)]
    assert world.history == rows


def test_an_operation_that_fails_says_why_and_others_go_on():
    down = Changes(outages=Outages(schedule=((0.0, 1e6),)))
    link = replace(TOPOLOGY.trunks[0].link, transport=Transport(recovery="sr", rto_s=0.1))
    trunk = replace(TOPOLOGY.trunks[0], link=link, changes=down)
    world = World(replace(TOPOLOGY, trunks=(trunk,)))
    here, across = (RankGroup(ranks) for ranks in ([0, 1], [0, 2]))
    calls = [Issue("all_reduce", 8, group=group, algorithm="ring") for group in (across, here)]
    acts = {0: [*calls, Wait(0), Wait(1)], 1: [calls[1], Wait()], 2: [calls[0], Wait()]}
    run = world.run(acts)
    failed, done = sorted(run.operations, key=lambda row: row.failure is None)
    assert "trunk north -> south is down" in failed.failure
    assert done.failure is None
    assert run.ranks_now_s[0] == run.ranks_now_s[2] == failed.done_ps / 1e12
    assert run.ranks_now_s[1] == done.done_ps / 1e12 < 1e-3


def test_a_program_says_itself_in_one_line():
    run = World(TOPOLOGY).run({0: [Compute(0.5), Mark("half")]})
    assert repr(run) == "<ProgramRun of 4 ranks: modelled 500 ms, 0 operations, 1 marks>"
    assert "500 ms" in run._repr_html_()


def test_every_collective_and_algorithm_can_be_issued():
    calls = [
        Issue("reduce_scatter", (1, 2, 3, 4), op="max"),
        Issue("all_gather", 5, algorithm="ring"),
        Issue("all_to_all", (1, 2, 3, 4)),
        Issue("gather", 5, root=3),
        Issue("scatter", 8, root=1),
        Issue("send_recv", 5, shift=-1),
        Issue("reduce", 5, dtype="bf16"),
    ]
    run = World(TOPOLOGY).run(lambda rank: [*calls, Wait()])
    assert [row.collective for row in run.operations] == [call.collective for call in calls]


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (Log([[]] * 3), "a log of 3 ranks: needed one of 4, or a World of as many"),
        ({4: []}, "rank 4: needed ranks from 0 to 3"),
        ({"a": []}, "rank 'a': needed ranks from 0 to 3"),
        (3, "program 3: needed a Log, its path, or the acts of each rank"),
    ],
)
def test_a_program_of_other_ranks_is_refused(program, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        World(TOPOLOGY).run(program)


def test_a_program_on_the_wall_clock_is_refused():
    with pytest.raises(ArgumentError, match="needed a World with clock='virtual'"):
        World(TOPOLOGY, clock="wall").run({})


def test_the_marks_of_a_program_that_fails_are_forgotten():
    world = World(TOPOLOGY)
    with pytest.raises(ProgramError, match="no rank can go on"):
        world.run({0: [Compute(1.0), Mark("lost"), Recv(1, 5), Wait()], 1: [Issue("reduce", 5)]})
    world.restart()
    run = world.run({0: [Recv(1, 6), Mark("kept")], 1: [Send(0, 6)]})
    assert run.marks == (("kept", 0, 0.0),)
