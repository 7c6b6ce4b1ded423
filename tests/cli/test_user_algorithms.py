"""FILE.py:NAME, --ranks and --sites wherever a command takes an algorithm or a plan."""

import json
import re
import textwrap
from math import lcm

import pytest
from command import SMALL, emul

from emul.plans import build_plan, plan_xml, read_plan
from emul.topology import load, topology_of_sites

MINE = """
from emul import Send, algorithm
from emul.plans import build_plan

def star(n):
    for rank in range(1, n):
        yield [Send(rank, 0, chunk, reduce=True) for chunk in range(n)]
    yield [Send(0, rank, chunk) for rank in range(1, n) for chunk in range(n)]

@algorithm("all_gather", chunks=lambda n: 2 * n)
def to_all(n, chunks):
    yield [Send(r, to, c) for r in range(n) for to in range(n) if to != r
           for c in range(2 * r, 2 * r + 2)]

@algorithm("send_recv", root=2)
def ahead(n, root):
    yield [Send(r, (r + root) % n, 0, into=1) for r in range(n)]

@algorithm("broadcast", root=1)
def from_root(n, root):
    yield [Send(root, r, c) for r in range(n) if r != root for c in range(n)]

def built(n):
    return build_plan("all_to_all", "pairwise", [n])

ready = build_plan("reduce_scatter", "ring", [3])
"""
VIRTUAL = ["--clock", "virtual", "-b", "96", "-e", "96", *SMALL]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["mine.py:star"], "mine.py:star: proven: star all_reduce over 24 ranks"),
        (["mine.py:star", "--ranks", "5"], "mine.py:star: proven: star all_reduce over 5 ranks"),
        (["mine.py:to_all", "--sites", "6,2"], "proven: to_all all_gather over 8 ranks"),
        (["all_gather", "mine.py:to_all", "--ranks", "2"], "to_all all_gather over 2 ranks"),
        (["mine.py:ahead", "--ranks", "5"], "proven: ahead send_recv over 5 ranks"),
        (["mine.py:from_root", "--ranks", "5"], "proven: from_root broadcast over 5 ranks"),
        (["mine.py:from_root", "-r", "4", "--ranks", "5"], "from_root broadcast over 5 ranks"),
        (["mine.py:built", "--ranks", "3"], "proven: pairwise all_to_all over 3 ranks"),
        (["mine.py:ready", "--ranks", "3"], "proven: ring reduce_scatter over 3 ranks"),
        (["ring", "--sites", "4+2,2"], "ring: proven: ring all_reduce over 8 ranks"),
        (["reduce", "ring", "-r", "7", "--sites", "4+2,2"], "ring: proven: ring reduce over 8 ran"),
        (["ring", "--topology", "one-campus"], "ring: proven: ring all_reduce over 24 ranks"),
    ],
)
def test_plans_are_checked_without_a_file_of_a_topology(arguments, line, folder):
    result = emul("plan", "check", *arguments, cwd=folder)
    assert (result.returncode, result.stderr) == (0, "")
    assert line in result.stdout.splitlines()[0]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["all_gather", "mine.py:star"], "star all_gather over 24 ranks: step 0: rank 1 chunk 0"),
        (["all_reduce", "mine.py:to_all"], "to_all does all_gather, as it says"),
        (
            ["mine.py:ready", "--topology", "three-campus"],
            "ring reduce_scatter over 3 ranks on three-campus, which has 24: need",
        ),
        (["all_reduce", "mine.py:ready", "--ranks", "3"], "computes reduce_scatter: needed all_re"),
        (["broadcast", "mine.py:star", "--ranks", "3", "-r", "3"], "root 3 of star: needed a rank"),
        (["mine.py:star", "--ranks", "3", "--sites", "3"], "--ranks and --sites: needed one of th"),
        (["mine.py:star", "--ranks", "0"], "0 is not in the range"),
        (["mine.py:star", "--sites", "3+,1"], "'3+,1': needed the ranks of each site"),
        (["all_reduce"], "Missing argument 'ALGORITHM': needed one of ring, "),
        (["a", "b", "c"], "3 arguments a b c: needed [COLLECTIVE] ALGORITHM|FILE.xml|FILE.py:NAME"),
        (
            ["plan.xml", "--ranks", "4"],
            "ring all_reduce over 2 ranks on one site of 4 ranks, w",
        ),
        (["all_gather", "plan.xml", "--ranks", "2"], "plan.xml computes all_reduce: needed all_g"),
        (["plan.xml", "--ranks", "2", "-r", "1"], "plan.xml has root 0: needed 1"),
    ],
)
def test_what_does_not_fit_is_one_line(arguments, complaint, folder):
    (folder / "plan.xml").write_text(plan_xml(build_plan("all_reduce", "ring", (2,))))
    result = emul("plan", "check", *arguments, cwd=folder)
    assert (result.returncode, result.stdout) == (2, "")
    assert complaint in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_ranks_of_a_file_are_its_own(folder):
    (folder / "plan.xml").write_text(plan_xml(build_plan("all_reduce", "ring", (2,))))
    alone, given = (emul("plan", "check", "plan.xml", *more, cwd=folder).stdout
                    for more in ([], ["--ranks", "2"]))  # fmt: skip
    assert alone == given
    refused = emul("plan", "show", "plan.xml", "--topology", "three-campus", cwd=folder).stderr
    way = re.search(r"needed (--ranks \d+), or", refused)[1]
    asked, unasked = (emul("plan", "show", "plan.xml", *more, cwd=folder)
                      for more in (way.split(), []))  # fmt: skip
    assert (asked.returncode, asked.stdout) == (0, unasked.stdout)


def test_a_plan_of_ones_own_is_shown_over_its_sites(folder):
    lines = emul("plan", "show", "mine.py:star", "--sites", "2,1", cwd=folder).stdout.splitlines()
    assert lines[0].startswith("star all_reduce over 3 ranks, proven")
    assert "trunk site-0 -> site-1: 1 buffers" in lines
    assert "  rank 1 chunk 0 reduces into rank 0" in lines


def test_plans_are_written_for_emul_and_for_msccl(folder):
    for more, known in ([], True), (["--for", "msccl"], False):
        written = emul(
            "plan", "write", "mine.py:star", "out.xml", "--ranks", "3", *more, cwd=folder
        )
        assert written.returncode == 0, written.stderr
        text = (folder / "out.xml").read_text()
        assert (' order="' in text, ' round="' in text, ' root="' in text) == (known,) * 3
        assert read_plan(folder / "out.xml").algorithm == "star"
    refused = emul("plan", "write", "gather", "direct", "g.xml", "--for", "msccl", cwd=folder)
    assert refused.returncode == 2
    assert "cannot be run by MSCCL: MSCCL has no gather: needed one of all_reduce" in refused.stderr
    assert not (folder / "g.xml").exists()
    over = emul("plan", "write", "mine.py:star", "mine.py", cwd=folder)
    assert "FILE mine.py: read by the command too" in over.stderr
    assert (folder / "mine.py").read_text() == MINE


@pytest.mark.parametrize(
    ("name", "collective", "root"),
    [("star", "all_reduce", -1), ("to_all", "all_gather", -1), ("from_root", "broadcast", 1)],
)
def test_perf_asks_for_no_collective_that_the_file_says(name, collective, root, folder):
    result = emul(
        "perf", "--algorithm", f"mine.py:{name}", *VIRTUAL, "--json", "o.json", cwd=folder
    )
    assert result.returncode == 0, result.stderr
    (row,) = json.loads((folder / "o.json").read_text())["rows"]
    assert (row["collective"], row["root"], row["wrong"]) == (collective, root, 0)
    assert row["algorithm"] == name


def test_perf_sends_as_far_as_the_file_says(folder):
    own = emul("perf", "--algorithm", "mine.py:ahead", *VIRTUAL, cwd=folder)
    other = emul("perf", "send_recv", "--algorithm", "direct", "-r", "2", *VIRTUAL, cwd=folder)
    assert own.returncode == other.returncode == 0, own.stderr
    lines = [[line.split()[5] for line in result.stdout.splitlines() if not line.startswith("#")]
             for result in (own, other)]  # fmt: skip
    assert lines[0] == lines[1]


def test_perf_takes_ranks_and_sites(folder):
    (folder / "plan.xml").write_text(plan_xml(build_plan("all_reduce", "ring", (2,))))
    for arguments, ranks, name in (
        (["mine.py:star", "--sites", "2,1"], 3, "sites of 2, 1 ranks"),
        (["plan.xml", "--ranks", "2"], 2, "one site of 2 ranks"),
    ):
        result = emul("perf", "--algorithm", *arguments, *VIRTUAL, "--json", "o.json", cwd=folder)
        assert result.returncode == 0, result.stderr
        (row,) = json.loads((folder / "o.json").read_text())["rows"]
        assert (row["world_size"], row["topology"], row["wrong"]) == (ranks, name, 0)
    both = emul("perf", "--ranks", "2", "--topology", "one-campus", *VIRTUAL, cwd=folder)
    assert (both.returncode, both.stdout) == (2, "")
    assert "--topology and --ranks: needed one of them" in both.stderr


def test_perf_does_not_write_over_the_file(folder):
    result = emul("perf", "--algorithm", "mine.py:star", *VIRTUAL, "--json", "mine.py", cwd=folder)
    assert result.returncode == 2
    assert "--json mine.py: read by the command too" in result.stderr
    assert (folder / "mine.py").read_text() == MINE


def test_the_function_on_the_help_page_is_proven(tmp_path):
    page = emul("plan", "check", "--help").stdout
    code = re.search(r"^ +from emul import.*?(?=^ +A step is)", page, re.DOTALL | re.MULTILINE)[0]
    (tmp_path / "help.py").write_text(textwrap.dedent(code))
    result = emul("plan", "check", "help.py:star", "--ranks", "4", cwd=tmp_path)
    assert result.stdout.startswith("help.py:star: proven: star all_reduce over 4 ranks"), result
    assert "may be written by one row of a step only" in " ".join(page.split())


def test_sites_without_a_file_have_the_links_of_three_campus():
    model, made = load("three-campus"), topology_of_sites([(4, 2), (2,), (1,)])
    assert made.ranks_by_node == [[4, 2], [2], [1]]
    assert {site.link for site in made.sites} == {model.sites[0].link}
    assert {node.link for site in made.sites for node in site.nodes} == {
        model.sites[0].nodes[0].link
    }
    assert [trunk.sites for trunk in made.trunks] == [
        ("site-0", "site-1"), ("site-0", "site-2"), ("site-1", "site-2"),
    ]  # fmt: skip
    assert {trunk.link for trunk in made.trunks} == {model.trunks[0].link}
    assert made.description == "assumed: links as in three-campus"
    assert lcm(*(site.ranks for site in made.sites)) == 6


FOR_TWO_SITES = """
from emul import Send, algorithm

@algorithm("all_reduce", chunks=1)
def two(n, sites):
    a, b = sites
    for rank in range(1, n):
        yield [Send(rank, 0, 0, reduce=True)]
    yield [Send(0, rank, 0) for rank in range(1, n)]
"""


def test_a_function_for_two_sites_is_run_although_one_campus_cannot_have_it(tmp_path):
    """One campus is compared by an algorithm that it can have, and all files are written."""
    (tmp_path / "two.py").write_text(FOR_TWO_SITES)
    options = ["--sites", "6,2", *VIRTUAL, "--json", "o.json", "--report", "o.html"]
    done = emul("perf", "--algorithm", "two.py:two", *options, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "One campus: the same 8 ranks in one place would need" in done.stdout
    closing = json.loads((tmp_path / "o.json").read_text())["closing"]
    assert closing["one_campus"]["algorithm"] != "two"
    assert (tmp_path / "o.html").exists()
