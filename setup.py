"""Builds the Cython modules; everything else about the package is in pyproject.toml.

Set EMUL_CHECKED=1 for a build with bounds and overflow checks. It lands in a build
folder of its own, because a changed directive alone does not rebuild.

Without a C compiler that works, the build ends before it begins, with one sentence that says
which command installs one here.
"""

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext

CHECKED = os.environ.get("EMUL_CHECKED", "") not in ("", "0")
BUILD_DIR = "build/checked" if CHECKED else "build/plain"

# As many modules at a time as there are processors for this process.
WORKERS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

MODULES = (
    "links.laws",
    "ops.cpu.fused",
    "ops.cpu.wire",
    "ops.fusing.fusion",
    "plans.proof.holdings",
    "timing.engine.causes",
    "timing.engine.connections",
    "timing.engine.credit",
    "timing.engine.dependencies",
    "timing.engine.due",
    "timing.engine.egress",
    "timing.engine.fluid",
    "timing.engine.operations",
    "timing.engine.ordered",
    "timing.engine.paths",
    "timing.engine.rounds",
    "timing.engine.scheduler",
    "timing.engine.tables",
    "wall.pacer",
)

# Contraction would let arm64 fuse a multiply and an add, and the last bit would differ.
COMPILE_ARGS = ["-O2", "-g0", "-ffp-contract=off"]

# The times of timing.engine.rounds are doubles, of which there is none that is not a number, so
# the larger of two is one instruction and loops can be vectorised; nothing else is rearranged.
MORE_ARGS = {
    "ops.cpu.fused": ["-pthread"],
    "ops.cpu.wire": ["-O3", "-fno-trapping-math"],
    "timing.engine.rounds": ["-O3", "-ffinite-math-only", "-fno-signed-zeros"],
}

# Written once, and compiled for several instruction sets in the one module (emul/ops/cpu/fused.h).
KERNELS = [
    f"emul/ops/cpu/fused{part}.h" for part in ("", "_set", "_half", "_type", "_kernel", "_run")
]

# The instruction set of fused code, which the GPU's kernels read too.
INSTRUCTIONS = "kernels/instructions.h"

HEADERS = {
    "ops.cpu.fused": [*KERNELS, INSTRUCTIONS],
    "ops.cpu.wire": ["emul/ops/cpu/wire.h"],
    "ops.fusing.fusion": [INSTRUCTIONS],
}


PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}"

# By the ID or ID_LIKE of /etc/os-release: installs a C compiler with the headers of the C library;
# installs the headers of Python.
INSTALLS = {
    "debian": ("sudo apt install build-essential", f"sudo apt install {PYTHON}-dev"),
    "ubuntu": ("sudo apt install build-essential", f"sudo apt install {PYTHON}-dev"),
    "fedora": ("sudo dnf install gcc", "sudo dnf install python3-devel"),
    "rhel": ("sudo dnf install gcc", f"sudo dnf install {PYTHON}-devel"),
    "suse": ("sudo zypper install gcc", "sudo zypper install python3-devel"),
    "arch": ("sudo pacman -S --needed base-devel", "sudo pacman -S python"),
    "alpine": ("sudo apk add build-base", "sudo apk add python3-dev"),
}
MACOS = ("xcode-select --install", "brew install python")
CONDA = (
    "conda install -c conda-forge c-compiler, then conda activate the environment again",
    "conda install -c conda-forge python",
)
ELSEWHERE = (
    "install gcc or clang with the package manager of this system",
    f"install the development package of {PYTHON}",
)


EMUL_IS_COMPILED = "emul: its inner loops are C, which is compiled when emul is installed"

# Commands of setuptools that compile; sdist and those that tell the metadata do not.
COMPILING = {"bdist_wheel", "build", "build_ext", "develop", "editable_wheel", "install"}


def os_release(path="/etc/os-release"):
    """Return the names of this system, the closest first; none where there is no such file."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    told = dict(line.split("=", 1) for line in lines if "=" in line)
    return f"{told.get('ID', '')} {told.get('ID_LIKE', '')}".replace('"', "").split()


def install_commands(system=None, names=None, in_conda=None):
    """Return the commands that install a C compiler and the headers of Python on this system."""
    if in_conda is None:
        in_conda = (Path(sys.base_prefix) / "conda-meta").is_dir()
    if in_conda:
        return CONDA
    if (system or platform.system()) == "Darwin":
        return MACOS
    known = [
        INSTALLS[name] for name in (os_release() if names is None else names) if name in INSTALLS
    ]
    return known[0] if known else ELSEWHERE


def compile_command():
    """Return the command that setuptools compiles C with: that of Python, or CC and CFLAGS."""
    from setuptools._distutils.ccompiler import new_compiler
    from setuptools._distutils.sysconfig import customize_compiler

    compiler = new_compiler()
    customize_compiler(compiler)
    return list(getattr(compiler, "compiler_so", None) or [])


def compiles(command, text):
    """Return whether ``command`` makes an object file of ``text``."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "probe.c"
        source.write_text(text, encoding="utf-8")
        includes = [f"-I{sysconfig.get_path(name)}" for name in ("include", "platinclude")]
        done = subprocess.run(
            [*command, *includes, "-c", str(source), "-o", str(source.with_suffix(".o"))],
            capture_output=True,
            check=False,
        )
    return done.returncode == 0


def compiler_trouble(command=None, commands=None):
    """Return one sentence about the compiler that is missing or fails, with the way out; or None.

    ``command``: that compiles a file of C, ``commands``: that install a compiler and the headers of
    Python; those of this system, if not given.
    """
    command = compile_command() if command is None else command
    if not command:
        return None  # another kind of compiler, of which this file knows nothing
    compiler, headers = commands or install_commands()
    program = command[0]
    needed = f"{EMUL_IS_COMPILED}, but"
    if os.environ.get("CC"):
        program, compiler = f"{program} (CC names it)", "let CC name one that does, or unset it"
    if shutil.which(command[0]) is None:
        return f"{needed} there is no C compiler {program}: {compiler}"
    if not compiles(command, "#include <stdint.h>\nint probe;\n"):
        return f"{needed} {program} compiles no C program: {compiler}"
    if not compiles(command, "#include <Python.h>\n"):
        return f"{needed} {PYTHON} has no headers for C (Python.h): {headers}"
    return None


class Build(build):
    def initialize_options(self):
        super().initialize_options()
        self.build_base = BUILD_DIR


class BuildExt(build_ext):
    """Compiles the modules, those of Cython to C first; the archive and the metadata need none."""

    def run(self):
        sources = {made.name: made.sources for made in to_c(self.extensions)}
        for each in self.extensions:
            each.sources = sources[each.name]
        super().run()


def extension(name):
    source = f"emul/{name.replace('.', '/')}.pyx"
    more_args = MORE_ARGS.get(name, [])
    return Extension(
        f"emul.{name}",
        [source],
        include_dirs=["emul/ops/cpu", "kernels"],
        extra_compile_args=COMPILE_ARGS + more_args,
        extra_link_args=more_args if "-pthread" in more_args else [],
        depends=HEADERS.get(name, []),
    )


def to_c(extensions):
    """Return ``extensions`` with C files in the place of those of Cython."""
    from Cython.Build import cythonize

    return cythonize(
        extensions,
        build_dir=f"{BUILD_DIR}/cython",
        force=CHECKED,
        nthreads=WORKERS,
        compiler_directives={
            "language_level": 3,
            "boundscheck": CHECKED,
            "wraparound": False,
            "cdivision": not CHECKED,
            "overflowcheck": CHECKED,
            "initializedcheck": CHECKED,
            "embedsignature": False,
        },
    )


if __name__ == "__main__":  # which a process that helps Cython is not
    trouble = compiler_trouble() if COMPILING.intersection(sys.argv) else None
    if trouble:
        sys.exit(trouble)
    setup(
        cmdclass={"build": Build, "build_ext": BuildExt},
        options={"build_ext": {"parallel": WORKERS}},
        ext_modules=[extension(name) for name in MODULES],
    )
