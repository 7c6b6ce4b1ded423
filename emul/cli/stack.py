"""``emul stack list | show NAME``."""

from __future__ import annotations

import click

from emul.cli.help import Command, Group
from emul.cli.names import STACK
from emul.cli.terminal import print_table, say_fitted, terminal_width

__all__ = ["stack"]


@click.group(
    cls=Group,
    examples={
        "all stacks": "emul stack list",
        "the numbers of one, and their sources": "emul stack show nccl",
    },
    page="howto/stacks.md",
)
def stack() -> None:
    """Show how communication libraries put messages on the wire."""


@stack.command(
    "list",
    cls=Command,
    examples={
        "all stacks": "emul stack list",
        "a collective as one of them sends it": "emul perf -e 64K --stack gloo",
    },
    page="howto/stacks.md",
)
def list_() -> None:
    """List the stacks that come with emul."""
    from emul.report.stacks import stack_list
    from emul.stacks.profile import load_stack, stack_names

    print_table(stack_list(load_stack(name) for name in stack_names()))


@stack.command(
    cls=Command,
    examples={
        "a library": "emul stack show openmpi",
        "a profile of your own": "emul stack show library.toml",
    },
    page="howto/stacks.md",
)
@click.argument("name", metavar="NAME|FILE", type=STACK)
def show(name: str) -> None:
    """Show a stack: its numbers, where they are from, and which algorithms it takes when."""
    from emul.report.stacks import choice_table, number_table
    from emul.stacks.profile import load_stack

    profile = load_stack(name)
    said = f"{profile.name}: {profile.description or 'no description'}"
    say_fitted([said], terminal_width())
    print_table(number_table(profile))
    if profile.choices:
        print_table(choice_table(profile))
