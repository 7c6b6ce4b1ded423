"""Named axes over the ranks of a world, and the groups along them."""

import numpy as np
import pytest

from emul import ArgumentError, World


def test_axes_are_laid_out_row_by_row_and_groups_differ_in_one_of_them():
    mesh = World("three-campus").mesh(pod=3, node=2, rank=4)
    assert mesh.axes == {"pod": 3, "node": 2, "rank": 4}
    assert mesh.ranks.shape == (3, 2, 4)
    assert [group.ranks.tolist() for group in mesh.groups("node")[:2]] == [[0, 4], [1, 5]]
    assert [len(mesh.groups(name)) for name in mesh.axes] == [8, 12, 6]
    for name, size in mesh.axes.items():
        members = [rank for group in mesh.groups(name) for rank in group.ranks.tolist()]
        assert sorted(members) == list(range(24))
        assert {group.size for group in mesh.groups(name)} == {size}


def test_groups_are_made_once():
    mesh = World("three-campus").mesh(replicate=3, shard=8)
    assert mesh.groups("shard") is mesh.groups("shard")
    assert mesh.along("shard").groups is mesh.groups("shard")
    assert repr(mesh) == "<Mesh replicate=3 x shard=8>"
    assert repr(mesh.along("shard")) == "<Axis shard: 3 groups of 8 ranks>"


@pytest.mark.parametrize(
    ("axes", "complaint"),
    [
        ({"replicate": 2, "shard": 7}, "14 ranks of 24, 10 are left over.*24 = 3 x 7 . 3"),
        ({"replicate": 4, "shard": 8}, "mesh replicate=4 x shard=8: 32 ranks of 24: needed"),
        ({"shard": 23}, "23 ranks of 24, 1 are left over"),
        ({"replicate": 0, "shard": 8}, "axis replicate of 0 ranks: needed 1 or more"),
        ({"replicate": 2.5}, "axis replicate"),
        ({}, "a mesh without axes"),
    ],
)
def test_axes_that_do_not_cover_the_ranks_are_refused(axes, complaint):
    with pytest.raises(ArgumentError, match=complaint):
        World("three-campus").mesh(**axes)


def test_what_is_left_over_is_counted_in_the_inner_axes():
    with pytest.raises(ArgumentError, match=r"300,000 = 2,343 x 128 \+ 96"):
        World("three-campus-300k").mesh(replicate=781, shard=128)


def test_an_axis_that_is_not_there_is_named_with_those_that_are():
    mesh = World("three-campus").mesh(replicate=3, shard=8)
    with pytest.raises(ArgumentError, match=r"axis 'tensor' of .*: needed one of replicate, shard"):
        mesh.groups("tensor")


@pytest.mark.parametrize("collective", ["all_reduce", "reduce_scatter", "all_gather", "all_to_all"])
def test_a_call_along_an_axis_is_one_on_each_of_its_groups(collective):
    x = np.arange(24 * 24, dtype=np.float64).reshape(24, 24)
    world, by_hand = World("three-campus"), World("three-campus")
    runs = getattr(world.mesh(replicate=3, shard=8).along("replicate"), collective)(x)
    groups = by_hand.mesh(replicate=3, shard=8).groups("replicate")
    handles = [getattr(each, collective)(x[each.ranks], async_op=True) for each in groups]
    for run, handle in zip(runs, handles, strict=True):
        assert np.array_equal(run.output, handle.wait().output)
    assert world.ranks_now_s.tolist() == by_hand.ranks_now_s.tolist()
    assert world.now_s > 0


def test_axes_operate_at_once():
    """Two calls in flight take no longer than one after the other, and share the NICs."""
    x = np.ones((24, 24), np.float32)
    world = World("three-campus")
    mesh = world.mesh(replicate=3, shard=8)
    handles = [mesh.along(name).issue("all_reduce", x) for name in ("shard", "replicate")]
    assert not any(handle.done for handle in handles)
    for handle in handles:
        handle.wait()
    assert all(handle.done for handle in handles)
    in_turn = World("three-campus")
    for name in ("shard", "replicate"):
        in_turn.mesh(replicate=3, shard=8).along(name).all_reduce(x)
    assert world.now_s <= in_turn.now_s


@pytest.mark.parametrize(
    ("name", "collective"), [("shard", "all_gather"), ("replicate", "all_reduce")]
)
def test_the_ends_of_an_axis_are_those_of_its_calls(name, collective):
    """To the picosecond in a site, and within one for each transfer over shared trunks."""
    quiet = World("three-campus").topology.without(["jitter", "loss"])
    mesh = (world := World(quiet)).mesh(replicate=6, shard=4)
    ends_s = mesh.along(name).ends_s(collective, 600)
    handle = mesh.along(name).issue(
        collective, np.ones((24, 600), np.float32), algorithm="ring" if name == "shard" else PLAN
    )
    handle.wait()
    assert np.abs(ends_s - world.ranks_now_s).max() < (1e-15 if name == "shard" else 1e-9)


PLAN = "hierarchical"


def test_links_that_draw_are_refused_because_nothing_could_say_so():
    mesh = World("three-campus").mesh(replicate=6, shard=4)
    with pytest.raises(ArgumentError, match="has jitter or losses, drawn for each connection"):
        mesh.along("replicate").ends_s("all_reduce", 24)


def test_an_axis_between_others_is_not_timed_by_few_ranks():
    mesh = World("three-campus").mesh(pod=3, node=2, rank=4)
    with pytest.raises(ArgumentError, match=r"axis node of .*: needed the outermost or the inner"):
        mesh.along("node").ends_s("all_reduce", 24)
