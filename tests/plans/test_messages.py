"""Messages, waits, shapes and what the proof says, on plans of a few rows written out by hand."""

import numpy as np
import pytest

from emul import ArgumentError, PlanError, Send
from emul.errors import ShapeError
from emul.plans import (
    COLLECTIVES,
    Partition,
    Places,
    Plan,
    Program,
    Shape,
    Step,
    Waits,
    algorithms_for,
    build_hierarchy,
    build_plan,
    plan_from,
)
from emul.plans.algorithms.group_tree import tree_of
from emul.plans.collectives import collective_named
from emul.plans.contents import everyone, ranks_in, sets_of
from emul.plans.proof.verify import MOST_CHANNELS, _bytes_per_place, verify
from emul.plans.symmetry import SymmetricPlan


def test_sets_of_ranks_may_have_any_size():
    for n in (1, 63, 64, 65, 128, 129):
        assert sum(int(word).bit_count() for word in everyone(n)) == n
        assert int(sets_of([n - 1], n)[0].max()) == 1 << ((n - 1) % 64)
    assert ranks_in(sets_of([3], 70)[0]) == "rank 3"
    assert ranks_in(everyone(8)) == "ranks 0, 1, 2, 3, 4, 5, 6, 7"
    assert ranks_in(everyone(70)) == "ranks 0, 1, 2, 3, 4, 5, 6, 7 and 62 more"


def program(plan, width, itemsize=4):
    return Program.of(plan, Shape(COLLECTIVES[plan.collective], plan.world_size, width), itemsize)


def drawn(steps, n=3, **more):
    """A plan of given rows of (src, dst, src_chunk, dst_chunk, nchunks, channel), which copy."""

    def made():
        for step in steps:
            columns = np.array(step, np.int32).reshape(-1, 6).T
            yield Step(*columns[:5], np.zeros(len(step), bool), columns[5])

    return Plan("all_reduce", "drawn", n, 0, Partition.uniform(3), made, **more)


def test_rows_of_one_message_are_adjacent_and_of_one_step_and_channel():
    plan = drawn([
        [(0, 1, 0, 0, 1, 0), (0, 1, 2, 2, 1, 0), (0, 1, 1, 1, 1, 1), (0, 2, 0, 0, 2, 1)],
        [(0, 2, 2, 2, 1, 1), (1, 2, 0, 0, 1, 0)],
    ])  # fmt: skip
    found = program(plan, 12)  # four elements of four bytes in each chunk
    assert found.nbytes.tolist() == [32, 16, 32, 16, 16]
    assert found.first_of_step.tolist() == [0, 3, 5]
    assert found.channel.tolist() == [0, 1, 1, 1, 0]


def test_rows_without_elements_are_no_messages():
    plan = drawn([[(0, 1, 2, 2, 1, 0)], [(0, 1, 0, 0, 1, 0), (1, 2, 2, 2, 1, 0)]])
    found = program(plan, 2)  # the third chunk is empty
    assert (found.src.tolist(), found.nbytes.tolist()) == ([0], [4])
    assert found.first_of_step.tolist() == [0, 1]


def test_steps_that_drain_are_counted_without_the_empty_ones():
    """Of four steps the first and the third are empty: before the last, the second drains."""
    there, empty = [(0, 1, 0, 0, 1, 0)], [(0, 1, 2, 2, 1, 0)]
    plan = drawn([empty, there, empty, there], drains=(3,))
    assert np.asarray(program(plan, 2).drains).tolist() == [1]


def waits(*edges):
    earlier, later = np.array(edges, np.int64).T
    flags = np.zeros(len(edges), bool)
    return Waits(earlier, later, flags, ~flags)


def test_waits_between_rows_become_waits_between_messages():
    steps = [[(0, 1, 0, 0, 1, 0), (0, 1, 1, 1, 1, 0), (1, 2, 2, 2, 1, 0)], [(1, 2, 0, 0, 1, 0)]]
    plan = drawn(steps, waits=waits((0, 1), (0, 3), (1, 2), (2, 3)))
    whole = program(plan, 3)
    found = list(zip(whole.waits.earlier.tolist(), whole.waits.later.tolist(), strict=True))
    assert found == [(0, 2), (0, 1), (1, 2)]  # within the first message nobody waits
    bare = program(plan, 2)  # the row of the third chunk is gone
    found = list(zip(bare.waits.earlier.tolist(), bare.waits.later.tolist(), strict=True))
    assert found == [(0, 1)]


@pytest.mark.parametrize(("edge", "right"), [((0, 1), True), ((1, 1), False), ((1, 0), False)])
def test_rows_wait_for_earlier_ones(edge, right):
    steps = [[(0, 1, 0, 0, 1, 0)], [(1, 2, 0, 0, 1, 0)]]
    said = f"row {edge[1]} waits for row {edge[0]}: needed an earlier one of 2 rows"
    with pytest.raises(PlanError, match="lacks" if right else said):
        verify(drawn(steps, waits=waits(edge)))


@pytest.mark.parametrize(
    ("row", "what"),
    [((3, 0, 0, 0, 1, 0), "rank"), ((0, 3, 0, 0, 1, 0), "rank"), ((0, 1, 3, 0, 1, 0), "chunk"),
     ((0, 1, 0, 2, 2, 0), "chunk"), ((0, 1, 0, 0, 0, 0), "number of chunks"),
     ((0, 1, 0, 0, 1, MOST_CHANNELS), "channel"), ((0, 1, 0, 0, 1, -1), "channel")],
)  # fmt: skip
def test_rows_that_reach_beyond_are_refused(row, what):
    with pytest.raises(PlanError, match=rf"step 0, row 0 .*: {what} out of range"):
        verify(drawn([[row]]))
    for inside in ((2, 0, 2, 2, 1, 0), (0, 2, 0, 0, 3, MOST_CHANNELS - 1)):
        with pytest.raises(PlanError, match="lacks"):
            verify(drawn([[inside]]))


def schedule(*steps):
    def made(n):
        return [list(step) for step in steps]

    return made


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (
            [[Send(0, 1, 0, reduce=True)]] * 2,
            "step 1: rank 1 chunk 0 would count the contribution of rank 0 twice",
        ),
        (
            [[Send(0, 1, 0, reduce=True, into=1)]],
            "step 0: rank 1 chunk 1 would mix values of chunk 1 with values of chunk 0",
        ),
        ([[Send(0, 2, 0), Send(1, 2, 0)]], "step 0: rank 2 chunk 0 is written twice in one step"),
        ([[Send(2, 0, 3)]], "step 0: rank 2 scratch 0 is sent without holding anything"),
        ([[Send(0, 2, 1, reduce=True, into=3)]], "rank 2 scratch 0 is reduced into without"),
    ],
)
def test_what_is_wrong_is_told_with_its_rank_and_chunk(steps, said):
    with pytest.raises(PlanError, match=said):
        verify(plan_from(schedule(*steps), "all_reduce", 3, scratch=1))


def test_a_copy_forgets_what_stood_there():
    # Rank 1 adds rank 0's values, is then overwritten by rank 2's, and may add rank 0's again.
    again = schedule(
        [Send(0, 1, c, reduce=True) for c in range(3)],
        [Send(2, 1, c) for c in range(3)],
        [Send(0, 1, c, reduce=True) for c in range(3)],
    )
    with pytest.raises(PlanError, match=r"rank 0 chunk 0 lacks the contribution of ranks 1, 2$"):
        verify(plan_from(again, "all_reduce", 3))


def test_all_rows_of_a_step_read_what_stood_before():
    swap = schedule([Send(0, 1, c) for c in (0, 1)] + [Send(1, 0, c) for c in (0, 1)])
    with pytest.raises(PlanError, match=r"rank 0 chunk 0 lacks the contribution of rank 0$"):
        verify(plan_from(swap, "all_reduce", 2))


def test_what_comes_from_the_wrong_rank_is_told_too():
    backwards = schedule([Send(r, (r - 1) % 3, 0, into=1) for r in range(3)])
    said = r"rank 0 chunk 1 lacks the contribution of rank 2 and holds that of rank 1$"
    with pytest.raises(PlanError, match=said):
        verify(plan_from(backwards, "send_recv", 3, root=1))


def test_a_plan_from_a_function_may_write_into_chunk_zero():
    moved = plan_from(schedule([Send(0, 1, 2, into=0, nchunks=1)]), "all_reduce", 3)
    (step,) = moved.steps()
    assert (step.src_chunk.tolist(), step.dst_chunk.tolist()) == ([2], [0])
    with pytest.raises(PlanError, match="step 1, row 2 is 7: needed a Send"):
        list(plan_from(lambda n: [[], [Send(0, 1, 0), Send(1, 0, 1), 7]], "all_reduce", 2).steps())


def test_uneven_blocks_have_algorithms_that_can_cut_them():
    assert "bruck" in algorithms_for("all_to_all")
    assert "bruck" not in algorithms_for("all_to_all", uneven=True)
    assert algorithms_for("all_gather", uneven=True) == algorithms_for("all_gather")


@pytest.mark.parametrize(
    ("collective", "factor"),
    [("all_reduce", 1.5), ("reduce_scatter", 0.75), ("all_gather", 0.75), ("gather", 0.75),
     ("scatter", 0.75), ("all_to_all", 0.75), ("broadcast", 1), ("reduce", 1), ("send_recv", 1)],
)  # fmt: skip
def test_bus_factors_of_four_ranks(collective, factor):
    # nccl-tests, doc/PERFORMANCE.md: what a rank has to send, at least, over the bytes of the call
    assert COLLECTIVES[collective].bus_factor(4) == factor


def test_the_first_blocks_get_the_rest():
    shape = Shape(COLLECTIVES["all_reduce"], 3, 8)
    assert shape.sent(3).tolist() == [[3, 3, 2]]
    gathered = Shape.of(COLLECTIVES["all_gather"], 3, 4)
    assert (gathered.width, gathered.input_shape, gathered.output_shape) == (12, (3, 4), (3, 12))
    assert gathered.input_spans.tolist() == [[0, 4], [4, 8], [8, 12]]
    table = [[1, 2], [3, 4]]
    exchanged = Shape.of_counts(COLLECTIVES["all_to_all"], 2, table)
    assert (exchanged.width, exchanged.received(2).tolist()) == (7, [[1, 3], [2, 4]])


def test_offsets_of_units_are_whole_and_do_not_overflow():
    cut = Partition(2, 3, np.array([0, 1, 3, 4, 6]))
    assert cut.offsets(np.array([[7, 5]])).tolist() == [[0, 2, 7, 8, 12]]
    # Two thirds of eight: five and a third.
    assert Partition(1, 3, np.array([0, 2, 3])).offsets(np.array([[8]])).tolist() == [[0, 5, 8]]
    assert cut.n_chunks == 4
    assert cut.block_of_chunk(2).tolist() == [0, 0, 1, 1]


def test_groups_know_their_children():
    top = tree_of(((2, 1), (3, 1)))
    assert [top.child_of(rank) for rank in range(7)] == [0, 0, 0, 1, 1, 1, 1]
    assert [top.inner[1].child_of(rank) for rank in range(3, 7)] == [0, 0, 0, 1]
    assert [[group.first for group in level] for level in top.by_level()] == [
        [0, 2, 3, 6],
        [0, 3],
        [0],
    ]


@pytest.mark.parametrize(
    ("groups", "said"),
    [((2, (1, 1)), "the same depth everywhere"), (((1, (2,)), 3), "the same depth everywhere"),
     ((2, 0), "a number of ranks from 1 on"), ((2, -1), "a number of ranks from 1 on"),
     ((2, True), "a number of ranks from 1 on"), ((), "a tuple of groups")],
)  # fmt: skip
def test_groups_that_are_none_are_refused(groups, said):
    with pytest.raises(ArgumentError, match=said):
        tree_of(groups)


def test_an_excerpt_of_shares_that_are_unlike_is_refused_or_lengthened():
    """Two sites of six nodes of two ranks: 12 ranks of a ring of which each has two chunks."""
    places = Places.of([(2,) * 6, (2,) * 6])
    exact, longer = (
        SymmetricPlan.of("all_reduce", "hierarchical", places, lengthened=each)
        for each in (False, True)
    )
    whole = int(exact.top.partition.edges[-1]) * exact.ranks[0]

    def shape(width):
        return Shape.of(COLLECTIVES["all_reduce"], 24, width)

    assert set(exact.lengths(shape(5 * whole)).tolist()) == {5}
    for width in (1, whole - 1, whole + 1):
        with pytest.raises(ArgumentError, match=f"a number of elements that {whole} divides"):
            exact.lengths(shape(width))
        assert set(longer.lengths(shape(width)).tolist()) == {-(-width // whole)}


def test_excerpts_stand_for_all_rounds():
    excerpt = SymmetricPlan.of("all_reduce", "hierarchical", Places.of([(2,) * 6, (2,) * 6]))
    assert (excerpt.rounds.reduce, excerpt.rounds.gather) == ((11, 11), (11, 11))
    assert (excerpt.periods, excerpt.ranks, excerpt.cells.ranks) == ((4, 4), (12, 12), (2, 2))
    assert excerpt.cells.alike(np.arange(2)).tolist() == [3, 3]
    unlike = SymmetricPlan.of("all_reduce", "hierarchical", Places.of([(2,) * 6, (3,) * 4]))
    assert (unlike.cells.ranks, unlike.cells.units, unlike.cells.number) == ((6, 6), (2, 3), 2)


@pytest.mark.parametrize("algorithm", ["ring", "hierarchical", "gloo:ring"])
def test_every_plan_is_proven_before_it_is_handed_out(algorithm, monkeypatch):
    proven = []
    monkeypatch.setattr("emul.plans.algorithms.registry.verify", proven.append)
    assert build_plan("all_reduce", algorithm, (2, 2)) is proven[0]
    assert build_hierarchy("all_reduce", (2, 2), ("ring", "direct")) is proven[1]
    assert len(proven) == 2


def test_only_broadcast_and_scatter_are_of_the_root_alone():
    assert {name for name, each in COLLECTIVES.items() if each.from_root} == {
        "broadcast",
        "scatter",
    }


@pytest.mark.parametrize(("counts", "fits"), [([0, 3], True), ([-1, 3], False), ([0.5, 3], False)])
def test_counts_are_whole_numbers_from_zero_on(counts, fits):
    gather = collective_named("all_gather")
    if fits:
        assert Shape.of_counts(gather, 2, counts).width == 3
        return
    with pytest.raises(ShapeError, match="whole numbers from 0 on"):
        Shape.of_counts(gather, 2, counts)


def test_a_plan_has_4096_channels_at_most():
    assert MOST_CHANNELS == 4096


def test_a_place_of_the_proof_has_two_sets_of_ranks_and_their_states():
    """Of 65 ranks: two words for a set, one more for a state, held and wanted, 8 bytes each."""
    plan = build_plan("broadcast", "direct", [65])
    assert _bytes_per_place(plan) == 65 * 2 * (2 + 1) * 8
