"""``emul perf`` with a plan from a file: what is run, over how many ranks, and what is said."""

import json
import os
import re

import pytest
from command import SMALL, emul
from strategies import CASES

from emul.plans import build_plan, plan_xml

VIRTUAL = ["--clock", "virtual", "-b", "96", "-e", "96", *SMALL]
SITES = (2, 1)
TOPOLOGY = """
preset = "one-campus"
site = [{ name = "campus", nodes = [2, 1] }]
"""


@pytest.fixture
def plan(tmp_path):
    """A function that writes a plan over 3 ranks, and a topology of these beside it."""
    (tmp_path / "three.toml").write_text(TOPOLOGY)

    def write(collective, algorithm="direct", root=0, more=""):
        text = plan_xml(build_plan(collective, algorithm, SITES, root=root))
        (tmp_path / "plan.xml").write_text(text.replace("<algo ", f"<algo {more}", 1))
        return ["--algorithm", "plan.xml", "--topology", "three.toml", "--json", "out.json"]

    return write


BY_COLLECTIVE = {
    collective: algorithm for collective, algorithm in CASES if "hier" not in algorithm
}


@pytest.mark.parametrize("collective", BY_COLLECTIVE)
def test_what_the_file_computes_is_run(collective, plan, tmp_path):
    arguments = plan(collective, BY_COLLECTIVE[collective], root=2)
    result = emul("perf", *arguments, *VIRTUAL, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    (row,) = json.loads((tmp_path / "out.json").read_text())["rows"]
    assert (row["collective"], row["wrong"], row["world_size"]) == (collective, 0, 3)
    assert row["root"] in (2, -1)
    named = emul("perf", collective, *arguments, *VIRTUAL, cwd=tmp_path)
    assert named.returncode == 0, named.stderr


def test_what_is_asked_for_and_is_not_in_the_file_is_refused_once(plan, tmp_path):
    arguments = plan("broadcast", root=1)
    other = emul("perf", "all_gather", *arguments, *VIRTUAL, cwd=tmp_path)
    assert other.returncode == 2
    assert other.stderr.count("\n") == 1
    assert "root 1: needed a plan for all_gather over 3 ranks, root 1, or to ask for broad" in (
        other.stderr
    )
    root = emul("perf", *arguments, "-r", "0", *VIRTUAL, cwd=tmp_path)
    assert root.returncode == 2
    assert "root 1: needed a plan for broadcast over 3 ranks, root 0\n" in root.stderr


def test_a_file_is_not_timed_on_links_that_nobody_named(plan, tmp_path):
    (file,) = plan("all_gather")[1:2]
    for command in (["perf", "--algorithm", file], ["compare", file]):
        refused = emul(*command, cwd=tmp_path)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "over 24 ranks, root 0, or --ranks 3, or a topology of 3 ranks" in refused.stderr
        run = emul(*command, "--ranks", "3", "-b", "96", "-e", "96", cwd=tmp_path)
        assert (run.returncode, run.stderr) == (0, "")
        assert "one site of 3 ranks" in run.stdout
    assert "3 ranks" in emul("plan", "show", file, cwd=tmp_path).stdout
    (tmp_path / "many.xml").write_text(plan_xml(build_plan("all_gather", "ring", [24])))
    run = emul("perf", "--algorithm", "many.xml", *VIRTUAL, cwd=tmp_path)
    assert "# topology three-campus: 24 ranks" in run.stdout


def test_another_number_of_ranks_is_refused_with_a_way_that_works(plan, tmp_path):
    arguments = plan("all_gather")
    elsewhere = [*arguments[:2], "--topology", "three-campus"]
    refused = emul("perf", *elsewhere, *VIRTUAL, cwd=tmp_path)
    assert refused.returncode == 2
    way = re.search(r"(preset = .*?) and (site = \[\{.*?\}\])", refused.stderr)
    (tmp_path / "way.toml").write_text("\n".join(way.groups()))
    run = emul("perf", *arguments[:2], "--topology", "way.toml", *VIRTUAL, cwd=tmp_path)
    assert run.returncode == 0, run.stderr


def test_what_was_passed_over_is_said_under_the_table(plan, tmp_path):
    result = emul("perf", *plan("all_reduce", more='redop="max" '), *VIRTUAL, cwd=tmp_path)
    assert result.stdout.splitlines()[-1] == (
        "Plan: passed over, as MSCCL and RCCL do: redop= of <algo> (line 1)."
    )


@pytest.mark.parametrize("command", [("perf", "--algorithm"), ("plan", "check"), ("plan", "show")])
def test_a_plan_of_mscclpp_is_named(command, tmp_path):
    (tmp_path / "p.json").write_text('{"name": "a", "collective": "allreduce", "gpus": []}')
    result = emul(*command, "p.json", cwd=tmp_path)
    assert result.returncode == 2
    assert "p.json: a plan of MSCCL++ in JSON" in result.stderr
    assert "needed a plan of MSCCL in XML" in result.stderr


@pytest.mark.parametrize("command", [("perf", "--algorithm"), ("plan", "check"), ("plan", "show")])
def test_a_plan_that_is_no_regular_file_is_refused_without_a_wait(command, tmp_path):
    os.mkfifo(tmp_path / "pipe.xml")
    (tmp_path / "folder.xml").mkdir()
    (tmp_path / "device.xml").symlink_to("/dev/zero")
    for name in ("pipe.xml", "folder.xml", "device.xml"):
        result = emul(*command, name, cwd=tmp_path)
        assert (result.returncode, result.stdout) == (2, "")
        assert f"{name}: cannot be read (no regular file)" in result.stderr
        assert result.stderr.count("\n") == 1
