"""Programs of issue, compute and wait, drawn by number, against machines that go step by step."""

import pytest
from random_programs import Program, tiny_world

from emul import Slicing

WORLDS, PROGRAMS = range(10), range(100)


@pytest.mark.parametrize("number", WORLDS)
def test_programs_take_what_a_slow_simulation_says(number, monkeypatch):
    if number % 2:  # let go of what has ended at every turn
        monkeypatch.setattr("emul.runtime.busy_period.MANY", 1)
    # Every third world has slices, and credit that runs out within a collective and between two.
    more = {"slicing": Slicing(500, 1 + number % 4)} if number % 3 == 0 else {}
    members, before = tiny_world(number, **more), None
    for i in PROGRAMS:
        program = Program(1000 * number + i, members)
        if i % 10 == 0:  # to look in the middle tells the truth so far, and changes nothing
            assert (program.clocks(), program.moments()) == program.expected()
        program.finish()
        expected = program.expected()
        assert (program.clocks(), program.moments()) == expected
        if before:  # what has passed stays as it was
            assert all(flight.settled for flight in before[0].flights)
            assert before[0].moments() == before[1]
        before = program, expected[1]


@pytest.mark.parametrize("number", [3, 8])
def test_both_clocks_tell_the_same_times(number):
    """Bit for bit; on the wall clock a time is looked at with every wait."""
    worlds = tiny_world(number), tiny_world(number, clock="wall", dilation=1e-6)
    for i in range(20):
        virtual, wall = (Program(1000 * number + i, members) for members in worlds)
        virtual.finish(), wall.finish()
        assert virtual.moments() == wall.moments()
        assert virtual.clocks() == wall.clocks()
    assert worlds[0][0].history == worlds[1][0].history
