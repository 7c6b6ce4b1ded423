"""Runs the command line as a user does, in a process of its own or in this one."""

import contextlib
import io
import os
import subprocess
import sys

from emul.cli.main import run

SMALL = ["-n", "1", "-w", "0"]
MAIN = [sys.executable, "-c", "from emul.cli.main import run; run()"]


def printed_by(script):
    """Return what a Python of its own prints that runs ``script``."""
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout


def emul(*arguments, cwd=None):
    """Run ``emul`` in this process, from folder ``cwd``; text in, text out.

    A process of its own would import NumPy and all rooms anew for each of hundreds of commands.
    What belongs to the process (its streams, signals, environment) is tested with MAIN.
    """
    here = os.getcwd()
    os.chdir(cwd or here)
    try:
        return subprocess.CompletedProcess(arguments, *run_here(*map(str, arguments)))
    finally:
        os.chdir(here)


def run_here(*arguments):
    """Run ``emul`` in this process, as a user does; status, standard output, standard error."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    was, sys.argv = sys.argv, ["emul", *arguments]
    status = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            run()
    except SystemExit as end:
        status = end.code
    finally:
        sys.argv = was
    for stream in (out, err):
        stream.flush()
    return status, out.buffer.getvalue().decode(), err.buffer.getvalue().decode()
