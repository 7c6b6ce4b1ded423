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

TIMING = ("dependencies", "fluid", "pipes", "scheduler", "pacer")

# Contraction would let arm64 fuse a multiply and an add, and the last bit would differ.
COMPILE_ARGS = ["-O2", "-g0", "-ffp-contract=off"]


class Build(build):
    def initialize_options(self):
        super().initialize_options()
        self.build_base = BUILD_DIR


# Written once, and compiled for several instruction sets in the one module (emul/ops/fused.h).
KERNELS = [f"emul/ops/fused{part}.h" for part in ("", "_set", "_half", "_type", "_kernel", "_run")]


def extension(name, *, compile_args=(), depends=()):
    source = f"emul/{name.replace('.', '/')}.pyx"
    return Extension(
        f"emul.{name}",
        [source],
        include_dirs=["emul/ops"],
        extra_compile_args=[*COMPILE_ARGS, *compile_args],
        extra_link_args=list(compile_args),
        depends=list(depends),
    )


setup(
    cmdclass={"build": Build},
    ext_modules=cythonize(
        [
            *(extension(f"timing.{name}") for name in TIMING),
            extension("plans.fusion"),
            extension("plans.proof"),
            extension("ops.fused", compile_args=["-pthread"], depends=KERNELS),
        ],
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
