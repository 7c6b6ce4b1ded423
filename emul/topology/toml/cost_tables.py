"""The table of costs in a topology file, or in a file of its own."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from emul.errors import TopologyError, listed
from emul.reading.bounded_text import read_text, toml_document
from emul.reading.toml_table import TomlTable
from emul.reading.values import Range
from emul.topology.costs import Costs, UnitCosts

__all__ = ["COST_KEYS", "costs_of", "read_costs"]

COST_KEYS = ("per_gbit_per_s", "per_wave", "per_new_trunk", "per_lower_delay")
MONEY = Range(0, 1e12, "a month")
MOST_TRUNKS = 1000 * 999 // 2


def read_costs(path: Path, sites: Collection[str]) -> Costs:
    """Return the costs in the TOML file at ``path``, whose one table is [cost].

    Raises TopologyError when the file cannot be read or does not say costs.
    """
    root = TomlTable(toml_document(read_text(path, "a TOML file"), str(path)), str(path), "")
    root.check_keys(("cost",))
    found = costs_of(root, sites)
    if found is None:
        raise root.missing("cost", f"a table with some of {listed(COST_KEYS)}")
    return found


def costs_of(root: TomlTable, sites: Collection[str]) -> Costs | None:
    """Return the costs that a document says, of trunks between ``sites``; None where it has none.

    Raises TopologyError.
    """
    if "cost" not in root.content:
        return None
    table = root.table("cost")
    table.check_keys(("currency", *COST_KEYS, "trunk"))
    own: dict[frozenset[str], UnitCosts] = {}
    for each in table.tables("trunk", MOST_TRUNKS):
        each.check_keys(("between", *COST_KEYS))
        pair = _between(each, sites)
        if pair in own:
            raise each.refusal("between", each.content["between"], "each two sites once")
        own[pair] = _unit_costs(each)
    return Costs(table.name("currency", ""), _unit_costs(table), tuple(own.items()))


def _between(table: TomlTable, sites: Collection[str]) -> frozenset[str]:
    between = table.content.get("between")
    named = isinstance(between, list) and all(isinstance(each, str) for each in between)
    pair = frozenset(between) if named and between else frozenset()
    if len(pair) != 2 or not pair <= set(sites):
        raise table.refusal("between", between, f"two different sites of {listed(sites)}")
    return pair


def _unit_costs(table: TomlTable) -> UnitCosts:
    def money(key: str) -> float | None:
        return table.number(key, MONEY) if key in table.content else None

    if not any(key in table.content for key in (*COST_KEYS, "trunk")):
        raise TopologyError(
            f"{table.where}: {table.path} has no cost: needed some of {listed(COST_KEYS)}"
        )
    return UnitCosts(*map(money, COST_KEYS))
