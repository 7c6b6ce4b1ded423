"""The footprints of operations on the links of a World: those lately used are kept."""

from __future__ import annotations

from functools import cached_property

from emul.plans import Program
from emul.runtime.operation import Issuer
from emul.runtime.planner import Planner, Prepared
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

    def issued(self, prepared: Prepared, member: Issuer) -> Footprint | None:
        """Return the footprint of an operation with its draws; None where links draw nothing.

        Each connection goes on with the messages that it has sent before.
        """
        if not self.links_draw:
            return None
        footprint = self.of(prepared, member)
        before = self._sent.get(member.number)
        if before is None:
            self._sent[member.number] = footprint.messages
            return footprint
        self._sent[member.number] = before + footprint.messages
        return footprint.after(before)

    @cached_property
    def fills_windows(self) -> bool:
        """Whether the library of the World fills the windows of links anew each round trip."""
        return self.planner.timing.stack.fills_windows

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
