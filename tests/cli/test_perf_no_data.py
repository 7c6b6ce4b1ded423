import json
import re

import pytest
from click.testing import CliRunner
from command import emul

from emul.cli.main import main
from emul.plans import build_plan, plan_xml

NO_DATA = ["--clock", "virtual", "--no-data"]


def rows(tmp_path, *arguments):
    """The rows of a sweep without data, and what was printed."""
    path = tmp_path / "out.json"
    result = CliRunner().invoke(main, ["perf", *NO_DATA, "--json", str(path), *arguments])
    assert result.exit_code == 0, result.output
    return json.loads(path.read_text())["rows"], result.output


def test_without_data_the_times_are_the_same(tmp_path):
    sweep = ["-b", "1K", "-e", "64K", "-f", "8", "--algorithm", "hierarchical:nodes"]
    found, _ = rows(tmp_path, *sweep)
    path = tmp_path / "run.json"
    options = ["--clock", "virtual", "-n", "1", "-w", "0", "--json", str(path)]
    assert CliRunner().invoke(main, ["perf", *options, *sweep]).exit_code == 0
    measured = ("wall_s", "wrong")
    for row, run in zip(found, json.loads(path.read_text())["rows"], strict=True):
        assert row["wall_s"] is row["wrong"] is row["lag_s"] is None
        assert {k: v for k, v in row.items() if k not in measured} == {
            k: v for k, v in run.items() if k not in measured
        }


def test_three_hundred_thousand_ranks_in_a_table(tmp_path):
    found, output = rows(tmp_path, "--topology", "three-campus-300k", "-b", "1M", "-e", "4M")
    # sizes are those asked for, whether or not the elements come out even
    assert [row["size_bytes"] for row in found] == [1 << 20, 1 << 21, 1 << 22]
    assert all(row["algorithm"] == "hierarchical" for row in found)
    assert all(row["modelled_s"] > row["bound_s"] > 0 for row in found)
    assert [row["cross_site_bytes"] for row in found] == [4 << 20, 4 << 21, 4 << 22]  # 2 (K - 1) S
    assert "  no data\n" in output
    alike = (
        "Alike: 300000 ranks were timed by 48 of them, 60000600000 transfers by [0-9]{4}; shares do"
    )
    assert re.search(alike, output)
    assert "Auto: hierarchical is the quickest at 4 MiB" in output
    assert "One campus" not in output  # a ring of all ranks is not the best in one place


def test_what_is_too_much_to_be_timed_is_refused_at_once():
    result = emul("perf", "--topology", "three-campus-300k", *NO_DATA, "--algorithm", "ring")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "needed hierarchical" in result.stderr


def test_what_has_no_hierarchy_is_refused_with_the_reason():
    arguments = ["perf", "all_to_all", "--topology", "three-campus-300k", *NO_DATA]
    result = emul(*arguments, "-b", "1M", "-e", "1M")
    assert result.returncode == 2
    assert "all_to_all has no ranks that do alike: needed hierarchical" in result.stderr


def test_a_plan_from_a_file_needs_no_data_either(tmp_path):
    path = tmp_path / "plan.xml"
    plan = build_plan("all_reduce", "ring", ((4, 4),) * 3)
    path.write_text(plan_xml(plan))
    found, _ = rows(tmp_path, "-b", "64K", "-e", "64K", "--algorithm", str(path))
    (named,), _ = rows(tmp_path, "-b", "64K", "-e", "64K", "--algorithm", "ring")
    assert found[0]["modelled_s"] == pytest.approx(named["modelled_s"], rel=0.05)


def test_without_data_nobody_can_wait():
    result = CliRunner().invoke(main, ["perf", "--no-data", "--clock", "wall"])
    assert result.exit_code == 2
    assert "--no-data with --clock wall: needed --clock virtual" in result.output


def test_without_data_the_clock_is_virtual():
    sizes = ["-b", "1K", "-e", "1K"]
    alone, named = (
        CliRunner().invoke(main, ["perf", "--no-data", *clock, *sizes])
        for clock in ([], ["--clock", "virtual"])
    )
    assert alone.exit_code == 0
    assert "clock virtual" in alone.output
    assert alone.output == named.output


@pytest.mark.parametrize("collective", ["reduce_scatter", "all_gather"])
def test_other_collectives_of_many_ranks(tmp_path, collective):
    found, _ = rows(tmp_path, collective, "--topology", "three-campus-300k", "-b", "1G", "-e", "1G")
    assert found[0]["collective"] == collective
    assert 0 < found[0]["bound_s"] < found[0]["modelled_s"]


def test_draws_are_made_once_for_ranks_that_are_alike_or_refused(tmp_path):
    sites = ["--sites", "3000,3000,1500", "-b", "1M", "-e", "1M"]
    found, output = rows(tmp_path, *sites)
    assert found[0]["modelled_s"] > found[0]["bound_s"]
    assert "jitter and losses were drawn once for" in output
    said = json.loads((tmp_path / "out.json").read_text())["closing"]["excerpt"]
    assert said["drawn_for"] > 1
    assert not said["spread"]  # a trunk of three-campus has one wave
    result = CliRunner().invoke(main, ["perf", *NO_DATA, "--strict-draws", *sites])
    assert result.exit_code != 0
    assert "has jitter or losses, drawn for each connection" in str(result.exception)


def test_draws_can_be_strict_only_where_one_is_made_for_many():
    result = CliRunner().invoke(main, ["perf", "--clock", "virtual", "--strict-draws"])
    assert result.exit_code == 2
    assert "--strict-draws: needed --no-data, for else every rank draws" in result.output
