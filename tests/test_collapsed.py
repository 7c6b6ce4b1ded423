"""Programs along the axes of a mesh by few ranks, against the same issued on every group."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mesh_examples import FAR, NEAR, meshes
from nightly import examples

from emul import ArgumentError, CapacityError, NoData, ShapeError, Slicing, World
from emul.links import Jitter, Link
from emul.topology import Node, Site, Topology, Trunk, load

ALGORITHM = {"replicate": "hierarchical", "shard": "ring"}

acts = st.lists(
    st.one_of(
        st.tuples(
            st.just("issue"),
            st.sampled_from(["replicate", "shard"]),
            st.sampled_from(["all_reduce", "reduce_scatter", "all_gather"]),
            st.sampled_from([1, 50, 3000]),
        ),
        st.tuples(st.just("compute"), st.integers(1, 10**9), st.sampled_from([None, 0, -1])),
        st.tuples(st.just("wait"), st.integers(0, 5)),
        st.tuples(st.just("ask")),
    ),
    min_size=1,
    max_size=7,
)


class Side:
    """A program on one World: its handles, and when the ranks of each are done."""

    def __init__(self, world, mesh):
        self.world, self.mesh, self.handles = world, mesh, []

    def take(self, act, *how):
        """Do one act."""
        if act == "issue":
            axis, collective, times = how
            count = self.even(axis, collective) * times
            self.handles.append((axis, self.issue(axis, collective, NoData(count, "float32"))))
        elif act == "compute":
            ps, site = how
            ends = np.cumsum([0, *(each.ranks for each in self.world.topology.sites)])
            ranks = None if site is None else range(ends[:-1][site], ends[1:][site])
            self.world.compute(ps / 1e12, ranks)
        elif act == "ask":
            _ = self.world.ranks_now_s
        elif how[0] < len(self.handles):
            self.handles[how[0]][1].wait()

    def even(self, axis, collective):
        """A count of which all shares come out even."""
        sizes = self.mesh.axes
        replicas = [each.ranks // sizes["shard"] for each in self.world.topology.sites]
        even = int(np.lcm.reduce(replicas)) * len(replicas) * sizes["shard"]
        return even if collective == "all_gather" else even * sizes[axis]

    def issue(self, axis, collective, x):
        """Issue along an axis, by few ranks."""
        return getattr(self.mesh.along(axis), collective)(x, async_op=True)

    def moments(self):
        """The moments of all operations in ps: (issued, started, done), (n,) each."""
        found = []
        for _, handle in self.handles:
            run = handle.wait()
            found.append([run.issued_s, run.started_s, run.done_s])
        return np.round(np.array(found) * 1e12)


class InFull(Side):
    """The same on every group."""

    def issue(self, axis, collective, x):
        return self.mesh.along(axis).issue(collective, x, algorithm=ALGORITHM[axis])

    def moments(self):
        found = np.zeros((len(self.handles), 3, self.world.size))
        for number, (_, handle) in enumerate(self.handles):
            for run in handle.wait():
                of = run.moments
                moments = (of.issued_ps, of.started_ps, of.done_ps)
                for row, each in enumerate(moments):
                    found[number, row, of.ranks] = each
        return found


def both(topology, positions, slicing):
    """The same mesh by few ranks and in full."""
    axes = {"replicate": topology.world_size // positions, "shard": positions}
    few, full = (World(topology, slicing=slicing, record=True) for _ in range(2))
    return Side(few, few.collapse(**axes)), InFull(full, full.mesh(**axes))


def ps(clocks_s):
    return np.round(clocks_s * 1e12)


@given(meshes(), acts, st.sampled_from([None, Slicing(4096, 2)]))
def test_a_program_by_few_ranks_has_the_clocks_moments_and_history_of_all(mesh, program, slicing):
    """To the picosecond where paths are a rank's own, and within one for each event on trunks."""
    check(mesh, program, slicing)


LONG = meshes([(1,) * 32, (2,) * 16], [(1, 1, 1), (2, 1)])


@examples(4)
@given(LONG, acts, st.sampled_from([None, Slicing(4096, 2)]))
def test_so_it_is_where_most_rounds_of_a_ring_are_left_out(mesh, program, slicing):
    check(mesh, program, slicing)


def check(mesh, program, slicing):
    """Compare clocks, moments, a mark and the history."""
    few, full = both(*mesh, slicing)
    for number, act in enumerate(program):
        for side in (few, full):
            side.take(*act)
            if number == len(program) // 2:
                side.mark = side.world.mark("half", range(mesh[1]))
    shared = any(act[:2] == ("issue", "replicate") for act in program) and len(mesh[0].sites) > 1
    events = len(full.world.transfers) if shared else 0
    assert np.abs(ps(few.world.ranks_now_s) - ps(full.world.ranks_now_s)).max() <= events
    moments, in_full = few.moments(), full.moments()
    assert not moments.size or np.abs(moments - in_full).max() <= events
    assert np.abs(ps(few.mark.ranks_now_s) - ps(full.mark.ranks_now_s)).max() <= events
    for row, of in zip(sorted(few.world.history, key=by_issue), in_order(in_full), strict=True):
        told = np.array([row.issued_ps, row.started_ps, row.done_ps])
        assert np.abs(told - [of[0].min(), of[1].min(), of[2].max()]).max() <= events


def by_issue(row):
    return row.issued_ps, row.done_ps


def in_order(moments):
    return sorted(moments, key=lambda of: (of[0].min(), of[2].max()))


@pytest.fixture(scope="module")
def large():
    """A hundred thousand ranks at each of three campuses."""
    return load("three-campus-300k")


def test_units_of_three_hundred_thousand_ranks_overlap_in_the_forward_pass(large):
    """Gathering the next unit behind compute hides what is shorter."""
    world = World(large)
    shard = world.collapse(replicate=375, shard=800).along("shard")
    x = NoData(1 << 20, "bfloat16")
    gathered = shard.all_gather(x, async_op=True)
    for _ in range(50):
        gathered.wait()
        gathered = shard.all_gather(x, async_op=True)
        world.compute(0.1)
    run = gathered.wait()
    first_s = 792 * ((1 << 21) / 49e9 + 1.1e-5)
    assert first_s < world.now_s - 50 * 0.1 < 1.2 * first_s
    assert len(run.done_s) == 300_000
    assert run.assumed == ()


@pytest.mark.parametrize(("name", "count"), [("shard", 800 << 10), ("replicate", 375 << 12)])
def test_a_call_of_three_hundred_thousand_ranks_ends_as_one_that_is_timed_by_itself(
    large, name, count
):
    world = World(large)
    axes = {"replicate": 375, "shard": 800}
    along = world.mesh(**axes).along(name)
    ends_s = along.ends_s("all_reduce", count, algorithm=ALGORITHM[name])
    run = world.collapse(**axes).along(name).all_reduce(NoData(count, "float32"))
    assert np.abs(ps(run.done_s) - ps(ends_s)).max() <= (0 if name == "shard" else 1000)
    assert np.array_equal(world.ranks_now_s, run.done_s)


NONE = Jitter()


def jittery(near=NONE, far=NONE):
    site = [Site(n, [Node(1, NEAR[0])] * 8, Link(1e9, 1e-6, jitter=near)) for n in "abc"]
    trunks = tuple(Trunk(pair, Link(2e9, 1e-4, jitter=far)) for pair in ("ab", "bc", "ac"))
    return Topology("jittery", tuple(site), trunks)


def test_draws_are_made_once_for_all_alike_and_the_run_says_so():
    world = World(jittery(near=Jitter(1e-4, 3.0)))
    mesh = world.collapse(replicate=6, shard=4)
    run = mesh.along("shard").all_gather(NoData(24, "float32"))
    assert run.assumed == ("jitter and losses were drawn once for 2 alike",)
    again = mesh.along("shard").all_gather(NoData(24, "float32"))
    assert run.time_s != again.time_s


@pytest.mark.parametrize("where", ["near", "far"])
def test_links_that_draw_are_refused_where_that_is_asked_for(where):
    world = World(jittery(**{where: Jitter(1e-4, 3.0)}))
    with pytest.raises(ArgumentError, match="jitter or losses, drawn for each connection"):
        world.collapse(replicate=6, shard=4, strict_draws=True)


def small():
    sites = [Site(name, [Node(4, NEAR[0])] * 6, NEAR[0]) for name in "ab"]
    return World(Topology("small", tuple(sites), (Trunk("ab", FAR[0]),)))


def collapsed():
    world = small()
    return world, world.collapse(replicate=12, shard=4)


X = NoData(48, "float32")
EACH = "in a World of which few ranks are timed: needed the groups along an axis"


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda world: world.all_reduce(X), f"all_reduce {EACH}"),
        (lambda world: world.group([0, 1]).all_gather(X, async_op=True), f"all_gather {EACH}"),
        (lambda world: world.mesh(a=12, b=4).along("a").all_reduce(X), f"all_reduce {EACH}"),
        (lambda world: world.send(X, 0, 1, async_op=True), f"a message {EACH}"),
        (lambda world: world.recv(0, 1, async_op=True), f"a message {EACH}"),
        (lambda world: world.run(lambda rank: []), f"a program of each rank {EACH}"),
        (lambda world: world.critical_path(), f"critical_path {EACH}"),
        (lambda world: world.transfers, f"transfers {EACH}"),
        (lambda world: world.to_perfetto("t.json"), f"a trace {EACH}"),
        (lambda world: world.compute(1.0, [0, 1]), "rank 0 and not 2: needed all that are alike"),
    ],
)
def test_acts_that_few_ranks_cannot_play_are_refused_and_change_nothing(call, complaint):
    world, mesh = collapsed()
    with pytest.raises(ArgumentError, match=complaint):
        call(world)
    assert world.now_s == 0
    assert not world.history
    assert mesh.along("shard").all_gather(X).time_s == world.now_s > 0


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda world: world.collapse(pod=2, replicate=6, shard=4), "needed at most 2 axes"),
        (lambda world: world.collapse(replicate=10, shard=4), "8 are left over"),
        (lambda world: world.collapse(replicate=6, shard=8).along("x"), "axis 'x' of Collapsed"),
        (lambda world: world.collapse(replicate=24, shard=2), "nodes of a lie in two"),
        (lambda world: (world.compute(1.0), world.collapse(a=12, b=4)), "middle of a program"),
        (lambda world: World(world.topology, clock="wall").collapse(a=12, b=4), "wall clock"),
        (lambda world: World(world.topology, stack="nccl").collapse(a=12, b=4), "stack nccl"),
    ],
)
def test_meshes_that_cannot_be_timed_by_few_ranks_are_refused(call, complaint):
    with pytest.raises(ArgumentError, match=complaint):
        call(small())


def test_inputs_that_are_no_shape_of_all_ranks_are_refused():
    _, mesh = collapsed()
    shard = mesh.along("shard")
    with pytest.raises(ArgumentError, match="needed a shape, such as NoData"):
        shard.all_gather(np.ones((48, 4)))
    with pytest.raises(ArgumentError, match="15 elements are not cut alike"):
        mesh.along("replicate").all_reduce(NoData(15, "float32"))
    torch = pytest.importorskip("torch")
    assert shard.all_gather(torch.empty((48, 4), device="meta")).time_s > 0
    with pytest.raises(ShapeError, match=r"needed \(48, count\)"):
        shard.all_gather(torch.empty((4, 4), device="meta"))


def test_an_older_mesh_of_a_world_is_refused():
    world, mesh = collapsed()
    world.collapse(replicate=6, shard=8)
    with pytest.raises(ArgumentError, match="needed the last one of its World"):
        mesh.along("shard").all_gather(X)


def test_a_world_of_few_ranks_starts_anew():
    world, mesh = collapsed()
    run = mesh.along("replicate").all_reduce(X)
    first_s = world.now_s
    world.restart()
    assert world.now_s == 0
    assert mesh.along("replicate").all_reduce(X).time_s == run.time_s == first_s


def test_handles_tell_whether_all_ranks_are_done():
    world, mesh = collapsed()
    handle = mesh.along("shard").reduce_scatter(X, async_op=True)
    assert not handle.done
    world.compute(1.0)
    assert handle.done
    assert repr(handle).startswith(
        "<CollapsedHandle of reduce_scatter along CollapsedAxis shard: 12"
    )
    assert repr(handle.wait()).startswith("<CollapsedRun reduce_scatter along CollapsedAxis")
    assert repr(mesh) == "<CollapsedMesh replicate=12 x shard=4>"


def test_operations_that_meet_and_do_not_fit_in_memory_are_refused(monkeypatch):
    """Those that do not meet are timed in little memory."""
    world = small()
    mesh = world.collapse(replicate=6, shard=8)
    mesh.along("shard").all_gather(X)
    gathered = mesh.along("shard").all_gather(X, async_op=True)
    monkeypatch.setattr("emul.memory.ALWAYS_THERE_BYTES", 0)
    monkeypatch.setattr("emul.memory.available_bytes", lambda: 1 << 20)
    monkeypatch.setattr("emul.runtime.clocks.BYTES_TOGETHER", 10**5)
    with pytest.raises(CapacityError, match="transfers of operations that may meet"):
        mesh.along("replicate").all_reduce(X, async_op=True)
    gathered.wait()
    assert len(world.history) == 2
    assert mesh.along("replicate").all_reduce(X).time_s > 0
