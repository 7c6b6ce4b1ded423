"""A Python that has imported all that tests import but emul, and forks for each run of pytest.

Most of a short run is imports. It reads a line of JSON for each run, arguments and a file for the
output, and answers with the exit status; a run that is to end early is ended by its process group.

The first run of a room notes how long each test takes, and later ones begin with the quickest: most
faults are seen by many tests.
"""

import contextlib
import importlib
import json
import os
import sys
from pathlib import Path

BEFOREHAND = (
    "numpy", "numpy.testing", "pytest", "hypothesis", "hypothesis.strategies", "ml_dtypes", "click",
    "click.testing", "rich.console", "rich.table", "scipy.optimize", "scipy.special", "tomllib",
)  # fmt: skip


class QuickestFirst:
    """A plugin of pytest: notes in ``path`` how long tests take, or goes by what is noted there."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.known = json.loads(self.path.read_text()) if self.path.exists() else None
        self.taken: dict[str, float] = {}

    def pytest_collection_modifyitems(self, items: list) -> None:
        """Put the quickest first; a test nobody has timed stands before them."""
        if self.known is not None:
            items.sort(key=lambda item: self.known.get(item.nodeid, 0.0))

    def pytest_runtest_logreport(self, report) -> None:
        """Add up what a test takes, with what is made for it and put away."""
        self.taken[report.nodeid] = self.taken.get(report.nodeid, 0.0) + report.duration

    def pytest_sessionfinish(self) -> None:
        """Keep the times of a whole run."""
        if self.known is None:
            self.path.write_text(json.dumps(self.taken))


def run(arguments: list[str], output: str, times: str) -> None:
    """Run pytest in this process, which is a child of its own and ends with it."""
    os.setsid()
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for standard in (1, 2):
        os.dup2(file, standard)
    import pytest

    os._exit(pytest.main(arguments, [QuickestFirst(times)] if times else []))


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
            run(asked["arguments"], asked["output"], asked["times"])
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    sys.path[0] = os.getcwd()  # in place of the folder of this file
    with contextlib.suppress(BrokenPipeError):  # whoever asked has been ended
        serve()
