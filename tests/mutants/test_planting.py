"""The list of faults is true of the code; what plants them tells the killed from survivors."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from mutants.faults import ROOMS, ROOT, Fault, Room, misplaced, read_rooms
from mutants.tree import Tree
from mutants.trial import EQUIVALENT, KILLED, SURVIVED, tried

LEAST_FAULTS = 150
ROOMS_OF_EMUL = sorted(p.name for p in (ROOT / "emul").iterdir() if (p / "__init__.py").exists())


def faults():
    return [fault for room in read_rooms().values() for fault in room.faults]


def test_every_fault_has_its_place():
    """A text that is no longer there plants nothing; one that is there twice, nobody knows what."""
    assert [why for why in map(misplaced, faults()) if why] == []


def test_faults_have_names_of_their_own_and_tests_that_are_there():
    names = Counter(fault.name for fault in faults())
    assert [name for name, number in names.items() if number > 1] == []
    for room in read_rooms().values():
        for place in (*room.tests, *(test for fault in room.faults for test in fault.tests)):
            assert (ROOT / place).exists(), place


def test_there_are_faults_of_every_room():
    assert len(faults()) >= LEAST_FAULTS
    assert set(read_rooms()) == set(ROOMS)
    files = {fault.file for fault in faults()}
    for room in ROOMS_OF_EMUL:
        assert any(file.startswith(f"emul/{room}/") for file in files), room
    suffixes = {Path(file).suffix for file in files}
    assert {".py", ".pyx", ".h", ".cu", ".cuh"} <= suffixes


def test_what_is_equivalent_says_why():
    for fault in faults():
        assert not fault.equivalent or len(fault.equivalent.split()) >= 5, fault.name


PACKAGE = {
    "emul/__init__.py": "",
    "emul/sums.py": "def total(a, b):\n    return a + b + 0\n",
    "tests/test_sums.py": "from emul.sums import total\n\n\ndef test_total():\n"
    "    assert total(2, 3) == 5\n",
    "pyproject.toml": "",
}


@pytest.fixture
def tree(tmp_path):
    for name, text in PACKAGE.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    planted = Tree(tmp_path / "copy", tmp_path / "root")
    yield planted
    planted.close()


def test_a_fault_is_seen_or_survives_and_leaves_no_trace(tree, tmp_path):
    room = Room("world", ("tests",), ())

    def verdict(old, new, **more):
        found = tried(tree, room, Fault("world", "x", "emul/sums.py", old, new, **more), 60.0)
        assert (tree.folder / "emul/sums.py").read_text() == PACKAGE["emul/sums.py"]
        return found.outcome, found.by

    seen = (KILLED, "tests/test_sums.py::test_total")
    assert verdict("a + b", "a - b") == seen
    assert verdict("+ 0", "- 0") == (SURVIVED, "")
    assert verdict("b + 0", "b * 0", tests=("tests/test_sums.py",)) == seen
    assert verdict("+ 0", "- 0", equivalent="nothing is nothing") == (
        EQUIVALENT,
        "nothing is nothing",
    )
    assert verdict("return a", "return (a") == (KILLED, "tests/test_sums.py")
    with pytest.raises(ValueError, match=r"'nowhere' stands 0 times in emul/sums.py"):
        verdict("nowhere", "anywhere")
    assert (tmp_path / "root/emul/sums.py").read_text() == PACKAGE["emul/sums.py"]


def test_a_fault_without_end_is_ended(tree):
    fault = Fault(
        "world", "x", "emul/sums.py", "    return", "    while a:\n        pass\n    return"
    )
    tree.plant(fault)
    status, _ = tree.pytest(["-q", "tests"], 1.0)
    assert status is None


def test_the_command_lists_and_refuses():
    command = [sys.executable, "-m", "tests.mutants"]
    listed = subprocess.run(
        [*command, "--list", "--room", "links"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert len(listed) == len(read_rooms()["links"].faults)
    unknown = subprocess.run(
        [*command, "--only", "nobody"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert unknown.returncode != 0
    assert "--only nobody: no such fault" in unknown.stderr


def test_a_survivor_is_tried_again_when_the_tests_change():
    from mutants.__main__ import known

    fault = Fault("world", "x", "emul/sums.py", "a", "b")
    killed, alive = (
        {"outcome": outcome, "mark": "m", "tests": "t"} for outcome in (KILLED, SURVIVED)
    )
    assert known(killed, fault, "m", "other")
    assert known(alive, fault, "m", "t")
    assert not known(alive, fault, "m", "other")
    assert not known(killed, fault, "other", "t")
    assert not known(None, fault, "m", "t")


def test_the_quickest_tests_come_first(tree, tmp_path):
    (tree.folder / "tests/test_order.py").write_text(
        "import time\n\n\ndef test_slow():\n    time.sleep(0.2)\n\n\ndef test_quick():\n    pass\n"
    )
    times, verbose = tmp_path / "times.json", ["-v", "-p", "no:cacheprovider", "tests"]
    orders = []
    for _ in range(2):
        status, printed = tree.pytest(verbose, 60.0, times)
        assert status == 0
        orders.append([printed.index(name) for name in ("test_slow PASSED", "test_quick PASSED")])
    assert orders[0] == sorted(orders[0])
    assert orders[1] == sorted(orders[1], reverse=True)
