"""Plans, shapes and programs pickled and copied: equal steps, equal proofs."""

import copy
import pickle
from dataclasses import fields, replace
from itertools import cycle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import CASES, chaotic_plans, program_of

from emul.errors import ArgumentError, CapacityError, PlanError
from emul.ops.fusing.recipe import Recipe
from emul.plans import (
    COLLECTIVES,
    CustomAlgorithm,
    Places,
    Send,
    Shape,
    Step,
    SymmetricPlan,
    Waits,
    algorithm,
    build_hierarchy,
    build_plan,
    load_algorithm,
    plan_from,
    plan_xml,
    read_plan,
    unproven_plan,
    verify,
)
from emul.plans.libraries import library_algorithms

SITES = (4, 2)
ALL = [*CASES, *((name, each) for name in COLLECTIVES for each in library_algorithms(name))]


def sent_again(thing):
    return pickle.loads(pickle.dumps(thing))


def same(a, b):
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    return a == b


def has_the_steps_of(plan, other):
    """Say whether both plans have the same fields and rows."""
    named = [each.name for each in fields(plan) if each.name not in ("steps", "partition", "waits")]
    ours, theirs = list(plan.steps()), list(other.steps())
    return (
        all(same(getattr(plan, name), getattr(other, name)) for name in named)
        and np.array_equal(plan.partition.edges, other.partition.edges)
        and len(ours) == len(theirs)
        and all(
            same(getattr(a, column), getattr(b, column))
            for a, b in zip(ours, theirs, strict=True)
            for column in Step.__slots__
        )
    )


def star(n):
    for rank in range(1, n):
        yield [Send(rank, 0, chunk, reduce=True) for chunk in range(n)]
    yield [Send(0, rank, chunk) for rank in range(1, n) for chunk in range(n)]


def unending(n):
    while True:
        yield [Send(0, 1, 0)] * 1000


@pytest.mark.parametrize(("collective", "algorithm"), ALL)
@pytest.mark.parametrize("again", [sent_again, copy.copy, copy.deepcopy])
def test_a_plan_of_the_registry_is_built_anew(collective, algorithm, again):
    root = 0 if collective == "send_recv" else 1
    plan = build_plan(collective, algorithm, SITES, root=root)
    other = again(plan)
    verify(other)
    assert other == plan
    assert hash(other) == hash(plan)
    assert other.spec == plan.spec
    assert has_the_steps_of(other, plan)


def test_what_is_pickled_of_a_plan_of_the_registry_does_not_grow_with_its_steps():
    few, many = (build_plan("all_reduce", "direct", (n,)) for n in (4, 64))
    assert len(pickle.dumps(many)) == len(pickle.dumps(few))


def test_a_hierarchy_is_built_anew_of_nested_lists_too():
    levels = ("ring", "ring", "direct")
    plan = build_hierarchy("all_reduce", [[2, 2], [3, 2]], levels, root=1, pieces=2)
    other = sent_again(plan)
    assert other == plan
    assert hash(other) == hash(
        build_hierarchy("all_reduce", ((2, 2), (3, 2)), levels, root=1, pieces=2)
    )
    assert has_the_steps_of(other, plan)


def test_plans_of_unlike_specs_differ():
    plan = unproven_plan("all_reduce", "ring", SITES)
    assert plan != unproven_plan("all_reduce", "ring", (6,))
    assert plan != unproven_plan("all_reduce", "direct", SITES)
    assert plan != "ring"


def test_a_plan_that_was_changed_has_no_spec():
    plan = unproven_plan("all_reduce", "ring", SITES)
    changed = replace(plan, steps=lambda: iter(()))
    assert changed.spec is None
    assert changed != plan
    assert changed == changed
    assert list(sent_again(changed).steps()) == []


def test_a_plan_of_a_file_is_pickled_with_its_steps(tmp_path):
    path = tmp_path / "plan.xml"
    path.write_text(plan_xml(build_plan("all_reduce", "hierarchical:pieces", (2, 2))))
    plan = read_plan(path)
    other = sent_again(plan)
    verify(other)
    assert has_the_steps_of(other, plan)
    assert has_the_steps_of(sent_again(other), plan)
    assert {other, sent_again(other)} == {plan}


def test_a_plan_of_a_function_is_pickled_with_its_steps():
    plan = plan_from(lambda n: star(n), "all_reduce", 4, scratch=2)
    other = sent_again(plan)
    verify(other)
    assert has_the_steps_of(other, plan)
    assert (other, hash(other)) == (plan, hash(plan))
    assert plan != plan_from(star, "all_reduce", 4, scratch=2)  # of another name


@given(st.data())
def test_plans_with_steps_as_data_are_equal_where_all_is_equal(data):
    plan, other = (data.draw(chaotic_plans(3)) for _ in range(2))
    plan, other = sent_again(plan), sent_again(other)
    assert has_the_steps_of(sent_again(plan), plan)
    assert sent_again(plan) == plan
    assert hash(sent_again(plan)) == hash(plan)
    assert (plan == other) == (has_the_steps_of(plan, other) and same_scratch(plan, other))


def same_scratch(plan, other):
    return plan.scratch.tolist() == other.scratch.tolist()


@pytest.mark.parametrize(
    "change",
    [
        {"order": "lockstep"},
        {"drains": (1,)},
        {"notes": ("read",)},
        {"apart": True},
        {"root": 1},
        {"scratch": np.zeros((1, 2), np.int32)},
        {"waits": Waits(np.array([0]), np.array([1]), np.array([True]), np.array([True]))},
    ],
    ids=lambda change: next(iter(change)),
)
def test_plans_with_the_same_steps_differ_by_any_other_field(change):
    plan = plan_from(star, "all_reduce", 3)
    assert replace(plan) == plan
    assert replace(plan, **change) != plan


@algorithm("all_reduce", chunks=lambda n: n)
def decorated(n):
    yield from star(n)


by_another_name = algorithm("all_reduce", scratch=1)(star)


@pytest.mark.parametrize("mine", [decorated, by_another_name, CustomAlgorithm(star)])
def test_an_algorithm_of_ones_own_equals_the_one_that_was_pickled(mine):
    other = sent_again(mine)
    assert (other, hash(other)) == (mine, hash(mine))
    assert plan_from(other, "all_reduce", 3) == plan_from(mine, "all_reduce", 3)


def test_an_algorithm_of_a_file_is_pickled_as_its_name(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from emul.plans import Send, algorithm\n"
        "@algorithm('broadcast', chunks=lambda n: 2)\n"
        "def two(n):\n"
        "    yield [Send(0, 1, chunk) for chunk in range(2)]\n"
    )
    mine = load_algorithm(f"{path}:two")
    assert len(pickle.dumps(mine)) < 300
    assert sent_again(mine) == mine
    assert plan_from(sent_again(mine), None, 2) == plan_from(mine, None, 2)


@pytest.mark.parametrize(
    ("schedule", "chunks"), [(lambda n: star(n), None), (star, lambda n: n)], ids=["itself", "part"]
)
def test_an_algorithm_that_cannot_be_imported_is_refused_with_the_way_out(schedule, chunks):
    mine = algorithm("all_reduce", chunks=chunks)(schedule)
    needed = r"algorithm (<lambda>|star) cannot be pickled \(.*\): needed a function at the top of"
    with pytest.raises(ArgumentError, match=needed):
        pickle.dumps(mine)


def test_a_plan_whose_steps_do_not_fit_is_not_pickled(monkeypatch):
    plan = plan_from(star, "all_reduce", 2)
    endless = replace(plan, algorithm="unending", steps=lambda: cycle(plan.steps()))
    monkeypatch.setattr("emul.memory.available_bytes", lambda: 1 << 20)
    with pytest.raises(CapacityError, match="recording unending all_reduce over 2 ranks"):
        pickle.dumps(endless)


def test_a_function_whose_steps_do_not_fit_is_refused(monkeypatch):
    monkeypatch.setattr("emul.memory.available_bytes", lambda: 1 << 20)
    with pytest.raises(CapacityError, match=r"recording unending, of .* rows and more"):
        plan_from(unending, "all_reduce", 2)


def test_a_function_that_yields_no_steps_is_named_when_it_is_pickled():
    with pytest.raises(PlanError, match=r"broken: step 0 is 3"):
        pickle.dumps(plan_from(broken, "all_reduce", 2))


def broken(n):
    yield n + 1


@pytest.mark.parametrize("name", COLLECTIVES)
def test_a_shape_equals_the_one_that_was_pickled(name):
    shape = Shape(COLLECTIVES[name], 4, 8)
    assert sent_again(shape) == shape
    assert hash(sent_again(shape)) == hash(shape)
    assert sent_again(shape).collective is COLLECTIVES[name]


def test_a_program_and_its_recipe_keep_all_columns():
    program = program_of(build_plan("all_reduce", "ring", (4,)), 40, 4)
    for thing in (program, Recipe.of(program, 0, commutes=True)):
        other = sent_again(thing)
        for each in fields(thing):
            if each.name == "layout":
                assert np.array_equal(other.layout.edges, thing.layout.edges)
                assert other.layout.shape == thing.layout.shape
            else:
                assert same(getattr(thing, each.name), getattr(other, each.name))


def test_a_symmetric_plan_equals_the_one_that_was_pickled():
    plan = SymmetricPlan.of("all_reduce", "hierarchical", Places.of([(4, 4)] * 3))
    assert sent_again(plan) == plan
    assert hash(sent_again(plan)) == hash(plan)
