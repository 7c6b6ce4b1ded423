"""Help pages: options under headings, two examples, and the page of the documentation.

A command is declared with ``cls=Command``, its options in the groups of ``options``::

    @click.command(
        cls=Command,
        examples={"the quickest of all up to 1 MiB": "emul perf -e 1M"},
        page="plan-campuses.md",
    )
    @options(
        "Sizes",
        option("-b", "--minbytes", default="8", help="First size."),
        option("-e", "--maxbytes", default="32M", help="Last size."),
    )
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from emul.cli.terminal import say
from emul.errors import unknown_name

__all__ = ["Command", "Declared", "Group", "option", "options"]

PAGES = "docs/"
"""The folder of the pages for users, in the sources of emul."""

OTHERS = "Other options"
"""The heading of options without a group, such as --help."""

RANGE = re.compile(r"; x>=[\d.]+(?=\])|  \[x>=[\d.]+\]")
"""Of the numbers that an option takes, as click adds it."""

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Declared = tuple[tuple[str, ...], dict[str, Any]]


class Option(click.Option):
    """An option that stands under a heading."""

    def __init__(self, *arguments: Any, heading: str, **attributes: Any) -> None:
        """Take the heading, and the arguments of every option."""
        super().__init__(*arguments, **attributes)
        self.heading = heading

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the two columns of the help page, without the range, which an error names."""
        record = super().get_help_record(ctx)
        return record and (record[0], RANGE.sub("", record[1]))


def option(*names: str, **attributes: Any) -> Declared:
    """Declare one option of a group, with the arguments of click.option."""
    return names, attributes


def options(heading: str, *declared: Declared) -> Callable[[Decorated], Decorated]:
    """Return a decorator that gives a command these options, in this order, under ``heading``."""

    def decorate(command: Decorated) -> Decorated:
        for names, attributes in reversed(declared):
            command = click.option(*names, cls=Option, heading=heading, **attributes)(command)
        return command

    return decorate


class Documented(click.Command):
    """A command whose help page ends with examples and the page of the documentation.

    ``examples``: command lines by the words that say their purpose. ``page``: the file in docs/.
    """

    def __init__(
        self, *arguments: Any, examples: Mapping[str, str], page: str, **attributes: Any
    ) -> None:
        """Take the examples and the page, and the arguments of every command."""
        super().__init__(*arguments, **attributes)
        self.examples = examples
        self.page = page

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, each whole, so that it can be copied, and the page."""
        with formatter.section("Examples"):
            for says, line in self.examples.items():
                formatter.write(f"  # {says}\n  {line}\n")
        formatter.write(f"\nMore: {PAGES}{self.page}\n")


class Command(Documented):
    """A command whose options stand under headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options under their headings, in the order of their declaration."""
        records: dict[str, list[tuple[str, str]]] = {}
        for each in self.get_params(ctx):
            record = each.get_help_record(ctx) if isinstance(each, click.Option) else None
            if record is not None:
                records.setdefault(getattr(each, "heading", OTHERS), []).append(record)
        others = {OTHERS: records.pop(OTHERS)} if OTHERS in records else {}
        for heading, lines in (records | others).items():
            with formatter.section(heading):
                formatter.write_dl(lines)


class Group(Documented, click.Group):
    """A group of subcommands; without any, the help page is printed, by every version of click."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the arguments, or print the help page when there are none."""
        if not args and not ctx.resilient_parsing:
            say(*ctx.get_help().split("\n"))
            ctx.exit()
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the subcommand; of an unknown one, the error names the nearest."""
        name, known = args[0], self.list_commands(ctx)
        if not (name in known or name.startswith("-") or ctx.resilient_parsing):
            raise click.UsageError(str(unknown_name("command", name, known)), ctx)
        return super().resolve_command(ctx, args)
