"""``emul info``: the machine and its backends."""

from __future__ import annotations

import click

from emul.cli.help import Command, option, options
from emul.cli.terminal import say, say_fitted, terminal_width

__all__ = ["info"]


@click.command(
    cls=Command,
    short_help="Show versions, backends, processor and GPU.",
    examples={
        "versions, backends, processor and GPU": "emul info",
        "how exact waits are on this machine": "emul info --clock",
    },
    page="install.md",
)
@options(
    "Measurement",
    option("--clock", is_flag=True,
           help="Measure how exact waits are, beside time.sleep, for seconds."),
)  # fmt: skip
def info(clock: bool) -> None:
    """Show versions, backends (and why one is not available), processor and GPU."""
    if clock:
        from emul.report.clock_words import clock_lines

        say(*clock_lines())
        return
    from emul import __version__
    from emul.report.machine_facts import info_lines

    say_fitted(info_lines(__version__), terminal_width())
