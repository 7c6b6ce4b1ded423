"""Names as people type them mean one thing, and the table of names is that of the rooms."""

import numpy as np
import pytest
from command import run_here

from emul import World, naming
from emul.errors import unknown_name
from emul.insight import PLANS
from emul.ops import BACKENDS, DTYPES, NCCL_NAMES, REDUCTIONS, dtype_named
from emul.ops.backend import AUTO_BACKEND
from emul.plans import ALGORITHMS, COLLECTIVES
from emul.world import CLOCKS


def test_the_table_is_that_of_the_rooms():
    assert list(naming.COLLECTIVES) == list(COLLECTIVES)
    assert list(naming.OPS) == list(REDUCTIONS)
    assert list(naming.DTYPES) == list(DTYPES)
    assert set(naming.BACKENDS) == {AUTO_BACKEND, *BACKENDS}
    assert set(naming.CLOCKS) == set(CLOCKS)
    assert naming.PLANS == PLANS
    assert list(naming.ALGORITHMS) == list(ALGORITHMS)
    for name, collectives in naming.ALGORITHMS.items():
        assert sorted(collectives) == sorted(ALGORITHMS[name].collectives), name
    for ours, nccl in NCCL_NAMES.items():
        assert nccl in naming.DTYPES[ours]


TABLES = (naming.COLLECTIVES, naming.OPS, naming.DTYPES)


def test_no_name_means_two_things():
    for table in TABLES:
        names = [naming.folded(name) for name in table]
        names += [naming.folded(each) for others in table.values() for each in others]
        assert len(names) == len(set(names))


SPELLINGS = {
    "all_reduce": ["allreduce", "all-reduce", "AllReduce", "ALL_REDUCE"],
    "reduce_scatter": ["reducescatter", "ReduceScatter", "reduce-scatter"],
    "all_to_all": ["alltoall", "AllToAll", "all-to-all"],
    "all_gather": ["allgather", "AllGather"],
    "send_recv": ["sendrecv", "SendRecv"],
    "broadcast": ["Bcast", "Broadcast"],
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_collectives_are_known_by_the_spellings_of_libraries(name):
    for spelling in SPELLINGS[name]:
        assert naming.canonical(spelling, naming.COLLECTIVES, naming.COLLECTIVES) == name
    assert naming.canonical("nothing", naming.COLLECTIVES) == "nothing"


TYPES = {"bf16": "bfloat16", "fp16": "float16", "half": "float16", "fp32": "float32",
         "float": "float32", "fp64": "float64", "double": "float64", "int": "int32"}  # fmt: skip


@pytest.mark.parametrize("name", TYPES)
def test_types_are_known_by_the_names_of_libraries_in_python_too(name):
    assert dtype_named(name) == DTYPES[TYPES[name]]
    assert dtype_named(name.upper()) == DTYPES[TYPES[name]]


def test_a_prediction_takes_any_spelling():
    world = World("one-campus")
    there = world.predict("all_reduce", 1000, dtype="bfloat16")
    spelled = world.predict("AllReduce", 1000, dtype="BF16")
    assert (spelled.of.collective, spelled.total_ps) == ("all_reduce", there.total_ps)
    assert world.predict("SendRecv", 1000, shift=2).of.collective == "send_recv"


def test_a_command_takes_any_spelling():
    few = ["-b", "96", "-e", "96", "-n", "1", "-w", "0", "--no-data"]
    usual = ["--clock", "virtual", "--algorithm", "ring:bidirectional", "--topology",
             "three-campus", "-d", "bfloat16", "-o", "avg", "--stack", "ideal"]  # fmt: skip
    other = ["--clock", "Virtual", "--algorithm", "Ring:Bidirectional", "--topology",
             "Three_Campus", "-d", "BF16", "-o", "mean", "--stack", "Ideal"]  # fmt: skip
    expected = run_here("perf", "reduce_scatter", *few, *usual)
    assert expected[0] == 0
    assert run_here("perf", "ReduceScatter", *few, *other) == expected
    shown = run_here("topology", "show", "three-campus")
    assert shown[0] == 0
    assert run_here("topology", "show", "ThreeCampus") == shown


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["pref"], "perf"),
        (["topology", "shw"], "show"),
        (["perf", "reduce_scater"], "reduce_scatter"),
        (["perf", "-d", "floot32"], "float32"),
        (["perf", "-o", "maxx"], "max"),
        (["perf", "--stack", "nccel"], "nccl"),
        (["perf", "--backend", "nmpy"], "numpy"),
        (["perf", "--clock", "virtul"], "virtual"),
        (["perf", "--topology", "tree-campus"], "three-campus"),
        (["perf", "--algorithm", "halving_dubling"], "halving_doubling"),
        (["stack", "show", "glo"], "gloo"),
    ],
)
def test_a_name_that_is_nearly_right_is_asked_back(arguments, meant):
    status, printed, complaint = run_here(*arguments)
    assert (status, printed, complaint.count("\n")) == (2, "", 1)
    assert f"did you mean {meant}?" in complaint


def test_nothing_is_asked_back_where_nothing_is_near():
    assert "did you mean" not in str(unknown_name("op", "xor", REDUCTIONS))
    assert "did you mean" not in str(unknown_name("op", np.int64(3), REDUCTIONS))
    assert "did you mean" not in str(unknown_name("op", "sum" * 50_000, REDUCTIONS))
