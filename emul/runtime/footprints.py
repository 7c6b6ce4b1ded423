"""The footprints of operations on the links of a World: those lately used are kept."""

from __future__ import annotations

from functools import cached_property

from emul.plans import Program
from emul.runtime.operation import Issuer
from emul.runtime.planner import Planner, Prepared
from emul.stacks import IDEAL
from emul.timing import Footprint, MessageCounts, Slicing, network_draws

__all__ = ["Footprints"]

KEPT = 32
"""Collectives whose transfers are kept, as many as programs."""


class Footprints:
    """Makes the footprints of operations on the network of a World."""

    def __init__(self, planner: Planner) -> None:
        """Take the planner of the whole world: its network, and its settings."""
        self.planner = planner
        self.links_draw = network_draws(planner.network)
        self._kept: dict[tuple[Program, int], Footprint] = {}
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
    def whole_messages(self) -> bool:
        """Whether the library of the World sends whole messages, in windows."""
        stack = self.planner.timing.stack
        return stack is not IDEAL and stack.sends_whole_messages

    def of(self, prepared: Prepared, member: Issuer) -> Footprint:
        """Return the transfers of a collective of ``member``. Raises CapacityError."""
        key = prepared.program, member.number
        footprint = self._kept.pop(key, None)
        if footprint is None:
            timing = self.planner.timing
            footprint = Footprint.of(
                prepared.program,
                self.planner.network,
                Slicing.of(prepared.stack, timing.slicing),
                prepared.stack,
                member.ranks,
                member.number,
                timing.seed,
                member.release,
            )
        self._kept[key] = footprint  # the last one used stands last
        if len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
        return footprint
