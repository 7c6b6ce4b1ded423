"""Tries the faults: ``python -m tests.mutants [--room links] [--only NAME] [-j 2]``."""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from .faults import LISTS, ROOMS, ROOT, Fault, Room, misplaced, read_rooms
from .tree import Tree
from .trial import (
    EQUIVALENT,
    KILLED,
    SURVIVED,
    UNFIT,
    Verdict,
    fingerprint,
    mark_of_tests,
    run_tests,
    tried,
)

MOST_SURVIVORS = 0.05
Records = dict[str, dict[str, Any]]


def arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--room", action="append", choices=ROOMS, help="of these rooms only")
    parser.add_argument("--only", action="append", metavar="NAME", help="these faults only")
    parser.add_argument("--file", action="append", metavar="PATH", help="in these files only")
    parser.add_argument("--list", action="store_true", help="name the faults, and try none")
    parser.add_argument("--again", action="store_true", help="forget what was found before")
    parser.add_argument("-j", type=int, default=1, metavar="N", help="so many at a time")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "mutants.json")
    return parser.parse_args()


def chosen(rooms: dict[str, Room], asked: argparse.Namespace) -> list[Fault]:
    """Return the faults that were asked for, those of quick rooms first."""
    faults = [fault for room in rooms.values() for fault in room.faults]
    names = {fault.name for fault in faults}
    for name in asked.only or ():
        if name not in names:
            raise SystemExit(f"--only {name}: no such fault in {LISTS}")
    return [
        fault
        for fault in faults
        if (not asked.room or fault.room in asked.room)
        and (not asked.only or fault.name in asked.only)
        and (not asked.file or fault.file in asked.file)
    ]


def known(record: dict[str, Any] | None, fault: Fault, mark: str, tests: str) -> bool:
    """Whether an earlier verdict still holds: a survivor's falls when the tests change."""
    if record is None or record["mark"] != mark or fault.equivalent:
        return False
    return record["outcome"] == KILLED or record["tests"] == tests


def save(path: Path, records: Records) -> None:
    """Write what was found, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.new")
    beside.write_text(json.dumps(records, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(beside, path)


def say(fault: Fault, verdict: Verdict) -> None:
    """Print the line of one fault."""
    print(
        f"{fault.room:11}{fault.name:58}{verdict.outcome:11}{verdict.seconds:6.1f} s  {verdict.by}",
        flush=True,
    )


def trees(number: int, folder: str) -> "SimpleQueue[Tree]":
    """Return so many copies of the repository, for those who try to take and to put back."""
    free: SimpleQueue[Tree] = SimpleQueue()
    for i in range(number):
        free.put(Tree(Path(folder) / f"tree{i}"))
    return free


class Campaign:
    """The trials of one run, and what is known of them; a record is kept after each."""

    def __init__(
        self, rooms: dict[str, Room], free: "SimpleQueue[Tree]", path: Path, times: Path
    ) -> None:
        self.rooms, self.free, self.path, self.times = rooms, free, path, times
        self.records: Records = json.loads(path.read_text()) if path.exists() else {}
        self.tests = {name: mark_of_tests(ROOT, room) for name, room in rooms.items()}
        self.usual_s: dict[str, float] = {}
        self.lock = threading.Lock()

    def usual_s_of(self, room: Room, tree: Tree) -> float:
        """Return how long a room's tests take; end the run where they fail without any fault."""
        with self.lock:
            if room.name not in self.usual_s:
                began = time.monotonic()
                failed = run_tests(tree, room.tests, times=self.times_of(room))
                if failed:
                    raise SystemExit(f"{room.name}: {failed} without a fault: mend that first")
                self.usual_s[room.name] = time.monotonic() - began
        return self.usual_s[room.name]

    def times_of(self, room: Room) -> Path:
        """Return where it is noted how long each test of a room takes."""
        return self.times / f"{room.name}.json"

    def close(self) -> None:
        """End the processes of the copies."""
        while not self.free.empty():
            self.free.get().close()

    def verdict(self, fault: Fault) -> Verdict:
        """Return the verdict of a fault, from before or by trying it."""
        tree = self.free.get()
        try:
            mark, tests = fingerprint(tree, fault), self.tests[fault.room]
            record = self.records.get(fault.name)
            if record is not None and known(record, fault, mark, tests):
                return Verdict(record["outcome"], record["by"], record["seconds"])
            room = self.rooms[fault.room]
            usual_s = 0.0 if fault.equivalent else self.usual_s_of(room, tree)
            found = tried(tree, room, fault, usual_s, self.times_of(room))
            kept = {**asdict(found), "room": fault.room, "mark": mark, "tests": tests}
        finally:
            self.free.put(tree)
        self.records[fault.name] = kept
        save(self.path, dict(self.records))
        return found

    def verdicts(self, faults: list[Fault], jobs: int) -> Iterator[tuple[Fault, Verdict]]:
        """Yield the verdicts in order, as they are found."""
        with ThreadPoolExecutor(jobs) as threads:
            try:
                yield from zip(faults, threads.map(self.verdict, faults), strict=True)
            except BaseException:
                threads.shutdown(cancel_futures=True)
                raise


def summary(found: list[tuple[Fault, Verdict]]) -> int:
    """Print the table of the rooms; return how many faults count and were not seen."""
    print(f"\n{'room':12}{'faults':>8}{'killed':>8}{'equivalent':>12}{'alive':>8}{'seconds':>10}")
    for room in [*ROOMS, "all"]:
        of_room = [verdict for fault, verdict in found if room in (fault.room, "all")]
        counts = Counter(verdict.outcome for verdict in of_room)
        seconds = sum(verdict.seconds for verdict in of_room)
        if of_room:
            alive = counts[SURVIVED] + counts[UNFIT]
            print(
                f"{room:12}{len(of_room):8}{counts[KILLED]:8}{counts[EQUIVALENT]:12}{alive:8}"
                f"{seconds:10.0f}"
            )
    return sum(verdict.outcome in (SURVIVED, UNFIT) for _, verdict in found)


def main() -> int:
    """Try the faults that were asked for; return 1 where too many are not seen."""
    asked = arguments()
    rooms = read_rooms()
    faults = chosen(rooms, asked)
    wrong = [why for why in map(misplaced, faults) if why]
    if wrong:
        raise SystemExit("\n".join(wrong))
    if asked.list:
        print("\n".join(f"{fault.room:11}{fault.name:58}{fault.file}" for fault in faults))
        return 0
    if asked.again:
        asked.json.unlink(missing_ok=True)
    found = []
    with tempfile.TemporaryDirectory(prefix="emul-mutants-") as folder:
        campaign = Campaign(rooms, trees(asked.j, folder), asked.json, Path(folder))
        try:
            for fault, verdict in campaign.verdicts(faults, asked.j):
                say(fault, verdict)
                found.append((fault, verdict))
        finally:
            campaign.close()
    alive = summary(found)
    counted = sum(verdict.outcome != EQUIVALENT for _, verdict in found)
    print(f"not seen: {alive} of {counted}, at most {MOST_SURVIVORS:.0%} may be", flush=True)
    return int(alive > MOST_SURVIVORS * counted)


if __name__ == "__main__":
    sys.exit(main())
