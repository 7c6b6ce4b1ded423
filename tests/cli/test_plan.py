import subprocess
import sys

import pytest
from command import SMALL, emul
from strategies import CASES

from emul.plans import COLLECTIVES, build_plan, plan_xml
from emul.plans.libraries import library_algorithms


def test_list_names_every_collective_and_algorithm():
    result = emul("plan", "list")
    assert result.returncode == 0
    words, named = result.stdout.split(), {}
    for word in words:
        if word in COLLECTIVES:
            collective = word
        elif words.index(word) > words.index("all_reduce"):
            named.setdefault(collective, []).append(word)
    found = [(name, each) for name, several in named.items() for each in several]
    of_libraries = [each for each in found if each[1].startswith(("gloo:", "openmpi:"))]
    assert [each for each in found if each not in of_libraries] == CASES
    expected = [(name, each) for name in COLLECTIVES for each in library_algorithms(name)]
    assert sorted(of_libraries) == sorted(expected)


def test_show_draws_steps_and_counts_bytes():
    result = emul("plan", "show", "all_reduce", "hierarchical", "--steps", "1")
    lines = result.stdout.splitlines()
    assert result.returncode == 0
    assert lines[0].startswith("hierarchical all_reduce over 24 ranks, proven: ")
    assert lines[1].startswith("computes all_reduce, in place: every rank ends with the reduction")
    # 24 ranks x 14 steps inside a site, 24 x 4 between sites; 2 (n - 1) buffers in all
    expected = "18 steps, 432 transfers on 1 channel; 24 chunks; 46 buffers sent in all"
    assert lines[2] == expected
    # 8 terms in a row at each site, then three in a row
    assert lines[3].startswith("order: chunk 0 is reduced as (")
    assert lines[3].endswith(", 9 deep")
    assert lines[4] == "every rank ends with the same bits"
    assert "trunk north -> east: 1.333 buffers" in lines
    assert "  rank 0 chunk 7 reduces into rank 1" in lines
    assert lines[-1] == "... and 17 more steps"


def test_show_tells_nics_from_links_inside_a_node():
    # 2 x 3/4 of a buffer inside a node; of a quarter 2 x 1/2 between the two nodes of a site, of an
    # eighth 2 x 2/3 between the three sites
    lines = emul("plan", "show", "all_reduce", "hierarchical:nodes").stdout.splitlines()
    for links, share in (("node links", 2 * 3 / 4), ("NICs", 1 / 4 + 4 / 3 / 8)):
        sent = f"sends {share:.4g} and receives {share:.4g} buffers"
        assert f"{links} of east: the busiest rank {sent}" in lines


def test_show_tells_where_a_chunk_goes():
    result = emul("plan", "show", "send_recv", "direct", "-r", "2")
    assert "  rank 0 chunk 0 to rank 2 as chunk 1" in result.stdout.splitlines()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["all_reduces", "ring"], "unknown collective"),
        (["all_reduce", "rings"], "unknown algorithm"),
        (["gather", "ring"], "'ring' does not do gather: needed one of direct"),
        (["broadcast", "ring", "-r", "99"], "root 99: needed a rank from 0 to 23"),
        (["all_reduce"], "Missing argument"),
    ],
)
def test_bad_plans_are_one_line_and_status_2(arguments, complaint):
    result = emul("plan", "show", *arguments)
    assert result.returncode == 2
    assert complaint in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_plan_is_written_checked_shown_and_run(tmp_path):
    path = tmp_path / "plan.xml"
    written = emul("plan", "write", "all_reduce", "hierarchical", str(path))
    assert (written.returncode, written.stdout.split(":")[0]) == (0, str(path))
    checked = emul("plan", "check", str(path))
    lines = checked.stdout.splitlines()
    assert checked.returncode == 0
    assert lines[0] == f"{path}: proven: hierarchical all_reduce over 24 ranks"
    shown, named = (emul("plan", "show", *each).stdout for each in
                    ([str(path)], ["all_reduce", "hierarchical"]))  # fmt: skip
    assert shown == named
    assert lines[1:] == shown.splitlines()[1:5]
    run = emul("perf", "--algorithm", str(path), "-b", "96", "-e", "96", *SMALL)
    assert run.returncode == 0
    assert " hierarchical " in run.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["check", "missing.xml"], "missing.xml: cannot be read: No such file or directory"),
        (["check", "bad.xml"], "bad.xml, line 1: not well-formed XML: no element found"),
        (
            ["show", "small.xml", "--topology", "three-campus"],
            "ring all_reduce over 2 ranks on three-campus, which has 24: need",
        ),
        (["write", "all_reduce", "ring", "no/such/x.xml"], "cannot be written: needed a file"),
        (["write", "all_reduce", "rings", "x.xml"], "unknown algorithm 'rings'"),
    ],
)
def test_bad_files_are_one_line_and_status_2(arguments, complaint, tmp_path):
    (tmp_path / "bad.xml").write_text("")
    (tmp_path / "small.xml").write_text(plan_xml(build_plan("all_reduce", "ring", (2,))))
    result = emul("plan", *arguments, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert complaint in result.stderr
    assert len(result.stderr.splitlines()) == 1


SHEETS = """
from emul.plans import COLLECTIVES, algorithms_for, build_plan
from emul.report.plans import plan_words
for name in COLLECTIVES:
    print(*plan_words(build_plan(name, algorithms_for(name)[0], (2, 1))), sep="\\n")
"""


def test_plans_read_the_same_in_a_python_without_docstrings():
    full, stripped = (
        subprocess.run(
            [sys.executable, *options, "-c", SHEETS], capture_output=True, text=True, check=True
        ).stdout
        for options in ([], ["-OO"])
    )
    assert stripped == full
    for name, collective in COLLECTIVES.items():
        assert f"computes {name}, " in full
        assert f": {collective.promises}\n" in full
        said = (type(collective).__doc__ or "").split("\n", 1)[0]
        assert collective.promises == said.rstrip(".").lower()
