"""The engine's planners: shared by groups that sit alike, at once and one after the other."""

import gc

from strategies import link, one_site

from emul import World
from emul.runtime.engine import PLANNERS_KEPT


def test_groups_that_sit_alike_in_succession_plan_once():
    world = World("three-campus")
    made = []
    for ranks in ([0, 8, 16], [1, 9, 17], [2, 10, 18]):
        group = world.group(ranks)
        made.append(group.planner.made)
        group.predict("all_reduce", 30)
        del group
        gc.collect()
    assert made == [0, 1, 1]


def test_planners_of_groups_that_are_gone_are_kept_up_to_a_number():
    world = World(one_site(PLANNERS_KEPT + 3, link()))
    pair = world.group([0, 1])
    sizes = range(3, PLANNERS_KEPT + 4)
    for size in sizes:
        world.group(range(size)).predict("all_reduce", 30, algorithm="ring")
    gc.collect()
    kept = [world.group(range(size)).planner.made for size in reversed(sizes[1:])]
    assert kept == [1] * PLANNERS_KEPT
    gc.collect()
    assert world.group(range(sizes[0])).planner.made == 0
    assert world.group([1, 2]).planner is pair.planner
