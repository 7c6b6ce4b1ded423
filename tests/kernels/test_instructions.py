"""The instruction set of fused code: one header, which Cython, C and CUDA read."""

import re
from pathlib import Path

import pytest

from emul.ops.fusing.fusion import CODES

ROOT = Path(__file__).parents[2]
HEADER = ROOT / "kernels" / "instructions.h"
SUFFIXES = {".c", ".cu", ".cuh", ".h", ".hpp", ".pxd", ".py", ".pyx"}
NAMES = "|".join(sorted(map(str.upper, CODES), key=len, reverse=True))
NUMBERED = re.compile(rf"\b(?:\w+_)?(?:{NAMES})\b\s*(?:=|:\s*int\s*=)\s*\d")
LISTED = re.compile(
    rf"\benum\b[^{{;:]*{{[^}}]*\b(?:\w+_)?(?:{NAMES})\b"  # C
    rf"|^cp?def enum\b.*:(?:\n +.*)*?\n +(?:\w+_)?(?:{NAMES})\b",  # Cython
    re.MULTILINE,
)


def defines_a_code(text):
    """Say whether ``text`` gives a code a number, or lists codes in an enum."""
    return bool(NUMBERED.search(text) or LISTED.search(text))


def test_the_compiled_module_has_the_codes_of_the_header():
    body = re.search(r"enum {(.*?)}", HEADER.read_text(), re.S)[1]
    listed = re.findall(r"^\s*EMUL_(\w+)", body, re.M)
    assert dict(CODES) == {name.lower(): code for code, name in enumerate(listed)}


def test_no_other_file_defines_a_code():
    sources = [p for f in ("emul", "kernels") for p in (ROOT / f).rglob("*")]
    texts = {p: p.read_text() for p in sources if p.suffix in SUFFIXES}
    assert [p for p, text in texts.items() if defines_a_code(text)] == [HEADER]


@pytest.mark.parametrize(
    "text",
    [
        "enum { FUSED_LOAD, FUSED_STORE };",
        "cdef enum:\n    NONE\n    COMBINE",
        "MOVE: int = 9",
        "SPILL = 3",
    ],
)
def test_a_second_definition_is_seen(text):
    assert defines_a_code(text)


def test_every_reader_includes_the_header():
    for reader in ("emul/ops/cpu/fused.h", "emul/ops/fusing/fusion.pyx"):
        assert '"instructions.h"' in (ROOT / reader).read_text()
