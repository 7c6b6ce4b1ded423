"""Files for the run time of MSCCL: nothing that it does not read, nothing beyond its limits.

The reader here is written from the facts of microsoft/msccl (src/graph/topo.cc) and shares no code
with emul.
"""

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from strategies import CASES, count_for, link, one_site
from threadblocks import Threadblocks

from emul import PlanError, Send, World
from emul.plans import Partition, Plan, build_plan, msccl_xml, plan_from

SITES = (3, 2)

KNOWN = {
    "algo": {"name", "proto", "nchannels", "nchunksperloop", "ngpus", "coll", "inplace"},
    "gpu": {"id", "i_chunks", "o_chunks", "s_chunks"},
    "tb": {"id", "send", "recv", "chan"},
    "step": {
        "s", "type", "srcbuf", "srcoff", "dstbuf", "dstoff", "cnt", "depid", "deps", "hasdep",
    },
}  # fmt: skip
NAMES = {
    "allreduce": (1, 1), "allgather": (0, 1), "reduce": (1, 1), "broadcast": (1, 1),
    "alltoall": (1, 1), "reduce_scatter": (1, 0),
}  # fmt: skip
"""Of each collective: whether input and output of a rank are the whole vector."""


def taken(text):
    """What the run time keeps of a file; an assertion fails where it would refuse or cut off."""
    algo = ET.fromstring(text)
    assert all(set(each.attrib) == KNOWN[each.tag] for each in algo.iter())
    assert len(algo.get("name")) <= 63
    ranks, chunks = int(algo.get("ngpus")), int(algo.get("nchunksperloop"))
    assert int(algo.get("nchannels")) <= 32
    for gpu in algo:
        for name, whole in zip(("i_chunks", "o_chunks"), NAMES[algo.get("coll")], strict=True):
            assert int(gpu.get(name)) * (1 if whole else ranks) == chunks
        assert len(gpu) <= 216
        assert 1 + len(algo) + len(gpu) + sum(map(len, gpu)) <= 4096
        for end in ("send", "recv"):
            on = Counter(block.get("chan") for block in gpu if block.get(end) != "-1")
            assert max(on.values(), default=0) <= 32
        for block in gpu:
            check_steps(block)
    return algo


def check_steps(block):
    assert len(block) <= 256
    waiting = 0
    for number, step in enumerate(block):
        value = {name: step.get(name) for name in step.attrib}
        assert int(value["s"]) == number
        assert 0 <= int(value["cnt"]) < 72
        assert all(-1 <= int(value[end]) < 1 << 15 for end in ("srcoff", "dstoff"))
        assert -1 <= int(value["depid"]) < 128
        waiting += int(value["depid"]) >= 0
        if value["type"] != "nop":  # a chain of waits ends in the step that they are for
            assert not waiting or int(value["depid"]) >= 0
            waiting = 0
    for one, other in pairwise(block):
        if one.get("type") == other.get("type") == "re" and other.get("depid") == "-1":
            assert one.get("hasdep") == "1" or one.get("cnt") == other.get("cnt")


@pytest.mark.covering(1)
@pytest.mark.parametrize(("collective", "algorithm"), CASES)
def test_plans_are_taken_run_in_any_order_and_give_the_same_bits(collective, algorithm, file):
    plan = build_plan(collective, algorithm, SITES)
    if collective in ("gather", "scatter", "send_recv"):
        with pytest.raises(PlanError, match=f"be run by MSCCL: MSCCL has no {collective}: needed"):
            msccl_xml(plan)
        return
    text = msccl_xml(plan)
    taken(text)
    for seed in range(2):
        assert Threadblocks(text, apart=plan.apart).run(seed).is_right()
    # of a size that the chunks of the file divide, as the run time asks
    n, cut = sum(SITES), plan.partition.blocks * plan.partition.units
    width = count_for(collective, n, cut)
    x = np.random.default_rng(7).normal(size=(n, width)).astype(np.float32)
    call = getattr(World(one_site(n, link()), backend="numpy"), collective)
    again, own = (call(x, algorithm=each).output for each in (file(text), plan))
    assert again.tobytes() == own.tobytes()


@pytest.mark.parametrize("collective", ["broadcast", "reduce"])
def test_a_root_is_not_in_the_file(collective):
    with pytest.raises(PlanError, match="root 1, and the file of MSCCL says none: needed root 0"):
        msccl_xml(build_plan(collective, "direct", [3], root=1))


def chain(chunks):
    """Two ranks that exchange ``chunks`` in one row each way."""
    return lambda n: [
        [Send(0, 1, 0, nchunks=chunks, reduce=True)],
        [Send(1, 0, 0, nchunks=chunks)],
    ]


@pytest.mark.parametrize(("chunks", "counts"), [(71, [71]), (72, [71, 1]), (200, [71, 71, 58])])
def test_rows_of_many_chunks_are_cut(chunks, counts, file):
    text = msccl_xml(plan_from(chain(chunks), "all_reduce", 2, chunks=chunks))
    sent = [int(step.get("cnt")) for step in taken(text).iter("step") if step.get("type") == "s"]
    assert sent == counts * 2
    assert Threadblocks(text, apart=False).run(0).is_right()
    file(text)


def test_rows_from_scratch_are_cut_by_the_chunks_they_are_as_long_as(file):
    def aside(n):
        yield [Send(0, 0, 0, into=4, nchunks=2)]
        yield [Send(0, 1, 4, into=0, nchunks=2)]
        yield [Send(0, 1, 2, nchunks=2)]

    plan = plan_from(aside, "broadcast", 2, chunks=4, scratch=2)
    wide = replace(plan, partition=Partition(1, 160, np.array([0, 40, 80, 120, 160])))
    text = msccl_xml(wide)
    counts = [int(step.get("cnt")) for step in taken(text).iter("step")]
    assert set(counts) == {40}
    file(text)


def repeated(times):
    def mine(n):
        for _ in range(times):
            yield [Send(0, rank, 0) for rank in range(1, n)]

    return mine


def on_channels(number):
    return lambda n: [[Send(0, 1, c, channel=c) for c in range(number)]]


@pytest.mark.parametrize(
    ("plan", "complaint"),
    [
        (lambda: plan_from(repeated(257), "broadcast", 2, chunks=1),
         "257 steps of a threadblock of rank 0: needed at most 256"),
        (lambda: plan_from(repeated(200), "broadcast", 25, chunks=1),
         "elements of rank 0: needed at most 4096"),
        (lambda: plan_from(repeated(1), "broadcast", 34, chunks=1),
         "33 peers of rank 0 to send on a channel: needed at most 32"),
        (lambda: plan_from(on_channels(33), "broadcast", 2, chunks=33),
         "33 channels: needed at most 32"),
        (lambda: replace(plan_from(repeated(1), "broadcast", 2, chunks=1),
                         partition=Partition(1, 72, np.array([0, 72]))),
         "a chunk of 72 chunks of the file: needed at most 71"),
        (lambda: plan_from(repeated(1), "broadcast", 1024, chunks=1), "1024 ranks: needed at most"),
        (lambda: plan_from(lambda n: [[Send(0, 1, c, nchunks=1) for c in (0, 33000)]],
                           "broadcast", 2, chunks=33001), "33000 as an offset of rank 0: nee"),
        (lambda: plan_from(lambda n: [[Send(0, 0, 0, into=1)]] +
                           [[Send(0, 1, 0, channel=c)] for c in range(3)], "broadcast", 2,
                           chunks=1, scratch=1), None),
    ],
)  # fmt: skip
def test_limits_of_the_run_time_are_told(plan, complaint):
    if complaint is None:
        taken(msccl_xml(plan()))
        return
    with pytest.raises(PlanError, match=f"cannot be run by MSCCL: .*{complaint}"):
        msccl_xml(plan())


def test_numbers_of_threadblocks_that_others_wait_for_have_eight_bits():
    # Threadblocks 0 to 127 of rank 0 send; 128 hears from rank 1, and 129 sends that on.
    def mine(n):
        yield [Send(0, rank, c, channel=c) for rank in range(1, 5) for c in range(32)]
        yield [Send(1, 0, 0)]
        yield [Send(0, 5, 0)]

    plan = plan_from(mine, "broadcast", 6, chunks=32)
    with pytest.raises(PlanError, match="128 as the number of a threadblock of rank 0 that"):
        msccl_xml(plan)


def test_a_long_name_is_cut_and_reductions_of_unlike_length_are_kept_apart(file):
    def mine(n):
        yield [Send(1, 0, 0, into=4, nchunks=2)]
        yield [Send(0, 0, 4, into=0, nchunks=2, reduce=True)]
        yield [Send(0, 0, 6, into=0, reduce=True)]

    mine.__name__ = "m" * 100
    text = msccl_xml(plan_from(mine, "reduce", 2, chunks=4, scratch=3))
    algo = taken(text)
    assert algo.get("name") == "m" * 63
    reductions = [step for step in algo.iter("step") if step.get("type") == "re"]
    assert [(step.get("cnt"), step.get("hasdep")) for step in reductions] == [
        ("2", "1"),
        ("1", "0"),
    ]


def test_a_plan_of_others_is_refused_as_ever(file):
    plan = file(msccl_xml(build_plan("all_reduce", "ring", [2])))
    assert isinstance(plan, Plan)
    with pytest.raises(PlanError, match="was read from a file: needed a plan of emul"):
        msccl_xml(plan)
