"""``emul info``: what there is to compute with."""

from __future__ import annotations

import click

__all__ = ["info"]


@click.command()
def info() -> None:
    """Show versions, backends (and why one is not available), processor and GPU."""
    from emul import __version__
    from emul.report.info import info_lines

    click.echo("\n".join(info_lines(__version__)))
