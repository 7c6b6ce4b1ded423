"""The footprints of operations on the links of a World: those lately used are kept."""

from __future__ import annotations

from functools import cached_property
from typing import TypeVar

from emul.plans import Program
from emul.runtime.operation import Issuer
from emul.runtime.planner import Planner
from emul.runtime.prepared import Prepared
from emul.timing import Footprint, MessageCounts, Slicing, network_draws

__all__ = ["Footprints"]

_Key = tuple[Program, int]
_Kept = TypeVar("_Kept")

KEPT = 32
"""Collectives whose transfers are kept, as many as programs."""


class Footprints:
    """Makes the footprints of operations on the network of a World."""

    def __init__(self, planner: Planner) -> None:
        """Take the planner of the whole world: its network, and its settings."""
        self.planner = planner
        self.links_draw = network_draws(planner.network)
        self._kept: dict[_Key, Footprint] = {}
        self._in_windows: dict[_Key, Footprint | None] = {}
        self._sent: dict[int, MessageCounts] = {}

    def restart(self) -> None:
        """Count the messages of connections anew, by which links draw."""
        self._sent = {}

    def issued(self, prepared: Prepared, member: Issuer) -> MessageCounts | None:
        """Return what the connections of ``member`` have sent before; None if links draw nothing.

        From now on they have sent the operation that is issued too.
        """
        if not self.links_draw:
            return None
        before = self._sent.get(member.number, MessageCounts.none())
        self._sent[member.number] = before + self.of(prepared, member).messages
        return before

    @cached_property
    def fills_windows(self) -> bool:
        """Whether the library of the World fills the windows of links anew each round trip."""
        return self.planner.timing.stack.fills_windows

    def of(self, prepared: Prepared, member: Issuer) -> Footprint:
        """Return the transfers of a collective of ``member``, few rounds of its rings if possible.

        Raises CapacityError.
        """
        if self.links_draw:
            return self.in_full(prepared, member)
        slicing, key = self.planner.timing.slicing, (prepared.program, member.number)
        if key not in self._in_windows:
            self._in_windows[key] = prepared.in_windows(
                slicing, member.number, lambda: self.in_full(prepared, member)
            )
        footprint = _used(self._in_windows, key)
        return self.in_full(prepared, member) if footprint is None else footprint

    def in_full(self, prepared: Prepared, member: Issuer) -> Footprint:
        """Return all transfers of a collective of ``member``. Raises CapacityError."""
        key = prepared.program, member.number
        if key not in self._kept:
            timing = self.planner.timing
            self._kept[key] = Footprint.of(
                prepared.program,
                self.planner.network,
                Slicing.of(prepared.stack, timing.slicing),
                prepared.stack,
                member.ranks,
                member.number,
                timing.seed,
                member.release,
            )
        return _used(self._kept, key)


def _used(kept: dict[_Key, _Kept], key: _Key) -> _Kept:
    """Return what is kept by a key that is used now; forget one that was not used for long."""
    kept[key] = found = kept.pop(key)
    if len(kept) > KEPT:
        del kept[next(iter(kept))]
    return found
