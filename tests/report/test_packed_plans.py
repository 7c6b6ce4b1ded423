"""The trees and routes of packed plans, as they are drawn."""

import pytest
from command import emul

from emul.plans import Places, build_plan
from emul.plans.algorithms.packed import PackedSpec, Pipeline, SiteTree
from emul.plans.algorithms.routed import RoutedSpec, SiteRoute
from emul.report.packed_plans import packed_lines

PLACES = Places(((2,), (1,), (1,)))
SITES = ("north", "east", "south")


def drawn(spec):
    return list(packed_lines(spec.build(), SITES))


def test_trees_are_drawn_with_their_shares():
    trees = (SiteTree(2, (-1, -1, 1)), SiteTree(1, (1, -1, 0)))
    assert drawn(PackedSpec("all_reduce", "x", PLACES, 0, trees, Pipeline(4, 2, 3))) == [
        "2 trees, 4 pieces, 2 leaders per site, 3 channels per tree",
        "tree 0 has 2/3 of the vector; north and east exchange:",
        "  north",
        "  east",
        "    south",
        "tree 1 has 1/3 of the vector; up to east and down again:",
        "  east",
        "    north",
        "      south",
    ]


@pytest.mark.parametrize(
    ("collective", "how"), [("reduce", "to the root"), ("broadcast", "from the root")]
)
def test_a_tree_leads_one_way(collective, how):
    spec = PackedSpec(collective, "x", PLACES, 3, (SiteTree(5, (2, 2, -1)),), Pipeline())
    assert drawn(spec) == [
        "1 tree, 1 piece, 1 leader per site",
        f"tree 0 has all of the vector; leads {how}:",
        "  south",
        "    north",
        "    east",
    ]


def test_shares_of_blocks_are_those_of_their_site():
    trees = (
        SiteTree(1, (-1, 0, 0)),
        SiteTree(2, (-1, 0, 1)),
        SiteTree(3, (1, -1, 1)),
        SiteTree(3, (2, 2, -1)),
    )
    lines = drawn(PackedSpec("all_gather", "x", PLACES, 0, trees, Pipeline()))
    assert lines[1] == "tree 0 has 1/3 of each block of north; leads from the root:"
    assert lines[9] == "tree 2 has all of each block of east; leads from the root:"


def test_routes_are_drawn_with_their_shares():
    routes = (SiteRoute(1, (1, 0)), SiteRoute(2, (1, 2, 0)), SiteRoute(3, (2, 0)))
    assert drawn(RoutedSpec("gather", "x", PLACES, 0, routes)) == [
        "3 routes",
        "  east -> north: 1/3 of the bytes between the two",
        "  east -> south -> north: 2/3 of the bytes between the two",
        "  south -> north: all of the bytes between the two",
    ]


def test_other_plans_have_neither():
    assert list(packed_lines(build_plan("all_reduce", "ring", [2, 2]), SITES)) == []


def test_show_takes_the_rates_of_the_topology_and_the_size():
    asked = ("plan", "show", "all_reduce", "packed", "--steps", "0")
    large = emul(*asked)
    assert large.returncode == 0
    assert "tree 0 has 2/3 of the vector; " in large.stdout
    assert "trunk north -> south: 0.3333 buffers" in large.stdout
    small = emul(*asked, "--size", "1K")
    assert small.stdout != large.stdout
    by_hand = emul(*asked[:3], "packed:pieces=3", "--steps", "0")
    assert "2 trees, 3 pieces, 1 leader per site" in by_hand.stdout


def test_a_plan_of_packed_is_written_and_checked_and_a_wrong_name_refused(tmp_path):
    path = str(tmp_path / "plan.xml")
    assert emul("plan", "write", "all_reduce", "packed:pieces=2", path).returncode == 0
    checked = emul("plan", "check", path)
    assert checked.returncode == 0
    assert "proven: packed:pieces=2 all_reduce over 24 ranks" in checked.stdout
    wrong = emul("plan", "show", "all_reduce", "packed:depth=2")
    assert wrong.returncode == 2
    assert "'depth=2': needed one of pieces=..., leaders=..., channels=..." in wrong.stderr
    nothing = emul("plan", "show", "send_recv", "packed")
    assert nothing.returncode == 2
    assert "algorithm 'packed' does not do send_recv" in nothing.stderr
