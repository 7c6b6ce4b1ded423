"""The trace of a World: all collectives on one line of time."""

from collections import Counter

import numpy as np
import pytest
from random_programs import COLLECTIVE_ACTS, Program, Tiny
from trace_files import integral, read_chrome, read_perfetto
from two_sites import two_sites

from emul import CapacityError, FileError, World

PS = 1e12


def check(found, world):
    """Slices and arrows are the transfers of ``world``, and its collectives are those told."""
    found.check_nesting()
    sends = [each for each in found.slices if "src" in each.args]
    named = {f"{row.collective} {row.number}": row for row in world.history}
    told = Counter(
        (
            named[each.name.split(":")[0]].number,
            *(each.args[key] for key in ("src", "dst", "bytes", "start_ps", "arrival_ps")),
            each.args["done_ps"],
        )
        for each in sends
    )
    assert told == Counter(each for each in map(tuple, world.transfers.tolist()))
    assert all(len(some) == len({each.track for each in some}) for some in found.flows.values())
    operations = [each for each in found.slices if "issued_ps" in each.args]
    assert {
        each.name: (each.args["issued_ps"], each.args["started_ps"], each.args["done_ps"])
        for each in operations
    } == {name: (row.issued_ps, row.started_ps, row.done_ps) for name, row in named.items()}
    for each in operations:
        own = [send for send in sends if send.name.startswith(f"{each.name}:")]
        assert all(each.args["issued_ps"] <= send.args["start_ps"] for send in own)
        assert all(send.args["done_ps"] <= each.args["done_ps"] for send in own)


@pytest.mark.parametrize("number", range(4))
def test_traces_say_what_random_programs_in_flight_say(number, tmp_path):
    tiny = Tiny(number)
    for i in range(4):
        Program(1000 * number + i, tiny, COLLECTIVE_ACTS).finish()
    world = tiny.world
    for name in ("a.json", "a.pftrace"):
        world.to_perfetto(tmp_path / name)
    found = read_chrome(tmp_path / "a.json")
    check(found, world)
    check(read_perfetto(tmp_path / "a.pftrace"), world)
    site_of, carried = world.network.site_of, Counter()
    for each in world.transfers:
        a, b = (world.topology.sites[site_of[each[end]]].name for end in ("src", "dst"))
        carried[f"{a} -> {b} rate in use"] += int(each["nbytes"])
    for track, counts in found.counts.items():
        assert integral(counts, PS) == pytest.approx(carried[track[1]], rel=1e-9)


def two_in_flight(seconds=0.0):
    world = World("three-campus")
    x = np.ones((world.size, 600), np.float32)
    pair = world.all_reduce(x, async_op=True), world.group(range(4, 20)).broadcast(
        x[:16], async_op=True
    )  # fmt: skip
    world.compute(seconds)
    return world, pair


def test_collectives_under_way_are_told_with_steps_and_chunks(tmp_path):
    world, _ = two_in_flight()
    world.to_perfetto(tmp_path / "a.json")
    found = read_chrome(tmp_path / "a.json")
    check(found, world)
    sends = [each for each in found.slices if "src" in each.args]
    assert all(each.args["step"] >= 0 and each.args["chunk"] >= 0 for each in sends)
    assert {each.track[1] for each in found.slices if "issued_ps" in each.args} == {
        "world",
        "group 1",
    }
    assert {name.split(":")[0] for _, _, name, _ in found.marks} == {"all_reduce 0", "broadcast 1"}


def test_a_collective_that_waited_for_anothers_port_says_so(tmp_path):
    world, handles = two_in_flight()
    for each in handles:
        each.wait()
    world.to_perfetto(tmp_path / "a.json")
    found = read_chrome(tmp_path / "a.json")
    waited = {each.args.get("link waited for") for each in found.slices}
    assert "a transfer of another collective" in waited


def test_the_time_that_ranks_wait_is_the_same_alone_and_after_others(tmp_path):
    # A collective that starts a second late has the slices of the first one, a second later.
    world = World(two_sites())
    x = np.ones((world.size, 600), np.float32)
    first = world.all_reduce(x)
    world.compute(1.0)
    world.all_reduce(x)
    world.to_perfetto(tmp_path / "a.json")
    found = read_chrome(tmp_path / "a.json")
    check(found, world)
    later = round(first.time_s * PS) + 10**12
    starts = [
        sorted(each.start for each in found.slices if each.name.startswith(f"all_reduce {i}: "))
        for i in range(2)
    ]
    assert [start + later for start in starts[0]] == starts[1]


def test_forgotten_transfers_and_collectives_are_said(tmp_path, monkeypatch):
    monkeypatch.setattr("emul.runtime.history.KEPT_TRANSFERS", 1)
    monkeypatch.setattr("emul.runtime.history.KEPT", 3)
    world = World("one-campus")
    for _ in range(5):
        world.all_reduce(np.ones((world.size, 6), np.float32))
    for _ in range(2):  # so that all of them are over, and let go of
        world.compute(1.0)
    world.to_perfetto(tmp_path / "a.json")
    found = read_chrome(tmp_path / "a.json")
    told = {each.name: each.args["transfers"] for each in found.slices if "number" in each.args}
    assert list(told.values())[:2] == ["transfers are no longer kept"] * 2
    assert told["all_reduce 4"] > 0
    assert "the first 2 collectives are no longer kept" in found.facts


def test_a_world_that_did_nothing_has_an_empty_trace(tmp_path):
    world = World("three-campus")
    world.to_perfetto(tmp_path / "a.json")
    world.to_perfetto(tmp_path / "a.pftrace")
    assert read_chrome(tmp_path / "a.json").slices == []
    assert read_perfetto(tmp_path / "a.pftrace").slices == []


def test_endings_and_sizes_are_refused_before_anything_is_written(tmp_path, monkeypatch):
    world = World("three-campus")
    world.all_reduce(np.ones((world.size, 6), np.float32))
    with pytest.raises(FileError, match="needed a name that ends in"):
        world.to_perfetto(tmp_path / "a.txt")
    monkeypatch.setattr("emul.timing.traced.builder.MOST_TRANSFERS", 3)
    with pytest.raises(CapacityError, match="needed at most 3"):
        world.to_perfetto(tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []
