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

# As many modules at a time as there are processors for this process.
WORKERS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

MODULES = (
    "ops.cpu.fused",
    "ops.fusing.fusion",
    "plans.proof.holdings",
    "timing.engine.connections",
    "timing.engine.credit",
    "timing.engine.dependencies",
    "timing.engine.egress",
    "timing.engine.fluid",
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
    "ops.fusing.fusion": [INSTRUCTIONS],
}


class Build(build):
    def initialize_options(self):
        super().initialize_options()
        self.build_base = BUILD_DIR


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


if __name__ == "__main__":  # which a process that helps Cython is not
    setup(
        cmdclass={"build": Build},
        options={"build_ext": {"parallel": WORKERS}},
        ext_modules=cythonize(
            [extension(name) for name in MODULES],
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
        ),
    )
