"""Every block of every page is carried out, and prints the output that the page shows."""

import re

import pytest

from docs.page import Example, Page, excerpt, pages
from docs.session import differs, outputs_of
from docs.shell import LISTS, Lists, command_lines, printed_by

MOST_LINES = 300
MOST_LINES_OF_THE_README = 150
PAGES = pages()
FIRST_LINES = 25
"""Of a page, in which a reader finds the question it answers and a command to paste."""

INSIDE = "docs/ARCHITECTURE.md"
"""The page for readers of the code, which has no command."""


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_pages_print_what_they_show(page, tmp_path):
    for example, printed in outputs_of(page, tmp_path):
        place = f"{page}:{example.code.line}: python -m tests.docs --write"
        assert not differs(example, printed), f"{place}\n{printed}"


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_pages_stay_short(page):
    most = MOST_LINES_OF_THE_README if str(page) == "README.md" else MOST_LINES
    assert page.text.count("\n") <= most


@pytest.mark.parametrize("page", [each for each in PAGES if str(each) != INSIDE], ids=str)
def test_pages_begin_with_a_question_and_a_command(page):
    head = page.text.split("\n")[:FIRST_LINES]
    assert "?" in " ".join(head[: next(i for i, line in enumerate(head) if line[:3] == "```")])
    first = page.fences[0]
    assert (first.language, first.title) in (("sh", None), ("python", None))
    assert first.line <= FIRST_LINES


def test_every_entry_of_the_lists_is_needed():
    """So none hides a command that a page may show one day."""
    lists = Lists.read()
    blocks = [
        each.code
        for page in PAGES
        for each in page.examples()
        if isinstance(each, Example) and each.code.language == "sh"
    ]
    commands = [command for block in blocks for command, _ in command_lines(block.text)]
    for kind in ("not_run", "instead", "unchecked"):
        for command in commands:
            lists.entry(kind, command)
    assert lists.used == {*lists.not_run, *lists.instead, *lists.unchecked}


def test_each_part_that_is_kept_is_in_the_output_that_is_shown():
    """So no part of a page stops to be compared when the output changes its form."""
    outputs = {
        each.code.text.strip(): each.output.text
        for page in PAGES
        for each in page.examples()
        if isinstance(each, Example) and each.output
    }
    for command, parts in LISTS.kept.items():
        assert all(part.search(outputs[command]) for part in parts)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_files_are_named_before_they_are_shown(page):
    """A reader sees no title of a block, and has to save it under its name."""
    ends = 0
    for fence in page.fences:
        assert fence.title is None or f"`{fence.title}`" in page.text[ends : fence.start], (
            fence.title
        )
        ends = fence.end


def test_no_page_installs_from_the_package_index():
    for page in PAGES:
        assert not re.search(r"(pip|pipx|uv|uvx) (install |add )?emul\b", page.text), page


def page_of(tmp_path, text):
    path = tmp_path / "page.md"
    path.write_text(text)
    return Page(path)


def test_a_page_that_shows_something_else_is_found(tmp_path):
    page = page_of(tmp_path, "```python\nprint(1 + 1)\n```\n\n```text\n3\n```\n")
    (tmp_path / "in").mkdir()
    ((example, printed),) = outputs_of(page, tmp_path / "in")
    assert differs(example, printed)
    assert not differs(example, "3\n")
    assert page.rewritten({example.output.start: printed}) == page.text.replace("3", "2")


def test_a_shown_file_is_there_for_the_commands_behind_it(tmp_path):
    file = '```toml title="a.toml"\npreset = "one-campus"\n```\n'
    text = f"{file}```sh\nemul topology check a.toml\n```\n"
    (tmp_path / "in").mkdir()
    ((_, printed),) = outputs_of(page_of(tmp_path, text), tmp_path / "in")
    assert printed.startswith("a.toml: good: 24 ranks")


def test_an_output_of_nothing_is_found(tmp_path):
    page = page_of(tmp_path, "```text\n3\n```\n")
    with pytest.raises(AssertionError, match=r"page\.md:1: the output of no command"):
        list(page.examples())


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("rm -r x", "not in commands.toml"),
        ("emul plan list | head", "only plain commands"),
        ("emul topology check missing.toml", "exit status 2, not 0"),
        ("emul plan list  # exit status 2", "exit status 0, not 2"),
    ],
)
def test_commands_that_are_not_run_or_end_otherwise_are_found(block, said):
    with pytest.raises(AssertionError, match=re.escape(said)):
        printed_by(block)


@pytest.mark.parametrize(
    ("printed", "shown", "kept"),
    [
        ("\na \nb\nc\nd\n", "x\n...\ny\n", "a\n...\nd\n"),
        ("a\nb", "x\n...\ny\n", "a\nb\n"),
        ("a\nb\n", "", "a\nb\n"),
        ("a\nso: 1\nb\nso: 2\nc\n", "a\n...\nso: 3\n", "a\n...\nso: 2\nc\n"),
    ],
)
def test_an_excerpt_keeps_the_head_and_a_tail_by_its_first_word(printed, shown, kept):
    assert excerpt(printed, shown) == kept


def test_the_measured_is_not_compared_and_the_modelled_is():
    demo = "pip install . && emul perf"
    row = "  8  885.47  2.01  0.00  {}  latency  hierarchical:{}  {}  {}\n"

    def compared(*last):
        return LISTS.compared(demo, row.format(*last))

    assert compared("0.07", "pieces", 885.51, 0) == compared("0.07", "pieces", 900.1, "N/A")
    assert compared("0.07", "pieces", 885.51, 0) != compared("0.08", "pieces", 885.51, 0)
    assert compared("0.07", "pieces", 885.51, 0) != compared("0.07", "nodes", 885.51, 0)
    assert LISTS.compared("emul perf", row) == row
