"""Builds the Cython modules; everything else about the package is in pyproject.toml.

Set EMUL_CHECKED=1 for a build with bounds and overflow checks. It lands in a build
folder of its own, because a changed directive alone does not rebuild.
"""

import os

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build import build

CHECKED = os.environ.get("EMUL_CHECKED", "") not in ("", "0")
BUILD_DIR = "build/checked" if CHECKED else "build/plain"

TIMING = (
    "dependencies",
    "fluid",
    "pipes",
    "leaving",
    "ways",
    "scheduler",
    "tables",
    "ordered",
    "rounds",
    "pacer",
)

# Contraction would let arm64 fuse a multiply and an add, and the last bit would differ.
COMPILE_ARGS = ["-O2", "-g0", "-ffp-contract=off"]

# Its times are doubles, of which there is none that is not a number, so the larger of two is one
# instruction and loops can be vectorised; nothing else is rearranged.
MORE_ARGS = {"timing.rounds": ["-O3", "-ffinite-math-only", "-fno-signed-zeros"]}


class Build(build):
    def initialize_options(self):
        super().initialize_options()
        self.build_base = BUILD_DIR


def extension(name):
    source = f"emul/{name.replace('.', '/')}.pyx"
    return Extension(
        f"emul.{name}", [source], extra_compile_args=COMPILE_ARGS + MORE_ARGS.get(name, [])
    )


setup(
    cmdclass={"build": Build},
    ext_modules=cythonize(
        [extension(f"timing.{name}") for name in TIMING] + [extension("plans.proof")],
        build_dir=f"{BUILD_DIR}/cython",
        force=CHECKED,
        compiler_directives={
            "language_level": 3,
            "boundscheck": CHECKED,
            "wraparound": False,
            "cdivision": not CHECKED,
            "overflowcheck": CHECKED,
            "initializedcheck": CHECKED,
            "embedsignature": False,
        },
    ),
)
