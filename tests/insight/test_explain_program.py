"""Why a program is slow: its acts carried out again, exactly, on other links."""

from dataclasses import replace

import numpy as np
import pytest
from nightly import fewer
from random_programs import (
    ARRIVAL_ACTS,
    COLLECTIVE_ACTS,
    MESSAGE_ACTS,
    Program,
    Tiny,
    impatient,
    patient,
)
from strategies import sites_of_one

from emul import ArgumentError, Link, NoData, World
from emul.links import EFFECTS, Jitter
from emul.programs import Compute, Issue, Recv, Send, Wait
from emul.runtime import record
from emul.runtime.replay import replayed_ps
from emul.runtime.without_effects import free_links, without_effects

MS, MB = 1e-3, 10**6
NIC = Link(1e12, 0.0)
EVERYTHING = COLLECTIVE_ACTS | MESSAGE_ACTS | ARRIVAL_ACTS


def between(link, sites=2, **settings):
    topology = sites_of_one(lambda a, b: link, sites, nic=NIC)
    return World(topology, **{"slicing": None, **settings})


def ps(seconds):
    return pytest.approx(seconds * 1e12, abs=5)


def parts(found):
    return {each.name: each.share_ps for each in found.shares}


def again_ps(world, off=(), *, keeps_plans=True):
    """The time of the whole program of ``world``, carried out again without some effects."""
    engine = world.engine
    recorded = engine.clocks.recorded(None, None)
    links = without_effects(engine.topology, engine.timing, off)
    return replayed_ps(recorded, *links, keeps_plans=keeps_plans)


@pytest.mark.parametrize("links", [None, patient, impatient])
def test_a_program_that_is_carried_out_again_takes_the_same_time(links):
    for number in range(fewer(12, 4)):
        tiny = Tiny(number, links, start_s=1.2345e-4 * (number % 2))
        Program(100 + number, tiny, EVERYTHING).finish()
        assert again_ps(tiny.world) == tiny.world.engine.clocks.moment_ps()
        assert again_ps(tiny.world, keeps_plans=False) == again_ps(tiny.world)


@pytest.mark.parametrize("stack", ["nccl", "gloo", "openmpi"])
def test_so_does_a_program_of_a_library_on_links_that_draw(stack):
    world = World("three-campus", stack=stack)
    groups = [world.group(ranks) for ranks in ([0, 9, 17], [3, 4, 5, 20])]
    handles = []
    for count in (100, 1 << 16):
        world.compute(1e-3, ranks=[count % 7])
        handles += [each.all_reduce(NoData(count, "float32"), async_op=True)
                    for each in (*groups, world)]  # fmt: skip
        handles.append(world.send(np.ones(count), 2, 11, async_op=True))
        handles.append(world.recv(2, 11, async_op=True))
    for handle in handles:
        handle.wait()
    assert again_ps(world) == round(world.now_s * 1e12)
    assert again_ps(world, keeps_plans=False) == again_ps(world)


def test_so_do_the_acts_of_single_ranks():
    def acts(rank):
        yield Compute(rank * 1e-4)
        yield Issue("all_reduce", 24 << 10, name="sum")
        if rank == 3:
            yield Send(20, 1000)
        if rank == 20:
            yield Recv(3, 1000)
        yield Wait("sum")
        if rank in (3, 20):
            yield Wait()

    world = World("three-campus")
    world.run(acts)
    assert again_ps(world) == round(world.now_s * 1e12)
    assert again_ps(world, keeps_plans=False) == again_ps(world)


def test_ranks_that_came_first_come_first_again():
    # Rank 1 issues and computes for 5 ms meanwhile; rank 0 comes after 3. The ring takes 7 ms.
    world = between(Link(1e9, 3 * MS))
    world.run(
        {
            0: [Compute(3 * MS), Issue("all_reduce", MB, dtype="uint8", algorithm="ring"), Wait()],
            1: [Issue("all_reduce", MB, dtype="uint8", algorithm="ring"), Compute(5 * MS), Wait()],
        }
    )
    assert world.now_s == pytest.approx(10 * MS)
    assert again_ps(world) == round(world.now_s * 1e12)


def test_compute_and_links_are_told_apart_by_hand():
    # Rank 1 computes for 20 ms, then both exchange 1 MB: half goes and comes, 2 steps of 0.5 ms and
    # 3 ms of distance each.
    world = between(Link(1e9, 3 * MS))
    world.compute(0.02, ranks=[1])
    world.mark("begin", ranks=[0])
    world.all_reduce(NoData(MB, "uint8"), algorithm="ring")
    found = world.explain()
    assert found.time_ps == ps(0.027)
    assert parts(found) == {"compute": ps(0.02), "latency": ps(6 * MS), "sending": ps(MS)}
    assert found.share_of("latency").alone_ps == ps(6 * MS)
    assert found.words()[0] == (
        "Why: the program from mark 'begin' (0) to now takes 27 ms: compute 20 ms (74.1 %), "
        "latency 6 ms (22.2 %), sending 1 ms (3.7 %)."
    )
    assert found.distance.startswith("Was it the distance? In part: latency is 6 ms (22.2 %)")
    assert found.bound_ps is None


def test_of_a_program_that_overlaps_only_the_exposed_part_is_shared():
    # 4 ms of messages behind 10 ms of compute, and 5 ms behind the last.
    world = between(Link(1e9, 3 * MS))
    handles = []
    for _ in range(2):
        handles.append(world.send_recv(NoData(MB, "uint8"), async_op=True, algorithm="direct"))
        world.compute(0.01)
    handles.append(world.send_recv(NoData(2 * MB, "uint8"), async_op=True, algorithm="direct"))
    for handle in handles:
        handle.wait()
    assert parts(world.explain()) == {
        "compute": ps(0.02), "latency": ps(3 * MS), "sending": ps(2 * MS),
    }  # fmt: skip


def test_a_stretch_between_marks_is_explained():
    world = between(Link(1e9, 3 * MS, jitter=Jitter(MS, 3.0)))
    for step in range(3):
        world.mark("step")
        world.compute(0.001 * step)
        world.all_reduce(NoData(MB, "uint8"), algorithm="ring")
    last = world.mark("end")
    for since, until in (("step", None), (None, last), ("step", "end")):
        found, path = world.explain(since, until), world.critical_path(since, until)
        assert found.time_ps == path.total_ps
        assert sum(parts(found).values()) == found.time_ps
        assert sum(each.duration_ps for each in found.chain) == found.time_ps
        assert found.subject == f"the program from {path.since} to {path.until}"
        assert parts(found)["compute"] == 2 * 10**9


def test_shares_sum_to_the_time_of_programs_on_links_that_change(monkeypatch):
    monkeypatch.setattr("emul.insight.players.MOST_PLAYERS", 2)
    for number in range(3):
        tiny = Tiny(number, patient)
        Program(number, tiny, EVERYTHING).finish()
        for plan in ("kept", "again"):
            found = tiny.world.explain(plan=plan)
            assert sum(parts(found).values()) == found.time_ps
            bare = again_ps(tiny.world, EFFECTS)
            assert parts(found)["sending"] + parts(found)["compute"] == bare


def test_each_operation_is_planned_again_on_the_links_at_hand():
    world = World(World("three-campus").topology.without(["gap", "loss", "jitter"]), slicing=None)
    run = world.all_reduce(NoData(1 << 18, "float32"))
    named = World(world.topology, slicing=None)
    named.all_reduce(NoData(1 << 18, "float32"), algorithm="ring")
    quiet = World(world.topology.without(["load"]), slicing=None)
    stays = quiet.predict("all_reduce", 1 << 18, algorithm=run.prediction.plan)
    anew = quiet.predict("all_reduce", 1 << 18)
    ring = quiet.predict("all_reduce", 1 << 18, algorithm="ring")
    assert len({each.total_ps for each in (stays, anew, ring)}) == 3
    assert again_ps(world, ["load"]) == stays.total_ps
    assert again_ps(world, ["load"], keeps_plans=False) == anew.total_ps
    assert again_ps(named, ["load"], keeps_plans=False) == ring.total_ps


def test_groups_that_are_alike_are_planned_again_for_their_company():
    world = World("three-campus", slicing=None)
    mesh = world.mesh(replicate=3, shard=8)
    handles = [group.all_reduce(NoData(1 << 18, "float32"), async_op=True)
               for group in mesh.groups("replicate")]  # fmt: skip
    for handle in handles:
        handle.wait()
    assert again_ps(world, keeps_plans=False) == round(world.now_s * 1e12)


def test_over_free_links_ranks_only_wait_for_each_other():
    topology = World("three-campus-dark-fibre").topology
    slow = tuple(
        replace(site, uplink_bytes_per_s=1e6, transit_s=MS, uplink_burst_bytes=10.0)
        for site in topology.sites
    )
    world = World(replace(topology, sites=slow), stack="gloo")
    world.compute(0.003, ranks=[5])
    world.broadcast(NoData(1 << 20, "float32"), root=2)  # waits for nobody but the root
    world.compute(0.002, ranks=[2, 5])
    world.all_reduce(NoData(1 << 20, "float32"))
    recorded = world.engine.clocks.recorded(None, None)
    links = free_links(world.engine.topology, world.engine.timing)
    assert replayed_ps(recorded, *links, keeps_plans=True) == 5 * 10**9


def test_a_record_that_lacks_its_beginning_is_refused(monkeypatch):
    monkeypatch.setattr(record, "MOST_ACTS", 8)
    world = between(Link(1e9, 3 * MS))
    for _ in range(20):
        world.all_reduce(NoData(8, "uint8"), algorithm="ring")
    with pytest.raises(ArgumentError, match="needed World\\(record=True\\), which keeps all"):
        world.explain()
    kept = between(Link(1e9, 3 * MS), record=True)
    for _ in range(20):
        kept.all_reduce(NoData(8, "uint8"), algorithm="ring")
    assert parts(kept.explain())["latency"] == ps(20 * 6 * MS)


def test_bad_input_is_refused():
    world = between(Link(1e9, 3 * MS))
    with pytest.raises(ArgumentError, match="plan 'anew': needed one of kept, again"):
        world.explain(plan="anew")
    with pytest.raises(ArgumentError, match="since 'begin': needed a Mark or the name of one"):
        world.explain("begin")
    (said,) = world.explain().words()
    assert said == "Why: no time passes in the program from the beginning to now."
    few = World("three-campus-300k")
    few.collapse(replicate=375, shard=800)
    with pytest.raises(ArgumentError, match="explain in a World of which few ranks are timed"):
        few.explain()


def test_the_clocks_of_the_world_stay():
    world = between(replace(Link(1e9, 3 * MS), jitter=Jitter(MS, 2.0)))
    handle = world.all_reduce(NoData(MB, "uint8"), algorithm="ring", async_op=True)
    before = world.ranks_now_s
    found = world.explain()
    assert found.time_ps == 0  # nobody has waited
    assert (world.ranks_now_s == before).all()
    handle.wait()
    assert world.explain().time_ps == round(world.now_s * 1e12)
    assert len(world.history) == 1
