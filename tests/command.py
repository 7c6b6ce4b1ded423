"""Runs the command line as a user does, in a process of its own or in this one."""

import subprocess
import sys

SMALL = ["-n", "1", "-w", "0"]
MAIN = [sys.executable, "-c", "from emul.cli.main import run; run()"]


def printed_by(script):
    """Return what a Python of its own prints that runs ``script``."""
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout


def emul(*arguments, cwd=None, env=None):
    """Run ``emul`` as a process; text in, text out."""
    return subprocess.run(
        [*MAIN, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=env,
        timeout=120,
        check=False,
    )
