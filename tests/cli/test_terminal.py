"""Text for the terminal: names from anywhere are shown, and nothing in them is obeyed."""

import builtins
import os
import random
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from command import MAIN, printed_by, run_here
from hypothesis import given, settings
from hypothesis import strategies as st

import emul.__main__
from emul.cli.main import main
from emul.cli.terminal import MOST_LINES
from emul.reading.printable import MOST_CHARACTERS, printable, shortened

EMUL = Path(emul.__file__).parent


@settings(derandomize=True)
@given(st.text())
def test_a_terminal_finds_nothing_to_obey(text):
    line = printable(text)
    assert line.isprintable()
    assert "".join(c for c in text if c.isprintable()) == text or line != text


@settings(derandomize=True)
@given(st.text(st.characters(exclude_categories=["C", "Z"])))
def test_letters_of_every_script_stay(text):
    assert printable(text) == text


def test_of_a_message_the_beginning_and_the_end_are_kept():
    assert shortened("a" * MOST_CHARACTERS) == "a" * MOST_CHARACTERS
    for length in (MOST_CHARACTERS + 1, 34_073, 10**6):
        text = "what came" + "x" * (length - 21) + "the way out."
        short = shortened(text)
        assert len(short) < MOST_CHARACTERS + 50
        assert (short[:9], short[-12:]) == ("what came", "the way out.")
        assert f"[... {length - MOST_CHARACTERS} more characters ...]" in short


def topology(*names, description="two sites"):
    """A topology file of sites with these names, and what else is a name in it."""
    said = "sources = { latency_us = %s }"
    link = f"{{ rate_gbit_per_s = 100, latency_us = 1, {said} }}"
    sites = "".join(f"[[site]]\nname = {quoted(name)}\nnodes = [2]\n" for name in names)
    return f"""description = {quoted(description)}
[defaults]
node_link = {link % quoted("measured: " + description)}
site_link = {link % quoted("assumed: " + names[0])}
{sites}
[[trunk]]
between = [{quoted(names[0])}, {quoted(names[1])}]
rate_gbit_per_s = 1
latency_us = 100
"""


def quoted(text):
    return '"' + "".join(f"\\U{ord(each):08x}" for each in text) + '"'


def shown(*arguments):
    """The status, and all that is printed, in which there must be nothing to obey."""
    status, printed, complaint = run_here(*arguments)
    assert status in (0, 1, 2), (arguments, status)
    assert (printed + complaint).replace("\n", "").isprintable(), (arguments, printed, complaint)
    if status == 2:
        assert complaint.strip()
        assert complaint.count("\n") == 1, (arguments, complaint)
    return status, printed + complaint


PERF = ["perf", "--clock", "virtual", "--no-data", "-b", "8", "-e", "8"]
SHOWS = [["topology", "show"], ["topology", "show", "--sources"], ["topology", "check"],
         [*PERF, "--topology"], ["plan", "show", "all_reduce", "ring", "--topology"]]  # fmt: skip


@pytest.mark.parametrize(
    "name", ["[a]", "a[/b]", "[bold red]x", "[link=http://x]", ":smile:", "\\["]
)
def test_markup_is_shown_as_it_is(tmp_path, name):
    path = tmp_path / "t.toml"
    path.write_text(topology(name, "b", description=f"is {name}"))
    for command in SHOWS:
        status, text = shown(*command, str(path))
        assert status == 0
        assert name in text or command[1] == "check"
    assert f"is {name}" in shown("topology", "show", str(path))[1]
    assert f"is {name}" in shown("topology", "show", str(path), "--sources")[1]


@pytest.mark.parametrize(
    "name",
    ["\x1b[31mred", "\x1b]0;title\x07", "a\nb", "a\rb", "\x9b2J", "a\u202eb", "\u2066", "\x7f"],
)
def test_controls_are_shown_escaped(tmp_path, name):
    path = tmp_path / "t.toml"
    path.write_text(topology(name, "b"))
    for command in SHOWS:
        status, text = shown(*command, str(path))
        if status == 0 and command[1] != "check":
            assert printable(name) in text


ODD = list(
    "ab/[]{}\\'\"` .-_=:,#%$+e10éß漢😀\n\r\t\x00\x1b\x07\x7f\x85\x9b\u202e\u2028\u200b\u2066"
)
BYTES = ["\udcff", "\udc80"]
"""As Python reads the bytes of an argument that is no UTF-8."""

WORDS = [
    "? ", "topology ?", "topology show ?", "topology check ?", "stack show ?", "plan show ?",
    "plan show ? ?", "plan show all_reduce ?", "plan check ?", "plan write ? ? ?",
    "plan write all_reduce ring ?", "perf ?",
    *(f"perf -e 8 -n 1 --clock virtual {option}" for option in (
        "-?", "--?", "--algorithm ? ", "--topology ?", "--stack ?", "--backend ?", "--clock ?",
        "-d ?", "-o ?", "-b ?", "-n ?", "--dilation ?", "--strict ?", "--trace ?", "--plot ?",
        "--plot-timeline ?",
    )),
    "calibrate ?", "calibrate ? --sites ?", "calibrate ? --world-size ?", "calibrate ? --base ?",
    "calibrate ? --collective ?", "calibrate ? --out ?", "validate ? --links ?",
    "validate ? --links ? --plot ?",
]  # fmt: skip


def test_any_text_as_a_word_of_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw = random.Random(17)

    def text():
        letters = [each for each in ODD if each != "\0"] + BYTES
        return "".join(draw.choice(letters) for _ in range(draw.randint(0, 12)))

    for form in WORDS * 4:
        shown(*(word.replace("?", text()) if "?" in word else word for word in form.split()))
    assert sum(len(names) for _, _, names in os.walk(tmp_path)) < len(WORDS)


def test_any_text_as_a_name_in_a_topology_or_of_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw, good = random.Random(18), 0
    for number in range(15):
        names = ["".join(draw.choice(ODD) for _ in range(draw.randint(1, 9))) for _ in range(3)]
        letters = [each for each in ODD if each not in "/\0"] + BYTES
        path = Path("x" + "".join(draw.choice(letters) for _ in range(6)) + f"{number}.toml")
        path.write_text(topology(*names[:2], description=names[2]))
        for command in SHOWS:
            good += not shown(*command, str(path))[0]
    assert good >= 35


def test_a_stack_of_ones_own_is_shown_without_its_escapes(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(f"description = {quoted('[b]' + chr(27) + '[2Jx')}\n")
    assert "[b]\\x1b[2Jx" in shown("stack", "show", str(path))[1]


def test_very_long_words_are_no_flood(tmp_path):
    for arguments in (["perf", "x" * 50_000], ["x" * 50_000], ["perf", "-b", "9" * 50_000]):
        assert len(shown(*arguments)[1]) < 1500


def test_notes_are_said_once_and_bounded(capsys):
    from emul.cli.terminal import say_each

    say_each("note: ", ["a", "b", "a"])
    assert capsys.readouterr().out == "note: a\nnote: b\n"
    say_each("note: ", map(str, range(1000)))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == MOST_LINES + 1
    assert lines[-1] == f"note: ... and {1000 - MOST_LINES} more"


@pytest.mark.parametrize("group", [[], ["plan"], ["topology"], ["stack"]])
def test_a_group_alone_prints_its_help(group):
    status, printed, complaint = run_here(*group)
    assert (status, complaint) == (0, "")
    assert printed == run_here(*group, "--help")[1]
    assert printed.startswith("Usage: " + " ".join(["emul", *group]))
    assert printed.count("\n") > 8
    assert CliRunner().invoke(main, group).exit_code == 0


def test_the_package_is_the_command():
    script = (
        "import runpy, sys; sys.argv = ['x', 'stack']; runpy.run_module('emul', None, '__main__')"
    )
    by_name = MAIN[-1].replace("; run()", "; import sys; sys.argv = ['emul', 'stack']; run()")
    assert printed_by(script) == printed_by(by_name)


def test_an_interrupt_while_it_is_loaded_is_no_traceback(monkeypatch):
    load = builtins.__import__

    def interrupted(name, *arguments):
        if name == "emul.cli.main":
            raise KeyboardInterrupt
        return load(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", interrupted)
    with pytest.raises(SystemExit) as end:
        emul.__main__.run()
    assert end.value.code == 130


def test_a_table_on_a_narrow_terminal_loses_no_digit(monkeypatch):
    """Cells are folded there; cut off, a number would be another number."""
    monkeypatch.setattr("emul.cli.terminal.on_terminal", lambda: True)
    for columns in ("1", "20", "40"):
        monkeypatch.setenv("COLUMNS", columns)
        monkeypatch.setenv("NO_COLOR", "1")
        _, printed, _ = run_here("topology", "show", "three-campus")
        assert "…" not in printed


def test_there_is_one_place_for_text_one_for_tables_and_one_for_files():
    forbidden = {
        "terminal.py": r"click\.echo|\bprint\(|\bConsole\(",
        "text_table.py": r"rich\.table",
        "files.py": r"\.write_(text|bytes)\(|\bsavefig\(path",
    }
    for path in [*(EMUL / "cli").glob("*.py"), *(EMUL / "report").glob("*.py")]:
        for place, pattern in forbidden.items():
            assert path.name == place or not re.search(pattern, path.read_text()), path


def test_messages_name_the_extras_of_this_folder():
    """No package of this name is on the index, so it is installed from the sources."""
    root = EMUL.parent
    for path in [*EMUL.rglob("*.py"), *EMUL.rglob("*.md"), root / "README.md"]:
        assert "install 'emul" not in path.read_text(), path
