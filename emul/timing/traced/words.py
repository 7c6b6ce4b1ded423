"""The words of a trace: names of slices, and the facts beside them."""

from __future__ import annotations

from emul.timing.engine.causes import CAUSES
from emul.timing.traced.columns import TracedTransfer
from emul.timing.traced.crossings import ELSEWHERE

__all__ = ["chunk_words", "exact", "facts", "numbered", "transfer_words"]

IN_WORDS = dict(zip(CAUSES, ("was done", "gave back its credit", "was issued"), strict=True))
"""How a transfer makes another one ready, by emul.timing.CAUSES."""


def facts(row: TracedTransfer) -> dict[str, int | str]:
    """Return the facts about a transfer as a whole, beside its first slice."""
    args: dict[str, int | str] = {"src": row.src, "dst": row.dst, "channel": row.channel}
    if row.step >= 0:
        args["step"] = row.step
    if row.chunk >= 0:
        args["chunk"], args["chunks"] = row.chunk, row.chunks
    if row.alike * row.rounds != 1:
        args["stands_for"], args["rounds"] = row.alike, row.rounds
    args |= {"arrival_ps": row.arrival_ps, "done_ps": row.done_ps}
    if row.waited_for >= 0:
        args["ready after"] = f"transfer {row.waited_for} {IN_WORDS[CAUSES[row.start_cause]]}"
    if row.held_by != -1:
        args["arrives after"] = transfer_words(row.held_by)
    if row.ordered_after != -1:
        args["done after"] = transfer_words(row.ordered_after)
    return args


def exact(start_ps: int, end_ps: int) -> dict[str, int]:
    """Return the picoseconds, which not every form of traces keeps."""
    return {"start_ps": start_ps, "end_ps": end_ps}


def transfer_words(number: int) -> str:
    """Return the name of a transfer that another one waited for."""
    return "a transfer of another collective" if number == ELSEWHERE else f"transfer {number}"


def chunk_words(first: int, number: int) -> str:
    """Return the name of the chunks of a transfer: the first one, and how many."""
    if number == 0:
        return "handshake"
    if first < 0:
        return "data"
    return f"chunk {first}" if number == 1 else f"chunks {first} to {first + number - 1}"


def numbered(name: str, lane: int) -> str:
    """Return the name of a lane: that of the first one is the name of all."""
    return name if lane == 0 else f"{name} ({lane + 1})"
