"""The money of a training step, and of its changes: hours of accelerators and months of trunks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from emul.insight.upgrades import Change
from emul.topology import Topology, Trunk
from emul.topology.costs import Costs
from emul.training.changes import EFFECT, SETTING, TRAINING, WIRE, JobChange
from emul.training.protocols import AnyStep

__all__ = ["ChangeMoney", "Prices", "change_money", "step_cost"]

HOUR_S = 3600.0
HOURS_PER_MONTH = 730.0
"""Of a year of 365 days, a twelfth."""

MONTH_S = HOURS_PER_MONTH * HOUR_S


@dataclass(frozen=True, slots=True)
class Prices:
    """Money in a ``currency``: of an hour of one rank, and of a month of one trunk."""

    gpu_hour: float = 0.0
    trunk_month: float = 0.0
    currency: str = ""

    def told(self, amount: float) -> str:
        """Return an amount in words: with hundredths, from 1000 on with four digits."""
        said = f"{amount:.2f}" if amount < 1000 else f"{float(f'{amount:.4g}'):,.0f}"
        return f"{said} {self.currency}".rstrip()


@dataclass(frozen=True, slots=True)
class ChangeMoney:
    """The money of a change, a month: of the hours that it ``saves``, and of the upgrade itself.

    ``costs``: 0 for a change of settings; None where the file of the topology does not say it.
    """

    saves: float
    costs: float | None


def step_cost(step: AnyStep, prices: Prices) -> float:
    """Return the money of a step: all ranks and all trunks for as long as it takes.

    >>> from emul import training
    >>> job = training.Job(model=training.Model(1e9, 1), world="one-campus", compute_s=1.0)
    >>> round(step_cost(job.run(), Prices(gpu_hour=3600.0)) / job.run().time_s)
    24
    """
    topology = step.job.topology
    ranks = topology.world_size * prices.gpu_hour / HOUR_S
    trunks = len(topology.trunks) * prices.trunk_month / MONTH_S
    return step.time_s * (ranks + trunks)


def change_money(
    step: AnyStep, change: JobChange, prices: Prices, costs: Costs | None
) -> ChangeMoney:
    """Return the money of a change: for the steps of a month of today, that take less time then.

    ``costs``: of upgrades, as the file of the topology says them.
    """
    ranks = step.job.topology.world_size * prices.gpu_hour
    saves = ranks * HOURS_PER_MONTH * change.saves_s / step.time_s
    if change.effort in (SETTING, WIRE, TRAINING):
        return ChangeMoney(saves, 0.0)
    if change.effort == EFFECT or costs is None:
        return ChangeMoney(saves, None)
    return ChangeMoney(saves, _upgrade_cost(step.job.topology, change.job.topology, costs))


def _upgrade_cost(before: Topology, after: Topology, costs: Costs) -> float | None:
    """Return the money a month of the trunks whose rate or delay differs; None if not all known."""
    of_each = [
        upgrade.cost_per_month(before, costs)
        for old, new in zip(before.trunks, after.trunks, strict=True)
        for upgrade in _upgrades(old, new)
    ]
    known = [cost for cost in of_each if cost is not None]
    return sum(known) if len(known) == len(of_each) else None


def _upgrades(old: Trunk, new: Trunk) -> Iterator[Change]:
    times = new.link.rate_bytes_per_s / old.link.rate_bytes_per_s
    if times != 1:
        yield Change("rate", old.sites, times)
    if new.link.latency_s != old.link.latency_s:
        yield Change("delay", old.sites, new.link.latency_s)
