"""Writes the pages of reference from the program: its docstrings and its pages of help."""

import contextlib
import inspect
import io
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

import emul
import emul.communicator
from emul import plans
from emul.cli.main import main

from .page import ROOT
from .shell import printed_by

__all__ = ["written_pages"]

REFERENCE = ROOT / "docs" / "reference"
WRITTEN = "<!-- Written by python -m tests.docs --write from the program; edit the source. -->"

OF_PLANS = ("Plan", "plan_from", "read_plan", "plan_xml", "verify", "build_hierarchy")
CLASSES = {
    "world": ("How do I make a cluster?", ("World", "Settings")),
    "communicator": (
        "Which collectives are there, and how are they called?",
        ("Group", "NoData", "Mesh", "CollapsedMesh"),
    ),
    "results": (
        "What does a call give back?",
        ("Run", "Prediction", "Timeline", "CriticalPath", "Segment", "RoundingError", "Lag"),
    ),
    "handles": (
        "How do I look at several collectives in flight?",
        ("Handle", "Moments", "HistoryRow"),
    ),
    "programs": (
        "How does each rank go on at its own pace?",
        (
            "ProgramRun",
            *(f"programs.{each}" for each in ("Log", "write_acts", "RankGroup", "Compute")),
            *(f"programs.{each}" for each in ("Issue", "Send", "Recv", "Wait", "Mark")),
        ),
    ),
    "paths": (
        "Why does a program take as long as it does?",
        ("ProgramPath", "PathRow", "PathPart", "Mark"),
    ),
    "explanations": (
        "Why is it slow?",
        ("explain", "World.explain", "Explanation", "EffectShare"),
    ),
    "tuning": ("Which change would make it quicker?", ("tune", "Tuning", "Case")),
    "training": (
        "How long is a training step, and why?",
        tuple(f"training.{each}" for each in ("Job", "StepReport", "Needs", "Hardware")),
    ),
    "methods": (
        "How does a training step use its ranks and links?",
        tuple(
            f"training.{each}"
            for each in ("DDP", "ZeRO", "FSDP", "HSDP", "LocalSteps", "Seat", "Model")
        ),
    ),
    "topology": (
        "How is a topology made in Python?",
        ("Topology", "Site", "Node", "Trunk", "Link", "Slicing", "Stack"),
    ),
    "plans": ("How is a plan made, read, written and proven?", ("Send", "algorithm", *OF_PLANS)),
    "pictures": (
        "How do I draw times, timelines and sweeps?",
        ("plot_times", "plot_timeline", "plot_heat_map"),
    ),
    "errors": ("Which errors does emul raise?", ()),
}
"""The pages of Python: the question of each, and the names that it describes."""

DESCRIBED = {name for _, names in CLASSES.values() for name in names}
"""Also members of classes, which then stand on a page of their subject."""

SHARED = {
    "World": (
        emul.communicator.Communicator,
        "Also all collectives, messages and `predict` of a [Group](communicator.md).",
    )
}
"""By name, a base whose members are described elsewhere, and the words that say so."""

MOST_OF_A_DEFAULT = 20
"""Characters of a default that the head of a function shows."""

ARGUMENT = re.compile(r"^(\w[\w, ]*)\n((?: {4}.+(?:\n|$))+)", re.MULTILINE)
"""A name with the lines about it below, in the lists of arguments of NumPy's form."""

OLD_NAMES = {"Passage", "__version__"}


def named(name: str) -> Any:
    """Return the public object ``name``, also of a room or a class, as programs.Log."""
    room, _, own = name.rpartition(".")
    if room:
        return getattr(getattr(emul, room), own)
    return getattr(emul, name, None) or getattr(plans, name)


def _markdown(docstring: str) -> str:
    """Return a docstring as Markdown: examples in blocks, names in single backquotes."""
    parts = []
    for part in re.split(r"\n\s*\n", inspect.cleandoc(docstring)):
        if part.lstrip().startswith(">>>"):
            parts.append(f"```pycon\n{textwrap.dedent(part)}\n```")
        else:
            text = re.sub(r"^(\w[\w ]*)\n-{3,}$", r"**\1**\n", part, flags=re.MULTILINE)
            text = ARGUMENT.sub(lambda of: f"* `{of[1]}`: {' '.join(of[2].split())}\n", text)
            parts.append(text.replace("``", "`").replace("<", "&lt;"))
    return "\n\n".join(parts)


class _Default:
    """The default of an argument; one that takes long to say is left out."""

    def __init__(self, value: object) -> None:
        self._shown = repr(value)

    def __repr__(self) -> str:
        return self._shown if len(self._shown) <= MOST_OF_A_DEFAULT else "..."


def _signature(what: Any) -> str:
    """Return the arguments of a function, without their types."""
    signature = inspect.signature(what)
    empty = inspect.Parameter.empty
    given = [
        each.replace(
            annotation=empty,
            default=empty if each.default is empty else _Default(each.default),
        )
        for name, each in signature.parameters.items()
        if name not in ("self", "cls")
    ]
    return str(signature.replace(parameters=given, return_annotation=inspect.Signature.empty))


def _members(of: type, without: type | None) -> Iterator[str]:
    """Yield the description of each public member of a class, in the order of the source.

    ``without``: a base whose members are left out.
    """
    names: dict[str, type] = {}
    for base in reversed(of.__mro__):
        if base.__module__.startswith("emul") and base is not without:
            names |= dict.fromkeys(vars(base), base)
    for name, base in names.items():
        member = inspect.getattr_static(base, name)
        function = getattr(member, "__func__", member)
        text = inspect.getdoc(member)
        elsewhere = f"{of.__name__}.{name}" in DESCRIBED
        if name.startswith("_") or not text or hasattr(tuple, name) or elsewhere:
            continue
        if isinstance(member, property):
            yield f"**`{name}`**: {_markdown(text)}"
        elif inspect.isfunction(function):
            yield f"### {name}\n\n`{name}{_signature(function)}`\n\n{_markdown(text)}"


def _described(name: str) -> str:
    """Return the section of one public name."""
    what = named(name)
    if not inspect.isclass(what):
        return f"## {name}\n\n`{name}{_signature(what)}`\n\n{_markdown(what.__doc__)}"
    init = vars(what).get("__init__")
    head = f"`{name}{_signature(init)}`\n\n" if init and inspect.isfunction(init) else ""
    shared, words = SHARED.get(name, (None, ""))
    properties_last = sorted(_members(what, shared), key=lambda text: text.startswith("###"))
    parts = [f"## {name}\n\n{head}{_markdown(what.__doc__)}", words, *properties_last]
    return "\n\n".join(filter(None, parts))


def _errors() -> Iterator[str]:
    for name in emul.__all__:
        error = named(name) if name not in OLD_NAMES else None
        if inspect.isclass(error) and issubclass(error, Exception):
            bases = " and ".join(f"`{base.__name__}`" for base in error.__bases__)
            yield f"## {name}\n\nAlso {bases}.\n\n{_markdown(error.__doc__)}"


def _first_sentence(name: str) -> str:
    return _markdown(named(name).__doc__).split("\n\n")[0].replace("\n", " ")


def _shown(code: str) -> str:
    """Return a block of Python, and the block of its output."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    return f"```python\n{code}```\n\n```text\n{printed.getvalue()}```"


def _python_pages() -> Iterator[tuple[Path, str]]:
    """Yield the pages of Python, and the page that leads to them."""
    index = []
    for title, (question, names) in CLASSES.items():
        sections = list(map(_described, names)) or list(_errors())
        name = names[0] if names else "EmulError"
        code = f"import emul\n\nprint(emul.{name}.__doc__.splitlines()[0])\n"
        told = f"{question} In Python, `help(emul.{name})` tells too."
        head = f"# Python: {title}\n\n{WRITTEN}\n\n{told}"
        path = REFERENCE / "python" / f"{title}.md"
        yield path, "\n\n".join([head, _shown(code), *sections]) + "\n"
        index.append(f"* [{title}](python/{title}.md): {question}")
        index += [f"  * `{each}`: {_first_sentence(each)}" for each in names]
    code = 'import textwrap, emul\n\nprint(textwrap.fill(" ".join(emul.__all__), 90))\n'
    head = f"# Python\n\n{WRITTEN}\n\nWhich names does `import emul` have?"
    yield REFERENCE / "python.md", f"{head}\n\n{_shown(code)}\n\n" + "\n".join(index) + "\n"


def _help(command: str) -> str:
    asked = f"{command} --help"
    printed = printed_by(asked) or ""
    lines = "\n".join(line.rstrip() for line in printed.strip().splitlines())
    return f"```sh\n{asked}\n```\n\n```text\n{lines}\n```\n"


def _command_page(name: str, command: click.Command) -> str:
    """Return the page of one command, and of those below it."""
    text = f"# emul {name}\n\n{WRITTEN}\n\nWhich options does `emul {name}` have?\n\n"
    text += _help(f"emul {name}")
    for below in sorted(getattr(command, "commands", {})):
        text += f"\n## emul {name} {below}\n\n{_help(f'emul {name} {below}')}"
    return text


def _command_pages() -> Iterator[tuple[Path, str]]:
    head = f"# Command line\n\n{WRITTEN}\n\nWhich commands does `emul` have?\n\n"
    links = [f"* [emul {name}](cli/{name}.md)" for name in sorted(main.commands)]
    yield REFERENCE / "cli.md", head + _help("emul") + "\n" + "\n".join(links) + "\n"
    for name, command in main.commands.items():
        yield REFERENCE / "cli" / f"{name}.md", _command_page(name, command)


def written_pages() -> dict[Path, str]:
    """Return the text of every page that is written from the program."""
    return dict([*_command_pages(), *_python_pages()])
