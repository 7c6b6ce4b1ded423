"""The parts of a file that a reader of plans ignores, and the plans of other tools, by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from emul.errors import PlanError

__all__ = ["IgnoredParts", "pieces_of"]

MOST_BYTES = 64 << 20
"""Of a file: three times a file of MOST_STEPS steps."""

READ_AT_ONCE = 1 << 16

MOST_KINDS = 12
"""Of things passed over that are named; of the rest the number is told."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class IgnoredParts:
    """The ignored parts of a file: by kind, how often, and the line where it was first."""

    def __init__(self) -> None:
        """Begin with nothing passed over."""
        self._kinds: dict[str, tuple[int, int]] = {}
        self._others = 0

    def add(self, what: str, line: int) -> None:
        """Note an ignored part on ``line``."""
        times, first = self._kinds.get(what, (0, line))
        if times or len(self._kinds) < MOST_KINDS:
            self._kinds[what] = times + 1, first
        else:
            self._others += 1

    def __str__(self) -> str:
        """Say it in words; empty when nothing was passed over."""
        if not self._kinds:
            return ""
        named = [
            f"{what} (line {line}{f', {times} times' if times > 1 else ''})"
            for what, (times, line) in self._kinds.items()
        ]
        others = [f"and {self._others} others"] if self._others else []
        return f"passed over, as MSCCL and RCCL do: {', '.join([*named, *others])}"


def _refuse_json(path: Path, head: bytes) -> None:
    """Raise PlanError if a file that begins with ``head`` is JSON, as the plans of MSCCL++ are."""
    text = head.removeprefix(BYTE_ORDER_MARK).lstrip()
    if not text.startswith((b"{", b"[")):
        return
    what = "JSON"
    if b'"gpus"' in text:
        what = "a plan of MSCCL++ in JSON, for another runtime with operations of its own"
    raise PlanError(
        f"{path}: {what}: needed a plan of MSCCL in XML (algo, gpu, tb, step), which msccl-tools, "
        "TACCL, TE-CCL and emul plan write make"
    )


def pieces_of(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file piece by piece; raises PlanError if it is no plan in XML."""
    taken = 0
    try:
        if path.exists() and not path.is_file():
            raise PlanError(f"{path}: cannot be read (no regular file): needed a plan in MSCCL XML")
        with path.open("rb") as file:
            while piece := file.read(READ_AT_ONCE):
                if not taken:
                    _refuse_json(path, piece)
                taken += len(piece)
                if taken > MOST_BYTES:
                    raise PlanError(f"{path}: more than {MOST_BYTES} bytes: needed a smaller file")
                yield piece
    except (OSError, ValueError) as error:
        if isinstance(error, PlanError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise PlanError(f"{path}: cannot be read: {reason}") from None
