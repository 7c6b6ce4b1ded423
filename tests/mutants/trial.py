"""One trial: a fault is planted, the tests of its room run until one fails."""

import hashlib
import re
import time
from dataclasses import dataclass
from pathlib import Path

from .faults import Fault, Room
from .tree import BuildError, Tree

KILLED, SURVIVED, EQUIVALENT, UNFIT = "killed", "survived", "equivalent", "unfit"
LONGEST_S = 600.0
SHORT_S, TIMES_AS_LONG = 60.0, 5.0
"""A fault that makes a loop endless is killed by the clock: after so long, and so many times as
long as the tests of the room take without a fault."""

PYTEST = (
    "-x", "-q", "--tb=no", "-rfE", "-p", "no:cacheprovider", "-p", "no:xdist",
    "-W", "ignore::pytest.PytestAssertRewriteWarning",  # of modules that were there beforehand
)  # fmt: skip
FIRST_FAILURE = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)
NO_TESTS_LEFT = 5


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a fault fared: ``by`` is the test that saw it, or the reason why none was asked."""

    outcome: str
    by: str
    seconds: float


def fingerprint(tree: Tree, fault: Fault) -> str:
    """Return a mark of the fault and of the file it is planted in."""
    parts = (fault.file, fault.old, fault.new, tree.text(fault))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def mark_of_tests(root: Path, room: Room) -> str:
    """Return a mark of the tests of a room: with other tests, survivors are tried again."""
    digest = hashlib.sha256()
    for place in room.tests:
        path = root / place
        for each in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(each.read_bytes())
    return digest.hexdigest()[:16]


def run_tests(
    tree: Tree, places: tuple[str, ...], usual_s: float = LONGEST_S, times: Path | None = None
) -> str:
    """Return the first test that fails, or nothing; ``usual_s`` is what all of them take.

    They run in the order of ``times``, where they have been noted.
    """
    longest_s = SHORT_S + TIMES_AS_LONG * usual_s
    status, printed = tree.pytest([*PYTEST, *places], longest_s, times)
    if status is None:
        return f"no end after {longest_s:.0f} s"
    if status in (0, NO_TESTS_LEFT):
        return ""
    found = FIRST_FAILURE.search(printed)
    return found[1] if found else f"{' '.join(places)}: exit status {status}"


def tried(
    tree: Tree, room: Room, fault: Fault, usual_s: float, times: Path | None = None
) -> Verdict:
    """Return how a fault fares among the tests of its room, which take ``usual_s`` in all."""
    if fault.equivalent:
        return Verdict(EQUIVALENT, fault.equivalent, 0.0)
    began, text = time.monotonic(), tree.text(fault)
    try:
        tree.plant(fault)
        by = run_tests(tree, fault.tests, usual_s, times) if fault.tests else ""
        by = by or run_tests(tree, room.tests, usual_s, times)
    except BuildError as error:
        return Verdict(UNFIT, str(error), time.monotonic() - began)
    finally:
        tree.restore(fault, text)
    return Verdict(KILLED if by else SURVIVED, by, time.monotonic() - began)
