"""The constraint that a lower bound comes from: which links cannot carry how many bytes in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emul.errors import listed
from emul.topology.model import Topology
from emul.units import format_bytes, format_time

__all__ = ["KINDS", "BoundReason", "Label", "trunks_across"]

Label = tuple[str, tuple[str, ...]]
"""The kind of a constraint, and the names of its places."""

KINDS = {
    "latency": "the distance from a site to the farthest one",
    "rank": "the ports of a rank",
    "node": "the NICs of a node",
    "cut": "the trunks across a cut between sites",
    "ways": "the NICs, uplinks and downlinks beside a cut between sites",
    "prices": "trunks that are priced, over all schedules",
    "ranks": "the ports of all ranks",
    "nodes": "the NICs of all nodes",
    "sites": "all that joins the sites",
}
"""Kinds of constraints in words."""

COUNTS = ("ranks", "nodes", "sites")
"""Those that count all transfers between parts."""


@dataclass(frozen=True, slots=True)
class BoundReason:
    """The constraint of which a bound is the time.

    ``kind``: one of KINDS. ``places``: sites on one side of a cut, or the site of a rank or a node.
    ``nbytes``: that have to pass; of prices 0. ``trunks``: the names of those that cannot carry
    them, with the price of a byte over each, the dearest 1; none for other links.
    """

    kind: str
    places: tuple[str, ...]
    seconds: float
    nbytes: float
    trunks: tuple[tuple[str, float], ...] = ()

    @property
    def words(self) -> str:
        """The constraint in a sentence without its end."""
        time = format_time(self.seconds)
        if self.kind == "latency":
            return f"news takes {time} to the farthest site"
        if self.kind == "prices":
            every = _together(
                [name if price == 1 else f"{price:.3g} times {name}" for name, price in self.trunks]
            )
            return (
                f"{every}, by their prices, cannot carry their part of any schedule in less than "
                f"{time}"
            )
        if self.kind == "cut":
            who = _together([name for name, _ in self.trunks])
            together = " together" if len(self.trunks) > 1 else ""
            return f"{who}{together} cannot carry {format_bytes(self.nbytes)} in less than {time}"
        of = f" of {listed(self.places)}" if self.places else ""
        what = {
            "rank": f"the ports of a rank{of}",
            "node": f"the NICs of a node{of}",
            "ways": f"the NICs, uplinks and downlinks beside {listed(self.places)}",
            "ranks": "the ports of all ranks together",
            "nodes": "the NICs of all nodes together",
            "sites": "the trunks, uplinks and NICs of all sites together",
        }[self.kind]
        least = ", the least that is sent between them," if self.kind in COUNTS else ""
        return f"{what} cannot carry {format_bytes(self.nbytes)}{least} in less than {time}"


def _together(names: Sequence[str]) -> str:
    """Return names with commas, and ``and`` before the last of them."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def trunks_across(topology: Topology, inside: tuple[str, ...]) -> tuple[tuple[str, float], ...]:
    """Return the trunks between some places and the others, each at the price of 1."""
    return tuple(
        (trunk.name, 1.0)
        for trunk in topology.trunks
        if sum(name in inside for name in trunk.sites) == 1
    )
