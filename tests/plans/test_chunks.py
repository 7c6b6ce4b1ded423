"""Python algorithms whose vector is cut into any number of chunks: proven, run, timed."""

from functools import cache
from math import lcm

import numpy as np
import pytest
from gpus import StandIn
from host_device import COMPILER
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples
from strategies import count_for, link, one_site, root_of

from emul import ArgumentError, PlanError, Send, World, algorithm
from emul.ops.cuda.device_ops import DeviceOps
from emul.plans import COLLECTIVES, build_plan, plan_from, verify
from emul.topology import topology_of_sites

BACKENDS = ("numpy", "cpu", *(("gpu",) if COMPILER else ()))


@cache
def world_of(backend, ranks):
    return World(one_site(ranks, link()), backend=gpu() if backend == "gpu" else backend)


@cache
def gpu():
    return DeviceOps(StandIn())


def run_on(backend, n, collective, x, **how):
    """The output as an array of the host, and the run."""
    arrays = world_of(backend, n).ops.arrays
    run = getattr(world_of(backend, n), collective)(arrays.from_host(x), **how)
    return arrays.to_host(run.output), run


def to_root(n, root, chunks, *, reduce):
    for rank in range(n):
        if rank != root:
            yield [Send(rank, root, chunk, reduce=reduce) for chunk in range(chunks)]


def from_root(n, root, chunks):
    yield [Send(root, rank, c) for rank in range(n) if rank != root for c in range(chunks)]


def all_reduce(n, chunks):
    yield from to_root(n, 0, chunks, reduce=True)
    yield from from_root(n, 0, chunks)


def reduce(n, root, chunks):
    yield from to_root(n, root, chunks, reduce=True)


def broadcast(n, root, chunks):
    yield from from_root(n, root, chunks)


def blocks(n, chunks):
    return {rank: range(rank * chunks // n, (rank + 1) * chunks // n) for rank in range(n)}


def reduce_scatter(n, chunks):
    mine = blocks(n, chunks)
    for ahead in range(1, n):
        yield [Send(r, (r + ahead) % n, c, reduce=True) for r in range(n)
               for c in mine[(r + ahead) % n]]  # fmt: skip


def all_gather(n, chunks):
    yield [Send(r, to, c) for r in range(n) for to in range(n) if to != r
           for c in blocks(n, chunks)[r]]  # fmt: skip


def gather(n, root, chunks):
    yield [Send(r, root, c) for r in range(n) if r != root for c in blocks(n, chunks)[r]]


def scatter(n, root, chunks):
    yield [Send(root, r, c) for r in range(n) if r != root for c in blocks(n, chunks)[r]]


def all_to_all(n, chunks):
    k = chunks // n
    yield [Send(s, d, d * k + i, into=chunks + s * k + i)
           for s in range(n) for d in range(n) for i in range(k)]  # fmt: skip


def send_recv(n, root, chunks):
    yield [Send(r, (r + root) % n, c, into=chunks + c) for r in range(n) for c in range(chunks)]


MINE = {name: globals()[name] for name in COLLECTIVES}


@pytest.mark.parametrize("collective", COLLECTIVES)
@examples(12)
@given(
    n=st.integers(1, 5),
    pieces=st.integers(1, 7),
    count=st.integers(0, 9),
    root=st.integers(0, 4),
    dtype=st.sampled_from([np.float32, np.float16, np.int32]),
)
def test_any_number_of_chunks_is_proven_run_and_timed(collective, n, pieces, count, root, dtype):
    promise, root = COLLECTIVES[collective], root % n
    chunks = pieces * n if promise.in_blocks else pieces
    plan = plan_from(MINE[collective], collective, n, chunks=chunks, root=root)
    verify(plan)
    assert plan.partition.n_chunks == chunks
    width = count_for(collective, n, count)
    x = np.arange(n * width, dtype=dtype).reshape(n, width) % 13
    if promise.at_root_only == "input":
        x = x[0]
    how = {} if not (promise.rooted or collective == "send_recv") else root_of(collective, root)
    other = build_plan(collective, "direct", [n], root=root)
    runs = [run_on(each, n, collective, x, algorithm=plan, **how) for each in BACKENDS]
    right = run_on("numpy", n, collective, x, algorithm=other, **how)
    assert {output.tobytes() for output, _ in runs} == {right[0].tobytes()}
    assert len({run.timeline.done_ps.tobytes() for _, run in runs}) == 1


@examples(15)
@given(n=st.integers(2, 4), pieces=st.integers(1, 4), data=st.data())
def test_blocks_of_unlike_length_are_cut_too(n, pieces, data):
    counts = data.draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))
    plan = plan_from(all_gather, "all_gather", n, chunks=pieces * n)
    x = np.arange(1.0, 1 + n * max(counts)).reshape(n, -1)
    for backend in BACKENDS:
        output, _ = run_on(backend, n, "all_gather", x, counts=counts, algorithm=plan)
        expected = np.concatenate([x[r, :each] for r, each in enumerate(counts)])
        assert output.tolist() == [expected.tolist()] * n


def test_first_chunks_are_an_element_longer():
    plan = plan_from(all_reduce, "all_reduce", 2, chunks=4)
    timeline = World(one_site(2, link())).predict("all_reduce", 6, algorithm=plan).timeline
    # 2, 2, 1 and 1 elements of 4 bytes, there and back, each way as one message
    assert timeline.nbytes.tolist() == [24, 24]


@pytest.mark.parametrize(
    "collective", [name for name in COLLECTIVES if COLLECTIVES[name].in_blocks]
)
def test_chunks_that_give_ranks_unlike_blocks_are_refused(collective):
    with pytest.raises(PlanError, match=f"6 chunks for {collective} over 4 ranks: needed a mult"):
        plan_from(MINE[collective], collective, 4, chunks=6)


@pytest.mark.parametrize(
    ("chunks", "complaint"),
    [
        (0, "0 chunks: needed 1 to 1048576"),
        (-3, "-3 chunks: needed 1"),
        (10**9, "1000000000 chunks: needed 1 to"),
        (2.0, "chunks is 2.0: needed a whole number"),
        (True, "chunks is True: needed a whole number"),
        (lambda n, sites: n / 2, "chunks is 2.0: needed a whole number"),
        (lambda n, depth: n, "chunks of all_reduce has a parameter 'depth'"),
    ],
)
def test_numbers_of_chunks_that_are_none_are_refused(chunks, complaint):
    with pytest.raises(PlanError, match=complaint):
        plan_from(all_reduce, "all_reduce", 4, chunks=chunks)


@algorithm("all_reduce", chunks=lambda n, sites: lcm(*sites))
def sites_first(n, sites, chunks):
    """Each site reduces chunk by chunk to its owners, these to those of site 0, and back."""
    first = [sum(sites[:i]) for i in range(len(sites))]
    owner = [[first[i] + c % sites[i] for c in range(chunks)] for i in range(len(sites))]
    within = [[(r, o, c) for c, o in enumerate(owner[i]) for r in range(first[i], first[i] + k)
               if r != o] for i, k in enumerate(sites)]  # fmt: skip
    most = max(sites)
    for turn in range(most):
        rows = [row for of_site in within for row in of_site if row[0] % most == turn]
        yield [Send(rank, o, c, reduce=True) for rank, o, c in rows]
    for i in range(1, len(sites)):
        yield [Send(owner[i][c], owner[0][c], c, reduce=True) for c in range(chunks)]
    yield [Send(owner[0][c], owner[i][c], c) for i in range(1, len(sites)) for c in range(chunks)]
    yield [Send(o, r, c) for rows in within for r, o, c in rows]


@pytest.mark.parametrize("sites", [(6, 2), (3, 3, 3), (5,), (1, 4), (2, 3, 4)])
def test_a_hierarchy_of_one_own_knows_the_sites(sites):
    world = World(topology_of_sites([(each,) for each in sites]))
    x = np.random.default_rng(0).integers(-9, 9, (sum(sites), 50)).astype(np.float32)
    run = world.all_reduce(x, algorithm=sites_first)
    assert np.array_equal(run.output, np.tile(x.sum(axis=0), (sum(sites), 1)))
    assert run.prediction.plan.partition.n_chunks == lcm(*sites)
    # over the boundaries go 2 (K - 1) vectors, which no ring of ranks can do
    assert run.timeline.cross_site_bytes == 2 * (len(sites) - 1) * 50 * 4


def test_parameters_are_filled_by_their_names():
    seen = []

    def all_of_them(ranks, /, nodes, root, *, sites, chunks, mode="quick", **more):
        seen.append((ranks, nodes, root, sites, chunks, mode, more))
        return [[]]

    def only_sites(sites):
        seen.append(sites)
        return [[]]

    nodes = [(4, 2), (2,)]
    plan_from(all_of_them, "broadcast", 8, sites=nodes, root=3, chunks=2)
    plan_from(only_sites, "broadcast", 8, sites=nodes)
    plan_from(lambda *ranks: seen.append(ranks) or [[]], "broadcast", 3)
    assert seen == [(8, ((4, 2), (2,)), 3, (6, 2), 2, "quick", {}), (6, 2), (3,)]


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (lambda n, depth: [[]], "has a parameter 'depth': needed the number of ranks first, then"),
        (lambda: [[]], "takes no parameter: needed one for the number of ranks"),
        (lambda n: 3, "returns 3: needed steps, each an iterable of Send, or a Plan"),
        (
            lambda n: build_plan("all_gather", "ring", [n]),
            "returns ring all_gather over 4 ranks:",
        ),
        (lambda n: build_plan("all_reduce", "ring", [5]), "needed a plan for all_reduce over 4 ra"),
    ],
)
def test_functions_that_cannot_be_called_are_refused(function, complaint):
    with pytest.raises(PlanError, match=complaint):
        plan_from(function, "all_reduce", 4)


def test_a_function_may_return_a_plan():
    plan = build_plan("all_gather", "bruck", [4])
    assert plan_from(lambda n: plan, "all_gather", 4) is plan
    assert plan_from(lambda n: plan, None, 4) is plan


def test_an_algorithm_says_its_collective_and_scratch():
    @algorithm("broadcast", scratch=lambda n: n + 1, root=2)
    def mine(n, root):
        yield [Send(root, rank, c) for rank in range(n) if rank != root for c in range(n)]

    plan = plan_from(mine, None, 3, root=2)
    assert (plan.collective, plan.algorithm, plan.scratch.shape) == ("broadcast", "mine", (1, 4))
    assert mine.root == 2
    assert list(mine(2, 1)) == [[Send(1, 0, 0), Send(1, 0, 1)]]
    assert plan_from(mine, "broadcast", 3, scratch=1).scratch.shape == (1, 1)
    with pytest.raises(PlanError, match="mine does broadcast, as it says: needed a function for"):
        plan_from(mine, "reduce", 3)
    with pytest.raises(ArgumentError, match="unknown collective 'broadcasts'"):
        algorithm("broadcasts")
    with pytest.raises(ArgumentError, match="algorithm 3: needed a function that yields steps"):
        algorithm("reduce")(3)
    with pytest.raises(PlanError, match="-1 places of scratch: needed 0 to 1048576"):
        plan_from(mine, "broadcast", 3, scratch=-1)
    with pytest.raises(ArgumentError, match=r"sites of \(2, 2\) ranks for a world of 3"):
        plan_from(mine, "broadcast", 3, sites=[2, 2])


def test_the_steps_that_are_proven_are_the_ones_that_run():
    calls = []

    def another_each_time(n):
        calls.append(n)
        first = len(calls) % n
        yield [Send(first, rank, 0) for rank in range(n) if rank != first]

    plan = plan_from(another_each_time, "broadcast", 3, chunks=1, root=1)
    verify(plan)
    passes = [[step.src.tolist() for step in plan.steps()] for _ in range(3)]
    assert passes == [[[1, 1]]] * 3
    assert calls == [3]


def test_a_function_without_end_is_refused(monkeypatch):
    def endless(n):
        while True:
            yield []

    def endless_step(n):
        yield (Send(0, 1, 0) for _ in iter(int, 1))

    monkeypatch.setattr("emul.plans.custom.MOST_STEPS", 50)
    monkeypatch.setattr("emul.plans.custom.MOST_ROWS", 60)
    with pytest.raises(PlanError, match="endless yields more than 50 steps: needed a function tha"):
        plan_from(endless, "all_reduce", 4)
    with pytest.raises(PlanError, match="step 0 has more than 60 rows"):
        plan_from(endless_step, "all_reduce", 4)
