"""The faults: which text of which file is replaced by which, and who must notice."""

import sys
from dataclasses import dataclass
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
LISTS = Path(__file__).parent / "faults"

ROOMS = (
    "house",
    "tracks",
    "drawing",
    "links",
    "synthesis",
    "topology",
    "stacks",
    "bench",
    "programs",
    "insight",
    "training",
    "world",
    "validation",
    "measured",
    "plans",
    "libraries",
    "msccl",
    "report",
    "cli",
    "ops",
    "kernels",
    "timing",
)
"""In the order in which they are tried: those with quick tests first."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One mistake of one room: ``old`` stands exactly once in ``file`` and becomes ``new``.

    ``tests`` are the files that see it, tried before the room's others. ``equivalent`` says why
    nobody can see it, and is empty where somebody can.
    """

    room: str
    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...] = ()
    equivalent: str = ""

    def planted(self, text: str) -> str:
        """Return ``text`` with the fault in it; ValueError unless the place is there once."""
        found = text.count(self.old)
        if found != 1:
            raise ValueError(f"{self.name}: {self.old!r} stands {found} times in {self.file}")
        return text.replace(self.old, self.new)


@dataclass(frozen=True, slots=True)
class Room:
    """A room's faults, and the tests that have to see them."""

    name: str
    tests: tuple[str, ...]
    faults: tuple[Fault, ...]


def read_room(path: Path) -> Room:
    """Return the room of one list in TOML."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    faults = tuple(
        Fault(path.stem, **{**each, "tests": tuple(each.get("tests", ()))})
        for each in table["fault"]
    )
    return Room(path.stem, tuple(table["tests"]), faults)


def read_rooms() -> dict[str, Room]:
    """Return all rooms, those with quick tests first."""
    return {name: read_room(LISTS / f"{name}.toml") for name in ROOMS}


def misplaced(fault: Fault, root: Path = ROOT) -> str:
    """Return why a fault cannot be planted, or nothing where it can."""
    try:
        if (
            fault.planted((root / fault.file).read_text(encoding="utf-8"))
            and fault.old == fault.new
        ):
            return f"{fault.name}: changes nothing"
    except (OSError, ValueError) as error:
        return str(error)
    return ""
