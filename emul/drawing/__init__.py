"""Elements of HTML and SVG, and the small pictures of values in notebooks.

The room knows no collective: it takes text and numbers.
"""

from emul.drawing.gantt import Bars, gantt
from emul.drawing.markup import Child, Element, element, markup, number
from emul.drawing.sheet import Fact, sheet
from emul.drawing.small_map import Line, small_map

__all__ = [
    "Bars",
    "Child",
    "Element",
    "Fact",
    "Line",
    "element",
    "gantt",
    "markup",
    "number",
    "sheet",
    "small_map",
]
