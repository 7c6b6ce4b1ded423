"""A call with its topology, of which the bound and the reason for it can be asked."""

from __future__ import annotations

from dataclasses import dataclass

from emul.arrays import Int64Array
from emul.reading.brief import brief
from emul.topology.bound import bound_terms, lower_bound_ps, prices_of
from emul.topology.bound_reason import BoundReason, trunks_across
from emul.topology.connection_limit import SiteConnections
from emul.topology.model import Topology

__all__ = ["Bounded"]

ALIKE = 1e-9
"""Of constraints whose times differ by less than this part, the first is the reason."""


@dataclass(frozen=True, slots=True, eq=False)
class Bounded:
    """A call and its topology, so that the bound can be asked for with either changed.

    The fields are the arguments of ``lower_bound_ps``; ``connection`` is how the run sends.
    """

    topology: Topology
    collective: str
    nbytes: int
    root: int
    transfers: int
    uneven_bytes: Int64Array | None
    connection: SiteConnections

    __repr__ = brief

    def by_links_ps(self) -> int:
        """Return the picoseconds that no algorithm can beat."""
        return self._ps(None)

    def by_connections_ps(self) -> int:
        """Return those that none can beat with these connections beyond a site."""
        return self._ps(self.connection)

    def reason(self) -> BoundReason | None:
        """Return the constraint of which the bound by links is the time.

        None where nothing is sent. Of several with that time, the one that is simplest: distance,
        ranks and nodes, cuts of sites, and prices before counts.
        """
        if not self.transfers:
            return None
        terms = list(
            bound_terms(
                self.topology, self.collective, self.nbytes, self.root, self.uneven_bytes, None
            )
        )
        most_s = max((seconds for seconds, _, _ in terms), default=0.0)
        if not most_s:
            return None
        alike = (each for each in terms if each[0] >= most_s * (1 - ALIKE))
        seconds, (kind, places), nbytes = next(alike)
        return BoundReason(kind, places, seconds, nbytes, self._trunks(kind, places))

    def _trunks(self, kind: str, places: tuple[str, ...]) -> tuple[tuple[str, float], ...]:
        """Return the trunks of a constraint with their prices."""
        if kind == "cut":
            return trunks_across(self.topology, places)
        priced = prices_of(self.topology, self.collective, self.root) if kind == "prices" else None
        return () if priced is None else priced.trunks

    def _ps(self, connection: SiteConnections | None) -> int:
        return lower_bound_ps(
            self.topology,
            self.collective,
            self.nbytes,
            self.root,
            self.transfers,
            self.uneven_bytes,
            connection=connection,
        )
