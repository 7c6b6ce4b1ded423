"""A copy of the repository in which faults are planted; the checkout itself stays as it is."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from .faults import ROOT, Fault

NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv", ".hypothesis", ".*_cache", "__pycache__", "*.egg-info", "checked", "*.json.new"
)
WARM = Path(__file__).parent / "warm.py"
DONT_KEEP = "PYTHONDONTWRITEBYTECODE"
COMPILED = (".pyx", ".pxd", ".h")
BUILD = (sys.executable, "setup.py", "-q", "build_ext", "--inplace")


def _end(group: int) -> None:
    """End all processes of a group, of which there may be none any more."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


class BuildError(Exception):
    """The compiler refused a fault, so that it says nothing about the tests."""


class Tree:
    """A copy in ``folder``; with compiled modules, those of the checkout."""

    def __init__(self, folder: Path, root: Path = ROOT) -> None:
        self.folder = folder
        shutil.copytree(root, folder, ignore=NOT_COPIED)
        if (folder / "kernels").is_dir():  # installed as emul.kernels (pyproject.toml)
            (folder / "emul" / "kernels").symlink_to(folder / "kernels")
        self._modules: dict[Path, bytes] = {}
        self._moment = time.time()
        self._warm: subprocess.Popen[str] | None = None

    def pytest(
        self, arguments: list[str], longest_s: float, times: Path | None = None
    ) -> tuple[int | None, str]:
        """Run pytest here; return its exit status, None after too long, and what it printed.

        ``times`` is where it is noted how long each test takes (warm.py).
        """
        if self._warm is None:
            self._warm = subprocess.Popen(
                [sys.executable, str(WARM)],
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._warm.stdin is not None
        assert self._warm.stdout is not None
        output = self.folder / "pytest.output"
        print(
            json.dumps({"arguments": arguments, "output": str(output), "times": str(times or "")}),
            file=self._warm.stdin,
            flush=True,
        )
        child, late = int(self._warm.stdout.readline()), threading.Event()
        timer = threading.Timer(longest_s, lambda: (late.set(), _end(child)))
        timer.start()
        status = int(self._warm.stdout.readline())
        timer.cancel()
        _end(child)  # a test may have started processes of its own
        printed = output.read_text(encoding="utf-8", errors="replace")
        return None if late.is_set() else status, printed

    def close(self) -> None:
        """End the process that forks."""
        if self._warm is not None:
            self._warm.communicate()

    def plant(self, fault: Fault) -> None:
        """Write the fault, and compile where it is in a compiled module."""
        compiled = Path(fault.file).suffix in COMPILED
        if compiled and not self._modules:
            self._build()
            self._modules = {path: path.read_bytes() for path in self.folder.glob("emul/**/*.so")}
        path = self.folder / fault.file
        self._write(path, fault.planted(path.read_text(encoding="utf-8")))
        if compiled:
            self._build()

    def restore(self, fault: Fault, text: str) -> None:
        """Put the file back as it was, and the modules that were compiled with the fault."""
        path = self.folder / fault.file
        self._write(path, text)
        if Path(fault.file).suffix in COMPILED:
            os.utime(path, (0, 0))  # older than all that was built, so nothing is built again
            for copy in self.folder.glob(f"build/*/cython/{fault.file}"):
                copy.write_text(text, encoding="utf-8")  # of a header, made by Cython
                os.utime(copy, (0, 0))
            for module, content in self._modules.items():
                if module.read_bytes() != content:
                    module.write_bytes(content)

    def text(self, fault: Fault) -> str:
        """Return the text of the fault's file."""
        return (self.folder / fault.file).read_text(encoding="utf-8")

    def environment(self) -> dict[str, str]:
        """Return an environment in which ``import emul`` finds the copy, and is compiled once."""
        kept = {name: value for name, value in os.environ.items() if name != DONT_KEEP}
        return {**kept, "PYTHONPATH": str(self.folder)}

    def _write(self, path: Path, text: str) -> None:
        """Write a text with a time of its own: compiled Python goes by whole seconds and sizes."""
        path.write_text(text, encoding="utf-8")
        self._moment += 2
        if path.suffix == ".py":
            os.utime(path, (self._moment, self._moment))

    def _build(self) -> None:
        """Compile the modules that are older than their sources."""
        done = subprocess.run(
            BUILD,
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BuildError((done.stdout + done.stderr)[-2000:])
