"""The prose of docstrings and pages: few free relatives, which readers in a hurry stumble over.

"Return what each takes" asks the reader to find the noun; "Return the time of each transfer" has
one. Documentation of SimPy, einops and networkx has 0.0 to 0.5 such words per 1,000.
"""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MOST_PER_1000_WORDS = 3
FREE_RELATIVE = re.compile(
    r"\b(what|whatever|whoever|whomever|whichever|whatsoever|wherever)\b", re.IGNORECASE
)
WORD = re.compile(r"[A-Za-z']+")
CODE_BLOCK = re.compile(r"```.*?```", re.DOTALL)
TRIPLE_QUOTED = re.compile(r'"""(.*?)"""', re.DOTALL)

FACE = "top of emul"
ROOMS = {
    FACE: sorted((ROOT / "emul").glob("*.py*")),
    **{
        folder.name: sorted(path for path in folder.rglob("*") if path.is_file())
        for folder in sorted((ROOT / "emul").iterdir())
        if (folder / "__init__.py").exists()
    },
    "bench": sorted((ROOT / "bench").rglob("*.py")),
}
PAGES = sorted(
    path
    for pattern in (
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "emul/**/*.md",
        "docs/**/*.md",
        "bench/**/*.md",
    )
    for path in ROOT.glob(pattern)
)


def docstrings(path):
    """Yield the strings of a module that stand alone: of modules, classes, functions, constants."""
    text = path.read_text()
    if path.suffix in (".py", ".pyi"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                yield str(node.value.value)
    else:
        yield from TRIPLE_QUOTED.findall(text)


def free_relatives(prose):
    """Return how many free relatives ``prose`` has, and how many words."""
    return len(FREE_RELATIVE.findall(prose)), len(WORD.findall(prose))


def assert_few(proses):
    """Assert that texts by name have few free relatives; name those that have most of the words."""
    counts = {name: free_relatives(prose) for name, prose in proses.items()}
    free, words = (sum(numbers) for numbers in zip(*counts.values(), strict=True))
    worst = sorted(counts, key=lambda name: -counts[name][0])[:5]
    most = ", ".join(f"{name} {counts[name][0]}" for name in worst if counts[name][0])
    per_1000 = 1000 * free / words
    assert per_1000 <= MOST_PER_1000_WORDS, f"{per_1000:.1f} per 1,000 words: {most}"


@pytest.mark.parametrize("room", ROOMS)
def test_docstrings_have_few_free_relatives(room):
    sources = [path for path in ROOMS[room] if path.suffix in (".py", ".pyi", ".pyx", ".pxd")]
    assert_few({str(path.relative_to(ROOT)): "\n".join(docstrings(path)) for path in sources})


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_have_few_free_relatives(path):
    text = CODE_BLOCK.sub("", path.read_text())
    paragraphs = dict(enumerate(text.split("\n\n"), start=1))
    assert_few({f"paragraph {number}": prose for number, prose in paragraphs.items()})


def test_free_relatives_are_counted_in_docstrings_and_not_in_code(tmp_path):
    path = tmp_path / "module.py"
    path.write_text('"""Return what it is."""\nwhat = 1\n"""Whatever."""\nx = "what"\n# what\n')
    assert sum(free_relatives(text)[0] for text in docstrings(path)) == 2
    compiled = tmp_path / "module.pyx"
    compiled.write_text('cdef int what():\n    """Return what."""\n    return 1  # what\n')
    assert [free_relatives(text) for text in docstrings(compiled)] == [(1, 2)]
    assert free_relatives(CODE_BLOCK.sub("", "so\n```sh\nwhat\n```\nwhoever")) == (1, 2)
