"""Models, hardware and methods of training by their names, in tables."""

from __future__ import annotations

from typing import Any

from emul.report.text_table import TextTable
from emul.report.training import engineering
from emul.training import Hardware, Model
from emul.training.hardware import hardware_names
from emul.training.model import model_names
from emul.training.specification import METHODS, known_fields

__all__ = ["preset_tables"]


def preset_tables() -> list[tuple[str, TextTable]]:
    """Return the tables of models, hardware and methods, each with its title."""
    return [
        ("Models", _models()),
        ("Hardware", _hardware()),
        ("Methods", _methods()),
    ]


def _models() -> TextTable:
    columns = ("model", "parameters", "active", "layers", "hidden")
    table = TextTable(*columns, right=columns[1:])
    for name in model_names():
        model = Model.preset(name)
        sizes = (engineering(model.parameters), engineering(model.active))
        table.row(name, *sizes, str(len(model.layers)), str(model.hidden))
    return table


def _hardware() -> TextTable:
    columns = ("hardware", "bfloat16 (Tflop/s)", "memory (GB)", "source")
    table = TextTable(*columns, right=columns[1:3], prose=["source"], give_way=["source"])
    for name in hardware_names():
        each = Hardware.of(name)
        peak = each.peak_flops.get("bfloat16")
        rate = "-" if peak is None else f"{peak / 1e12:g}"
        table.row(name, rate, f"{each.memory_bytes / 1e9:g}", each.source)
    return table


def _methods() -> TextTable:
    table = TextTable(
        "method", "fields, with their defaults", prose=["fields, with their defaults"]
    )
    for name in METHODS:
        told = (f"{key}={_default(value)}" for key, value in known_fields(name).items())
        table.row(name, ", ".join(told))
    return table


def _default(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "..." if value is None else str(value)
