from collections import Counter

import numpy as np
import pytest

from emul.errors import ArgumentError, CapacityError
from emul.plans import Places, Program, Shape, SymmetricPlan, build_plan, collective_named
from emul.plans.cells import Cells

SITES = [(4, 4), (4, 4), (4, 4)]
DIRECT = "hierarchical:site=ring,trunk=direct"


def shape_of(collective, n, width):
    return Shape(collective_named(collective), n, width)


def sent(program, ranks, period):
    """What each position of each site sends in all, and to which site: a multiset of facts."""
    facts = []
    reduce = program.reduce[program.first_row[:-1]]
    for src, dst, nbytes, adds in zip(
        program.src.tolist(), program.dst.tolist(), program.nbytes, reduce, strict=True
    ):
        (a, i), (b, j) = divmod(src, ranks), divmod(dst, ranks)
        facts.append((a, i % period, b, j % period, int(nbytes), bool(adds)))
    return facts


@pytest.mark.parametrize("algorithm", ["hierarchical", DIRECT, f"{DIRECT}:one_shot"])
@pytest.mark.parametrize("collective", ["all_reduce", "reduce_scatter", "all_gather"])
def test_an_excerpt_sends_what_the_ranks_it_shows_send(collective, algorithm):
    if algorithm.endswith("one_shot") and collective != "all_reduce":
        pytest.skip("one_shot is an all_reduce")
    sites = [(2,) * 6] * 3
    excerpt = SymmetricPlan.of(collective, algorithm, Places.of(sites))
    shape = shape_of(collective, 36, 36 * 5)
    few = excerpt.program(shape, 4, excerpt.rounds)
    whole = Program.of(build_plan(collective, algorithm, sites), shape, 4)
    assert excerpt.periods == (4, 4, 4)
    everything, shown = sent(whole, 12, 4), np.flatnonzero(whole.src % 12 < 4)
    assert sent(few, 4, 4) == [everything[t] for t in shown]  # in the order of the plan, too
    assert int(few.multiplicity.transfers.sum()) == len(whole)


def test_every_rank_is_stood_for_where_the_period_does_not_divide_their_number():
    excerpt = SymmetricPlan.of("all_reduce", "hierarchical", Places.of([(1,) * 7] * 2))
    assert excerpt.cells.alike(np.arange(excerpt.cells.shown)).tolist() == [4, 3]


def test_a_cell_has_whole_nodes_of_every_site_and_comes_again():
    cells = Cells.of([(8,) * 10, (8,) * 4, (2, 6) * 2])
    assert (cells.ranks, cells.number, cells.shown) == ((40, 16, 8), 2, 1)
    assert Cells.of([(8,) * 4, (8,) * 2]).shown == 2  # a ring of one node would stay inside it
    assert Cells.of([(100,), (50,), (20,)]).ranks == (10, 5, 2)


@pytest.mark.parametrize("sizes", [(20, 10, 4), (6, 4), (4, 6, 10)])
@pytest.mark.parametrize("collective", ["all_reduce", "reduce_scatter", "all_gather"])
def test_ranks_of_unequal_sites_send_as_much_as_those_a_cell_before(sizes, collective):
    """In every step, to a rank as far on, and each transfer stands for as many as there are."""
    sites = [(1,) * size for size in sizes]
    excerpt = SymmetricPlan.of(collective, "hierarchical", Places.of(sites))
    shape = shape_of(collective, sum(sizes), 60 * 6 * sum(sizes))
    few = excerpt.program(shape, 4, excerpt.rounds)
    whole = Program.of(build_plan(collective, "hierarchical", sites), shape, 4)
    assert Counter(in_cells(few, excerpt.periods, excerpt.cells.ranks)) == {
        fact: number // excerpt.cells.number * excerpt.cells.shown
        for fact, number in Counter(in_cells(whole, sizes, excerpt.cells.ranks)).items()
    }
    assert int(few.multiplicity.transfers.sum()) == len(whole)


def in_cells(program, sizes, cells):
    """What each rank of a cell sends to which rank of a cell of each site: facts of transfers."""
    first = np.cumsum((0, *sizes))
    for src, dst, nbytes in zip(program.src, program.dst, program.nbytes, strict=True):
        a, b = (int(np.searchsorted(first, each, side="right")) - 1 for each in (src, dst))
        yield a, int(src - first[a]) % cells[a], b, int(dst - first[b]) % cells[b], int(nbytes)


def test_a_ring_at_one_site_is_a_hierarchy_of_one_level():
    excerpt = SymmetricPlan.of("all_reduce", "ring", Places.of([(1,) * 6]))
    assert (excerpt.sites, excerpt.ranks, str(excerpt)) == (1, (6,), "ring all_reduce over 6 ranks")


@pytest.mark.parametrize(
    ("collective", "algorithm", "sites", "complaint"),
    [
        ("broadcast", "hierarchical", SITES, "broadcast has no ranks that do alike"),
        ("all_reduce", "direct", SITES, "direct cannot be timed .*: it is no hierarchy"),
        ("all_reduce", "ring", SITES, "it is no hierarchy: needed hierarchical"),
        ("all_reduce", "rinng", SITES, "'rinng': needed hierarchical"),
        ("all_reduce", "hierarchical:site=direct", SITES, "in a site it is direct, not a ring"),
        ("all_reduce", "hierarchical:pieces", SITES, "pieces overlap"),
        ("all_reduce", "hierarchical:nodes", SITES, "a level inside nodes and one between"),
        (
            "all_reduce",
            "hierarchical",
            [(4, 4), (4, 4, 4)],
            "8 and 12 ranks come again only every 8 and 12 r",
        ),
        ("all_reduce", "hierarchical", [(2, 6)], "sites of 8 ranks come again only every 8 ranks"),
        (
            "all_reduce",
            "hierarchical",
            [(1,)] * 3,
            "sites of 1 ranks come again only every 1 ranks",
        ),
    ],
)
def test_plans_whose_ranks_are_not_alike_are_refused(collective, algorithm, sites, complaint):
    with pytest.raises(ArgumentError, match=complaint):
        SymmetricPlan.of(collective, algorithm, Places.of(sites))


@pytest.mark.parametrize("width", [25, 32, 0])
def test_shares_of_unlike_length_are_refused(width):
    excerpt = SymmetricPlan.of("all_reduce", "hierarchical", Places.of(SITES))
    complaint = f"{width} elements are not cut alike: needed a number of elements that 24 divides"
    with pytest.raises(ArgumentError, match=complaint):
        excerpt.program(shape_of("all_reduce", 24, width), 4, excerpt.rounds)


def test_an_excerpt_that_does_not_fit_in_memory_is_refused(monkeypatch):
    monkeypatch.setattr("emul.memory.available_bytes", lambda: 1 << 20)
    excerpt = SymmetricPlan.of("all_reduce", "hierarchical", Places.of([(1,) * 90_000]))
    with pytest.raises(CapacityError, match="timing hierarchical by 359996 transfers"):
        excerpt.program(shape_of("all_reduce", 90_000, 90_000), 4, excerpt.rounds)
