"""The kernels under AddressSanitizer, and with every load where a GPU could carry it out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from host_device import COMPILER, WITHOUT_COMPILER

HERE = Path(__file__).parent
STORE = ("    *into = value;\n}", "    *into = value;\n    *(char *)(into + 1) = 0;\n}")
UNLIKE = ("if (alike) {", "if (length) {")


def runtime():
    """The library of AddressSanitizer that this compiler links with, or None."""
    if COMPILER is None or not sys.platform.startswith("linux"):
        return None
    asked = [COMPILER, "-print-file-name=libasan.so"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    return found if os.path.isabs(found) and os.path.exists(found) else None


def run(*arguments):
    """The script with the kernels, in a process that begins with AddressSanitizer."""
    places = os.pathsep.join([str(HERE.parent), *filter(None, sys.path)])
    environment = {
        **os.environ,
        "LD_PRELOAD": runtime(),
        "ASAN_OPTIONS": "detect_leaks=0",
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": places,
    }
    return subprocess.run(
        [sys.executable, str(HERE / "under_sanitizers.py"), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


pytestmark = [
    pytest.mark.skipif(COMPILER is None, reason=WITHOUT_COMPILER),
    pytest.mark.skipif(runtime() is None, reason="needs a compiler with AddressSanitizer (GCC)"),
]


def test_nothing_beyond_an_array_is_touched():
    done = run()
    assert done.stdout == "all carried out\n", done.stderr[-3000:]
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("mutant", "found"), [(STORE, "heap-buffer-overflow"), (UNLIKE, "misaligned address")]
)
def test_a_byte_too_far_and_a_load_that_no_gpu_has_are_found(mutant, found):
    done = run(*mutant)
    assert done.returncode != 0
    assert found in done.stderr
