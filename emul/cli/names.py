"""Options and arguments that take a name or a file: any spelling, and completion by the shell.

Nothing here needs NumPy, so that a shell gets its answer at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from emul import naming

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["ALGORITHM", "BACKEND", "CLOCK", "COLLECTIVE", "COLLECTIVE_OR_JOB", "DTYPE",
           "HARDWARE", "MODEL", "NAMED_ALGORITHM", "OP", "PLAN", "PLANS", "SHOWN_TOPOLOGY",
           "STACK", "TOPOLOGY", "WIRE", "Name", "Recorded"]  # fmt: skip

ROOMS = Path(__file__).parents[1]
TOML = ".toml"
JSON = ".json"
XML = ".xml"
PYTHON = ".py"
MOST_FILES = 200
"""Of one folder, that a shell is offered."""

Known = Callable[[], Iterable[str]]
Offered = Callable[[click.Context], Iterable[str]]


class Name(click.types.StringParamType):
    """A name in any spelling; where ``endings`` are given, also the path of a file.

    A name that is unknown comes back as it is: the room that owns the names refuses it, and says
    which there are.
    """

    name = "name"

    def __init__(
        self,
        known: Known,
        others: Mapping[str, tuple[str, ...]] | None = None,
        endings: tuple[str, ...] = (),
        offered: Offered | None = None,
    ) -> None:
        """Take the names, their other names, and the endings of files.

        ``offered``: returns those of the names that a shell is offered.
        """
        self.known = known
        self.offered = offered or (lambda ctx: known())
        self.others = others
        self.endings = endings

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name that ``value`` means; the path of a file stays."""
        if not value:
            self.fail("'': needed a name" + (" or a file" if self.endings else ""), param, ctx)
        if value.endswith(self.endings) and self.endings:
            return value
        return naming.canonical(value, tuple(self.known()), self.others)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the names and files that begin with ``incomplete``, in any spelling."""
        begun = naming.folded(incomplete)
        names = [each for each in self.offered(ctx) if naming.folded(each).startswith(begun)]
        files = files_like(incomplete, self.endings)
        return _items([*names, *(each for each in files if not (names and each.endswith("/")))])


class Recorded(click.Path):
    """The path of a file of measurements or of a topology; the shell is offered such files."""

    def __init__(self, *endings: str) -> None:
        """Take the endings of the files that are offered; every other file is taken too."""
        super().__init__(path_type=Path)
        self.endings = endings

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the files that begin with ``incomplete``."""
        return _items(files_like(incomplete, self.endings))


def _items(values: Iterable[str]) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem  # not for commands that run

    return [CompletionItem(each) for each in values]


def files_like(incomplete: str, endings: tuple[str, ...]) -> list[str]:
    """Return the files with these endings, and the folders, whose paths begin so."""
    if not endings:
        return []
    folder, _, begun = incomplete.rpartition("/")
    start = f"{folder}/" if folder or incomplete.startswith("/") else ""
    try:
        entries = sorted(Path(start or ".").iterdir())
    except OSError:
        return []
    fitting = [
        f"{start}{each.name}/" if each.is_dir() else f"{start}{each.name}"
        for each in entries
        if each.name.startswith(begun)
        and (begun or not each.name.startswith("."))
        and (each.name.endswith(endings) or each.is_dir())
    ]
    return fitting[:MOST_FILES]


def _stems(*folders: str) -> list[str]:
    """Return the names of the TOML files in folders of the package."""
    return sorted(
        path.stem for folder in folders for path in (ROOMS / folder).iterdir()
        if path.suffix == TOML
    )  # fmt: skip


def _topologies() -> list[str]:
    return _stems("topology/presets")


def _shown_topologies() -> list[str]:
    return _stems("topology/presets", "links/presets")


def _stacks() -> list[str]:
    return _stems("stacks/profiles")


def _tables(file: str) -> list[str]:
    """Return the names of the tables of a TOML file of the package."""
    from emul.reading.bounded_text import toml_document

    return sorted(toml_document((ROOMS / file).read_text(encoding="utf-8"), file))


def _models() -> list[str]:
    return _tables("training/presets/models.toml")


def _hardware() -> list[str]:
    return _tables("training/presets/hardware.toml")


def _with_auto() -> list[str]:
    return ["auto", *naming.ALGORITHMS]


def _fitting(ctx: click.Context) -> list[str]:
    """Return the algorithms that do the collective of the command, or all before it is known."""
    words = (ctx.params.get("collective"), *ctx.args)  # args: while the last option is open
    collectives = (_collective(each) for each in words if isinstance(each, str))
    collective = next((each for each in collectives if each), "")
    return [
        name for name, done in naming.ALGORITHMS.items() if not collective or collective in done
    ]


def _fitting_or_auto(ctx: click.Context) -> list[str]:
    return ["auto", *_fitting(ctx)]


def _collective(word: str) -> str:
    """Return the collective that ``word`` means, if any."""
    name = naming.canonical(word, naming.COLLECTIVES, naming.COLLECTIVES)
    return name if name in naming.COLLECTIVES else ""


COLLECTIVE = Name(lambda: naming.COLLECTIVES, naming.COLLECTIVES)
COLLECTIVE_OR_JOB = Name(lambda: naming.COLLECTIVES, naming.COLLECTIVES, (TOML,))
"""A collective, or the file of a training job."""

PLAN = Name(lambda: (*naming.COLLECTIVES, *naming.ALGORITHMS), naming.COLLECTIVES, (XML, PYTHON))
"""A collective, an algorithm, or the file of a plan or of an algorithm."""

DTYPE = Name(lambda: naming.DTYPES, naming.DTYPES)
OP = Name(lambda: naming.OPS, naming.OPS)
WIRE = Name(lambda: naming.WIRES, naming.WIRES)
BACKEND = Name(lambda: naming.BACKENDS)
CLOCK = Name(lambda: naming.CLOCKS)
PLANS = Name(lambda: naming.PLANS)
ALGORITHM = Name(_with_auto, endings=(XML, PYTHON), offered=_fitting_or_auto)
NAMED_ALGORITHM = Name(lambda: naming.ALGORITHMS, offered=_fitting)
MODEL = Name(_models, endings=(TOML, JSON))
"""A model, or the file of a model or of a job."""

HARDWARE = Name(_hardware)
STACK = Name(_stacks, endings=(TOML,))
TOPOLOGY = Name(_topologies, endings=(TOML,))
SHOWN_TOPOLOGY = Name(_shown_topologies, endings=(TOML,))
