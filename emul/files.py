"""Files that commands write: whole or not at all, and refused before the work where they cannot be.

A file is written beside its place and put there when it is complete, so readers never see half of
it, and of several writers the last one wins. Pipes, devices and open descriptors are written to as
they are.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from emul.errors import EmulError, FileError

__all__ = ["check_outputs", "check_writable", "make_folder", "write_file", "write_text"]

NEEDED = "needed a file name in a folder of yours"

DESCRIPTORS = ("/dev", "/dev/fd")
"""Folders of devices and of open descriptors (/dev/stdout, /dev/fd/3), beside /proc of Linux."""


def check_outputs(outputs: Mapping[str, Path | None], inputs: Iterable[Path | str] = ()) -> None:
    """Raise FileError when one of ``outputs``, by their options, cannot be written.

    Nor may two of them be one file, or one of them be among ``inputs``, which would be lost.
    """
    files = filter(os.path.isfile, inputs)
    taken = {os.path.realpath(each): "read by the command" for each in files}
    for option, path in outputs.items():
        if path is None:
            continue
        check_writable(path)
        place = os.path.realpath(path)
        if place in taken:
            raise FileError(f"{option} {path}: {taken[place]} too: needed another file")
        if not _is_device(path):
            taken[place] = f"written by {option}"


def check_writable(path: Path) -> None:
    """Raise FileError when ``path`` cannot be written; asked before long work begins."""
    try:
        mode = path.stat().st_mode if _is_device(path) else _mode(path)
        if not _is_device(path) and (mode is None or stat.S_ISREG(mode)):
            trial, file = _beside(Path(os.path.realpath(path)))
            file.close()
            trial.unlink()
    except (OSError, ValueError) as error:  # ValueError: of a name with a NUL
        raise _refusal(path, error) from None
    if mode is not None and (stat.S_ISDIR(mode) or stat.S_ISSOCK(mode)):
        kind = "a folder" if stat.S_ISDIR(mode) else "a socket"
        raise FileError(f"{path}: cannot be written: {NEEDED}; it is {kind}")
    if mode is not None and not os.access(path, os.W_OK):
        raise FileError(f"{path}: cannot be written: {NEEDED}; it is write-protected")


def make_folder(path: Path) -> None:
    """Make the folder ``path`` and those above it, where they are not there. Raises FileError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise _refusal(path, error) from None


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, whole or not at all. Raises FileError.

    Bytes of a file name that are no UTF-8 become question marks.
    """
    write_file(path, lambda file: file.write(text.encode("utf-8", "replace")))


def write_file(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let ``write`` fill the file at ``path``, whole or not at all; raises FileError.

    A symbolic link stays, and the file that it names is written. An existing file keeps its
    permissions.
    """
    try:
        mode = _mode(path)
        if _is_device(path) or (mode is not None and not stat.S_ISREG(mode)):
            with _opened(path) as file:
                write(file)
            return
        _replace(Path(os.path.realpath(path)), mode, write)
    except EmulError:  # of the contents, and not of the file
        raise
    except (OSError, ValueError) as error:
        raise _refusal(path, error) from None


def _replace(target: Path, mode: int | None, write: Callable[[BinaryIO], object]) -> None:
    partial, file = _beside(target)
    try:
        with file:
            write(file)
            if mode is not None:
                os.fchmod(file.fileno(), stat.S_IMODE(mode))
        partial.replace(target)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def _mode(path: Path) -> int | None:
    """Return the mode of the file at ``path``, behind all links; None where there is no file."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


def _beside(target: Path) -> tuple[Path, BinaryIO]:
    """Return a new file in the folder of ``target``, of this writer alone, open for writing."""
    while True:
        partial = target.with_name(f".emul-{os.urandom(8).hex()}")
        with suppress(FileExistsError):
            return partial, partial.open("xb")


def _is_device(path: Path) -> bool:
    folder = os.path.realpath(path.parent)
    return folder in DESCRIPTORS or f"{folder}/".startswith("/proc/")


def _opened(path: Path) -> BinaryIO:
    """Return a device or pipe open for writing; standard output where it is, behind the table."""
    if sys.stdout is not None:
        sys.stdout.flush()
        with suppress(OSError, ValueError):
            if os.path.samestat(path.stat(), os.fstat(sys.stdout.fileno())):
                return os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_TRUNC), "wb")  # never a new file in /dev


def _refusal(path: Path, error: Exception) -> FileError:
    why = (error.strerror if isinstance(error, OSError) else str(error)) or repr(error)
    return FileError(f"{path}: cannot be written: {NEEDED}; {why}")
