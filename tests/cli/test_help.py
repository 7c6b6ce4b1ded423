"""Help pages: headings, examples that run, pages of the documentation; and completion."""

import os
import shlex
import subprocess
from pathlib import Path

import click
import pytest
from command import MAIN, printed_by, run_here
from measured import logs
from rich.cells import cell_len

from emul.cli.completion import BashWords
from emul.cli.help import OTHERS, Command, Group, Option
from emul.cli.main import main
from emul.plans import build_plan, plan_xml

FIDELITY = Path(__file__).parent.parent / "fidelity" / "namespaces"
DOCS = Path(__file__).parents[2] / "docs"


def commands(group=main, path=()):
    """The command, its path, for every command and group."""
    yield path, group
    for name, each in group.commands.items() if isinstance(group, click.Group) else ():
        yield from commands(each, (*path, name))


EVERY = list(commands())
IDS = [" ".join(path) or "emul" for path, _ in EVERY]


@pytest.mark.parametrize(("path", "command"), EVERY, ids=IDS)
def test_every_page_has_headings_two_examples_and_a_page_to_read(path, command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert isinstance(command, (Command, Group))
    status, page, complaint = run_here(*path, "--help")
    assert (status, complaint) == (0, "")
    lines = page.splitlines()
    assert all(cell_len(line) <= 80 for line in lines)
    at = lines.index("Examples:")
    assert [line[:3] for line in lines[at + 1 : at + 5 : 2]] == ["  #", "  #"]
    assert all(line.startswith("  emul ") for line in lines[at + 2 : at + 6 : 2])
    assert lines[at + 6] == f"More: docs/{command.page}"
    assert (DOCS / command.page).is_file()
    if isinstance(command, Command):
        own = [each for each in command.params if isinstance(each, click.Option)]
        assert all(isinstance(each, Option) and each.heading != OTHERS for each in own)
        headings = dict.fromkeys(each.heading for each in own)
        assert [line[:-1] for line in lines if line[:-1] in headings] == list(headings)
        assert lines.index(f"{OTHERS}:") > max((lines.index(f"{h}:") for h in headings), default=0)
        for each in own:
            assert each.opts[-1] in page
            assert "x>=" not in page


MINE = """
from emul import Send

def my_plan(n):
    for rank in range(1, n):
        yield [Send(rank, 0, chunk, reduce=True) for chunk in range(n)]
    yield [Send(0, rank, chunk) for rank in range(1, n) for chunk in range(n)]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the files that examples name."""
    made = tmp_path_factory.mktemp("examples")
    link = "{ rate_gbit_per_s = 10, latency_us = 5 }"
    (made / "campuses.toml").write_text(
        f'[[site]]\nname = "a"\nnodes = [2]\nnode_link = {link}\nsite_link = {link}\n'
    )
    (made / "job.toml").write_text(
        'topology = "campuses.toml"\n[model]\nparameters = 1e6\nlayers = 1\n'
        "[hardware]\ncompute_s = 1\n"
    )
    (made / "library.toml").write_text('description = "mine"\n')
    head, *rows = (FIDELITY / "collectives.csv").read_text().splitlines(keepends=True)
    (made / "measured.csv").write_text(head + "".join(rows[::60]))
    (made / "links.csv").write_text((FIDELITY / "links.csv").read_text())
    times = "".join(
        f"all_reduce,16,{1 << size},{1e-3 + (1 << size) / 1e9}\n" for size in range(10, 24, 2)
    )
    (made / "all_reduce.log").write_text("collective,world_size,size_bytes,time_s\n" + times)
    (made / "mine.py").write_text(MINE)
    (made / "plan.xml").write_text(plan_xml(build_plan("all_reduce", "ring", [2])))
    (made / "net.yml").write_text(
        "topology: [ Ring, Switch ]\nnpus_count: [ 4, 2 ]\nbandwidth: [ 400, 50 ]\n"
        "latency: [ 500, 5000 ]\n"
    )
    (made / "dump.xml").write_text(
        '<system><gpu sm="90"><nvlink count="18"/></gpu><net name="a" speed="400000"/></system>'
    )
    (made / "ping.txt").write_text(logs.ping_log([0.021, 0.020, 0.022, 0.021]))
    return made


EXAMPLES = dict.fromkeys(line for _, command in EVERY for line in command.examples.values())
LESS = {"emul perf": ["--no-data", "--clock", "virtual"]}
"""The same with less work."""

SLOW = ("emul info --clock",)


@pytest.mark.parametrize("line", [each for each in EXAMPLES if each not in SLOW])
def test_examples_run(line, folder, monkeypatch):
    monkeypatch.chdir(folder)
    words = shlex.split(line.partition(" > ")[0])
    assert words[0] == "emul"
    less = next((more for begun, more in LESS.items() if line.startswith(begun)), [])
    status, printed, complaint = run_here(*words[1:], *less)
    assert (status, complaint.strip()) == (0, "")  # Rich 13.0 ends the line of a progress
    assert printed


def completed(monkeypatch, *words):
    """The answers to Bash for the last of ``words``."""
    monkeypatch.setenv("COMP_WORDS", "\n".join(shlex.quote(word) for word in words))
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    answers = BashWords(main, {}, "emul", "_EMUL_COMPLETE").complete()
    return [line.partition(",")[2] for line in answers.split("\n") if line]


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("emul pe", ["perf"]),
        ("emul perf all_r", ["all_reduce"]),
        ("emul perf AllR", ["all_reduce"]),
        ("emul perf -d bf", ["bfloat16"]),
        ("emul perf -d x", []),
        ("emul perf -d b", ["bfloat16"]),
        ("emul perf -o m", ["min", "max"]),
        ("emul perf --clock v", ["virtual"]),
        ("emul perf --backend c", ["cpu", "cupy"]),
        ("emul perf --stack n", ["nccl", "nccl@2.28", "nccl@2.30", "nccl@2.31"]),
        ("emul perf all_to_all --algorithm ", ["auto", "direct", "bruck", "pairwise", "packed"]),
        ("emul perf --algorithm do", ["double_binary_tree"]),
        ("emul perf --algorithm ring : i", ["interleaved"]),
        ("emul perf --algorithm ring :", ["interleaved", "bidirectional", "channels"]),
        (
            "emul perf --topology ThreeC",
            ["three-campus", "three-campus-300k", "three-campus-dark-fibre"],
        ),
        ("emul perf --topology campuses", ["campuses.toml"]),
        ("emul perf --topology deep/", ["deep/own.toml"]),
        ("emul topology show nvl", ["nvlink4_node", "nvlink5_node"]),
        ("emul topology check ", ["campuses.toml", "deep/"]),
        ("emul stack show g", ["gloo"]),
        ("emul calibrate --collective broad", ["broadcast"]),
        ("emul validate --links li", ["links.csv"]),
    ],
)
def test_values_are_offered(monkeypatch, tmp_path, line, values):
    monkeypatch.chdir(tmp_path)
    for name in ("campuses.toml", "links.csv", "notes.txt", ".hidden.toml", "deep/own.toml"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("")
    words = line.split(" ")
    assert completed(monkeypatch, *words) == values


def test_a_shell_does_not_wait_for_numpy():
    script = (
        "import os, sys; os.environ |= {'_EMUL_COMPLETE': 'bash_complete', 'COMP_CWORD': '3', "
        "'COMP_WORDS': 'emul perf --algorithm ring'}\n"
        "from emul.cli.main import run\n"
        "try:\n    run()\nexcept SystemExit:\n    pass\n"
        "print([name for name in sys.modules if name in ('numpy', 'rich')])"
    )
    lines = printed_by(script).splitlines()
    assert "plain,ring:interleaved" in lines
    assert lines[-1] == "[]"


def test_bash_takes_the_script_and_the_answers(tmp_path):
    (tmp_path / "emul").write_text(f"#!/bin/sh\nexec {shlex.join(MAIN)}\n")
    (tmp_path / "emul").chmod(0o755)
    script = """
        eval "$(_EMUL_COMPLETE=bash_source emul)"
        COMP_WORDS=(emul perf --algorithm ring : ch) COMP_CWORD=5
        _emul_completion emul; echo "${COMPREPLY[@]}"
    """
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["channels"], done.stderr


def test_an_unknown_option_is_asked_back():
    status, printed, complaint = run_here("perf", "--topolgy", "x")
    assert (status, printed, complaint.count("\n")) == (2, "", 1)
    assert "--topology" in complaint
