"""Texts that others wrote: read within bounds, so that no file takes long or much memory."""

from __future__ import annotations

import codecs
import os
import re
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

from emul.errors import EmulError, MeasurementError, TopologyError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    "BYTE_ORDER_MARK",
    "MOST_FILE_BYTES",
    "MOST_MEASURED_BYTES",
    "MOST_TRACE_BYTES",
    "file_version",
    "lines_of",
    "read_bytes",
    "read_lines",
    "read_text",
    "text_of",
    "toml_document",
]

MOST_FILE_BYTES = 512 << 10
MOST_TRACE_BYTES = 64 << 20
"""Of a trace: two minutes of packets of 1 Gbit/s."""

MOST_MEASURED_BYTES = 64 << 20
"""Of a file of measurements."""

UTF16_SAMPLE = 400
"""Bytes at the beginning of a file that tell UTF-16 without a mark."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""With which some editors begin a text in UTF-8; no part of it."""

LONGEST_REASON = 300

# A key of n parts costs a TOML parser n x n memory, so long ones are refused before parsing. Each
# alternative ends at a character that cannot be within it, so the search takes linear time.
DEEP_KEY = re.compile(
    r"""(?:\.[ \t]*(?:[\w-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*')[ \t]*){8}""", re.ASCII
)


def file_version(path: str | Path) -> tuple[int, ...] | None:
    """Return a mark that changes with the file at ``path``; None where the file is missing."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_dev, found.st_ino


def read_bytes(
    path: Path,
    what: str,
    most: int = MOST_FILE_BYTES,
    error_class: type[EmulError] = TopologyError,
) -> bytes:
    """Return the bytes of the regular file at ``path``, which is to be ``what``.

    Raises an ``error_class`` when it cannot be read or has more than ``most`` bytes.
    """
    try:
        with _regular(path) as file:
            content = file.read(most + 1)
            size = max(len(content), path.stat().st_size)
    except (OSError, ValueError) as error:
        raise _unreadable(path, what, error, error_class) from None
    if size > most:
        raise error_class(f"{path}: {size} bytes: needed at most {most}")
    return content


def read_lines(
    path: Path, what: str, longest: int, error_class: type[EmulError] = TopologyError
) -> Iterator[bytes]:
    """Yield the lines of the regular file at ``path``, one after the other, with their ends.

    Without a byte order mark. Raises an ``error_class`` when it cannot be read, or at a line of
    more than ``longest`` bytes.
    """
    try:
        with _regular(path) as file:
            for number in count(1):
                line = file.readline(longest + 1)
                if len(line) > longest:
                    break
                if not line:
                    return
                yield line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
    except (OSError, ValueError) as error:
        raise _unreadable(path, what, error, error_class) from None
    raise error_class(f"{path}, line {number}: needed at most {longest} bytes")


def _regular(path: Path) -> BinaryIO:
    """Return the regular file at ``path``, open for reading; raises OSError."""
    if path.exists() and not path.is_file():
        raise OSError("no regular file")
    return path.open("rb")


def _unreadable(path: Path, what: str, error: Exception, error_class: type[EmulError]) -> EmulError:
    reason = getattr(error, "strerror", None) or error
    return error_class(f"{path}: cannot be read ({reason}): needed {what}")


def read_text(
    path: Path,
    what: str,
    most: int = MOST_FILE_BYTES,
    error_class: type[EmulError] = TopologyError,
) -> str:
    """Return the text of the regular file at ``path``, without a byte order mark.

    Raises an ``error_class`` as ``read_bytes`` does, or when it is no UTF-8.
    """
    content = read_bytes(path, what, most, error_class)
    try:
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise error_class(f"{path}: byte {error.start} is not UTF-8: needed {what}") from None


def text_of(path: Path) -> str:
    """Return the text of the file at ``path``, refusing a file that is too large before it is
    parsed.

    The text is UTF-8 or, as a redirect of PowerShell writes it, UTF-16. A byte that is neither
    becomes U+FFFD, which no number has.
    """
    content = read_bytes(path, "a file of measurements", MOST_MEASURED_BYTES, MeasurementError)
    return content.decode(_encoding(content), errors="replace")


def _encoding(content: bytes) -> str:
    """Return the encoding: by the mark at the beginning, or by where the zero bytes stand."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    start = content[:UTF16_SAMPLE]
    if start[1::2].count(0) > len(start) // 4:
        return "utf-16-le"
    if start[::2].count(0) > len(start) // 4:
        return "utf-16-be"
    return "utf-8-sig"


def lines_of(text: str) -> list[str]:
    r"""Return the lines of ``text`` as editors count them, which end at \n, \r\n or \r."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def toml_document(
    text: str, where: str, error_class: type[EmulError] = TopologyError
) -> dict[str, Any]:
    """Return the document of the TOML in ``text``; ``where`` names its source in errors."""
    deep = DEEP_KEY.search(text)
    if deep:
        line = text.count("\n", 0, deep.start()) + 1
        raise error_class(f"{where}: not TOML: line {line} has a key of more than 8 parts")
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise error_class(f"{where}: not TOML: {str(error)[:LONGEST_REASON]}") from None
