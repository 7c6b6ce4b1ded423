"""Runs the commands of a page in this process, as a terminal of 100 columns would show them."""

import contextlib
import io
import os
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from emul.cli.main import run

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["COLUMNS", "LISTS", "Lists", "command_lines", "printed_by"]

COLUMNS = 100
"""Of the terminal: as wide as most pages of a web browser show a block."""

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
STATUS = re.compile(r"#\s*exit status (\d+)\s*$")
LISTS_PATH = Path(__file__).with_name("commands.toml")


@dataclass
class Lists:
    """The commands that are not run as they stand, each with its reason (``commands.toml``)."""

    not_run: dict[str, str]
    instead: dict[str, str]
    unchecked: dict[str, str]
    kept: dict[str, list[re.Pattern[str]]]
    used: set[str] = field(default_factory=set)

    @classmethod
    def read(cls) -> "Lists":
        """Read the lists. Every entry has to give its reason."""
        told = tomllib.loads(LISTS_PATH.read_text())
        for entries in told.values():
            assert all(entry["reason"] for entry in entries)
        return cls(
            {each["starts"]: each["reason"] for each in told["not_run"]},
            {each["command"]: each["run"] for each in told["instead"]},
            {each["starts"]: each["reason"] for each in told["unchecked"]},
            {
                each["command"]: [re.compile(part, re.MULTILINE) for part in each["keeps"]]
                for each in told["instead"]
            },
        )

    def entry(self, kind: str, command: str) -> str | None:
        """Return the entry of the list ``kind`` that covers ``command``, and note that it did."""
        for start in getattr(self, kind):
            if command == start or command.startswith(f"{start} "):
                self.used.add(start)
                return start
        return None

    def compared(self, block: str, output: str) -> str:
        """Return the parts of the ``output`` of a block that are compared."""
        for command, _ in command_lines(block):
            if command in self.kept:
                kept = (part.finditer(output) for part in self.kept[command])
                output = "".join(f"{found[0]}\n" for each in kept for found in each)
        return output


LISTS = Lists.read()


class Terminal(io.TextIOWrapper):
    """A stream into memory that says it is a terminal."""

    def isatty(self) -> bool:
        """Return True: tables are as narrow as for a reader."""
        return True


def command_lines(block: str) -> Iterator[tuple[str, int]]:
    r"""Yield the commands of a block and the exit status of each.

    Comments are left out, ``\`` at the end of a line joins it to the next, and ``&&`` stands
    between commands. ``# exit status 2`` behind a command says that it ends so.

    >>> list(command_lines("emul a \\\n  b # c\nemul d  # exit status 2"))
    [('emul a b', 0), ('emul d', 2)]
    """
    for line in block.replace("\\\n", " ").splitlines():
        status = STATUS.search(line)
        command = re.sub(r"(^|\s)#.*", "", line).strip()
        if command:
            yield " ".join(command.split()), int(status[1]) if status else 0


def _emul(arguments: list[str]) -> None:
    was, sys.argv = sys.argv, ["emul", *arguments]
    try:
        run()
    finally:
        sys.argv = was


def _run(command: str, status: int) -> None:
    """Run one command, which is one of emul or a script; it has to end with ``status``."""
    assert not re.search(r"[|<>;&$`]", command), f"{command}: only plain commands are run"
    program, *arguments = shlex.split(command)
    ended: object = 0
    try:
        if program == "emul":
            _emul(arguments)
        else:
            is_script = program == "python" and len(arguments) == 1
            assert is_script, f"{command}: not in commands.toml"
            runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as end:
        ended = end.code or 0
    assert ended == status, f"{command}: exit status {ended}, not {status}"


@contextlib.contextmanager
def _terminal() -> Iterator[io.BytesIO]:
    """Give what is printed inside, on both streams in the order of printing."""
    raw = io.BytesIO()
    screen = Terminal(raw, encoding="utf-8", write_through=True)
    errors = io.TextIOWrapper(raw, encoding="utf-8", write_through=True)
    there = {name: os.environ.get(name) for name in ("COLUMNS", "LINES", "TERM", "NO_COLOR")}
    os.environ.update(COLUMNS=str(COLUMNS), LINES="40", TERM="xterm", NO_COLOR="1")
    try:
        with contextlib.redirect_stdout(screen), contextlib.redirect_stderr(errors):
            yield raw
    finally:
        for name, value in there.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def printed_by(block: str, lists: Lists = LISTS, *, as_written: bool = False) -> str | None:
    """Return the output of a block of commands; None when none of it is to be compared.

    ``as_written``: run also the commands that take long, for which the tests run another.
    """
    compared = True
    with _terminal() as raw:
        for command, status in command_lines(block):
            instead = lists.entry("instead", command)
            if instead is None and lists.entry("not_run", command):
                compared = False
                continue
            compared = compared and lists.entry("unchecked", command) is None
            chosen = command if instead is None else lists.instead[instead]
            if as_written and instead is not None:
                chosen = command.split(" && ")[-1]
            for each in chosen.split(" && "):
                _run(each, status)
        printed = raw.getvalue().decode()
    return ESCAPE.sub("", printed) if compared else None
