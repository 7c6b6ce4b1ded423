"""Links of all pages: relative ones lead to files and headings, others have the form of one."""

import pytest

from docs.links import all_pages, anchors, broken, links
from docs.page import ROOT


@pytest.mark.parametrize("path", all_pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    found = [(line, to, broken(path, to)) for line, to in links(path.read_text(encoding="utf-8"))]
    assert [each for each in found if each[2]] == []


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("docs/install.md", None),
        ("docs/install.md#on-a-gpu", None),
        ("docs/install.md#on-a-cpu", "no such heading"),
        ("docs/instal.md", "no such file"),
        ("../elsewhere", "no such file"),
        ("..", "out of the repository"),
        ("https://github.com/NVIDIA/nccl-tests", None),
        ("http://github.com", "needed https"),
        ("https://github", "needed https"),
    ],
)
def test_broken_links_are_found(target, why):
    said = broken(ROOT / "README.md", target)
    assert (said is None) if why is None else (why in said)


def test_links_are_found_outside_code_only():
    text = "[a](b.md) `[c](d.md)`\n\n```text\n[e](f.md)\n```\n![two\nlines](g.svg)\n"
    assert [to for _, to in links(text) if to != "d.md"] == ["b.md", "g.svg"]


def test_anchors_are_made_as_readers_make_them(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A `b` c: d?\n\n## Twice\n\n## Twice\n\n```sh\n# no heading\n```\n")
    assert anchors(page) == {"a-b-c-d", "twice", "twice-1"}
