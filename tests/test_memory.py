from dataclasses import replace

import numpy as np
import pytest

from emul import CapacityError, Slicing, World, memory
from emul.memory import available_bytes, check_fits
from emul.plans import COLLECTIVES, Program, Shape, build_plan


def test_this_machine_has_some_memory():
    assert 1 << 20 < available_bytes() < 1 << 50


def test_too_much_is_refused_in_words():
    with pytest.raises(CapacityError, match=r"24 ranks: 1 TiB needed, .* of memory available: use"):
        check_fits(1 << 40, "24 ranks")


def test_a_control_group_can_allow_less(tmp_path, monkeypatch):
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    assert available_bytes() == 2_000_000
    with pytest.raises(CapacityError, match=r"1.907 MiB of memory available"):
        check_fits(20 << 20, "much")
    (tmp_path / "memory.max").write_text("max\n")
    assert available_bytes() > 2_000_000


def test_without_proc_half_of_the_memory_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "none")
    assert 1 << 20 < available_bytes() < 1 << 50


def test_a_world_that_does_not_fit_is_refused_before_it_is_allocated(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 10 << 20)
    world = World("three-campus")
    x = np.ones((24, 1 << 18), np.float32)
    with pytest.raises(CapacityError, match="all_reduce over 24 ranks: 24 MiB needed"):
        world.all_reduce(x)
    assert (x == 1).all()


def test_a_plan_too_large_to_prove_is_refused_before_it_is_tried():
    with pytest.raises(
        CapacityError, match=r"proving ring all_reduce over 200000 ranks: .* needed"
    ):
        build_plan("all_reduce", "ring", (100_000, 100_000))


def test_a_plan_of_too_many_rows_is_refused_before_all_are_held(monkeypatch):
    plan, taken = build_plan("all_reduce", "direct", (24,)), []

    def steps():
        for step in plan.steps():
            taken.append(step)
            yield step

    shape = Shape.of(COLLECTIVES["all_reduce"], 24, 24)
    assert len(Program.of(replace(plan, steps=steps), shape, 4)) == 2 * 23 * 24
    monkeypatch.setattr(memory, "ALWAYS_THERE_BYTES", 0)
    monkeypatch.setattr(memory, "available_bytes", lambda: 24 * 23)
    taken.clear()
    with pytest.raises(CapacityError, match=r"timing direct all_reduce .* of \d+ rows and more: "):
        Program.of(replace(plan, steps=steps), shape, 4)
    assert len(taken) < 2 * 23


def test_slices_that_do_not_fit_are_refused_before_they_are_held(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 10 << 20)
    world, count = World("three-campus", slicing=Slicing(1)), 24 * 1000
    pieces = 23 * count  # of two bytes each, for there are more than 10^6 of one
    with pytest.raises(CapacityError, match=rf"timing {pieces} slices of 2 B \(larger slices are"):
        world.predict("all_reduce", count, dtype="uint8", algorithm="ring")
