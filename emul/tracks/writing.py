"""The file of a trace: its form goes by the ending of its name."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from emul.errors import FileError, shown
from emul.files import write_file
from emul.tracks.chrome import chrome_json
from emul.tracks.perfetto import perfetto_protobuf
from emul.tracks.trace import Trace

__all__ = ["FORMS", "check_form", "write_trace"]

Pieces = Callable[[Trace], Iterator[bytes]]

FORMS: dict[str, Pieces] = {
    ".json.gz": chrome_json,
    ".json": chrome_json,
    ".perfetto-trace": perfetto_protobuf,
    ".pftrace": perfetto_protobuf,
}
"""Chrome's trace events in JSON, and Perfetto's protobuf, by the endings of names."""

PACKED = ".gz"


def check_form(path: Path) -> str:
    """Return the ending of ``path``; raises FileError for one that is no form of traces."""
    name = path.name.lower()
    for ending in FORMS:
        if name.endswith(ending):
            return ending
    raise FileError(
        f"trace {shown(str(path))}: needed a name that ends in .json or .json.gz (Chrome's trace "
        "events), .pftrace or .perfetto-trace (protobuf)"
    )


def write_trace(path: Path, trace: Trace) -> None:
    """Write ``trace`` to ``path``, whole or not at all, in the form that its name ends in.

    Raises FileError for another ending, and where it cannot be written.
    """
    ending = check_form(path)
    pieces = FORMS[ending]

    def fill(file: BinaryIO) -> None:
        for piece in pieces(trace):
            file.write(piece)

    def fill_packed(file: BinaryIO) -> None:
        # Without name and time: the same trace is the same file.
        with gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as packed:
            for piece in pieces(trace):
                packed.write(piece)

    write_file(path, fill_packed if ending.endswith(PACKED) else fill)
