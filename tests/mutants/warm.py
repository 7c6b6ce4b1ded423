"""A Python that has imported all that tests import but emul, and forks for each run of pytest.

Most of a short run is imports. It reads a line of JSON for each run, arguments and a file for the
output, and answers with the exit status; a run that is to end early is ended by its process group.
"""

import contextlib
import importlib
import json
import os
import sys

BEFOREHAND = (
    "numpy", "numpy.testing", "pytest", "hypothesis", "hypothesis.strategies", "ml_dtypes", "click",
    "click.testing", "rich.console", "rich.table", "scipy.optimize", "scipy.special", "tomllib",
)  # fmt: skip


def run(arguments: list[str], output: str) -> None:
    """Run pytest in this process, which is a child of its own and ends with it."""
    os.setsid()
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for standard in (1, 2):
        os.dup2(file, standard)
    import pytest

    os._exit(pytest.main(arguments))


def serve() -> None:
    """Fork once for each line that comes in; say the child's number, then how it ended."""
    for name in BEFOREHAND:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    assert not any(name.partition(".")[0] == "emul" for name in sys.modules)
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if not child:
            run(asked["arguments"], asked["output"])
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    sys.path[0] = os.getcwd()  # in place of the folder of this file
    with contextlib.suppress(BrokenPipeError):  # whoever asked has been ended
        serve()
