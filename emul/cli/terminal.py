"""All that commands print goes through here, and no text of a file or of the command line is obeyed
by the terminal.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from shutil import get_terminal_size
from typing import TYPE_CHECKING

import click

from emul.reading.printable import printable, shortened

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from emul.report.text_table import TextTable

__all__ = [
    "columns",
    "complain",
    "console",
    "go_on_without_reader",
    "on_terminal",
    "open_streams",
    "print_table",
    "say",
    "say_each",
    "say_fitted",
    "silence",
    "terminal_width",
    "wrapped",
]

WIDTH_WITHOUT_TERMINAL = 250

LEAST_WIDTH = 20
"""Of a terminal: below it, nothing is made to fit."""

COMMENT = "#"
"""The beginning of lines about the table, which stay comments where they are wrapped."""

LABEL = re.compile(r"[A-Z][\w ]*:(?= )")
"""The beginning of a line of words, which is bold on a terminal."""

PIECES = re.compile(r"\d[\d.e+-]* (?:[nmu]?s|[KMGT]i?B(?:/s)?|B|%|Gbit/s)\S*\s*|\S+\s*|^\s+")
"""A word and the spaces behind it, or a number with its unit; the indent of a line."""

HAS_FILES = "emul.has_files"
"""The key of a command that writes files behind its table."""

MOST_LINES = 12
"""Of notes of one kind; more are counted."""


def open_streams() -> None:
    """Let the standard streams take every character; one that was closed leads nowhere."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:  # closed: the next file that is opened would be in its place
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_RDWR), number)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the end
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def say(*lines: str) -> None:
    """Print each of ``lines``."""
    for line in lines:
        _print(f"{printable(line)}\n")


def say_each(kind: str, notes: Iterable[str]) -> None:
    """Print each note once, behind ``kind``; of very many the first, and how many are left."""
    different = list(dict.fromkeys(notes))
    lines = [f"{kind}{shortened(note)}" for note in different[:MOST_LINES]]
    if len(different) > MOST_LINES:
        lines.append(f"{kind}... and {len(different) - MOST_LINES} more")
    if lines:
        say_fitted(lines, terminal_width())


def complain(message: str) -> None:
    """Print ``message`` on standard error, if there still is one.

    One line; on a terminal it is wrapped between words.
    """
    line = shortened(" ".join(part.strip() for part in message.split("\n")).strip())
    lines = wrapped(line, columns()) if sys.stderr.isatty() else [printable(line)]
    with suppress(OSError):
        click.echo("\n".join(lines), err=True)


def silence() -> None:
    """Discard all further output: nobody reads it any more."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def terminal_width() -> int | None:
    """Return the columns of standard output; None where it is no terminal.

    FORCE_COLOR, which asks for colours in a pipe, makes no terminal of it: scripts read there.
    """
    return columns() if on_terminal() else None


def on_terminal() -> bool:
    """Say whether standard output is a terminal."""
    return sys.stdout.isatty()


def columns() -> int:
    """Return the columns of the terminal, 80 where there is none; the variable COLUMNS rules."""
    return max(LEAST_WIDTH, get_terminal_size().columns)


def say_fitted(lines: Iterable[str], width: int | None) -> None:
    """Print lines of words in ``width`` columns, each with a hanging indent; None for any width.

    On a terminal, the word before the first colon is bold.
    """
    if width is None:
        say(*lines)
        return
    from rich.text import Text

    shown = console(width=width)
    for line in lines:
        label = LABEL.match(line)
        for number, part in enumerate(wrapped(line, width)):
            text = Text(part)
            if label and not number:
                text.stylize("bold", 0, label.end())
            _show(shown, text)


def wrapped(line: str, width: int) -> list[str]:
    """Return ``line`` in lines of at most ``width`` columns, all but the first indented.

    A number stays beside its unit. A word that is longer than a line is cut into several.
    """
    from rich.cells import cell_len

    indent = f"{COMMENT}   " if line.startswith(COMMENT) else "  "
    parts = [""]
    for word in PIECES.findall(printable(line)):
        if cell_len(parts[-1]) + cell_len(word.rstrip()) <= width:
            parts[-1] += word
            continue
        parts += [indent + each for each in _cut(word, width - len(indent))]
    return [part.rstrip() for part in parts if part.strip()] or [""]


def console(*, stderr: bool = False, width: int | None = None) -> Console:
    """Return a console that takes text for text: no markup, no emoji, no colours of numbers."""
    from rich.console import Console

    return Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def _cut(word: str, width: int) -> list[str]:
    """Return ``word`` in pieces of at most ``width`` columns."""
    from rich.cells import cell_len

    pieces = [""]
    for character in word:
        if pieces[-1] and cell_len(pieces[-1] + character.rstrip()) > width:
            pieces.append("")
        pieces[-1] += character
    return pieces


def print_table(table: TextTable, *, wide: bool = False) -> None:
    """Print a table to fit the terminal; ``wide``, or where there is none, in full.

    Where columns gave way, a line names them.
    """
    width = None if wide else terminal_width()
    if width is None:
        _show(console(width=WIDTH_WITHOUT_TERMINAL), table)
        return
    fitted, left_out = table.fitted(width)
    shown = console(width=width)
    if table is not fitted:
        say("")
    _show(shown, fitted)
    if left_out:
        say_fitted([f"{COMMENT} left out to fit {width} columns: {', '.join(left_out)}"], width)
    if table is not fitted:
        say("")


def go_on_without_reader() -> None:
    """Let the command go on when nobody reads its output, for it has files to write."""
    click.get_current_context().meta[HAS_FILES] = True


def _show(shown: Console, renderable: RenderableType) -> None:
    """Print a text or a table; Rich itself would end the program without a reader."""
    from rich.text import Text

    with shown.capture() as drawn:
        shown.print(renderable, soft_wrap=isinstance(renderable, Text))
    _print(drawn.get())


def _print(text: str) -> None:
    try:
        click.echo(text, nl=False, color=True)
    except BrokenPipeError:
        context = click.get_current_context(silent=True)
        if context is None or HAS_FILES not in context.meta:
            raise
        silence()
