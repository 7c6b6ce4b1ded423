"""``emul stack list | show NAME``."""

from __future__ import annotations

import click

from emul.cli.params import Subcommands
from emul.cli.terminal import print_wide, say

__all__ = ["stack"]


@click.group(cls=Subcommands)
def stack() -> None:
    """Show how communication libraries put messages on the wire."""


@stack.command("list")
def list_() -> None:
    """List the stacks that come with emul."""
    from emul.report.stacks import stack_list
    from emul.stacks.profile import load_stack, stack_names

    print_wide(stack_list(load_stack(name) for name in stack_names()))


@stack.command()
@click.argument("name", metavar="NAME|FILE")
def show(name: str) -> None:
    """Show a stack: its numbers, where they are from, and which algorithms it takes when."""
    from emul.report.stacks import choice_table, number_table
    from emul.stacks.profile import load_stack

    profile = load_stack(name)
    say(f"{profile.name}: {profile.description or 'no description'}")
    print_wide(number_table(profile))
    if profile.choices:
        print_wide(choice_table(profile))
