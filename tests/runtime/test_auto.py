"""``auto`` passes over what cannot be timed, names it, and chooses from the others."""

import json
import re
import sys
from functools import cache
from itertools import cycle

import pytest
from command import SMALL, emul
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples
from two_sites import two_sites

from emul import (
    CapacityError,
    EmulError,
    NoData,
    OutageError,
    TimeLimitError,
    World,
)
from emul.cli.sweep import Sweep
from emul.links import Changes, Outages
from emul.plans import (
    algorithms_for,
    build_plan,
    passes,
    proof_bytes,
    verify,
)
from emul.report import closing_words
from emul.runtime import planner as planning
from emul.timing import Slicing
from emul.topology import Topology

FAULTS = {
    "memory": CapacityError("timing 7 slices: 9 GiB needed, 1 GiB of memory available"),
    "no memory": MemoryError(),
    "time": TimeLimitError("it would take 60 days: needed at most 53"),
    "outage": OutageError("trunk a - b was down for 40 s"),
}
NAMES = algorithms_for("all_reduce")


def faulty(monkeypatch, faults):
    """Let the timing of some algorithms fail, each in its way; return whom it was tried with."""
    timed, asked = planning.Planner._timed, []

    def fails(self, request, plan, *others):
        asked.append(plan.algorithm)
        if plan.algorithm in faults:
            raise FAULTS[faults[plan.algorithm]]
        return timed(self, request, plan, *others)

    monkeypatch.setattr(planning.Planner, "_timed", fails)
    return asked


@cache
def times_by_name():
    world = World("three-campus")
    return {name: world.predict("all_reduce", 1 << 16, algorithm=name).time_s for name in NAMES}


@examples(25)
@given(
    faults=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(list(FAULTS)), min_size=1),
    collapse=st.booleans(),
)
def test_what_fails_is_named_and_the_quickest_other_is_taken(faults, collapse):
    left = {name: time for name, time in times_by_name().items() if name not in faults}
    with pytest.MonkeyPatch.context() as monkeypatch:
        faulty(monkeypatch, faults)
        world = World("three-campus")
        if not left:
            with pytest.raises(EmulError, match="no algorithm for all_reduce can be timed"):
                world.predict("all_reduce", 1 << 16)
            return
        found = world.predict("all_reduce", 1 << 16, collapse=collapse)
    assert found.time_s == min(left.values())
    assert found.considered.items() <= left.items()
    reasons = {name: str(FAULTS[kind]) or "out of memory" for name, kind in faults.items()}
    assert found.passed_over.items() <= reasons.items()
    assert {*found.considered, *found.passed_over, *found.ruled_out} == set(NAMES)
    words = closing_words(world, found, None)[-1]
    named = words.partition(" Not timed: ")[2]
    assert all(name in named for name in found.passed_over)
    assert all(named.count(why) == 1 for why in found.passed_over.values())


@pytest.mark.parametrize(
    ("kinds", "raised"),
    [
        (["outage"], OutageError),
        (["time"], TimeLimitError),
        (["memory"], CapacityError),
        (["memory", "outage", "time", "no memory"], CapacityError),
    ],
)
def test_if_all_fail_one_error_names_every_reason(monkeypatch, kinds, raised):
    faults = dict(zip(NAMES, cycle(kinds), strict=False))
    asked = faulty(monkeypatch, faults)
    with pytest.raises(raised) as refused:
        World("three-campus").predict("all_reduce", 1 << 16)
    said = str(refused.value)
    assert set(asked) == set(NAMES)
    assert said.startswith("auto: no algorithm for all_reduce can be timed: ")
    assert all(name in said for name in NAMES)
    assert all(said.count(str(FAULTS[kind]) or "out of memory") == 1 for kind in kinds)
    assert said.count("\n") == 0


THIN = """
[defaults]
node_link = { rate_gbit_per_s = 400, latency_us = 1 }
site_link = { rate_gbit_per_s = 400, latency_us = 1 }
trunk = { rate_gbit_per_s = 2e-6, latency_us = 10 }
[[site]]
name = "a"
nodes = [4]
[[site]]
name = "b"
nodes = [4]
[[trunk]]
between = ["a", "b"]
"""


def test_a_thin_trunk_kills_no_answer(tmp_path):
    # 512 MiB over 2 kbit/s take 25 days; whoever sends them more than twice takes too long
    (tmp_path / "thin.toml").write_text(THIN)
    json_path = tmp_path / "out.json"
    asked = ["--clock", "virtual", "--no-data", "-b", "512M", "-e", "512M", *SMALL]
    result = emul(
        "perf", "--topology", str(tmp_path / "thin.toml"), *asked, "--json", str(json_path)
    )
    assert result.returncode == 0, result.stderr
    (row,) = json.loads(json_path.read_text())["rows"]
    assert row["modelled_s"] >= row["bound_s"]
    assert re.search(r"take: .* \d+ more were not timed: each needs at least \d", result.stdout)


def test_work_is_looked_up_before_it_begins(monkeypatch):
    proven = []
    build = planning.build_plan
    monkeypatch.setattr(
        planning, "build_plan", lambda *args, **more: proven.append(args[1]) or build(*args, **more)
    )
    monkeypatch.setattr("emul.runtime.candidates.MOST_WORK_OF_AUTO", 300)
    made, of = [], planning.Program.of
    monkeypatch.setattr(
        planning.Program, "of", lambda plan, *more: made.append(plan.algorithm) or of(plan, *more)
    )
    found = World("three-campus", slicing=None).predict("all_reduce", 1 << 20)
    assert found.passed_over
    assert not found.passed_over.keys() & {*proven, *made}
    assert {*found.considered, *found.passed_over, *found.ruled_out} == set(NAMES)
    assert all("name the algorithm to have it timed" in why for why in found.passed_over.values())
    named = next(iter(found.passed_over))
    assert World("three-campus").predict("all_reduce", 1 << 20, algorithm=named).time_s > 0


def test_slices_without_memory_are_passed_over(monkeypatch):
    monkeypatch.setattr("emul.memory.ALWAYS_THERE_BYTES", 0)
    monkeypatch.setattr("emul.memory.available_bytes", lambda: 1 << 20)
    found = World("three-campus", slicing=Slicing(4096, 8)).predict("all_reduce", 1 << 15)
    assert found.considered
    assert any("of memory available" in why for why in found.passed_over.values())


def down_for_a_day(topology):
    """``topology`` with its first trunk down from the start, longer than any transport bears."""
    first, *others = topology.trunks
    link = first.link
    trunk = type(first)(first.sites, link, first.km, Changes(outages=Outages(((0.0, 86400.0),))))
    return Topology(topology.name, topology.sites, (trunk, *others))


def test_an_outage_leaves_those_that_do_not_cross_it():
    topology = down_for_a_day(World("three-campus").topology)
    prediction = World(topology).predict("broadcast", 1 << 20)
    assert prediction.considered
    assert set(prediction.ruled_out) >= set(prediction.passed_over)


def sweep_of(algorithm):
    return Sweep(
        World("three-campus"), "all_reduce", algorithm, "float", "sum", 0, 1, 0, 1, no_data=False
    )


@pytest.mark.parametrize("algorithm", ["auto", "ring", "hierarchical"])
def test_one_place_is_timed_like_a_world_of_one_site(algorithm):
    """Where auto has none for it that is quicker than the algorithm that was named."""
    sweep = sweep_of(algorithm)
    one = World(sweep.world.topology.in_one_place())
    known = [one.predict("all_reduce", 1 << 16, algorithm=name) for name in ("auto", algorithm)]
    there = sweep.in_one_place(1 << 16)
    assert there.total_ps == min(each.total_ps for each in known)
    assert there.algorithm == known[0].algorithm


@pytest.mark.parametrize("bound", ["MOST_WORK_OF_AUTO", "MOST_PROOF_BYTES"])
@pytest.mark.parametrize("algorithm", ["auto", "hierarchical"])
def test_one_place_is_left_out_where_it_would_be_too_much_work(algorithm, bound, monkeypatch):
    sweep = sweep_of(algorithm)
    here = sweep.predict(sweep.world, 1 << 16)
    monkeypatch.setattr(f"emul.runtime.candidates.{bound}", 1)
    assert sweep.in_one_place(1 << 16) is None
    words = closing_words(sweep.world, here, sweep.in_one_place(1 << 16))
    assert not any(line.startswith("One campus") for line in words)


def test_a_proof_of_much_memory_is_passed_over_and_named(monkeypatch):
    needed = {
        name: proof_bytes(
            build_plan("all_reduce", name, World("three-campus").topology.ranks_by_node)
        )
        for name in NAMES
    }
    most = sorted(needed.values())[len(needed) // 2]
    monkeypatch.setattr("emul.runtime.candidates.MOST_PROOF_BYTES", most)
    found = World("three-campus").predict("all_reduce", 1 << 16)
    large = {name for name, nbytes in needed.items() if nbytes > most}
    assert large
    assert set(found.passed_over) == large
    assert all("for its proof: too much for auto" in why for why in found.passed_over.values())


@pytest.mark.parametrize("algorithm", ["ring", "halving_doubling", "hierarchical"])
def test_a_proof_of_much_memory_is_cut_up_where_chunks_keep_their_places(algorithm, monkeypatch):
    plan = build_plan("all_reduce", algorithm, (4, 4))
    whole = proof_bytes(plan)
    assert passes(plan) == 1
    monkeypatch.setattr(sys.modules["emul.plans.proof.verify"], "MOST_BYTES_AT_ONCE", whole // 2)
    assert passes(plan) == 2
    assert proof_bytes(plan) <= whole // 2
    verify(plan)


@pytest.mark.parametrize(
    ("collective", "algorithm"), [("all_to_all", "direct"), ("all_reduce", "hierarchical:one_shot")]
)
def test_a_proof_is_not_cut_up_where_chunks_change_places(collective, algorithm, monkeypatch):
    plan = build_plan(collective, algorithm, (4, 4))
    monkeypatch.setattr(
        sys.modules["emul.plans.proof.verify"], "MOST_BYTES_AT_ONCE", proof_bytes(plan) // 2
    )
    assert passes(plan) == 1
    verify(plan)


def at_once(topology, count, algorithm):
    """When all groups across the sites are done, and the first of their runs."""
    world = World(topology)
    groups = world.mesh(replicate=2, shard=4).groups("replicate")
    x = NoData(count, "float32")
    handles = [g.all_reduce(x, algorithm=algorithm, async_op=True) for g in groups]
    runs = [handle.wait() for handle in handles]
    return world.now_s, runs[0]


@pytest.mark.parametrize("count", [100, 10**5, 4 * 10**6])
def test_auto_chooses_for_all_groups_that_operate_at_once(count):
    topology = two_sites(4)
    time_s, run = at_once(topology, count, "auto")
    considered = run.prediction.considered
    assert run.prediction.company == 4
    each = {name: at_once(topology, count, name)[0] for name in considered}
    assert each == dict(considered)
    assert time_s == min(each.values())


def test_a_group_by_itself_is_in_no_company():
    world = World(two_sites(4))
    run = world.group([0, 4]).all_reduce(NoData(10**6, "float32"))
    assert run.prediction.company == 1
    assert run.time_s == run.prediction.time_s
