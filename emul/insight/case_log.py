"""The cases of a search that are done, in a file of JSON lines, so that none is done twice.

The first line says the inputs of the search, by a digest. A last line that was cut off by the end
of the program is passed over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from emul.errors import ArgumentError, FileError
from emul.topology import NodeRuns

__all__ = ["CaseLog", "digest_of"]

KIND = "emul-tune-state-1"

MOST_BYTES = 256 << 20
"""Of a file that is read."""


class CaseLog:
    """Cases by their names; with a ``path``, each is also written there at once."""

    def __init__(self, path: Path | None, inputs: str) -> None:
        """Take the file and the digest of the inputs, and read the cases that are done.

        Raises ArgumentError for a file of other inputs or of another kind, FileError for one that
        cannot be read.
        """
        self.path, self.inputs = path, inputs
        self._known: dict[str, Mapping[str, Any]] = {}
        self._bytes = 0  # of the whole lines
        if path is not None:
            self._read(path)

    def known(self, name: str) -> Mapping[str, Any] | None:
        """Return the record of a case that is done."""
        return self._known.get(name)

    def add(self, name: str, record: Mapping[str, Any]) -> None:
        """Keep the record of a case. Raises FileError."""
        self._known[name] = record
        if self.path is None:
            return
        lines = [] if self._bytes else [{"kind": KIND, "inputs": self.inputs}]
        lines.append({"case": name, **record})
        text = "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines).encode()
        try:
            with self.path.open("r+b" if self.path.exists() else "wb") as file:
                file.truncate(self._bytes)
                file.seek(self._bytes)
                file.write(text)
        except OSError as error:
            raise FileError(f"{self.path}: cannot be written: {error.strerror}") from error
        self._bytes += len(text)

    def _read(self, path: Path) -> None:
        try:
            data = path.read_bytes() if path.stat().st_size <= MOST_BYTES else b"{}\n"
        except FileNotFoundError:
            return
        except OSError as error:
            raise FileError(f"{path}: cannot be read: {error.strerror}") from error
        whole = data[: data.rfind(b"\n") + 1]
        lines = [self._line(path, line) for line in whole.splitlines()]
        if not lines:
            return
        head, *cases = lines
        if head.get("kind") != KIND:
            raise ArgumentError(
                f"{path}: holds no cases of emul tune: needed a file that it wrote, or a new one"
            )
        if head.get("inputs") != self.inputs:
            raise ArgumentError(
                f"{path}: holds the cases of other inputs (topology, sizes, options or version): "
                "needed the same ones, or a new file"
            )
        for each in cases:
            self._known[str(each.pop("case", ""))] = each
        self._bytes = len(whole)

    @staticmethod
    def _line(path: Path, line: bytes) -> dict[str, Any]:
        with suppress(ValueError, RecursionError):
            found = json.loads(line)
            if isinstance(found, dict):
                return found
        raise ArgumentError(
            f"{path}: holds no cases of emul tune: needed a file that it wrote, or a new one"
        )


def digest_of(*inputs: object) -> str:
    """Return a digest that is the same for equal inputs, of every process of this version.

    >>> digest_of("a", 1.0) == digest_of("a", 1.0) != digest_of("a", 2.0)
    True
    """
    return sha256(_told((_version(), inputs)).encode()).hexdigest()[:32]


def _version() -> str:
    """Return the version of emul, whose times may differ from those of another."""
    try:
        return version("emul")
    except PackageNotFoundError:  # from a folder of sources
        return ""


def _told(value: object) -> str:
    """Return a value with all its fields as text."""
    if isinstance(value, NodeRuns):
        return _told(value.runs)
    if is_dataclass(value) and not isinstance(value, type):
        each = ((one.name, getattr(value, one.name)) for one in fields(value))
        return f"{type(value).__name__}({_told(tuple(each))})"
    if isinstance(value, Mapping):
        return _told(sorted((_told(key), _told(each)) for key, each in value.items()))
    if isinstance(value, frozenset):
        return _told(sorted(map(_told, value)))
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_told, value))}]"
    return repr(value)
