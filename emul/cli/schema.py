"""``emul schema perf`` and others: the published form of the JSON documents."""

from __future__ import annotations

import click

from emul.cli.help import Command, Group
from emul.cli.terminal import say

__all__ = ["schema"]

PAGE = "reading-results.md"


@click.group(
    cls=Group,
    short_help="Print the JSON Schema of the files that --json writes.",
    examples={
        "the keys of the rows of emul perf": "emul schema perf",
        "kept beside the results": "emul schema perf > perf.schema.json",
    },
    page=PAGE,
)
def schema() -> None:
    """Print the JSON Schema of the files that --json writes (draft 2020-12)."""


def _add(name: str) -> None:
    @schema.command(
        name,
        cls=Command,
        help=f"Print the JSON Schema of the document of emul {name} --json.",
        examples={
            "the schema": f"emul schema {name}",
            "kept beside the results": f"emul schema {name} > {name}.schema.json",
        },
        page=PAGE,
    )
    def _print() -> None:
        import json

        from emul.report.schemas import CONTENTS, schema_of

        say(*json.dumps(schema_of(CONTENTS[name]), indent=1).split("\n"))


for _name in ("calibrate", "compare", "explain", "perf", "train", "tune", "validate"):
    _add(_name)
