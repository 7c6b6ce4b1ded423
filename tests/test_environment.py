"""The environments that tests run in: known versions, the oldest and the newest allowed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OLDEST = ROOT / ".ci" / "oldest.py"


def numbers(version):
    return tuple(int(part) for part in version.split("."))


def constraints(text):
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return dict(line.split("==") for line in lines)


@pytest.fixture(scope="module")
def oldest():
    done = subprocess.run([sys.executable, OLDEST], capture_output=True, text=True, check=True)
    return constraints(done.stdout)


def test_the_oldest_versions_are_those_of_pyproject(oldest):
    """Each lower bound of the build, the program and the tests, and no other."""
    text = (ROOT / "pyproject.toml").read_text()
    needed = re.sub(r"^(?:peers|cuda\d+|docs) = .*$", "", text, flags=re.MULTILINE)
    listed = re.findall(r'"([\w.-]+)>=([\w.]+)', needed)
    assert {name: version for name, version in listed if name != "python"} == oldest
    assert {"numpy", "click", "Cython", "setuptools", "pytest", "scipy"} <= oldest.keys()


def test_known_versions_are_of_all_that_is_needed_and_allowed(oldest):
    known = constraints((ROOT / "constraints.txt").read_text())
    for name, version in oldest.items():
        if name != "tomli":  # before Python 3.11 only
            assert numbers(known[name]) >= numbers(version), name
    assert all(re.fullmatch(r"\d+(\.\d+)*", version) for version in known.values())


def test_ci_takes_the_known_versions_and_nightly_the_others():
    run, nightly = ((ROOT / ".ci" / name).read_text() for name in ("run", "nightly"))
    assert 'PIP_CONSTRAINT="$work/emul/constraints.txt"' in run
    assert "/.ci/oldest.py" in nightly
    assert "python -m tests.mutants" in nightly
    for name in ("run", "nightly"):
        assert (ROOT / ".ci" / name).stat().st_mode & 0o100
        subprocess.run(["bash", "-n", ROOT / ".ci" / name], check=True)
