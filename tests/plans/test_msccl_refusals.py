"""What is wrong with an MSCCL file is said in one line, with the line it stands on."""

import pytest
from interpreter import is_right
from threadblocks import StuckError, Threadblocks, fused_ring, program, step

from emul import PlanError
from emul.plans import Partition, Plan, Step, build_plan, plan_xml, read_plan

TWO = [[(1 - g, 1 - g, 0, ["s i0 i0", "rrc i0 i0"])] for g in (0, 1)]
GOOD = program("allreduce", 1, TWO)


def test_a_circular_wait_is_named_as_a_deadlock(file):
    both_first = [[(1 - g, 1 - g, 0, ["rrc i0 i0", "s i0 i0"])] for g in (0, 1)]
    text = program("allreduce", 1, both_first)
    with pytest.raises(StuckError):
        Threadblocks(text, apart=False).run(0)
    with pytest.raises(
        PlanError,
        match=r"plan.xml, line 4: deadlock, a circular wait of 4 steps: gpu 0 tb 0 step 0 "
        r"\(line 4\), which waits for gpu 1 tb 0 step 1 \(line 11\), which waits for gpu 1 tb 0 ",
    ):
        file(text)


def test_a_race_is_named(file):
    blocks = [[(1 - g, -1, 0, ["s i0 i0 hasdep"]), (-1, 1 - g, 0, ["rrc i0 i0"])] for g in (0, 1)]
    with pytest.raises(
        PlanError,
        match=r"line 15: race: gpu 1 tb 1 step 0 \(line 15\) and gpu 1 tb 0 step 0 \(line 12\), "
        r"which reads the same place \(chunk 0\), may come in either order: needed a dependency",
    ):
        file(program("allreduce", 1, blocks))
    safe = [
        [(1 - g, -1, 0, ["s i0 i0 hasdep"]), (-1, 1 - g, 0, ["rrc i0 i0 after=0:0"])]
        for g in (0, 1)
    ]
    assert is_right(file(program("allreduce", 1, safe)))


def test_order_by_way_of_another_gpu_is_seen(file):
    # gpu 0 may overwrite its chunk once gpu 1 has answered to what it sent.
    zero = [(1, -1, 0, ["s i0 i0"]), (-1, 1, 0, ["r i0 i0"])]
    one = [(0, 0, 0, ["rrcs i0 i0"])]
    assert is_right(file(program("allreduce", 1, [zero, one])))


ENTITIES = """<?xml version="1.0"?>
<!DOCTYPE algo [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>
<algo/>"""
DEPENDENCY = 'depid="-1" deps="-1"'


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (GOOD[300:], "", "line 4: not well-formed XML: "),
        (GOOD, "", "line 1: not well-formed XML: no element found"),
        (GOOD, ENTITIES, "line 2: a document type declaration: needed a file without"),
        (GOOD, "<plan/>", "line 1: <plan> as the outermost element: needed <algo>"),
        ('srcoff="0"', 'srcoff="-1"', "line 4: chunks -1 to -1 of buffer 'i'"),
        ('srcoff="0"', 'srcoff="-7"', "line 4: srcoff='-7': needed a whole number"),
        ('srcoff="0"', 'srcoff="1"', "line 4: chunks 1 to 1 of buffer 'i' of gpu 0"),
        ('cnt="1"', 'cnt="0"', "line 4: cnt=0: needed at least one chunk"),
        ('cnt="1"', 'cnt="x"', "line 4: cnt='x': needed a whole number"),
        ('cnt="1"', 'cnt="1_0"', "line 4: cnt='1_0': needed a whole number"),
        ('send="1"', 'send="2"', "line 3: send='2': needed a whole number from -1 to 1"),
        ('send="1"', 'send="0"', "line 3: gpu 0 is its own peer"),
        ('send="1"', 'send="-1"', "line 4: a step of type s in a tb without a peer: needed send="),
        ('recv="1"', 'recv="-1"', "line 5: a step of type rrc in a tb without a peer: needed rec"),
        ('type="s"', 'type="send"', "line 4: unknown type 'send': needed one of s, r, rcs"),
        ('type="s"', 'type="ra"', "line 4: unknown type 'ra'"),
        ('type="s"', 'kind="s"', "line 4: <step> without type=: needed one"),
        ('hasdep="0"', 'hesdep="0"', "line 4: <step> without hasdep=: needed one"),
        (' s="1"', ' s="2"', "line 5: step 2: needed step 1, in order"),
        ('srcbuf="i"', 'srcbuf="q"', "line 4: unknown srcbuf 'q': needed one of i, o, s"),
        ('depid="-1"', 'depid="0"', "line 4: depid=0 with deps=-1: needed both, or -1 for both"),
        (DEPENDENCY, 'depid="5" deps="0"', "line 4: depends on tb 5, which gpu 0 does not have"),
        (DEPENDENCY, 'depid="0" deps="9"', "line 4: depends on step 9 of tb 0, which has no such"),
        (DEPENDENCY, 'depid="0" deps="1"', "line 4: depends on step 1 of tb 0, which never says"),
        ('id="1" i_', 'id="0" i_', "line 8: gpu 0 again: needed each gpu once"),
        ('tb id="0"', 'tb id="1"', "line 3: tb 1: needed tb 0 too, each once without gaps"),
        ('ngpus="2"', 'ngpus="3"', "2 gpus with ngpus=3: needed one for each"),
        ('ngpus="2"', 'ngpus="99999999"', "line 1: ngpus='99999999': needed a whole number"),
        ('loop="1"', 'loop="2"', "line 2: i_chunks=1 of gpu 0: needed 2 by nchunksperloop=2"),
        ("allreduce", "custom", "line 1: unknown coll 'custom': needed one of allreduce"),
        ("allreduce", "alltoall", "nchunksperloop=1 for all_to_all over 2 gpus: needed a multiple"),
        ('"Simple"', '"Complex"', "line 1: unknown proto 'Complex': needed one of Simple, LL"),
        ('inplace="1"', 'inplace="0" outofplace="0"', "line 1: neither inplace=1 nor outofplace=1"),
        ('coll="', 'order="odd" coll="', "line 1: unknown order 'odd': needed one of"),
        ('coll="', 'order="free" units="3" coll="', "line 1: nchunksperloop: needed a multiple"),
        ('coll="', 'order="free" coll="', "line 4: no round= and row= in a file with order="),
        ('s_chunks="0"', 's_chunks="0" scratch="x"', "line 2: scratch='x': needed whole numbers"),
        ("</tb>", "<gpu/></tb>", "line 6: <gpu> in <tb>: needed <step>"),
        ("</tb>", "text</tb>", "line 6: text 'text' between elements: needed elements only"),
        ('type="rrc"', 'type="nop"', "gpu 1 sends 1 messages to gpu 0 on channel 0, which rece"),
        ('type="rrc"', 'type="r"', "rank 0 chunk 0 lacks the contribution of rank 0"),
    ],
)
def test_bad_files_are_refused_with_their_line(old, new, complaint, file):
    assert old in GOOD
    with pytest.raises(PlanError) as refused:
        file(GOOD.replace(old, new, 1))
    assert complaint in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("added", "complaint"),
    [
        ('edges="0 1"', "line 1: edges=: needed numbers that rise from 0 to 3"),
        ('edges="0 2 3"', "edges=: a row from gpu 1 to gpu 2 moves parts of chunks: needed"),
    ],
)
def test_edges_that_do_not_fit_the_rows_are_refused(added, complaint, file):
    text = plan_xml(build_plan("all_reduce", "ring", (3,)))
    with pytest.raises(PlanError, match=complaint):
        file(text.replace("coll=", f"{added} coll=", 1))
    with pytest.raises(PlanError, match="line 2: scratch=: needed chunks that are as long as s_ch"):
        file(text.replace("s_chunks=", 'scratch="0" s_chunks=', 1))


def test_messages_of_unlike_length_do_not_match(file):
    two = [[(1 - g, 1 - g, 0, [f"s i0 i0 x{1 + g}", "rrc i0 i0"])] for g in (0, 1)]
    with pytest.raises(PlanError, match=r"line 5: receives cnt=1 of what gpu 1 tb 0 step 0 \(li"):
        file(program("allreduce", 2, two))


def test_a_connection_belongs_to_one_threadblock(file):
    twice = [[(1, -1, 0, ["s i0 i0"]), (1, -1, 0, ["s i0 i0"])], [(-1, 0, 0, ["r i0 i0"] * 2)]]
    with pytest.raises(PlanError, match="line 7: tb 0 uses channel 0 with gpu 1 already: need"):
        file(program("broadcast", 1, twice))


def test_a_file_of_too_many_steps_is_refused(tmp_path):
    path = tmp_path / "long.xml"
    with path.open("w") as out:
        out.write("\n".join(GOOD.splitlines()[:3]) + "\n")
        out.writelines(step(i, "nop") + "\n" for i in range(70_000))
    with pytest.raises(PlanError, match=r"long.xml, line 65540: more than 65536 steps: needed a"):
        read_plan(path)


def one_row(collective, *row, apart=False):
    steps = [Step.of(*row[:3], dst_chunk=row[3], reduce=False)]
    partition = Partition.uniform(2)
    return Plan(collective, "odd", 2, 0, partition, lambda: iter(steps), apart=apart)


def test_what_cannot_be_written_is_refused(file, tmp_path):
    with pytest.raises(PlanError, match="rank 1 exchanges chunks within itself: needed scratch"):
        plan_xml(one_row("all_to_all", 1, 1, [0, 1], [1, 0]))
    with pytest.raises(PlanError, match="rank 0 moves blocks of others: needed only its own"):
        plan_xml(one_row("all_gather", 0, 0, 1, 2, apart=True))
    with pytest.raises(PlanError, match="by_hand all_reduce over 3 ranks was read from a file"):
        plan_xml(file(fused_ring(3)))
    with pytest.raises(PlanError, match="needed a plan of at most 65536 steps in a file"):
        plan_xml(build_plan("all_reduce", "direct", (140,)))
    with pytest.raises(PlanError, match=r"missing.xml: cannot be read: No such file"):
        read_plan(tmp_path / "missing.xml")


@pytest.mark.parametrize(
    ("coll", "gpus", "complaint"),
    [
        (
            "allreduce",
            [[(1, -1, 0, ["s i0 i0"] * 2)], [(-1, 0, 0, ["rrc i0 i0"] * 2)]],
            "line 11: .*: rank 1 chunk 0 would count the contribution of rank 0 twice",
        ),
        (
            "broadcast",
            [[(-1, 1, 0, ["r i0 i0"])], [(0, -1, 0, ["s i0 i0"])]],
            "line 9: .*: rank 1 chunk 0 is sent without holding anything",
        ),
    ],
)
def test_the_step_at_which_the_proof_fails_is_named(coll, gpus, complaint, file):
    with pytest.raises(PlanError, match=complaint):
        file(program(coll, 1, gpus))
