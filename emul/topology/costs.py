"""The cost of more capacity: money per month, as the file of a topology may say it."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Costs", "UnitCosts"]


@dataclass(frozen=True, slots=True)
class UnitCosts:
    """Money per month: of each Gbit/s of payload more, of each wave more, of a new trunk on top of
    its rate, and of a lower delay. None: not said.
    """

    per_gbit_per_s: float | None = None
    per_wave: float | None = None
    per_new_trunk: float | None = None
    per_lower_delay: float | None = None


@dataclass(frozen=True, slots=True)
class Costs:
    """The costs of all trunks, and of some of them by their two sites, in a ``currency``.

    >>> costs = Costs("EUR", UnitCosts(per_wave=9.0, per_lower_delay=4.0),
    ...               ((frozenset("ab"), UnitCosts(per_wave=7.0)),))
    >>> costs.between("a", "b").per_wave, costs.between("b", "a").per_lower_delay
    (7.0, 4.0)
    """

    currency: str = ""
    general: UnitCosts = field(default=UnitCosts())
    of_trunks: tuple[tuple[frozenset[str], UnitCosts], ...] = ()

    def between(self, a: str, b: str) -> UnitCosts:
        """Return the costs of the trunk between two sites: its own, where it has some."""
        own, general = dict(self.of_trunks).get(frozenset((a, b)), UnitCosts()), self.general
        return UnitCosts(
            general.per_gbit_per_s if own.per_gbit_per_s is None else own.per_gbit_per_s,
            general.per_wave if own.per_wave is None else own.per_wave,
            general.per_new_trunk if own.per_new_trunk is None else own.per_new_trunk,
            general.per_lower_delay if own.per_lower_delay is None else own.per_lower_delay,
        )
