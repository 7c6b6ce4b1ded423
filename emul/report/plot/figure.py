"""Figures of Matplotlib: checked before the work, drawn with text as text, written as a whole."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emul.errors import FileError, MissingLibraryError
from emul.files import write_file
from emul.reading.printable import clipped, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLORS", "axis_name", "check_picture", "legend", "new_figure", "save", "title", "words"]

COLORS = (
    "#0072b2", "#d55e00", "#008060", "#b0487f", "#2f8fc4", "#a06d00", "#6b727a", "#7a5195",
)  # fmt: skip
"""Told apart also by readers who see no red or no green."""

FORMS = ("png", "svg", "pdf")
DOTS_PER_INCH = 120
LONGEST = 60
"""Characters of a name in a picture; the rest is left out."""

SETTINGS: Any = {"svg.fonttype": "none", "svg.hashsalt": "emul", "pdf.fonttype": 42}
"""Text stays text in SVG and PDF, and the same figure is the same file."""


def check_picture(path: Path, option: str = "--plot") -> None:
    """Raise MissingLibraryError without Matplotlib, FileError for another form than FORMS."""
    new_figure(1, 1, option)
    if _form(path) not in FORMS:
        raise FileError(f"{option} {path}: needed a name that ends in .png, .svg or .pdf")


def new_figure(width: float, height: float, what: str = "a picture") -> Figure:
    """Return an empty figure of so many inches; raises MissingLibraryError for ``what``."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise MissingLibraryError(f"{what} needs Matplotlib: pip install '.[plot]'") from None
    return Figure(figsize=(width, height), layout="constrained")


def save(path: Path, figure: Figure) -> None:
    """Write ``figure`` to ``path``, whole or not at all, in the form that its name ends in."""
    from matplotlib import rc_context

    form = _form(path)
    metadata: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form, {})

    def draw(file: Any) -> None:
        with warnings.catch_warnings(), rc_context(SETTINGS):
            # A name in a script that the font does not have is drawn as boxes.
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            figure.savefig(file, format=form, dpi=DOTS_PER_INCH, metadata=metadata or None)

    write_file(path, draw)


def words(text: str) -> str:
    """Return a name as one line that is not long and moves no cursor."""
    return clipped(text, LONGEST)


def title(axes: Axes, text: str) -> None:
    """Write lines of ``text`` above ``axes``: dollars are dollars, and no formulas."""
    lines = "\n".join(printable(line) for line in text.split("\n"))
    axes.set_title(lines, fontsize="medium", loc="left", parse_math=False)


def axis_name(axis: Any, text: str) -> None:
    """Write the name of an axis, likewise."""
    axis.set_label_text(words(text), parse_math=False)


def legend(axes: Axes, lines: Sequence[Any], names: Sequence[str], **where: Any) -> None:
    """Draw the key of ``lines``. A name that begins with an underscore is shown as well."""
    drawn = axes.legend(lines, ["name"] * len(lines), fontsize="small", frameon=False, **where)
    for text, name in zip(drawn.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(words(name))


def _form(path: Path) -> str:
    return path.suffix.removeprefix(".").lower()
