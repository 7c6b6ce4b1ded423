"""Groups: collectives over the rows of some ranks."""

import numpy as np
import pytest

from emul import ArgumentError, ShapeError, World


def ones(n, count=1000):
    return np.ones((n, count), np.uint8)


@pytest.fixture
def world():
    return World("three-campus")


def test_groups_compute_over_their_own_rows(world):
    group = world.group([17, 3, 9])
    assert group.ranks.tolist() == [3, 9, 17]
    x = np.arange(6.0).reshape(3, 2)
    assert group.all_reduce(x).output.tolist() == [[6, 9]] * 3
    assert group.broadcast(x, root=2).output.tolist() == [[4, 5]] * 3
    assert group.reduce(x, root=1).output.tolist() == [6, 9]
    assert group.all_gather(x, counts=[2, 0, 1]).output[0].tolist() == [0, 1, 4]
    assert group.scatter(np.arange(3.0), root=1).output.tolist() == [[0], [1], [2]]
    assert group.send_recv(x, shift=-1).output.tolist() == [[2, 3], [4, 5], [0, 1]]
    assert group.all_to_all(np.arange(9.0).reshape(3, 3)).output[1].tolist() == [1, 4, 7]
    with pytest.raises(ArgumentError, match="root"):
        group.broadcast(x, root=3)
    with pytest.raises(ShapeError, match=r"needed \(3, count\)"):
        group.all_reduce(ones(24))
    assert "3, 9, 17" in repr(group)


def test_groups_cross_only_what_lies_between_them(world):
    inside, leaders = world.group(range(8)), world.group([0, 8, 16])
    assert inside.barrier().time_s < 1e-4 < leaders.barrier().time_s
    assert [each.communicator for each in world.history] == [1, 2]
    assert inside.all_reduce(ones(8)).prediction.timeline.cross_site_bytes == 0


def test_the_places_of_some_ranks_are_theirs(world):
    found = world.topology.of_ranks([3, 4, 9, 17])
    assert [(site.name, site.ranks) for site in found.sites] == [
        ("north", 2),
        ("east", 1),
        ("south", 1),
    ]
    assert found.ranks_by_node == [[1, 1], [1], [1]]
    assert found.trunks == world.topology.trunks
    assert world.topology.of_ranks(range(8)).trunks == ()
    assert world.topology.of_ranks(range(24)).sites == world.topology.sites


@pytest.mark.parametrize("ranks", [[], [0, 0], [24], [-1], [0.5], 3])
def test_ranks_that_are_not_there_are_refused(world, ranks):
    for refuse in (world.group, lambda ranks: world.compute(1, ranks)):
        with pytest.raises((ArgumentError, TypeError), match=r"ranks|iterable"):
            refuse(ranks)
