"""The kinds of upgrades that a search was asked for, checked against the budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from emul.topology.costs import Costs

__all__ = ["kinds_asked"]

NO_UPGRADES = "none"


def kinds_asked(given: dict[str, Any], costs: Costs | None) -> list[str]:
    """Return the kinds of ``--upgrades``; raises UsageError for a budget without costs."""
    if given["budget"] is not None and costs is None:
        raise click.UsageError(
            "--budget: needed costs: a table [cost] in the file of the topology, or --cost FILE"
        )
    kinds = given["upgrades"].split(",") if given["upgrades"] != NO_UPGRADES else []
    return [each.strip() for each in kinds]
