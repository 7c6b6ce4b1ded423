"""A log: the acts of all ranks, in memory and as files of JSON lines.

The first line of a file is its header: ``{"emul-log": 1, "world_size": 24, "written_by": "..."}``,
with ``"rank": 3`` where the file is of one rank; else every act says its rank. Then come acts, one
for each line, with the fields of `emul.programs.acts` that differ from their defaults. A group is
written once before its first use, as ``{"group": 1, "ranks": [0, 8, 16], "name": "data"}``, and
named by that number from then on.

Files come from others: nothing in them is carried out, and algorithms are names only.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, BinaryIO

from emul.errors import ArgumentError, EmulError, ProgramError, listed, shown
from emul.files import make_folder, write_file
from emul.memory import check_fits
from emul.plans import is_plan_file, is_user_code
from emul.programs.acts import (
    Act,
    Compute,
    Issue,
    Mark,
    Recv,
    Send,
    Wait,
)
from emul.programs.groups import MOST_RANKS, WORLD, RankGroup
from emul.reading import values
from emul.reading.bounded_text import read_lines
from emul.reading.brief import brief
from emul.reading.checks import whole
from emul.reading.place import Place
from emul.reading.values import Range

__all__ = ["VERSION", "Log", "write_acts"]

VERSION = 1

VERSION_KEY = "emul-log"

SUFFIX = ".jsonl"

LONGEST_LINE = 4 << 20
"""Bytes of a line: a group of 500,000 ranks."""

BYTES_PER_ACT = 200
"""Of memory: 158 for waits and computing and issues in turn (measured, 64 bits)."""

NEEDED = 'a log of emul, which begins with {"emul-log": 1, ...}'

NAME = "the name of an algorithm, and no file"

KINDS: dict[str, type[Act]] = {
    "compute": Compute,
    "issue": Issue,
    "send": Send,
    "recv": Recv,
    "wait": Wait,
    "mark": Mark,
}
NAMES = {kind: name for name, kind in KINDS.items()}
FIELDS = {
    kind: tuple(
        (each.name, None if each.default is MISSING else each.default) for each in fields(kind)
    )
    for kind in NAMES
}
"""The fields of each act in order, with their defaults; None for those that must be there."""

KEYS = {
    kind: (
        frozenset(name for name, _ in each),
        frozenset(each.name for each in fields(kind) if each.default is MISSING),
    )
    for kind, each in FIELDS.items()
}
"""The names of all fields of each act, and of those that must be there."""

HEADER = (VERSION_KEY, "world_size", "written_by", "rank")
SIZES = Range(1, MOST_RANKS, "")
GROUPS = Range(0, 1 << 53, "")


@dataclass(frozen=True, slots=True)
class Log:
    """The acts of all ranks: ``acts[r]`` are those of rank r, in order.

    ``written_by``: the program that recorded them. ``lines``: the file of each rank, and the line
    of each act in it, where it was read from files; equal logs may come from other places.

    >>> log = Log([[Compute(0.5)], []], written_by="by hand")
    >>> log.world_size, log.acts[0]
    (2, (Compute(seconds=0.5, name='', at_s=None),))
    """

    acts: tuple[tuple[Act, ...], ...]
    written_by: str = ""
    lines: tuple[tuple[Path, Sequence[int]], ...] = field(default=(), repr=False, compare=False)

    __repr__ = brief

    def __post_init__(self) -> None:
        """Keep the acts as tuples; raises ArgumentError for no rank, or for other things."""
        kept = tuple(map(tuple, self.acts))
        object.__setattr__(self, "acts", kept)
        if not kept:
            raise ArgumentError("a log of no rank: needed one sequence of acts for each")
        for rank, acts in enumerate(kept):
            for act in acts:
                if type(act) not in NAMES:
                    raise ArgumentError(f"rank {rank}: {shown(act)}: needed an act")

    @property
    def world_size(self) -> int:
        """The number of ranks."""
        return len(self.acts)

    @classmethod
    def read(cls, *paths: str | Path) -> Log:
        """Return the log in files: one of all ranks, or one for each rank, or a folder of these.

        In a folder, the files that end in .jsonl are read. Raises ProgramError, with file and line,
        for everything that is no log; CapacityError where its acts do not fit in memory.
        """
        reader = _Reader()
        for path in _files(paths):
            reader.read(path)
        return reader.log()

    def write(self, path: str | Path) -> None:
        """Write all ranks to one file, whole or not at all; raises FileError, ArgumentError."""
        every = ((rank, act) for rank, acts in enumerate(self.acts) for act in acts)
        _write(Path(path), every, self.world_size, _header(self.world_size, self.written_by))

    def write_by_rank(self, folder: str | Path) -> None:
        """Write a file for each rank to ``folder``, which is made; each whole or not at all.

        Raises FileError, ArgumentError.
        """
        make_folder(Path(folder))
        width = len(str(self.world_size - 1))
        for rank, acts in enumerate(self.acts):
            path = Path(folder) / f"rank-{rank:0{width}}{SUFFIX}"
            write_acts(path, acts, rank=rank, world_size=self.world_size, by=self.written_by)

    def place(self, rank: int, number: int) -> str:
        """Return where act ``number`` of ``rank`` stands, in words."""
        if not self.lines:
            return f"rank {rank}, act {number}"
        path, numbers = self.lines[rank]
        return f"{path}, line {numbers[number]} (rank {rank})"


def write_acts(
    path: str | Path, acts: Iterable[Act], *, rank: int, world_size: int, by: str = ""
) -> None:
    """Write the acts of one rank to a file of its own, whole or not at all.

    ``by``: the program that recorded them. The acts are taken one by one, so they may come from a
    generator. Raises FileError, and ArgumentError for an algorithm that is no name.
    """
    whole(rank, "rank", 0, whole(world_size, "world_size", 1, MOST_RANKS) - 1)
    header = _header(world_size, by) | {"rank": rank}
    _write(Path(path), ((None, act) for act in acts), world_size, header)


def _header(world_size: int, by: str) -> dict[str, object]:
    return {VERSION_KEY: VERSION, "world_size": world_size, "written_by": by}


def _write(
    path: Path, acts: Iterable[tuple[int | None, Act]], world_size: int, header: dict[str, object]
) -> None:
    """Write a header and acts, each beside its rank where the file is of several."""

    def write(file: BinaryIO) -> None:
        """Write all lines."""
        numbers = {WORLD: 0}
        file.write(_line(header))
        for rank, act in acts:
            group = getattr(act, "group", WORLD)
            if group not in numbers:
                numbers[group] = len(numbers)
                file.write(_line(_group_entry(numbers[group], group, world_size)))
            at = {} if rank is None else {"rank": rank}
            file.write(_line(at | _entry(act, numbers[group])))

    write_file(path, write)


def _line(entry: dict[str, object]) -> bytes:
    return json.dumps(entry, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _group_entry(number: int, group: RankGroup, world_size: int) -> dict[str, object]:
    """Return a group as it stands in a file; raises ArgumentError for ranks that are not there."""
    entry: dict[str, object] = {"group": number}
    if group.ranks is not None:
        if group.ranks[-1] >= world_size:
            raise ArgumentError(f"{group}: needed ranks from 0 to {world_size - 1}")
        entry["ranks"] = group.ranks
    return entry | ({"name": group.name} if group.name else {})


def _entry(act: Act, group: int) -> dict[str, object]:
    """Return an act as it stands in a file: the fields that differ from their defaults."""
    entry: dict[str, object] = {"act": NAMES[type(act)]}
    for name, default in FIELDS[type(act)]:
        value = getattr(act, name)
        if value != default:
            entry[name] = group if name == "group" else value
    if not _is_name(entry.get("algorithm", "")):
        raise ArgumentError(f"algorithm {shown(entry['algorithm'])} in a log: needed {NAME}")
    return entry


def _is_name(algorithm: object) -> bool:
    """Say whether this is the name of an algorithm: a file would be carried out."""
    return isinstance(algorithm, str) and not (is_plan_file(algorithm) or is_user_code(algorithm))


def _files(paths: Sequence[str | Path]) -> list[Path]:
    """Return the files that ``paths``, files and folders, mean."""
    found: list[Path] = []
    for path in map(Path, paths):
        found += sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
    if not found:
        named = listed(map(str, paths)) or "no path"
        raise ProgramError(f"{named}: no files that end in {SUFFIX}: needed {NEEDED}")
    return found


class _Reader:
    """The acts of files that were read so far."""

    def __init__(self) -> None:
        """Begin with none."""
        self.world_size = 0
        self.acts: dict[int, list[Act]] = {}
        self.lines: dict[int, array[int]] = {}
        self.files: dict[int, Path] = {}
        self.written_by = ""
        self.groups = {WORLD: WORLD}  # one object of each: files of all ranks name the same ones
        self._number, self._asked = 0, 1

    def read(self, path: Path) -> None:
        """Add the acts of one file."""
        lines, file = read_lines(path, NEEDED, LONGEST_LINE, ProgramError), _File(path)
        self._begin(_object(next(lines, b""), file), file)
        for file.line, line in enumerate(lines, 2):
            if line and not line.isspace():
                self._add(_object(line, file), file)

    def log(self) -> Log:
        """Return all of them; raises ProgramError where ranks are missing."""
        ranks = range(self.world_size)
        missing = [str(rank) for rank in ranks if rank not in self.files]
        if missing:
            raise ProgramError(
                f"{self.files.popitem()[1].parent}: no file of {len(missing)} of "
                f"{self.world_size} ranks ({listed(missing)}): needed one for each"
            )
        acts = tuple(tuple(self.acts.get(rank, ())) for rank in ranks)
        lines = tuple((self.files[rank], self.lines.get(rank, ())) for rank in ranks)
        return Log(acts, self.written_by, lines)

    def _begin(self, header: dict[str, Any], file: _File) -> None:
        """Take the header of a file."""
        if VERSION_KEY not in header:
            raise file.place.refusal(header, NEEDED)
        if header[VERSION_KEY] != VERSION or header[VERSION_KEY] is True:
            raise file.refusal(VERSION_KEY, header, f"{VERSION}, the version that emul reads")
        file.check_keys(header, HEADER)
        size = values.whole(header.get("world_size"), SIZES, file.place.of("world_size"))
        if self.world_size not in (0, size):
            needed = f"{self.world_size}, as in the other files"
            raise file.refusal("world_size", header, needed)
        if not isinstance(by := header.get("written_by", ""), str):
            raise file.refusal("written_by", header, "a text")
        self.written_by = self.written_by or values.name(by, file.place.of("written_by"))
        self.world_size = file.world_size = size
        if "rank" in header:
            file.rank = file.rank_in(header)
        for rank in range(size) if file.rank is None else (file.rank,):
            if rank in self.files:
                raise file.place.complaint(f"rank {rank} has a file already: {self.files[rank]}")
            self.files[rank] = file.path

    def _add(self, entry: dict[str, Any], file: _File) -> None:
        """Add the act, or the group, of one line."""
        if "act" not in entry:
            number, group = file.group(entry)
            file.groups[number] = self.groups.setdefault(group, group)
            return
        rank = file.rank
        if rank is None:
            rank = file.rank_in(entry)
            del entry["rank"]
        if rank not in self.acts:
            self.acts[rank], self.lines[rank] = [], array("Q")
        self.acts[rank].append(file.act(entry))
        self.lines[rank].append(file.line)
        self._number += 1
        if self._number > self._asked:
            self._asked = 2 * self._number
            check_fits(self._number * BYTES_PER_ACT, f"{file.path}: its first {file.line} lines")


class _File:
    """A file that is being read: its line, and its groups so far."""

    def __init__(self, path: Path) -> None:
        """Begin at the first line."""
        self.path = path
        self.line = 1
        self.world_size = 0
        self.rank: int | None = None  # of all acts; None where each says its own
        self.groups = {0: WORLD}

    @property
    def place(self) -> Place:
        """The place of the line."""
        return Place(self.path, self.line, error_class=ProgramError)

    def refusal(self, key: str, entry: dict[str, Any], needed: str) -> EmulError:
        """Return the error for the value of ``key`` in the line."""
        return self.place.of(key).refusal(entry.get(key), needed)

    def check_keys(self, entry: dict[str, Any], known: Iterable[str]) -> None:
        """Refuse a key that is none of ``known``."""
        for key in entry:
            if key not in known:
                raise self.place.refusal(key, f"one of the keys {', '.join(known)}")

    def rank_in(self, entry: dict[str, Any]) -> int:
        """Return the rank that the line says."""
        rank = entry.get("rank")
        if type(rank) is not int or not 0 <= rank < self.world_size:
            raise self.refusal("rank", entry, f"a rank from 0 to {self.world_size - 1}")
        return rank

    def group(self, entry: dict[str, Any]) -> tuple[int, RankGroup]:
        """Return the group of the line, and its number in the file."""
        if "group" not in entry:
            raise self.place.refusal(entry, "an act, or a group")
        self.check_keys(entry, ("group", "ranks", "name"))
        number = values.whole(entry["group"], GROUPS, self.place.of("group"))
        if number in self.groups:
            raise self.refusal("group", entry, "a number that no other group of the file has")
        ranks = entry.get("ranks")
        if ranks is not None and not isinstance(ranks, list):
            raise self.refusal("ranks", entry, "a list of ranks")
        group: RankGroup = self._checked(RankGroup, {"ranks": ranks, "name": entry.get("name", "")})
        if group.ranks is not None and group.ranks[-1] >= self.world_size:
            raise self.refusal("ranks", entry, f"ranks from 0 to {self.world_size - 1}")
        return number, group

    def act(self, entry: dict[str, Any]) -> Act:
        """Return the act of the line."""
        name = entry.pop("act")
        kind = KINDS.get(name) if isinstance(name, str) else None
        if kind is None:
            raise self.place.of("act").refusal(name, f"one of {', '.join(KINDS)}")
        known, required = KEYS[kind]
        if not required <= entry.keys() <= known:
            self.check_keys(entry, [each for each, _ in FIELDS[kind]])
            missing = ", ".join(each for each, _ in FIELDS[kind] if each in required - entry.keys())
            raise self.place.complaint(f"{name} without {missing}: needed {listed(required)}")
        if "group" in entry:
            entry["group"] = self._known_group(entry)
        if not _is_name(entry.get("algorithm", "")):
            raise self.refusal("algorithm", entry, NAME)
        found: Act = self._checked(kind, entry)
        return found

    def _known_group(self, entry: dict[str, Any]) -> RankGroup:
        number = entry["group"]
        if type(number) is not int or number not in self.groups:
            raise self.refusal("group", entry, "the number of a group in a line before")
        return self.groups[number]

    def _checked(self, kind: Callable[..., Any], fields: dict[str, Any]) -> Any:
        """Return an object made of the fields of the line, or raise its complaint."""
        try:
            return kind(**fields)
        except EmulError as error:
            raise self.place.complaint(str(error)) from None


def _object(line: bytes, file: _File) -> dict[str, Any]:
    """Return the object in one line of JSON; raises ProgramError."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        why = getattr(error, "msg", None) or "no UTF-8, too deep, or too long a number"
        raise file.place.complaint(f"no JSON ({why}): needed an object on one line") from None
    if not isinstance(found, dict):
        raise file.place.refusal(found, "an object on one line")
    return found
