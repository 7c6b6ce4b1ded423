import numpy as np
import pytest

from emul import ArgumentError, PlanError, Send, World
from emul.plans import algorithm, build_plan, plan_from, verify


def star(n):
    """All ranks send to rank 0, which sends the sum back."""
    for rank in range(1, n):
        yield [Send(rank, 0, chunk, reduce=True) for chunk in range(n)]
    yield [Send(0, rank, chunk) for rank in range(1, n) for chunk in range(n)]


def ring(n):
    for step in range(n - 1):
        yield [Send(r, (r + 1) % n, (r - step - 1) % n, reduce=True) for r in range(n)]
    for step in range(n - 1):
        yield [Send(r, (r + 1) % n, (r - step) % n) for r in range(n)]


def test_a_function_is_a_plan_that_is_proven_run_and_timed():
    world = World("three-campus")
    x = np.random.default_rng(0).integers(-9, 9, (24, 100)).astype(np.float32)
    run = world.all_reduce(x, algorithm=star)
    assert np.array_equal(run.output, np.tile(x.sum(axis=0), (24, 1)))
    assert run.prediction.plan.algorithm == "star"
    assert run.time_s > run.bound_s
    assert world.predict("all_reduce", 100, algorithm=star).time_s == run.time_s


def test_the_built_in_ring_can_be_written_by_hand():
    world = World("three-campus")
    x = np.random.default_rng(0).normal(size=(24, 1000)).astype(np.float32)
    by_hand, built_in = (world.all_reduce(x, algorithm=each) for each in (ring, "ring"))
    assert by_hand.output.tobytes() == built_in.output.tobytes()
    assert by_hand.timeline.done_ps.tobytes() == built_in.timeline.done_ps.tobytes()


def test_chunks_of_a_pair_are_one_transfer():
    timeline = World("three-campus").predict("all_reduce", 2400, algorithm=star).timeline
    assert len(timeline) == 23 + 23


def test_other_collectives_can_be_written_too():
    def direct(n):
        yield [Send(s, d, d, into=n + s) for s in range(n) for d in range(n)]

    world = World("one-campus")
    x = np.arange(24.0 * 24).reshape(24, 24)
    assert np.array_equal(world.all_to_all(x, algorithm=direct).output, x.T)
    verify(plan_from(lambda n: [[Send(r, (r + 1) % n, 0, into=1) for r in range(n)]],
                     "send_recv", 5, root=1))  # fmt: skip


def test_a_plan_is_accepted_as_it_is():
    world = World("three-campus")
    plan = build_plan("all_reduce", "bruck", (24,))
    assert world.predict("all_reduce", 10, algorithm=plan).plan is plan
    with pytest.raises(PlanError, match="bruck all_reduce over 5 ranks, root 0: needed a plan for"):
        world.predict("all_reduce", 10, algorithm=build_plan("all_reduce", "bruck", (5,)))
    with pytest.raises(PlanError, match="needed a plan for all_gather over 24 ranks"):
        world.predict("all_gather", 10, algorithm=plan)


def forgetful(n):
    for rank in range(2, n):
        yield [Send(rank, 0, chunk, reduce=True) for chunk in range(n)]
    yield [Send(0, rank, chunk) for rank in range(1, n) for chunk in range(n)]


@pytest.mark.parametrize(
    ("schedule", "complaint"),
    [
        (
            forgetful,
            "forgetful .* 24 ranks: after the last step, rank 0 chunk 0 lacks",
        ),
        (lambda n: [[(0, 1, 0)]], r"step 0, row 0 is \(0, 1, 0\): needed a Send"),
        (lambda n: [Send(0, 1, 0)], r"step 0 is Send\(src=0.*\): needed an iterable of Send, as"),
        (lambda n: [[Send(0, 1, "first")]], "step 0, row 0: chunk is 'first': needed a whole num"),
        (lambda n: [[Send(0, n / 2, 0)]], r"dst is 12.0: needed a whole number, as n // 2 is and"),
        (lambda n: [[Send(0, 1, True)]], "chunk is True: needed a whole number"),
        (lambda n: [[Send(0, 1, 0, 3)]], "row 0: reduce is 3: needed True or False"),
        (lambda n: [[Send(0, 10**12, 0)]], "step 0: dst: .*: needed numbers of 32 bits"),
        (lambda n: [[Send(0, 24, 0)]], "rank out of range: there are 24 ranks and 24 chunks"),
        (lambda n: [[Send(0, 1, 23, nchunks=2)]], "chunk out of range"),
        (lambda n: [[Send(0, 1, 0, reduce=True)] * 2], "rank 1 chunk 0 is written twice"),
    ],
)
def test_wrong_functions_are_refused(schedule, complaint):
    x = np.ones((24, 48), np.float32)
    with pytest.raises(PlanError, match=complaint):
        World("three-campus").all_reduce(x, algorithm=schedule)
    assert (x == 1).all()


@pytest.mark.parametrize("algorithm", [None, 3, ["ring"]])
def test_what_is_no_algorithm_is_refused(algorithm):
    with pytest.raises(ArgumentError, match="needed a name, a Plan, or a function that yields"):
        World("three-campus").all_reduce(np.ones((24, 1)), algorithm=algorithm)


def test_a_plan_from_another_root_is_refused():
    world, plan = World("three-campus"), build_plan("broadcast", "direct", (24,), root=3)
    assert world.predict("broadcast", 10, algorithm=plan, root=3).plan is plan
    with pytest.raises(PlanError, match=r"root 3: needed a plan for broadcast over 24 .*, root 0"):
        world.predict("broadcast", 10, algorithm=plan)


@pytest.mark.parametrize("root", [4, -1])
def test_a_root_that_is_no_rank_is_refused(root):
    with pytest.raises(ArgumentError, match=f"root {root} of .*: needed a rank from 0 to 3"):
        plan_from(lambda n, root: [[Send(0, 1, 0)]], "broadcast", 4, root=root)


@pytest.mark.parametrize("root", ["x", 1.5, True])
def test_an_algorithm_says_a_root_that_is_a_rank(root):
    with pytest.raises(ArgumentError, match="of an algorithm: needed a whole number, or None"):
        algorithm("broadcast", root=root)


def test_a_function_says_its_collective_once():
    with pytest.raises(ArgumentError, match="forgetful says already that it does all_gather"):
        algorithm("all_reduce")(algorithm("all_gather")(forgetful))


def test_chunks_may_be_a_number_of_numpy():
    cut = plan_from(lambda n: [[]], "all_reduce", 4, chunks=lambda n: np.lcm(n, 6))
    assert cut.partition.n_chunks == 12
