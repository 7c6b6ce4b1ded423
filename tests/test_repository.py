"""The repository checks itself: types, style, size. Of the pages, tests/docs has the tests."""

import ast
import doctest
import importlib
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib.resources import files
from pathlib import Path

import pytest
from command import printed_by
from docs.page import pages

import emul

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
MOST_LINES = 600
MOST_LINES_OF_A_FUNCTION = 60

PYTHON = sorted(p for d in ("emul", "tests", "bench", "kernels") for p in (ROOT / d).rglob("*.py"))
SOURCES = PYTHON + sorted(
    p
    for kind in ("*.pyx", "*.pyi", "*.cu", "*.h", "*.hpp")
    for p in ROOT.rglob(kind)
    if "build" not in p.parts
)


def check(*command):
    """Run a checker of this environment from the root of the repository; it must be content."""
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_types_hold():
    check("mypy")


COMPILED = ("dependencies", "scheduler", "tables", "ordered", "rounds")


def test_stubs_match_the_compiled_modules():
    modules = [f"emul.timing.engine.{name}" for name in COMPILED]
    check(
        "mypy.stubtest",
        *modules,
        "emul.wall.pacer",
        "emul.plans.proof.holdings",
        "emul.ops.fusing.fusion",
        "emul.ops.cpu.fused",
    )


def test_style_holds():
    check("ruff", "check", ".")


def test_code_is_formatted():
    check("ruff", "format", "--check", ".")


def test_cython_style_holds():
    check("cython_lint.cython_lint", *map(str, ROOT.glob("emul/**/*.pyx")))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_small(path):
    lines = path.read_text().splitlines()
    assert len(lines) <= MOST_LINES
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = node.end_lineno - node.lineno + 1
                assert length <= MOST_LINES_OF_A_FUNCTION, f"{node.name}: {length} lines"


def test_importing_emul_takes_no_other_array_library():
    heavy = ["cupy", "torch", "jax", "rich", "click", "scipy", "matplotlib"]
    script = f"import sys; from emul import *; print([m for m in {heavy} if m in sys.modules])"
    assert printed_by(script) == "[]\n"


def test_an_uncompiled_source_folder_says_what_to_do(tmp_path):
    shutil.copytree(ROOT / "emul", tmp_path / "emul", ignore=shutil.ignore_patterns("*.so"))
    places = os.pathsep.join([str(tmp_path), sysconfig.get_path("purelib")])

    def run(*command):  # -S: without what an editable install adds
        return subprocess.run(
            [sys.executable, "-S", *command],
            env={**os.environ, "PYTHONPATH": places},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    from_python, command = run("-c", "from emul import World"), run("-m", "emul", "plan", "list")
    for done, status in ((from_python, 1), (command, 2)):
        assert done.returncode == status
        assert "is not compiled" in done.stderr
        assert "pip install -e ." in done.stderr
    assert command.stderr.count("\n") == 1


def test_the_kernels_are_installed_with_the_package():
    names = {entry.name for entry in files("emul.kernels").iterdir()}
    assert {"copy.cu", "reduce.cu"} <= names


def test_what_setup_compiles_is_in_the_archive_of_the_sources():
    manifest = (ROOT / "MANIFEST.in").read_text()
    for folder in ("emul", "kernels"):
        for path in ROOT.glob(f"{folder}/**/*"):
            if path.suffix in (".pyx", ".pxd", ".h"):
                line = re.search(rf"^recursive-include {folder} (.*)", manifest, re.M)[1]
                assert f"*{path.suffix}" in line, path
    setup = (ROOT / "setup.py").read_text()
    parts = re.search(r"for part in \((.*?)\)", setup)[1]
    named = {f"emul/ops/cpu/fused{part}.h" for part in re.findall(r'"(.*?)"', parts)}
    named |= set(re.findall(r'"((?:emul|kernels)/[\w/]+\.h)"', setup))
    headers = [*ROOT.glob("emul/**/*.h"), *ROOT.glob("kernels/*.h")]
    assert named == {path.relative_to(ROOT).as_posix() for path in headers}


def test_every_package_is_installed():
    """An editable install finds packages that are not listed; a plain one does not."""
    listed = re.search(r"^packages = \[(.*?)\]", (ROOT / "pyproject.toml").read_text(), re.S | re.M)
    there = {
        ".".join(path.parent.relative_to(ROOT).parts) for path in ROOT.glob("emul/**/__init__.py")
    }
    assert set(re.findall(r'"(.*?)"', listed[1])) == there | {"emul.kernels"}


def modules():
    for found in pkgutil.walk_packages(emul.__path__, "emul."):
        if found.name != "emul.kernels":
            yield found.name


@pytest.mark.parametrize("name", ["emul", *modules()])
def test_examples_in_docstrings_are_true(name):
    failures, _ = doctest.testmod(importlib.import_module(name))
    assert failures == 0


def test_some_docstrings_have_examples():
    assert ">>>" in emul.World.__doc__


TEST_COMMAND = "pip install -e '.[test]' && pytest -n auto"


def test_ci_runs_the_test_command_of_the_readme():
    assert f"```sh\n{TEST_COMMAND}\n```" in README
    assert "```sh\npip install . && emul perf\n```" in README
    assert TEST_COMMAND in (ROOT / ".ci" / "run").read_text().splitlines()


def test_pages_name_flags_that_exist():
    """Those of the scripts for contributors apart."""
    said = "".join(page.text for page in pages(lambda path: path.parent.name == "cli"))
    for page in pages(lambda path: path.name != "CONTRIBUTING.md"):
        for flag in re.findall(r"`(--[a-z-]+)", page.text):
            assert flag in said, f"{page}: {flag}"


def test_no_file_names_a_place_on_one_machine():
    places = re.compile(r"(?:^|[\s\"'(=])/(?:home|root|work|tmp|Users)/\w")
    documents = [page.path for page in pages()]
    configuration = [ROOT / "pyproject.toml", ROOT / "setup.py", *(ROOT / ".ci").iterdir()]
    for path in [*SOURCES, *documents, *configuration]:
        assert not places.search(path.read_text()), path


def test_no_promise_is_left_in_the_code():
    left = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b|NotImplementedError")
    for path in SOURCES:
        if "tests" not in path.parts:
            assert not left.search(path.read_text()), path
