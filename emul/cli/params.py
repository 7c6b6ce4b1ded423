"""What subcommands share: parameter types, and printing."""

from __future__ import annotations

import click

from emul.errors import ArgumentError
from emul.units import parse_size

__all__ = ["INTERRUPTED", "Dilation", "Size", "print_wide"]

INTERRUPTED = 130
"""Exit status: 128 + SIGINT, as shells count."""

WIDTH_WITHOUT_TERMINAL = 250


class Size(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A number of bytes, with K, M, G or T for powers of 1024."""

    name = "size"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return ``value`` in bytes."""
        if isinstance(value, int):
            return value
        try:
            return parse_size(value)
        except ArgumentError as error:
            self.fail(str(error), param, ctx)


class Dilation(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A factor, or ``auto``."""

    name = "float|auto"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | str:
        """Return ``value`` as a number, unless it is ``auto``."""
        if value == "auto":
            return value
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is not a number, and not auto", param, ctx)


def print_wide(table: object) -> None:
    """Print a rich table, as wide as it needs where there is no terminal to fit in."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH_WITHOUT_TERMINAL)
    console.print(table)
