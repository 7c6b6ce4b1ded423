"""Plans in MSCCL XML: written and read back, and read from files that others write."""

import re
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from interpreter import is_right
from nightly import examples, some
from strategies import CASES, cases, link, one_site, program_of, ranks_per_site, width_for
from threadblocks import Threadblocks, fused_ring, program

from emul import PlanError, Send, World
from emul.plans import Partition, Plan, Step, build_plan, plan_from, plan_xml, read_plan
from emul.reading.printable import printable
from emul.timing import Slicing, time_plan
from emul.topology import Network

SIZES = [(2,), (4,), (3, 2), (1, 4), (3, 5, 2)]


def rows_of(plan):
    return [
        [getattr(step, name).tolist() for name in Step.__slots__]
        for step in plan.steps()
        if len(step)
    ]


def assert_same_plan(one, other):
    for name in ("collective", "algorithm", "world_size", "root", "order", "apart", "waits"):
        assert getattr(one, name) == getattr(other, name), name
    rows = one.world_size
    scratch = [
        np.broadcast_to(plan.scratch, (rows, plan.scratch.shape[1])) for plan in (one, other)
    ]
    assert scratch[0].tolist() == scratch[1].tolist()
    a, b = one.partition, other.partition
    assert (a.blocks, a.units, a.edges.tolist()) == (b.blocks, b.units, b.edges.tolist())
    assert rows_of(one) == rows_of(other)


@pytest.mark.covering(1)
@pytest.mark.parametrize(("collective", "algorithm"), CASES)
def test_a_plan_is_read_back_as_it_was_written(collective, algorithm, file):
    for sizes in SIZES:
        plan = build_plan(collective, algorithm, sizes, root=sum(sizes) // 2)
        again = file(plan_xml(plan))
        assert_same_plan(again, plan)
        width = width_for(collective, sum(sizes), 7)
        network = Network.of(one_site(sum(sizes), link()))
        times = [time_plan(program_of(each, width, 4), network) for each in (plan, again)]
        assert times[0].done_ps.tobytes() == times[1].done_ps.tobytes()


@pytest.mark.parametrize(
    "algorithm",
    [
        "hierarchical:pieces=3",
        "hierarchical:node=direct,site=ring:bidirectional,trunk=direct:one_shot",
        "hierarchical:node=bruck,trunk=double_binary_tree,pieces=2",
    ],
)
def test_hierarchies_are_read_back_as_they_were_written(algorithm, file):
    plan = build_plan("all_reduce", algorithm, [(2, 1), (2, 2), (1,)])
    assert_same_plan(file(plan_xml(plan)), plan)


def out_of_place(collective):
    """Two ranks that exchange by a copy of their own into what is received."""
    own, other = np.array([0, 1]), np.array([1, 0])
    if collective == "all_gather":
        steps = [
            Step.of([0, 1], [0, 1], own, dst_chunk=2 + own, reduce=False),
            Step.of([0, 1], [1, 0], own, dst_chunk=2 + own, reduce=False),
        ]
    else:
        steps = [
            Step.of([0, 1], [0, 1], own, dst_chunk=2 + own, reduce=False),
            Step.of([0, 1], [1, 0], other, dst_chunk=2 + other, reduce=True),
        ]
    return Plan(collective, "apart", 2, 0, Partition.uniform(2), lambda: iter(steps), apart=True)


@pytest.mark.parametrize("collective", ["all_gather", "reduce_scatter"])
def test_own_blocks_out_of_place_are_read_back(collective, file):
    plan = out_of_place(collective)
    text = plan_xml(plan)
    assert is_right(plan)
    assert_same_plan(file(text), plan)
    assert Threadblocks(text, apart=True).run(0).is_right()


def test_blocks_are_cut_alike_whatever_their_length(file):
    # Two chunks for each rank's block: 5 elements are 3 and 2, in every block.
    steps = [
        ["s i0 o0", "s i1 o1", "r o2 o2", "r o3 o3"],
        ["s i0 o2", "s i1 o3", "r o0 o0", "r o1 o1"],
    ]
    gpus = [[(1 - g, 1 - g, 0, steps[g])] for g in (0, 1)]
    plan, world = file(program("allgather", 4, gpus)), World(one_site(2, link()))
    for count in range(8):
        x = np.arange(1.0, 1 + 2 * count).reshape(2, count)
        run = world.all_gather(x, algorithm=plan)
        assert run.output.tolist() == [x.ravel().tolist()] * 2


def test_a_step_of_many_rows_within_ranks_is_written(file):
    plan = build_plan("all_to_all", "bruck", (40,))
    assert_same_plan(file(plan_xml(plan)), plan)


@examples(40)
@given(ranks_per_site, cases, st.data())
def test_what_is_written_runs_in_any_order_of_its_threadblocks(sizes, case, data):
    plan = build_plan(*case, sizes, root=data.draw(st.integers(0, sum(sizes) - 1)))
    text = plan_xml(plan)
    for seed in range(3):
        assert Threadblocks(text, apart=plan.apart).run(seed).is_right()


@pytest.mark.parametrize("n", [2, 3, 4, 7])
def test_a_ring_of_fused_steps_is_the_ring(n, file):
    plan = file(fused_ring(n))
    assert is_right(plan)
    x = np.random.default_rng(n).normal(size=(n, 60 * n)).astype(np.float32)
    for slicing in (None, Slicing(100, 2)):
        world = World(one_site(n, link(overhead_us=1.0)), slicing=slicing)
        fused, ring = (world.all_reduce(x, algorithm=each) for each in (plan, "ring"))
        assert fused.output.tobytes() == ring.output.tobytes()
        assert fused.timeline.total_ps == ring.timeline.total_ps
        assert fused.timeline.nbytes[fused.timeline.src != fused.timeline.dst].sum() == (
            ring.timeline.nbytes.sum()
        )


# Every gpu keeps a copy, hands its buffer to the other, and adds what came to its copy.
BOTH_WAYS = [
    [(1 - g, 1 - g, 0, ["s i0 i0 x2", "r i0 s0 x2 hasdep"]),
     (-1, -1, 0, ["cpy i0 o0 x2", "nop after=0:1", "re s0 o0", "re s1 o1"])]
    for g in (0, 1)
]  # fmt: skip


def test_local_steps_dependencies_and_scratch_are_understood(file):
    plan = file(program("allreduce", 2, BOTH_WAYS, inplace=0, scratch=2))
    assert plan.apart
    assert is_right(plan)
    x = np.arange(12.0).reshape(2, 6)
    run = World(one_site(2, link())).all_reduce(x, algorithm=plan)
    assert run.output.tolist() == [x.sum(axis=0).tolist()] * 2
    assert x.tolist() == np.arange(12.0).reshape(2, 6).tolist()


def test_a_chunk_may_be_reduced_with_another_place(file):
    steps = [(1 - g, 1 - g, 0, ["s i0 i0", "rrc i0 o0"]) for g in (0, 1)]
    plan = file(program("allreduce", 1, [[each] for each in steps], inplace=0))
    assert is_right(plan)


@pytest.mark.parametrize(("more", "apart"), [("", False), ('outofplace="0"', False)])
def test_own_blocks_lie_at_their_place_in_the_whole(more, apart, file):
    gather = [[(1 - g, 1 - g, 0, ["s i0 o0", f"r i0 o{1 - g}"])] for g in (0, 1)]
    plan = file(program("allgather", 2, gather, more=more))
    assert plan.apart == apart
    assert is_right(plan)
    scatter = [[(1 - g, 1 - g, 0, [f"s i{1 - g} o0", f"rrc i{g} o0"])] for g in (0, 1)]
    assert is_right(file(program("reduce_scatter", 2, scatter, more=more)))


def test_a_file_for_both_forms_is_proven_for_both(file):
    scatter = [[(1 - g, 1 - g, 0, [f"s i{1 - g} o0", f"rrc i{g} o0"])] for g in (0, 1)]
    plan = file(program("reduce_scatter", 2, scatter, more='outofplace="1"'))
    assert not plan.apart
    kept = [[(1 - g, 1 - g, 0, ["s i0 i0", "rrc i0 i0"])] for g in (0, 1)]
    assert is_right(file(program("allreduce", 1, kept)))
    with pytest.raises(PlanError, match="rank 0 chunk 1 lacks the contribution of ranks 0, 1"):
        file(program("allreduce", 1, kept, more='outofplace="1"'))


SEND, RECEIVE = "s i0 o0", "r o1 o1"


@pytest.mark.parametrize(
    ("blocks", "one_after_the_other"),
    [
        ([(1, 1, 0, [SEND, RECEIVE])], False),
        ([(1, 1, 0, [RECEIVE, SEND])], True),
        ([(1, -1, 0, [SEND]), (-1, 1, 0, [RECEIVE])], False),
        ([(1, -1, 0, [f"{SEND} after=1:0"]), (-1, 1, 0, [f"{RECEIVE} hasdep"])], True),
        ([(1, -1, 0, ["nop after=1:0", SEND]), (-1, 1, 0, [f"{RECEIVE} hasdep"])], True),
        ([(1, -1, 0, [f"{SEND} after=1:0"]), (-1, 1, 0, [RECEIVE, "nop", "nop hasdep"])], True),
    ],
)
def test_threadblocks_and_dependencies_cost_their_time(blocks, one_after_the_other, file):
    other = [(0, -1, 0, ["s i0 o1"]), (-1, 0, 0, ["r o0 o0"])]
    plan = file(program("allgather", 2, [blocks, other]))
    assert is_right(plan)
    for slicing in (None, Slicing(1000, 100)):
        world = World(one_site(2, link(gbit_per_s=8.0, latency_us=50.0)), slicing=slicing)
        prediction = world.predict("all_gather", 10_000, dtype="uint8", algorithm=plan)
        once_ps = 10_000_000 + 50_000_000
        assert prediction.timeline.total_ps == once_ps * (2 if one_after_the_other else 1)
        assert prediction.critical_path.total_ps == prediction.timeline.total_ps


def test_a_send_that_waits_holds_back_the_next_of_its_threadblock(file):
    # gpu 0 passes on to gpu 2 what gpu 1 sends it, and sends gpu 2 its own chunk: behind that in
    # the same threadblock, or at once in another. gpu 2 collects; so the collective is a gather.
    def time_of(sends):
        zero = [(-1, 1, 0, ["r o1 o1 hasdep"]), *sends]
        one = [(0, -1, 0, ["s i0 o1"])]
        receipts = ["r o1 o1"], ["r o0 o0"]
        if len(sends) == 1:
            receipts = ([*receipts[0], *receipts[1]],)
        two = [(-1, 0, channel, steps) for channel, steps in enumerate(receipts)]
        plan = file(program("gather", 3, [zero, one, two], sizes=(1, 3), more='root="2"'))
        world = World(one_site(3, link(gbit_per_s=8.0, latency_us=50.0)), slicing=None)
        return world.predict("gather", 10_000, dtype="uint8", algorithm=plan, root=2).timeline

    passed_on = "s o1 o1 after=0:0"
    behind = time_of([(2, -1, 0, [passed_on, "s i0 o0"])])
    at_once = time_of([(2, -1, 0, [passed_on]), (2, -1, 1, ["s i0 o0"])])
    assert sorted(behind.start_ps.tolist()) == [0, 60_000_000, 70_000_000]
    assert sorted(at_once.start_ps.tolist()) == [0, 0, 60_000_000]


@pytest.mark.parametrize("apart", [False, True])
def test_bytes_and_values_of_an_exchange_follow_the_file(apart, file):
    swap = [[(1 - g, 1 - g, 0, ["s i0 o0", "s i1 o1", "rrc i0 o0", "rrc i1 o1"])] for g in (0, 1)]
    plan = file(program("allreduce", 2, swap, inplace=int(not apart)))
    assert is_right(plan)
    assert sum(len(step) for step in plan.steps()) >= 4


def changed(root, element, **new):
    """The file with other attributes of one element, which is left as it was."""
    old = {name: element.get(name) for name in new}
    element.attrib.update({name: str(value) for name, value in new.items()})
    mutant = ET.tostring(root, encoding="unicode")
    element.attrib.update(old)
    return mutant


def mutants(text):
    """Every file that differs in one step: no dependency, no word given, another place or type,
    two steps exchanged, or a peer changed."""
    root = ET.fromstring(text)
    n = int(root.get("ngpus"))
    for tb in root.iter("tb"):
        if int(tb.get("send")) >= 0 and n > 2:
            yield changed(root, tb, send=(int(tb.get("send")) + 1) % n)
        for a, b in pairwise(tb):
            one, other = ({**x.attrib, "s": y.get("s")} for x, y in ((a, b), (b, a)))
            a.attrib, b.attrib = other, one
            yield ET.tostring(root, encoding="unicode")
            a.attrib, b.attrib = ({**x, "s": y["s"]} for x, y in ((one, other), (other, one)))
        for step in tb:
            yield from step_mutants(root, step, int(root.get("nchunksperloop")))


def step_mutants(root, step, n_chunks):
    if step.get("depid") != "-1":
        yield changed(root, step, depid=-1, deps=-1)
    if step.get("hasdep") == "1":
        yield changed(root, step, hasdep=0)
    if step.get("type") != "nop":
        for name in ("srcoff", "dstoff"):
            yield changed(root, step, **{name: (int(step.get(name)) + 1) % n_chunks})
    other = {"rrc": "r", "r": "rrc", "re": "cpy", "cpy": "re"}.get(step.get("type"))
    if other:
        yield changed(root, step, type=other)


def foreign(text):
    """The same file without what emul adds, as others would write it."""
    text = re.sub(r' (round|row)="\d+"', "", text)
    return re.sub(r' order="\w+"| units="1"', "", text)


MUTATED = [
    ("all_reduce", "ring", (3,)),
    ("all_reduce", "recursive_doubling", (4,)),
    ("all_reduce", "direct:one_shot", (3,)),
    ("all_to_all", "bruck", (4,)),
    ("all_gather", "pat", (5,)),
    ("reduce_scatter", "halving_doubling", (4,)),
    ("broadcast", "double_binary_tree", (4,)),
    ("all_reduce", "hierarchical", (2, 2)),
]


@pytest.mark.parametrize(("collective", "algorithm", "sizes"), MUTATED)
def test_files_that_are_wrong_in_one_step_are_refused(collective, algorithm, sizes, file):
    text = foreign(plan_xml(build_plan(collective, algorithm, sizes)))
    apart = file(text).apart
    refused = 0
    for mutant in some(mutants(text)):
        said = verdict(file, mutant)
        if said != "right":
            refused += 1
            assert re.match(r"\S+plan.xml(, line \d+)?: ", said), said
            continue
        for seed in range(8):
            assert Threadblocks(mutant, apart=apart).run(seed).is_right(), mutant
    assert refused >= 10


def verdict(file, text):
    try:
        file(text)
    except PlanError as error:
        return str(error)
    return "right"


def test_the_order_of_an_own_file_may_not_be_changed_by_hand(file):
    text = plan_xml(build_plan("all_reduce", "ring", (3,)))
    with pytest.raises(PlanError, match=r"line \d+: round=0 for what has to come after row=\d+"):
        file(text.replace('round="1"', 'round="0"'))
    with pytest.raises(PlanError, match=r"line \d+: no round= and row= in a file with order="):
        file(text.replace(' row="0"', ""))
    with pytest.raises(PlanError, match="row=0 of round=0 after row=0"):
        file(text.replace(' row="1"', ' row="0"'))


def test_a_world_takes_a_file_as_its_algorithm(tmp_path):
    path = tmp_path / "ring.xml"
    path.write_text(plan_xml(build_plan("all_reduce", "ring", (8, 8, 8))))
    world = World("three-campus")
    x = np.random.default_rng(0).normal(size=(24, 1000)).astype(np.float32)
    runs = []
    for each in (str(path), "ring"):
        world.restart()
        runs.append(world.all_reduce(x, algorithm=each))
    assert runs[0].output.tobytes() == runs[1].output.tobytes()
    assert runs[0].time_s == runs[1].time_s
    with pytest.raises(PlanError, match="needed a plan for all_gather over 24 ranks"):
        world.all_gather(x, algorithm=str(path))


def test_what_is_only_passed_on_is_not_kept(file):
    # gpu 1 adds its chunk to what it passes on to gpu 2, and then hands it, as it was, to gpu 0.
    zero = [(1, 1, 0, ["s i0 i0", "rrc i0 i0 hasdep"]), (-1, 2, 0, ["rrc i0 i0 after=0:1"])]
    one = [
        (2, 0, 0, ["rrs i0 i0 hasdep"]),
        (0, -1, 0, ["s i0 i0 after=0:0 hasdep"]),
        (-1, 2, 0, ["r i0 i0 after=1:0"]),
    ]
    two = [(0, -1, 0, ["s i0 i0 hasdep"]), (1, 1, 0, ["rrc i0 i0 after=0:0", "s i0 i0"])]
    text = program("allreduce", 1, [zero, one, two])
    assert Threadblocks(text, apart=False).run(0).is_right()
    assert is_right(file(text))


def test_scratch_is_as_long_as_what_it_holds_first(file):
    plan = file(program("allreduce", 2, BOTH_WAYS, inplace=0, scratch=2))
    x = np.arange(14.0).reshape(2, 7)  # chunks of 4 and of 3 elements
    assert (
        World(one_site(2, link())).all_reduce(x, algorithm=plan).output.tolist()
        == [x.sum(axis=0).tolist()] * 2
    )


@pytest.mark.parametrize(("collective", "algorithm"), CASES)
def test_there_are_as_many_channels_as_the_largest_needs(collective, algorithm):
    root = ET.fromstring(plan_xml(build_plan(collective, algorithm, (3, 2))))
    largest = max(int(tb.get("chan")) for tb in root.iter("tb"))
    assert int(root.get("nchannels")) == 1 + largest


@pytest.mark.parametrize(("collective", "algorithm"), CASES)
def test_nothing_is_waited_for_twice(collective, algorithm):
    for tb in ET.fromstring(plan_xml(build_plan(collective, algorithm, (3, 2)))).iter("tb"):
        waits = [(step.get("depid"), int(step.get("deps"))) for step in tb]
        for block in {block for block, _ in waits} - {"-1"}:
            steps = [at for each, at in waits if each == block]
            assert steps == sorted(set(steps))


def test_edges_that_rows_show_are_not_written():
    plan = build_plan("all_reduce", "hierarchical", (3, 2))
    assert plan.partition.n_chunks < plan.partition.blocks * plan.partition.units
    assert "edges=" not in plan_xml(plan)


def test_what_is_read_within_a_rank_is_written_behind_it(file):
    def shifted(n):
        yield [Send(0, 0, 0, into=n)]
        yield [Send(0, 0, 0, into=n), Send(0, 0, n, into=n + 1)]

    plan = plan_from(shifted, "all_reduce", 1, scratch=2)
    assert_same_plan(file(plan_xml(plan)), plan)


@pytest.mark.parametrize("name", ["\x1b[31mred\x07", "a\0b", "a\nb", '<&">', "\ud800", "\u202e"])
def test_any_name_of_a_function_makes_a_file_that_can_be_read(name, tmp_path):
    path = tmp_path / "plan.xml"
    path.write_text(plan_xml(replace(build_plan("all_reduce", "ring", (2,)), algorithm=name)))
    assert read_plan(path).algorithm == printable(name)
