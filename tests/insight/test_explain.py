"""Why a collective is slow, on random links and by times that are worked out by hand."""

from dataclasses import FrozenInstanceError, replace
from itertools import combinations

import pytest
from bound_fuzz import drawn_call, drawn_graph
from closed_forms.sites import ring_across_s
from strategies import root_of, sites_of_one

import emul
from emul import ArgumentError, Link, OutageError, World
from emul.insight import collective as module
from emul.links import EFFECTS, Changes, OtherTraffic, Outages, Transport
from emul.stacks import Constants, Stack
from emul.timing import Slicing

MS, MB = 1e-3, 10**6
NIC = Link(1e12, 0.0)


def between(link, sites=2, changes=None, **settings):
    topology = sites_of_one(lambda a, b: link, sites, nic=NIC)
    if changes is not None:
        trunks = tuple(replace(trunk, changes=changes) for trunk in topology.trunks)
        topology = replace(topology, trunks=trunks)
    return World(topology, **{"slicing": None, **settings})


def sent(world, nbytes=MB, **how):
    return emul.explain(world, "broadcast", nbytes, dtype="uint8", algorithm="direct", **how)


def parts(found):
    return {each.name: each.share_ps for each in found.shares}


def ps(seconds):
    return pytest.approx(seconds * 1e12, abs=3)


def test_one_message_on_a_link_of_rate_and_latency_is_at_its_bound():
    found = sent(between(Link(1e9, 5 * MS)))
    # 1 ms of bytes, 5 ms of distance: nothing overlaps, and no schedule is quicker.
    assert parts(found) == {"latency": ps(5 * MS), "sending": ps(MS), "schedule": ps(0)}
    assert found.share_of("latency").alone_ps == ps(5 * MS)
    assert found.share_of("jitter") is None
    assert found.distance == (
        "Was it the distance? Mostly: latency is 5 ms (83.3 %) of the 6 ms; without any, it would "
        "take 1 ms."
    )


def test_effects_that_overlap_share_their_overlap():
    # A window of 250 kB each 10 ms: 1 MB takes 40 + 5 ms; without latency, or without the window,
    # 1 ms and (without the window) 5 ms of distance. So either of the two ends the 39 ms that they
    # make together. The bound counts the latency, and is blind to the window.
    link = Link(1e9, 5 * MS, transport=Transport(window_bytes=250e3))
    found = sent(between(link))
    assert found.time_ps == ps(45 * MS)
    window = 39 * MS / 2
    # With T of neither 1 ms, of latency 6, of the window 1, of both 45, and bounds of 1 and 6 ms:
    assert parts(found) == {
        "window": ps(window),
        "latency": ps(5 * MS + window),
        "sending": ps(MS),
        "schedule": ps(0),
    }
    assert {each.name: each.alone_ps for each in found.shares} == {
        "window": ps(39 * MS),
        "latency": ps(44 * MS),
        "sending": None,
        "schedule": ps(39 * MS),
    }
    assert any(line.startswith("Alone: the gains of one change") for line in found.words())


def test_load_that_takes_three_quarters_is_shared_with_the_schedule():
    # A ring of three sites uses one direction of each trunk, of which a quarter is left: 16 ms, and
    # 4 without load. No schedule is quicker than 4 vectors over all six directions: 8 ms, and 2.
    link = Link(1e9, 0.0, others=OtherTraffic(load=0.75))
    found = emul.explain(between(link, 3), "all_reduce", 3 * MB, dtype="uint8", algorithm="ring")
    assert ring_across_s(3, 3 * MB, uplink_bytes_per_s=0.25e9, delay_s=0.0) == pytest.approx(
        16 * MS
    )
    assert found.time_ps == ps(16 * MS)
    assert found.bound_ps == ps(8 * MS)
    # load: half of 8 - 2 and of 16 - 4; the schedule: half of 4 - 2 and of 16 - 8.
    assert parts(found) == {"load": ps(9 * MS), "schedule": ps(5 * MS), "sending": ps(2 * MS)}
    assert found.share_of("schedule").alone_ps == ps(8 * MS)


def tried(numbers, drawn, **how):
    """Yield random calls with their explanations, and how they are predicted."""
    for number in numbers:
        call = drawn_call(number, drawn) if drawn else drawn_call(number)
        where = root_of(call.collective, call.root)
        arguments = (call.collective, call.count)
        settings = {"dtype": "uint8", "algorithm": call.algorithm, **where}
        try:
            prediction = call.world.predict(*arguments, **settings)
            found = emul.explain(call.world, *arguments, **settings, **how)
        except (ArgumentError, OutageError):
            continue
        yield call, prediction, found


@pytest.mark.parametrize(
    ("plan", "drawn", "numbers"),
    [
        ("kept", None, range(10)),
        ("again", None, range(24, 30)),
        ("kept", drawn_graph, range(2)),
        ("again", drawn_graph, range(6, 7)),
    ],
)
def test_shares_sum_to_the_time_on_links_of_every_kind(plan, drawn, numbers, monkeypatch):
    monkeypatch.setattr("emul.insight.players.MOST_PLAYERS", 3)  # few subsets of many effects
    names = set()
    for call, prediction, found in tried(numbers, drawn, plan=plan):
        assert found.time_ps == prediction.total_ps, call
        assert sum(each.share_ps for each in found.shares) == found.time_ps
        assert sum(each.duration_ps for each in found.chain) == found.time_ps
        assert found.bound_ps <= prediction.bound_ps < found.bound_ps + 10**6
        told = [effect for each in found.shares for effect in each.effects]
        assert len(told) == len(set(told))
        assert set(told) <= {*EFFECTS, "schedule", "sending"}
        names |= set(told)
        assert all(found.words())
    assert len(names) >= 5


def test_all_off_is_the_time_of_ideal_links(monkeypatch):
    # With a bound that says nothing, the schedule and sending are the time without any effect.
    monkeypatch.setattr("emul.insight.players.MOST_PLAYERS", 3)
    monkeypatch.setattr(module, "_bounds_ps", lambda found: [0] * len(found))
    for call, prediction, found in tried(range(40, 48), None):
        world = call.world
        bare = world.planner.topology.without(EFFECTS)
        slicing = world.slicing and Slicing(world.slicing.slice_bytes, 1 << 30)
        if world.stack.name != "ideal":
            continue
        ideal = World(bare, slicing=slicing, seed=world.seed, start_s=world.start_s)
        where = root_of(call.collective, call.root)
        then = ideal.predict(
            call.collective, call.count, dtype="uint8", algorithm=prediction.plan, **where
        )
        assert parts(found)["schedule"] + parts(found)["sending"] == then.total_ps
        told = {s.effects: s.alone_ps for s in found.shares if s.effects[0] in EFFECTS}
        silent = {*EFFECTS}.difference(*told)
        for effects, alone_ps in (told | {(each,): 0 for each in silent}).items():
            if {*effects} & {"window", "host"}:
                continue  # whose switches are not of the topology alone
            changed = World(world.planner.topology.without(effects), slicing=world.slicing,
                            seed=world.seed, start_s=world.start_s)  # fmt: skip
            now = changed.predict(call.collective, call.count, dtype="uint8",
                                  algorithm=prediction.plan, **where)  # fmt: skip
            assert alone_ps == prediction.total_ps - now.total_ps, (effects, call)


def test_a_plan_is_kept_or_chosen_again():
    world = World(World("three-campus").topology.without(["gap", "loss"]), slicing=None)
    kept, again = (emul.explain(world, "all_reduce", 1 << 18, plan=each)
                   for each in ("kept", "again"))  # fmt: skip
    today = world.predict("all_reduce", 1 << 18)
    assert kept.algorithms == (today.algorithm,)
    load = kept.share_of("load")
    quiet = World(world.topology.without(["load"]), slicing=None)
    stays = quiet.predict("all_reduce", 1 << 18, algorithm=today.plan)
    anew = quiet.predict("all_reduce", 1 << 18)
    assert stays.algorithm == load.algorithm != anew.algorithm
    assert load.alone_ps == today.total_ps - stays.total_ps
    assert again.share_of("load").alone_ps == today.total_ps - anew.total_ps
    assert again.share_of("load").algorithm == anew.algorithm
    assert f"kept, {today.algorithm}, in the 16 times" in kept.words()[-1]
    others = len(set(again.algorithms)) - 1
    assert f"({others} others where some effects are off)" in again.words()[-1]


def test_bounds_hang_on_no_plan():
    world = World("three-campus")
    plans = [
        world.predict("all_reduce", 1000, algorithm=each) for each in ("ring", "direct", "pairwise")
    ]
    assert len({each.bound_ps for each in plans}) > 1  # by the rounding of their transfers
    for found in (plans, plans[::-1]):
        assert module._bounds_ps(found) == [min(each.bound_ps for each in plans)] * 3


@pytest.mark.parametrize("stack", ["nccl", "gloo", "openmpi"])
def test_a_library_sends_its_kept_plan_as_it_did(stack, monkeypatch):
    monkeypatch.setattr("emul.insight.players.MOST_PLAYERS", 3)
    world = World("three-campus", stack=stack)
    for count in (256, 1 << 18):
        found = emul.explain(world, "all_reduce", count)
        assert found.time_ps == world.predict("all_reduce", count).total_ps
        assert found.share_of("host").share_ps > 0


def test_ranks_that_are_alike_are_timed_once():
    world = World("three-campus-300k")
    found = emul.explain(world, "all_reduce", 300_000)
    assert found.time_ps == world.predict("all_reduce", 300_000, collapse=True).total_ps
    assert sum(parts(found).values()) == found.time_ps


def test_the_words_add_up_and_answer():
    world = World("three-campus")
    found = emul.explain(world, "all_reduce", 1 << 23, algorithm="hierarchical:nodes")
    why, distance, schedule, bound, _, chain, _ = found.words()
    assert why.startswith("Why: all_reduce of 32 MiB takes 290.5 ms: load ")
    assert distance.startswith("Was it the distance? Hardly: latency is ")
    assert "145.5 ms above the bound of 145 ms, 2 times as long:" in schedule
    assert bound == (
        "Bound: east - south and south - north together cannot carry 32 MiB in less than 145 ms."
    )
    assert [(each.trunk, each.price) for each in found.slopes] == [
        ("east - south", 1.0), ("south - north", 1.0),
    ]  # fmt: skip
    assert chain.startswith("Chain: 289.8 ms (99.8 %) at trunk north -> south: 289.2 ms sending")
    assert repr(found) == (
        "<Explanation of all_reduce of 32 MiB: 290.5 ms, plan kept; most by load>"
    )
    assert "Was it the distance?" in found._repr_html_()


def test_effects_that_are_not_told_apart_are_named(monkeypatch):
    monkeypatch.setattr("emul.insight.players.MOST_PLAYERS", 1)
    link = Link(1e9, 5 * MS, others=OtherTraffic(load=0.5, queue_bytes=1e6))
    found = sent(between(link))
    # 2 ms of bytes, 1 ms behind others' packets, 5 ms of distance; without all three 1 ms.
    assert found.time_ps == ps(8 * MS)
    assert [each.name for each in found.shares] == ["latency + queue + load", "schedule", "sending"]
    assert parts(found)["latency + queue + load"] == ps(7 * MS)
    assert found.share_of("queue") is found.share_of("load")
    said = next(line for line in found.words() if line.startswith("Together: "))
    assert said.startswith("Together: latency and queue and load were only switched off together")
    assert "latency with queue, load is 7 ms (87.5 %) of the 8 ms" in found.distance
    assert not any("Together" in line for line in sent(between(Link(1e9, MS))).words())


@pytest.mark.parametrize(
    ("latency_s", "answer"),
    [(0.05 * MS, "Hardly"), (0.5 * MS, "In part"), (2 * MS, "Mostly"), (0.0, "No: without any")],
)
def test_the_distance_is_judged_by_its_share(latency_s, answer):
    # Beside 1 ms of bytes.
    assert sent(between(Link(1e9, latency_s))).distance.startswith(f"Was it the distance? {answer}")


def test_at_one_site_it_was_not_the_distance():
    found = emul.explain(World("one-campus"), "all_reduce", 1024)
    assert found.distance == "Was it the distance? No: all ranks are at one site."
    alone = emul.explain(World("one-campus").group([3]), "all_reduce", 1024)
    assert alone.time_ps == 0
    assert alone.words() == ["Why: no time passes in all_reduce of 4 KiB."]


def test_a_subset_that_cannot_be_timed_is_named():
    # The link is down from 0.5 to 4 ms. Software takes 5 ms before anything is sent; without it the
    # connection is dead after 3 retries of 0.5 ms.
    link = Link(1e9, 0.1 * MS, transport=Transport(recovery="gbn", rto_s=0.5 * MS, retries=3))
    down = Changes(outages=Outages(schedule=((0.5 * MS, 3.5 * MS),)))
    slow = Stack("slow", constants=Constants(call_s=5 * MS))
    world = between(link, changes=down, stack=slow)
    assert world.predict("broadcast", MB, dtype="uint8", algorithm="direct").time_s == (
        pytest.approx(6.1 * MS)
    )
    with pytest.raises(OutageError, match=r"^without .*host: "):
        sent(world)


def test_bad_input_is_refused():
    world = World("three-campus")
    with pytest.raises(ArgumentError, match="plan 'once': needed one of kept, again"):
        emul.explain(world, "all_reduce", 6, plan="once")
    with pytest.raises(ArgumentError, match="unknown collective"):
        emul.explain(world, "all_reduces", 6)
    found = emul.explain(world.group([0, 8]), "all_reduce", 6)
    with pytest.raises(FrozenInstanceError):
        found.time_ps = 0


def test_every_subset_of_effects_is_timed_once(monkeypatch):
    calls = []
    without = module.without_effects

    def noted(topology, timing, off):
        calls.append(tuple(off))
        return without(topology, timing, off)

    monkeypatch.setattr(module, "without_effects", noted)
    found = emul.explain(World("three-campus"), "all_reduce", 64)
    there = ("latency", "window", "gap", "loss", "jitter", "load")
    subsets = [off for size in range(1, 7) for off in combinations(there, size)]
    assert sorted(calls) == sorted(subsets)
    assert found.times == 64
