"""The cases of a search: savings by hand, budgets, and a file that keeps them."""

import json
from dataclasses import replace

import pytest
from made_up_times import MadeUp, three_sites

from emul import ArgumentError
from emul.errors import FileError
from emul.insight import tuning as module
from emul.insight.case_log import CaseLog, digest_of
from emul.insight.cases import Tuning, settings_words
from emul.insight.tuning import tuned
from emul.insight.upgrades import upgrades_of
from emul.topology.costs import Costs, UnitCosts

TOPOLOGY = three_sites()
COSTS = Costs("EUR", UnitCosts(per_gbit_per_s=125.0))  # 1 GB/s more costs 1000


def upgrades(kinds=("rate",), costs=COSTS):
    return upgrades_of(TOPOLOGY, costs, kinds)


def run(problem=None, some=None, log=None, **how):
    done = list(tuned(problem or MadeUp(), TOPOLOGY, some or upgrades(),
                      log=log or CaseLog(None, ""), **how))  # fmt: skip
    return Tuning("it", tuple(case for case, _ in done), done[-1][1], (), "EUR")


def saved(found, kind):
    names = [trunk.name for trunk in TOPOLOGY.trunks]
    return {
        tuple((names.index(" - ".join(each.place)), each.by) for each in case.changes): case.saves_s
        for case in found.of_kind(kind)
    }


def test_each_case_is_solved_anew():
    # 4, 3 and 1 s over the three trunks, of which the longest counts; x = 1 is 20 % off.
    found = run()
    assert found.today.time_s == pytest.approx(4.8)
    assert found.today.saves_s is None
    assert (found.best.time_s, found.best.settings) == (4.0, {"x": 3})
    assert saved(found, "upgrade") == {
        ((0, 2),): 1.0, ((0, 4),): 1.0,
        ((1, 2),): 0.0, ((1, 4),): 0.0, ((2, 2),): 0.0, ((2, 4),): 0.0,
    }  # fmt: skip
    both = saved(found, "pair")
    assert len(both) == 12
    # With 2 and 2 times 2 and 1.5 s are left; with 4 and 4 the third trunk binds.
    assert both[(0, 2), (1, 2)] == 2.0
    assert both[(0, 4), (1, 2)] == 2.5
    assert both[(0, 4), (1, 4)] == 3.0
    assert both[(1, 4), (2, 2)] == 0.0


def test_the_frontier_and_the_upgrade_that_is_chosen():
    found = run()
    # Twice the first: 1 s for 1000; both twice: 2 s for 2000; 4 and 2 times: 2.5 s for 4000; 4 and
    # 4 times: 3 s for 6000.
    assert [(case.cost_per_month, case.time_s) for case in found.frontier] == [
        (0.0, 4.0), (1000.0, 3.0), (2000.0, 2.0), (4000.0, 1.5), (6000.0, 1.0),
    ]  # fmt: skip
    assert found.chosen().saved_per_1000 == 1.0
    assert found.chosen(within_budget=True).time_s == 1.0
    unknown = run(some=upgrades(costs=None))
    assert unknown.chosen().saves_s == 1.0
    assert unknown.chosen().kind == "upgrade"
    assert [case.name for case in unknown.frontier] == ["best settings"]
    none = run(MadeUp(bytes_of=(4e9, 4e9, 4e9)), pairs=False)
    assert none.chosen() is None


def test_a_budget_leaves_out_the_dearer_and_those_without_a_cost():
    found = run(budget_per_month=2000.0)
    assert {case.cost_per_month for case in found.cases} == {0.0, 1000.0, 2000.0}
    assert max(case.saved_s for case in found.cases) == 2.0
    assert found.chosen(within_budget=True).saves_s == 2.0
    assert len(run(some=upgrades(costs=None), budget_per_month=9.0).cases) == 2


def test_of_too_many_pairs_those_are_solved_whose_parts_save_most(monkeypatch):
    monkeypatch.setattr(module, "MOST_PAIRS", 3)
    found = run()
    assert found.pairs_left_out == 9
    first = TOPOLOGY.trunks[0].sites
    for case in found.of_kind("pair"):
        assert first in [change.place for change in case.changes]
    assert "Not searched: 9 pairs of upgrades that save less alone." in found.words()
    assert run(pairs=False).of_kind("pair") == []


def test_an_upgrade_that_cannot_be_timed_is_told():
    some = upgrades()
    found = run(MadeUp(refused=(some[0].topology,)), some, pairs=False)
    (refused,) = (case for case in found.cases if case.time_s is None)
    assert refused.name == some[0].words
    assert (refused.saves_s, refused.saved_s) == (None, 0.0)
    assert f"Not timed: {refused.name}: no time with 1." in found.words()
    with pytest.raises(ArgumentError, match="no time with 1"):
        run(MadeUp(refused=(TOPOLOGY,)))


def test_upgraded_links_start_from_the_best_settings_of_today():
    problem = MadeUp(best=12)
    run(problem, upgrades()[:1], pairs=False)
    there = [settings for topology, settings in problem.calls if topology != TOPOLOGY]
    assert there[:3] == [{"x": 1}, {"x": 12}, {"x": 12, "kept": "yes"}]


def test_a_file_keeps_the_cases_and_none_is_solved_twice(tmp_path):
    path = tmp_path / "state"
    first = MadeUp()
    whole = run(first, log=CaseLog(path, "inputs"))
    again = MadeUp()
    assert run(again, log=CaseLog(path, "inputs")) == whole
    assert again.calls == []
    # Half of the cases, the last of them torn.
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:5]) + lines[5][:20])
    rest = MadeUp()
    assert run(rest, log=CaseLog(path, "inputs")) == whole
    assert 0 < len(rest.calls) < len(first.calls)
    assert path.read_bytes().splitlines(keepends=True) == lines
    # Other costs are no other cases.
    dearer = run(MadeUp(), upgrades(costs=Costs("EUR", UnitCosts(per_gbit_per_s=250.0))),
                 log=CaseLog(path, "inputs"))  # fmt: skip
    assert dearer.frontier[1].cost_per_month == 2000.0


def test_a_refused_case_is_kept_too(tmp_path):
    some = upgrades()[:1]
    problem = MadeUp(refused=(some[0].topology,))
    found = run(problem, some, CaseLog(tmp_path / "state", ""))
    again = MadeUp()
    assert run(again, some, CaseLog(tmp_path / "state", "")) == found
    assert again.calls == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"kind": "emul-tune-state-1", "inputs": "others"}\n', "holds the cases of other inputs"),
        ('{"kind": "else"}\n', "holds no cases of emul tune"),
        ("name = 3\n", "holds no cases of emul tune"),
        ("[1]\n", "holds no cases of emul tune"),
        ('{"kind": "emul-tune-state-1", "inputs": "i"}\n{"case": "as it is", "changes": 3}\n',
         "cannot be read"),
    ],
)  # fmt: skip
def test_a_file_of_other_inputs_or_of_another_kind_is_refused(tmp_path, text, complaint):
    path = tmp_path / "state"
    path.write_text(text)
    with pytest.raises(ArgumentError, match=complaint):
        run(log=CaseLog(path, "i"))
    assert path.read_text() == text


def test_a_file_that_cannot_be_read_or_written_is_told(tmp_path):
    with pytest.raises(FileError, match="cannot be read"):
        CaseLog(tmp_path, "")
    with pytest.raises(FileError, match="cannot be written"):
        run(log=CaseLog(tmp_path / "no" / "state", ""))


def test_a_digest_is_of_all_that_is_there():
    other = replace(TOPOLOGY, trunks=(replace(TOPOLOGY.trunks[0], km=3), *TOPOLOGY.trunks[1:]))
    assert digest_of(TOPOLOGY) == digest_of(three_sites()) != digest_of(other)
    assert digest_of({"a": 1, "b": frozenset("xy")}) == digest_of({"b": frozenset("yx"), "a": 1})
    assert digest_of(1) != digest_of(1.0) != digest_of("1.0")


def test_the_words_tell_computed_gains_alone():
    found = run()
    words = found.words()
    assert words[0] == "Settings: it takes 4.8 s as it is, and 4 s with x 3 (16.7 % less)."
    first = TOPOLOGY.trunks[0].name
    second, third = TOPOLOGY.trunks[1].name, TOPOLOGY.trunks[2].name
    assert words[1] == (
        f"Upgrade: 2 times the rate of {first} saves 1 s of 4 s (25 %); then most of the time "
        "passes at somewhere."
    )
    assert words[2] == (
        "Little: less than 1 % is saved by "
        + ", ".join(f"{times} times the rate of {each}" for times in (2, 4)
                    for each in (second, third)) + "."
    )  # fmt: skip
    assert words[3] == (
        f"Two together: 4 times the rate of {first}, and 4 times the rate of {second} save 3 s of "
        "4 s (75 %); alone they save 1 s and 0 ns; then most of the time passes at somewhere."
    )
    assert words[4] == (
        f"Money: most is saved per money by 2 times the rate of {first}: 1 s for 1000 EUR a month, "
        "1 s for each 1000 EUR."
    )
    tried = sum(case.tried for case in found.cases)
    assert words[5] == f"Extent: 20 cases, each solved on its own links, {tried} times worked out."
    assert json.loads(json.dumps(words)) == words
    assert repr(found) == f"<Tuning of it: 4 s at best; 2 times the rate of {first} saves 1 s>"


def test_words_of_settings_name_those_that_differ():
    now = {"algorithm at 1 MiB": "ring", "algorithm at 2 MiB": "direct", "slots": 16}
    than = {"algorithm at 1 MiB": "ring", "algorithm at 2 MiB": "ring", "slots": 8}
    assert settings_words(now, than) == "direct at 2 MiB, slots 16"
