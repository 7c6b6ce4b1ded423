"""Pages in a real Chromium: nothing is asked for, nothing complains, nothing is cut off or empty.

No pixels are compared: they are of the fonts of the machine.
"""

import chromium
import pytest
from report import pages

from emul.report.html import write_report

pytestmark = pytest.mark.skipif(
    chromium.found() is None,
    reason="no Chromium on this machine (Debian: apt-get install chromium)",
)

WIDTHS = (400, 800, 1400)
KINDS = {
    "perf": pages.campuses,
    "explain": pages.explained,
    "train": pages.trained,
    "tune": pages.tuned,
    "validate": pages.validated,
    "calibrate": pages.calibrated,
}

OUTSIDE = """
[...document.querySelectorAll("svg")].flatMap((svg) => {
  const box = svg.getBoundingClientRect();
  return [...svg.querySelectorAll("text")].filter((text) => {
    const at = text.getBoundingClientRect();
    return at.left < box.left - 1 || at.right > box.right + 1
      || at.top < box.top - 1 || at.bottom > box.bottom + 1 || at.width === 0;
  }).map((text) => text.textContent);
})
"""
"""Texts of drawings that are cut off, or have no size."""

EMPTY = """
[...document.querySelectorAll("h1, h2, .answer, svg, section > .wide > table")].filter((each) => {
  const box = each.getBoundingClientRect();
  return each.checkVisibility() && !(box.width > 0 && box.height > 0);
}).map((each) => each.outerHTML.slice(0, 80))
"""

COLORS = """
(() => {
  const style = getComputedStyle(document.body);
  return [style.backgroundColor, style.color];
})()
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = chromium.Chromium(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(params=KINDS, scope="module")
def loaded(request, browser, tmp_path_factory):
    """Return the browser with a page in it, and the address of the page."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_report(path, KINDS[request.param]())
    browser.load(path.as_uri())
    return browser, path.as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_fits_at_every_width(loaded, scheme):
    browser, _ = loaded
    for width in WIDTHS:
        browser.look(width=width, scheme=scheme)
        assert browser.value("document.documentElement.scrollWidth <= innerWidth"), width
        assert browser.value(OUTSIDE) == []
        assert browser.value(EMPTY) == []
        assert browser.value("document.querySelectorAll('svg').length") >= 2


def test_dark_light_and_paper_have_their_colors(loaded):
    browser, _ = loaded
    seen = []
    for media, scheme in (("", "light"), ("", "dark"), ("print", "dark")):
        browser.look(width=800, media=media, scheme=scheme)
        seen.append(browser.value(COLORS))
    light, dark, paper = seen
    assert light[0] == paper[0] == "rgb(255, 255, 255)"
    assert dark[0] == "rgb(20, 23, 27)"
    assert len({ink for _, ink in seen}) == 3


def test_a_page_can_be_printed(loaded):
    browser, _ = loaded
    browser.look(width=800)
    printed = browser.call("Page.printToPDF", preferCSSPageSize=True)["data"]
    assert len(printed) > 10_000


def test_nothing_is_asked_for_and_nothing_complains(loaded):
    browser, address = loaded
    browser.load(address)
    assert browser.requests() == [address]
    assert browser.complaints() == []


def test_the_page_forbids_what_it_does_not_need(loaded):
    """The policy is in force: a picture, a script and a style from elsewhere are refused."""
    browser, address = loaded
    browser.load(address)
    browser.value(
        """(() => {
          const image = document.createElement("img");
          image.src = "data:image/gif;base64,R0lGODlhAQABAAAAACw=";
          const script = document.createElement("script");
          script.textContent = "window.ran = true";
          document.body.append(image, script);
          document.body.setAttribute("style", "color: red");
        })()"""
    )
    assert browser.value("window.ran === undefined")
    assert browser.value("getComputedStyle(document.body).color") != "rgb(255, 0, 0)"
    said = str(browser.complaints())
    assert all(each in said for each in ("img-src", "script-src", "style-src"))
