"""A window: rounds of a ring that are alike, of which few are laid out in a footprint."""

from __future__ import annotations

from dataclasses import dataclass

from emul.arrays import Int32Array

__all__ = ["Window"]


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """From transfer ``first`` of a footprint on, ``rounds`` of ``size`` transfers each, all alike.

    ``omitted``: how many more there are. ``span``: over how many rounds a transfer is waited for.
    ``before_start``, ``before_done`` (size,): for how many transfers of the footprint each of a
    round waits before it starts, and with its own arrival before it is done.
    """

    first: int
    size: int
    rounds: int
    omitted: int
    span: int
    before_start: Int32Array
    before_done: Int32Array
