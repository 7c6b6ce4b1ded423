"""Programs of ranks, drawn by number, against machines that go step by step."""

from collections import Counter

import pytest
from changing_trunk import ChangingTrunk
from nightly import fewer
from random_programs import (
    ARRIVAL_ACTS,
    COLLECTIVE_ACTS,
    MESSAGE_ACTS,
    Program,
    Tiny,
    impatient,
    moments_of,
    patient,
    row_of,
)

from emul import Slicing

WORLDS, PROGRAMS = range(fewer(8, 4)), range(6)
LINKS = {"constant": None, "changing": patient, "failing": impatient}
EVERYTHING = COLLECTIVE_ACTS | MESSAGE_ACTS | ARRIVAL_ACTS


def tiny(number, links="constant", **arguments):
    """Every third world has slices, and credit that runs out within a collective and between two.

    Every fourth begins late on the line of time of its links.
    """
    more = {"slicing": Slicing(500, 1 + number % 4)} if number % 3 == 0 else {}
    start_s = 1.2345e-4 if number % 4 == 1 else 0.0
    return Tiny(number, LINKS[links], start_s=start_s, **more, **arguments)


def ended(world, number, acts, **how):
    """Return a program that has ended, in a World of its own."""
    world.start_over()
    program = Program(number, world, acts, **how)
    program.finish()
    return program


def told(program):
    """Return all times that a World tells, and which of its operations have failed."""
    numbers = {issued.number for issued in program.failed}
    return program.clocks(), program.moments(), program.rows(), numbers


def expected(program):
    """Return the same by the slow machines."""
    machines = program.expected()
    issues = [*machines.issues]
    return (
        machines.clock,
        {each.number: moments_of(each) for each in issues if each.number in program.moments()},
        sorted(map(row_of, issues)),
        {each.number for each in issues if each.failed_ps is not None},
    )


def check(world, numbers, acts):
    for number in numbers:
        program = ended(world, number, acts)
        assert told(program) == expected(program), number


@pytest.mark.parametrize("number", WORLDS)
def test_collectives_take_what_a_slow_simulation_says(number, monkeypatch):
    if number % 2:  # let go of what has ended at every turn
        monkeypatch.setattr("emul.runtime.busy_period.MANY", 1)
    check(tiny(number), PROGRAMS, COLLECTIVE_ACTS)


@pytest.mark.parametrize("number", WORLDS)
def test_messages_take_what_a_slow_simulation_says(number):
    check(tiny(number), PROGRAMS, COLLECTIVE_ACTS | MESSAGE_ACTS)


@pytest.mark.parametrize("number", WORLDS)
def test_ranks_that_arrive_early_take_what_a_slow_simulation_says(number):
    check(tiny(number), PROGRAMS, COLLECTIVE_ACTS | ARRIVAL_ACTS)


@pytest.mark.parametrize("number", range(1, 1 + 4 * fewer(8, 4), 4))
def test_trunks_that_change_are_those_of_the_moment(number):
    check(tiny(number, "changing"), PROGRAMS, EVERYTHING)


@pytest.mark.parametrize("number", range(2, 2 + 4 * fewer(8, 4), 4))
def test_an_operation_fails_and_others_go_on(number):
    check(tiny(number, "failing"), PROGRAMS, EVERYTHING)


def test_programs_meet_all_that_can_happen(monkeypatch):
    """Else the tests above would show nothing: outages that cut what is sent, and what is not."""
    seen = Counter()
    for name in ("enter", "change", "cut", "stall"):
        plain = getattr(ChangingTrunk, name)

        def noted(*arguments, plain=plain, name=name):
            seen[name] += 1
            return plain(*arguments)

        monkeypatch.setattr(ChangingTrunk, name, noted)
    world = tiny(10, "failing")
    for i in PROGRAMS:
        machines = ended(world, i, COLLECTIVE_ACTS).expected()
        seen["failed"] += sum(each.failed_ps is not None for each in machines.issues)
    assert min(seen[name] for name in ("enter", "change", "cut", "failed")) > 5, seen
    assert seen["stall"] > seen["cut"] + 5, seen


@pytest.mark.parametrize("links", LINKS)
def test_calls_are_handles_waited_for_at_once(links):
    for number in (3, 6, 9):
        world = tiny(number, links)
        for i in range(5):
            by_calls = ended(world, i, EVERYTHING)
            by_handles = ended(world, i, EVERYTHING, by_calls=False)
            assert by_calls.clocks() == by_handles.clocks()
            assert by_calls.world.history == by_handles.world.history


@pytest.mark.parametrize("links", LINKS)
def test_to_look_in_the_middle_changes_nothing(links):
    for number in (4, 6, 10):
        world = tiny(number, links)
        for i in range(5):
            looks, does_not = (ended(world, i, EVERYTHING, look=look) for look in (True, False))
            assert told(looks) == told(does_not)


@pytest.mark.parametrize("links", LINKS)
def test_both_clocks_tell_the_same_times(links):
    """Bit for bit; on the wall clock a time is looked at with every wait."""
    for number in (3, 8):
        virtual, wall = tiny(number, links), tiny(number, links, clock="wall", dilation=1e-6)
        for i in range(5):
            a, b = ended(virtual, i, EVERYTHING), ended(wall, i, EVERYTHING)
            assert told(a) == told(b)
            assert a.world.history == b.world.history


def test_operations_timed_alone_are_as_in_one_schedule_with_all_others(monkeypatch):
    for number in WORLDS:
        world = tiny(number)
        alone = [told(ended(world, i, EVERYTHING)) for i in range(4)]
        with monkeypatch.context() as patched:
            patched.setattr("emul.runtime.clocks.ALONE", False)
            assert alone == [told(ended(world, i, EVERYTHING)) for i in range(4)]


@pytest.mark.parametrize("number", WORLDS)
def test_stragglers_are_the_ranks_on_whose_start_the_ends_hung(number):
    world = tiny(number)
    for i in PROGRAMS:
        program = ended(world, i, COLLECTIVE_ACTS)
        program.expected()
        for flight in program.flights:
            issued = flight.issued
            found = flight.operation.moments.straggler_of.tolist()
            assert found == [issued.hung_on[rank] for rank in sorted(issued.ranks)], i
