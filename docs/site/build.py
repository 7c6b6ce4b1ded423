"""Builds the pages as a site that opens without a server: ``python docs/site/build.py [FOLDER]``.

The pages stay where a reader of the repository finds them; here they are gathered into one tree,
with their links turned to the places there. Needs the extra ``docs``.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```[ \t]*$", re.DOTALL | re.MULTILINE)

MOVED = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "inside/contributing.md",
    "CHANGELOG.md": "reference/changes.md",
    "docs/ARCHITECTURE.md": "inside/architecture.md",
    "emul/topology/README.md": "reference/topology.md",
    "emul/links/README.md": "reference/links.md",
    "emul/stacks/README.md": "reference/stacks.md",
    "bench/gpu/README.md": "inside/gpu.md",
    "kernels/README.md": "inside/kernels.md",
    "tests/fidelity/README.md": "inside/fidelity.md",
    "tests/fidelity/namespaces/README.md": "inside/namespaces.md",
}
"""Pages that lie elsewhere in the repository, and their places on the site."""

CONTENTS = {
    "Guides": [
        "install",
        "plan-campuses",
        "invent",
        "train",
        "time",
        "programs-from-logs",
        "reading-results",
        "binding",
        "why-slow",
        "tune",
        "trust",
    ],
    "How to": [
        *(
            f"howto/{name}"
            for name in ("outages", "sweeps", "meshes", "pictures", "traces", "calibration")
        ),
        "howto/loss-over-hours",
        "howto/stacks",
        "howto/packed",
        "howto/wire",
    ],
    "Reference": [
        *(f"reference/{name}" for name in ("topology", "links", "stacks", "python", "cli")),
        "reference/changes",
    ],
    "Inside": [
        *(f"inside/{name}" for name in ("architecture", "contributing", "gpu", "kernels")),
        *(f"inside/{name}" for name in ("fidelity", "namespaces")),
    ],
}


def places() -> dict[Path, Path]:
    """Return for each page of the repository its place on the site."""
    moved = {ROOT / page: Path(place) for page, place in MOVED.items()}
    docs = ROOT / "docs"
    own = {path: path.relative_to(docs) for path in sorted(docs.rglob("*.md"))}
    return own | moved


def linked(text: str, page: Path, all_places: dict[Path, Path]) -> str:
    """Return the text of ``page`` with links for its place; links to no page are left as code."""
    here = all_places[page].parent

    def turned(found: re.Match[str]) -> str:
        picture, words, target = found.groups()
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target) or not path:
            return found[0]
        to = (page.parent / path).resolve()
        if picture:
            place = Path(os.path.relpath(to.relative_to(ROOT / "docs"), here))
        elif to in all_places:
            place = Path(os.path.relpath(all_places[to], here))
        else:
            return words
        return f"{picture}[{words}]({place.as_posix()}{'#' + anchor if anchor else ''})"

    parts, last = [], 0
    for code in CODE.finditer(text):
        parts += [LINK.sub(turned, text[last : code.start()]), code[0]]
        last = code.end()
    return "".join([*parts, LINK.sub(turned, text[last:])])


def contents(below: dict[str, list[str]]) -> str:
    """Return the tables of contents that make the bar at the side."""
    trees = [
        "\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```"])
        for caption, pages in below.items()
    ]
    return "\n\n".join(["", *trees, ""])


def children(place: Path, all_places: dict[Path, Path]) -> list[str]:
    """Return the pages in the folder that is called as the page ``place``."""
    folder = place.with_suffix("")
    return sorted(
        other.relative_to(place.parent).with_suffix("").as_posix()
        for other in all_places.values()
        if other.parent == folder
    )


def gather(folder: Path) -> None:
    """Write all pages, and the pictures, into ``folder``."""
    all_places = places()
    for page, place in all_places.items():
        text = linked(page.read_text(encoding="utf-8"), page, all_places)
        if place.name == "index.md":
            text += contents(CONTENTS)
        elif place == Path("inside/architecture.md"):
            decisions = [
                f"/{p.with_suffix('')}" for p in all_places.values() if p.parts[0] == "decisions"
            ]
            text += contents({"Decisions": sorted(decisions)})
        elif children(place, all_places):
            text += contents({"Pages": children(place, all_places)})
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    shutil.copytree(ROOT / "docs" / "pictures", folder / "pictures")
    shutil.copytree(Path(__file__).with_name("static"), folder / "static")
    shutil.copy(Path(__file__).with_name("conf.py"), folder)


def main() -> int:
    """Build the site; warnings of Sphinx, such as links that lead nowhere, are errors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "build" / "site")
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as sources, tempfile.TemporaryDirectory() as doctrees:
        gather(Path(sources))
        command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-j", "auto"]
        done = subprocess.run([*command, "-d", doctrees, sources, str(folder)], check=False)
    if done.returncode == 0:
        print(f"{folder / 'index.html'}: written")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
