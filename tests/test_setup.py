"""setup.py says in one sentence which compiler is missing, before it compiles."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SPEC = importlib.util.spec_from_file_location("setup_of_emul", ROOT / "setup.py")
assert SPEC
assert SPEC.loader
setup = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(setup)

DEBIAN = ("sudo apt install build-essential", f"sudo apt install {setup.PYTHON}-dev")


@pytest.fixture
def compiler(tmp_path):
    """Write a program that stands for a compiler; ``then`` is the rest of its shell script."""

    def write(then):
        path = tmp_path / "cc"
        path.write_text(f"#!/bin/sh\n{then}\n")
        path.chmod(0o755)
        return [str(path), "-fPIC"]

    return write


NO_HEADERS = (
    'for file; do case "$file" in *.c) grep -q Python.h "$file" && exit 1; esac; done\nexit 0'
)


def test_a_compiler_that_works_is_no_trouble():
    assert setup.compiler_trouble() is None


def test_a_missing_compiler_is_told_with_the_command_that_installs_one(monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    said = setup.compiler_trouble(["no-such-cc"], DEBIAN)
    assert said.endswith("but there is no C compiler no-such-cc: sudo apt install build-essential")
    assert "\n" not in said


def test_a_missing_compiler_that_cc_names_is_told_so(monkeypatch):
    monkeypatch.setenv("CC", "no-such-cc")
    said = setup.compiler_trouble(setup.compile_command(), DEBIAN)
    assert "no C compiler no-such-cc (CC names it): let CC name one that does" in said
    assert "apt" not in said


def test_a_compiler_that_compiles_nothing_is_told(compiler, monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    said = setup.compiler_trouble(compiler("exit 1"), DEBIAN)
    assert said.endswith("cc compiles no C program: sudo apt install build-essential")


def test_missing_headers_of_python_are_told_with_their_command(compiler, monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    said = setup.compiler_trouble(compiler(NO_HEADERS), DEBIAN)
    assert said.endswith(f"has no headers for C (Python.h): sudo apt install {setup.PYTHON}-dev")


def test_a_compiler_that_sees_the_headers_is_no_trouble(compiler):
    assert setup.compiler_trouble(compiler("exit 0"), DEBIAN) is None


@pytest.mark.parametrize(
    ("release", "command"),
    [
        ("ID=debian\n", "apt install build-essential"),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', "apt install build-essential"),
        ("ID=fedora\n", "dnf install gcc"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "dnf install gcc"),
        ("ID=arch\n", "pacman -S --needed base-devel"),
        ("ID=alpine\n", "apk add build-base"),
        ('ID="opensuse-leap"\nID_LIKE="suse opensuse"\n', "zypper install gcc"),
        ("ID=plan9\n", "with the package manager of this system"),
        ("", "with the package manager of this system"),
    ],
)
def test_the_command_is_that_of_the_system(release, command, tmp_path):
    path = tmp_path / "os-release"
    path.write_text(release)
    names = setup.os_release(path)
    assert command in setup.install_commands("Linux", names, in_conda=False)[0]


def test_a_system_without_a_name_gets_words():
    assert setup.os_release("/no/such/file") == []
    assert setup.install_commands("Linux", ["?"], in_conda=False) == setup.ELSEWHERE


def test_macos_and_conda_have_commands_of_their_own():
    assert setup.install_commands("Darwin", [], in_conda=False)[0] == "xcode-select --install"
    assert "conda-forge c-compiler" in setup.install_commands("Linux", ["debian"], in_conda=True)[0]


def test_the_build_ends_before_it_begins_when_there_is_no_compiler(tmp_path):
    (tmp_path / "setup.py").write_text((ROOT / "setup.py").read_text())
    done = subprocess.run(
        [sys.executable, "setup.py", "bdist_wheel"],
        cwd=tmp_path,
        env={**os.environ, "CC": "no-such-cc"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("emul: its inner loops are C")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == [tmp_path / "setup.py"]
