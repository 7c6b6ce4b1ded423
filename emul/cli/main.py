"""The command ``emul``: its subcommands, and the exit status of errors."""

from __future__ import annotations

import os
import sys

import click

from emul import EmulError, __version__
from emul.cli.calibrate import calibrate
from emul.cli.compare import compare
from emul.cli.explain import explain
from emul.cli.help import Group
from emul.cli.info import info
from emul.cli.params import INTERRUPTED
from emul.cli.perf import perf
from emul.cli.plan import plan
from emul.cli.schema import schema
from emul.cli.stack import stack
from emul.cli.terminal import complain, open_streams, silence
from emul.cli.topology import topology
from emul.cli.train import train
from emul.cli.tune import tune
from emul.cli.validate import validate

__all__ = ["main", "run"]

ASKED_BY = "_EMUL_COMPLETE"
"""The variable by which a shell asks for completion."""

BAD_INPUT = 2
NOBODY_READS = 1


@click.group(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    examples={
        "three campuses, for gradients of 64 MiB": "emul perf -b 64M -e 64M",
        "the links between them, and where their figures are from": (
            "emul topology show three-campus --sources"
        ),
    },
    page="plan-campuses.md",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """Run collective communication for real, and make it feel the distance between sites."""


main.add_command(calibrate)
main.add_command(compare)
main.add_command(explain)
main.add_command(info)
main.add_command(perf)
main.add_command(plan)
main.add_command(schema)
main.add_command(stack)
main.add_command(topology)
main.add_command(train)
main.add_command(tune)
main.add_command(validate)


def run() -> None:
    """Run the command line; bad input is one line on standard error and exit status 2."""
    open_streams()
    if sys.stdout is None:
        complain("emul: standard output is closed: needed one that is open; > /dev/null for none")
        sys.exit(BAD_INPUT)
    try:
        status = _status()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as head, has had enough
        status = NOBODY_READS
        silence()
    except OSError as error:
        # Files have names, and readers and writers of files say themselves what is wrong.
        complain(f"emul: {error.filename or 'standard output'}: {error.strerror}")
        status = BAD_INPUT
        silence()
    sys.exit(status)


def _status() -> int:
    """Run the command, print its errors, and return the exit status."""
    if ASKED_BY in os.environ:
        from emul.cli.completion import register

        register()
    try:
        return int(main.main(prog_name="emul", standalone_mode=False) or 0)
    except SystemExit as end:
        return int(end.code or 0)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        complain(f"{context.command_path if context else 'emul'}: {error.format_message()}")
        return BAD_INPUT
    except EmulError as error:
        complain(f"emul: {error}")
        return BAD_INPUT
    except MemoryError:
        complain("emul: out of memory: use a smaller size or fewer ranks")
        return BAD_INPUT
    except (KeyboardInterrupt, click.Abort):
        complain("emul: interrupted")
        return INTERRUPTED
