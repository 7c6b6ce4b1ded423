"""Acts: checked when they are made, complete in themselves, in the words of their users."""

import copy
import pickle
import re

import numpy as np
import pytest
from drawn_acts import acts
from hypothesis import given

from emul.errors import ArgumentError
from emul.plans import plan_from
from emul.programs import (
    WORLD,
    Compute,
    Issue,
    Mark,
    RankGroup,
    Recv,
    Send,
    Wait,
)


def test_names_are_taken_in_any_spelling():
    act = Issue("AllReduce", 5, dtype="bf16", op="mean")
    assert (act.collective, act.dtype, act.op) == ("all_reduce", "bfloat16", "avg")
    assert Send(1, 5, dtype="half").dtype == "float16"


def test_numbers_of_any_library_become_those_of_python():
    assert type(Compute(np.float32(0.5)).seconds) is float
    assert type(Compute(1).seconds) is float
    assert Issue("all_gather", np.array([1, 2])).count == (1, 2)
    assert type(Issue("all_reduce", np.int64(3)).count) is int
    assert type(Send(np.int32(1), 2).to) is int


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Compute(-1.0), "seconds -1.0: needed a finite number from 0 to 4e+06"),
        (lambda: Compute(float("nan")), "seconds nan: needed a finite number"),
        (lambda: Compute(4.1e6), "seconds 4100000.0: needed a finite number from 0 to 4e+06"),
        (lambda: Compute("1"), "seconds '1': needed"),
        (lambda: Compute(1.0, name=3), "name 3: needed at most 200 characters"),
        (lambda: Compute(1.0, at_s="now"), "at_s 'now': needed a finite number"),
        (lambda: Compute(1.0, at_s=float("inf")), "at_s inf: needed a finite number"),
        (lambda: Issue("all_reduc", 1), "unknown collective 'all_reduc'"),
        (lambda: Issue([], 1), "unknown collective []"),
        (lambda: Issue("all_reduce", -1), "count -1: needed a whole number from 0"),
        (lambda: Issue("all_reduce", True), "count True: needed a whole number"),
        (lambda: Issue("all_reduce", 1 << 60), "needed a whole number from 0 to"),
        (lambda: Issue("all_gather", (1, -2)), "count with -2: needed a whole number"),
        (lambda: Issue("all_reduce", 1, dtype="float33"), "unknown dtype 'float33'"),
        (lambda: Issue("all_reduce", 1, op="xor"), "unknown op 'xor'"),
        (lambda: Issue("all_reduce", 1, group=[0, 1]), "group [0, 1]: needed a RankGroup"),
        (lambda: Issue("all_reduce", 1, algorithm=3), "algorithm 3: needed a name, a Plan"),
        (lambda: Issue("broadcast", 1, root=-1), "root -1: needed a whole number from 0"),
        (lambda: Issue("broadcast", 1, shift=2), "shift 2 of broadcast: only send_recv has one"),
        (lambda: Issue("send_recv", 1, shift=1.5), "shift 1.5: needed a whole number"),
        (lambda: Issue("all_reduce", 1, name="n" * 201), "needed at most 200 characters"),
        (lambda: Send(-1, 1), "to -1: needed a whole number"),
        (lambda: Send(1, 1, tag=-1), "tag -1: needed a whole number"),
        (lambda: Send(1, 1, group=None), "group None: needed a RankGroup"),
        (lambda: Recv(1.5, 1), "source 1.5: needed a whole number"),
        (lambda: Recv(1, 1, dtype="x"), "unknown dtype 'x'"),
        (lambda: Wait(1.5), "of 1.5: needed a whole number"),
        (lambda: Wait(""), "of '': needed a name, or the number of an operation"),
        (lambda: Mark(5), "name 5: needed at most 200 characters"),
        (lambda: Mark(""), "name '' of a mark: needed a name"),
        (lambda: RankGroup([]), "ranks []: needed at least one, each once"),
        (lambda: RankGroup([1, 1]), "ranks [1, 1]: needed at least one, each once"),
        (lambda: RankGroup([-1]), "ranks with -1: needed a whole number from 0"),
        (lambda: RankGroup("01"), "ranks '01': needed whole numbers, each once"),
        (lambda: RankGroup(3), "ranks 3: needed whole numbers, each once"),
        (lambda: RankGroup([0], 5), "name of a group 5: needed at most 200 characters"),
    ],
)
def test_an_act_that_means_nothing_is_refused(make, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        make()


def test_algorithms_of_ones_own_are_taken():
    def none(n):
        yield []

    assert Issue("all_reduce", 1, algorithm=none).algorithm is none
    plan = plan_from(none, "all_reduce", 1)
    assert Issue("all_reduce", 1, algorithm=plan).algorithm == plan


def test_groups_are_the_same_by_ranks_and_name():
    assert RankGroup([2, 0]) == RankGroup((0, 2))
    assert hash(RankGroup([2, 0])) == hash(RankGroup((0, 2)))
    assert RankGroup([0, 2]) != RankGroup([0, 2], "second")
    assert RankGroup() == WORLD != RankGroup(None, "second")


def test_a_group_is_pickled_without_its_hash():
    """The hash of a name differs from process to process."""
    group = RankGroup([0, 2], "data")
    object.__setattr__(group, "_hash", 1)
    assert hash(pickle.loads(pickle.dumps(group))) == hash(RankGroup([0, 2], "data"))


@given(acts)
def test_an_act_equals_its_copies(act):
    for other in (pickle.loads(pickle.dumps(act)), copy.copy(act), copy.deepcopy(act)):
        assert (other, hash(other)) == (act, hash(act))
    assert "\n" not in str(act)


def test_calls_say_themselves_as_errors_do():
    assert str(Issue("all_reduce", 5)) == "all_reduce of 5 float32"
    act = Issue("reduce", 5, op="max", root=2, algorithm="ring")
    assert str(act) == "reduce of 5 float32, max, root 2, algorithm 'ring'"
    assert str(Issue("send_recv", 5, shift=2)) == "send_recv of 5 float32, shift 2"
    assert str(Send(1, 5, tag=3)) == "send of 5 float32 to rank 1, tag 3"
    assert str(Recv(1, 5)) == "recv of 5 float32 from rank 1"
    assert str(RankGroup(range(10), "data")) == (
        "group 'data' of ranks 0, 1, 2, 3, 4, 5, 6, 7 and 2 more"
    )


def test_a_barrier_is_an_all_reduce_of_one_byte():
    act = Issue.barrier(RankGroup([0, 1]), name="meet")
    assert (act.count, act.dtype, act.group.ranks, act.name) == (1, "uint8", (0, 1), "meet")
