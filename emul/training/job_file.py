"""The file of a training job, TOML: model, batch, hardware, mesh, methods and prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emul.errors import EmulError, TrainingError
from emul.plans import is_user_code
from emul.reading.bounded_text import read_text, toml_document
from emul.reading.toml_table import TomlTable
from emul.reading.values import Range
from emul.topology import preset_names
from emul.training.layer import MOST_PARAMETERS
from emul.training.methods import FSDP, LocalSteps
from emul.training.model import MOST_LAYERS, Model
from emul.training.money import Prices
from emul.training.placement import AXES
from emul.training.specification import known_fields, made
from emul.training.user_method import UserMethod

__all__ = ["JobFile", "read_job"]

ROOT_KEYS = ("topology", "stack", "seed", "start_s", "model", "batch", "hardware", "mesh", "method",
             "outer", "cost")  # fmt: skip
MODEL_KEYS = ("name", "config", "tensors", "parameters", "layers", "active", "hidden")
SOURCES = MODEL_KEYS[:4]
"""Of which a model has one."""

MOST_METHODS = 100
MOST_RANKS = 1_000_000
TOKENS = Range(0, 1e15, "tokens", closed=False)
SECONDS = Range(0, 1e6, "s", closed=False)
MOMENT = Range(0, 1e6, "s")
MFU = Range(0, 1, "of the peak", closed=False)
MONEY = Range(0, 1e12, "")
COUNT = Range(1, MOST_PARAMETERS, "parameters")
SEED = Range(0, (1 << 63) - 1, "")


@dataclass(frozen=True, slots=True)
class JobFile:
    """The job of a file, with as much as it says.

    ``arguments``: those of Job, but for world and method. ``topology``: the name of a preset or a
    path. ``methods``: in their order. ``prices``: of its table ``[cost]``.
    """

    arguments: Mapping[str, Any] = field(default_factory=dict)
    topology: str | None = None
    stack: str | None = None
    methods: tuple[Any, ...] = ()
    prices: Prices | None = None


def read_job(path: str | Path) -> JobFile:
    """Return the job in the TOML file at ``path``; paths in it are relative to it.

    Raises TrainingError, with file and key, for a file that cannot be read, an unknown key and a
    value out of range; PlanError for the Python file of a method.
    """
    where = str(path)
    text = read_text(Path(path), "a TOML file", error_class=TrainingError)
    root = TomlTable(toml_document(text, where, TrainingError), where, "", TrainingError)
    root.check_keys(ROOT_KEYS)
    folder = Path(path).parent
    return JobFile(
        _model(root, folder) | _batch(root) | _hardware(root) | _mesh(root) | _beginning(root),
        _path(root, "topology", folder, preset_names()),
        _path(root, "stack", folder, ()),
        _methods(root, folder),
        _prices(root),
    )


def _path(root: TomlTable, key: str, folder: Path, names: tuple[str, ...]) -> str | None:
    """Return a name, or the path of a file beside the job's."""
    if key not in root.content:
        return None
    said = root.text(key)
    is_name = said in names or not said.endswith(".toml")
    return said if is_name else str(folder / said)


def _model(root: TomlTable, folder: Path) -> dict[str, Model]:
    if "model" not in root.content:
        return {}
    table = root.table("model")
    table.check_keys(MODEL_KEYS)
    said = [key for key in SOURCES if key in table.content]
    if len(said) != 1:
        came = " and ".join(said) or "no source"
        raise TrainingError(f"{table.where}: model has {came}: needed one of {', '.join(SOURCES)}")
    if said != ["parameters"]:
        table.check_keys((said[0],))
    try:
        return {"model": _model_of(table, said[0], folder)}
    except TrainingError:
        raise
    except EmulError as error:
        raise table.converted(error) from None


def _model_of(table: TomlTable, source: str, folder: Path) -> Model:
    if source == "name":
        return Model.preset(table.text("name"))
    if source == "config":
        return Model.of_config(folder / table.text("config"))
    if source == "tensors":
        sizes = table.content["tensors"]
        if not isinstance(sizes, list):
            raise table.refusal("tensors", sizes, "a list of numbers of elements")
        return Model.of_tensors(sizes)
    return Model(
        table.number("parameters", COUNT),
        table.integer("layers", Range(1, MOST_LAYERS, "layers")),
        hidden=table.integer("hidden", Range(0, MOST_PARAMETERS, "elements"), 0),
        active=_numbers(table, active=COUNT).get("active"),
    )


def _batch(root: TomlTable) -> dict[str, float]:
    table = root.table("batch")
    table.check_keys(("tokens",))
    return _numbers(table, tokens=TOKENS)


def _hardware(root: TomlTable) -> dict[str, Any]:
    table = root.table("hardware")
    table.check_keys(("name", "mfu", "compute_s", "precision"))
    if "mfu" in table.content and "compute_s" in table.content:
        raise TrainingError(
            f"{table.where}: hardware has mfu and compute_s: needed one of them, for compute "
            "follows from mfu"
        )
    texts = {"hardware": "name", "precision": "precision"}
    said = {name: table.name(key) for name, key in texts.items() if key in table.content}
    return said | _numbers(table, mfu=MFU, compute_s=SECONDS)


def _mesh(root: TomlTable) -> dict[str, dict[str, int]]:
    if "mesh" not in root.content:
        return {}
    table = root.table("mesh")
    table.check_keys(AXES)
    allowed = Range(1, MOST_RANKS, "ranks")
    return {"mesh": {name: table.integer(name, allowed) for name in table.content}}


def _beginning(root: TomlTable) -> dict[str, Any]:
    seed = {"seed": root.integer("seed", SEED)} if "seed" in root.content else {}
    return seed | _numbers(root, start_s=MOMENT)


def _numbers(table: TomlTable, **allowed: Range) -> dict[str, float]:
    return {key: table.number(key, its) for key, its in allowed.items() if key in table.content}


def _methods(root: TomlTable, folder: Path) -> tuple[Any, ...]:
    """Return the methods of a file; with a table ``outer``, as the inner ones of local steps."""
    several = isinstance(root.content.get("method"), list)
    tables = root.tables("method", MOST_METHODS) if several else [root.table("method")]
    methods = tuple(
        _method(table, folder, "outer" in root.content) for table in tables if table.content
    )
    if "outer" not in root.content:
        return methods
    return tuple(_outer(root.table("outer"), inner) for inner in methods or (None,))


def _method(table: TomlTable, folder: Path, is_inner: bool) -> Any:
    """Return a method; an inner one stays inside a replica, along shard."""
    name = table.name("name")
    given = {key: value for key, value in table.content.items() if key != "name"}
    if is_user_code(name):
        table.check_keys(("name",))
        return UserMethod(str(folder / name))
    if is_inner and name != FSDP.name:
        raise table.refusal("name", name, f"{FSDP.name} or FILE.py:NAME inside [outer]")
    inside = {"axis": "shard"} if is_inner else {}
    try:
        return made(name, inside | given)
    except EmulError as error:
        raise table.converted(error) from None


def _outer(table: TomlTable, inner: Any) -> LocalSteps:
    table.check_keys(known_fields(LocalSteps.name))
    if "every" not in table.content:
        raise table.missing("every", "a number of steps")
    try:
        return LocalSteps(**table.content, inner=inner)
    except EmulError as error:
        raise table.converted(error) from None


def _prices(root: TomlTable) -> Prices | None:
    if "cost" not in root.content:
        return None
    table = root.table("cost")
    table.check_keys(("gpu_hour", "trunk_month", "currency"))
    return Prices(
        table.number("gpu_hour", MONEY, 0.0),
        table.number("trunk_month", MONEY, 0.0),
        table.name("currency", ""),
    )
