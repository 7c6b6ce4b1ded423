"""The files that a command writes: the option of each, the check before the work, the writing.

A command has one ``Outputs``, a table with a line for each file. It adds the options, refuses
before the work the files that cannot be written, and writes them when the work is done or was
interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import click

from emul.cli.help import option, options
from emul.cli.params import INTERRUPTED
from emul.cli.terminal import complain, go_on_without_reader
from emul.errors import listed

__all__ = ["Output", "Outputs"]

Result = TypeVar("Result")
Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def _any_form(path: Path) -> None:
    """Accept every file name."""


@dataclass(frozen=True)
class Output(Generic[Result]):
    """One file that a command can write.

    ``option``: its option, ``--json``. ``says``: the line of the help page. ``write``: writes a
    result to a path, whole or not at all. ``check``: raises an EmulError, before the work, for a
    name whose form cannot be written. Both import their rooms when they are called.
    """

    option: str
    says: str
    write: Callable[[Path, Result], None]
    check: Callable[[Path], None] = _any_form
    metavar: str = "FILE"

    @property
    def argument(self) -> str:
        """The name of the argument that holds the path: ``json_path``."""
        return f"{self.option.strip('-').replace('-', '_')}_path"


class Outputs(Generic[Result]):
    """The files of one command, in the order of its help page."""

    def __init__(self, *outputs: Output[Result]) -> None:
        """Take the files."""
        self._outputs = outputs

    def options(self, command: Decorated) -> Decorated:
        """Give ``command`` the option of each file."""
        declared = (
            option(
                each.option,
                each.argument,
                type=click.Path(path_type=Path),
                metavar=each.metavar,
                help=each.says,
            )
            for each in self._outputs
        )
        return options("Files", *declared)(command)

    def check(self, asked: Mapping[str, Any], inputs: Iterable[Path | str] = ()) -> None:
        """Raise FileError for a file that cannot be written, or that is among ``inputs``.

        From then on the command goes on to its files when the reader of its table goes away.

        ``asked`` has the arguments of the command, with the path of each file or None.
        """
        from emul.files import check_outputs

        check_outputs({each.option: asked[each.argument] for each in self._outputs}, inputs)
        for each, path in self._asked(asked):
            each.check(path)
            go_on_without_reader()

    def write(self, asked: Mapping[str, Any], result: Result) -> None:
        """Write the files that were asked for. Raises FileError.

        An interrupt ends the program, and names the files that are not written.
        """
        left = self._asked(asked)
        try:
            while left:
                each, path = left[0]
                each.write(path, result)
                left = left[1:]
        except KeyboardInterrupt:
            complain(f"emul: interrupted: not written: {listed([str(path) for _, path in left])}")
            sys.exit(INTERRUPTED)

    def _asked(self, asked: Mapping[str, Any]) -> list[tuple[Output[Result], Path]]:
        """Return the files that were asked for, with their paths."""
        paths = ((each, asked[each.argument]) for each in self._outputs)
        return [(each, path) for each, path in paths if path is not None]
