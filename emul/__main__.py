"""``python -m emul``, and where the command ``emul`` begins."""

from __future__ import annotations

import sys

__all__ = ["run"]

INTERRUPTED = 130


def run() -> None:
    """Run the command line; an interrupt while it is being loaded is no traceback either."""
    try:
        from emul.cli.main import run as run_loaded
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    run_loaded()


if __name__ == "__main__":
    run()
