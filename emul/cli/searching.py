"""A search as commands run it: the upgrades that were asked for, its cases, and its end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from emul.cli.params import INTERRUPTED
from emul.cli.progress import progress
from emul.cli.terminal import complain, print_table, say_fitted, terminal_width

if TYPE_CHECKING:
    from emul.insight import Case, Tuning
    from emul.topology import Document
    from emul.topology.costs import Costs

__all__ = ["check_state", "costs_asked", "end_if", "extent_asked", "print_tuning", "solved"]

NO_UPGRADES = "none"

Search = Callable[[Callable[[str], None]], "Iterable[tuple[Case, int]]"]
"""Yields the cases of a search; its argument is called with the progress."""


def check_state(given: dict[str, Any]) -> None:
    """Refuse a file of cases that cannot be written: FileError."""
    if given["state_path"] is not None:
        from emul.files import check_writable

        check_writable(given["state_path"])


def costs_asked(given: dict[str, Any], document: Document) -> Costs | None:
    """Return the costs of ``--cost``, else those of the topology."""
    from emul.topology.toml.cost_tables import read_costs

    if given["cost_path"] is None:
        return document.costs
    return read_costs(given["cost_path"], [place.name for place in document.topology.places])


def extent_asked(given: dict[str, Any], costs: Costs | None) -> dict[str, Any]:
    """Return the arguments of an Extent; raises UsageError for a budget without costs."""
    if given["budget"] is not None and costs is None:
        raise click.UsageError(
            "--budget: needed costs: a table [cost] in the file of the topology, or --cost FILE"
        )
    kinds = given["upgrades"].split(",") if given["upgrades"] != NO_UPGRADES else []
    return {
        "upgrades": [each.strip() for each in kinds],
        "pairs": given["pairs"],
        "costs": costs,
        "budget_per_month": given["budget"],
        "state": given["state_path"],
    }


def solved(search: Search) -> tuple[list[tuple[Case, int]], bool]:
    """Return the cases that are done, and whether the search was interrupted."""
    done: list[tuple[Case, int]] = []
    with suppress(KeyboardInterrupt), progress("tune") as advance:
        for each in search(advance):
            done.append(each)
        return done, False
    return done, True


def print_tuning(tuning: Tuning) -> None:
    """Print the tables and the words."""
    from emul.report.tuning import tune_tables

    for title, table in tune_tables(tuning):
        say_fitted(["", title], terminal_width())
        print_table(table)
    say_fitted(tuning.words(), terminal_width())


def end_if(interrupted: bool, given: dict[str, Any], done: int) -> None:
    """End the command with the status of an interrupt, if there was one."""
    if interrupted:
        kept = f"; {given['state_path']} goes on from there" if given["state_path"] else ""
        complain(f"emul tune: interrupted after {done} cases{kept}")
        sys.exit(INTERRUPTED)
