"""The command ``emul``: its subcommands, and what becomes of errors."""

from __future__ import annotations

import os
import sys

import click

from emul import EmulError, __version__
from emul.cli.calibrate import calibrate
from emul.cli.info import info
from emul.cli.params import INTERRUPTED
from emul.cli.perf import perf
from emul.cli.plan import plan
from emul.cli.stack import stack
from emul.cli.topology import topology
from emul.cli.validate import validate

__all__ = ["main", "run"]

BAD_INPUT = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """Run collective communication for real, and make it feel the distance between sites."""


main.add_command(calibrate)
main.add_command(info)
main.add_command(perf)
main.add_command(plan)
main.add_command(stack)
main.add_command(topology)
main.add_command(validate)


def run() -> None:
    """Run the command line; bad input is one line on standard error and exit status 2."""
    try:
        sys.exit(main.main(standalone_mode=False))
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        _complain(f"{context.command_path if context else 'emul'}: {error.format_message()}")
        sys.exit(BAD_INPUT)
    except EmulError as error:
        _complain(f"emul: {error}")
        sys.exit(BAD_INPUT)
    except MemoryError:
        _complain("emul: out of memory: use a smaller size or fewer ranks")
        sys.exit(BAD_INPUT)
    except (KeyboardInterrupt, click.Abort):
        _complain("emul: interrupted")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader, such as head, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _complain(message: str) -> None:
    click.echo(" ".join(message.split()), err=True)
