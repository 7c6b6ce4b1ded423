"""Text never becomes markup: elements, attributes, entities and marks of direction."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emul.drawing.markup import Element, element, markup, number, style_sheet
from emul.reading.printable import clipped, printable

HOSTILE = [
    "<script>alert(1)</script>",
    "\"' onload='alert(1)",
    "</title></style></svg><img src=x>",
    "]]> <![CDATA[ <!-- --> &lt; &#60; &amp",
    "a\nb\r\tc\x00\x1b[31m",
    "\u202egnp.exe \u2066x\u2069",
    "\ud800",
    "n" * 500,
]


class Read(HTMLParser):
    """The elements with their attributes, and the text, of a document."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.texts = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, attrs))

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def structure(self):
        """Elements, the names of their attributes, and their classes."""
        return [
            (tag, [name for name, _ in attrs], dict(attrs).get("class"))
            for tag, attrs in self.elements
        ]


anything = st.one_of(st.sampled_from(HOSTILE), st.text())


@given(anything, anything)
def test_text_stays_text(text, value):
    read = Read(markup([element("p", text, element("b"), title=value)]))
    assert read.elements == [("p", [("title", printable(value))]), ("b", [])]
    assert "".join(read.texts) == printable(text)


@pytest.mark.parametrize("name", ["p onload=x", "<p", "", "a b", "é"])
def test_tags_and_attributes_are_of_the_code_alone(name):
    with pytest.raises(AssertionError):
        element(name)
    with pytest.raises(AssertionError):
        element("p", **{name or " ": "x"})


def test_attributes_are_named_as_in_html_and_none_is_left_out():
    made = element("svg", class_="x", aria_label="y", viewBox="0 0 1 1", href=None, x=1.26)
    assert made == Element(
        "svg", (("class", "x"), ("aria-label", "y"), ("viewBox", "0 0 1 1"), ("x", "1.3"))
    )


def test_coordinates_are_short():
    assert [number(x) for x in (0, -0.04, 10, 99.96, -2.5, 1e6)] == [
        "0",
        "0",
        "10",
        "100",
        "-2.5",
        "1000000",
    ]


def test_a_style_sheet_cannot_end_its_element():
    assert style_sheet("p > b {}") == "<style>p > b {}</style>"
    with pytest.raises(AssertionError):
        style_sheet("</style>")


@given(anything, st.integers(2, 20))
def test_names_are_clipped_as_they_are_shown(text, most):
    shown = clipped(text, most)
    assert len(shown) <= most
    assert shown == printable(text) or printable(text).startswith(shown[:-1])
