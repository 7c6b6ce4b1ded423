"""The schemas of the JSON documents, made from the dataclasses that the documents are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from inspect import getdoc
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from emul.report.calibration_words import CalibrationContents
from emul.report.comparison import CompareContents
from emul.report.documents import Contents, Environment, PerfContents
from emul.report.explanation import ExplainContents
from emul.report.training import TrainContents
from emul.report.tuning import TuneContents
from emul.report.validation import ValidationContents

__all__ = ["CONTENTS", "schema_of"]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

CONTENTS: Mapping[str, type[Contents]] = MappingProxyType(
    {
        "calibrate": CalibrationContents,
        "compare": CompareContents,
        "explain": ExplainContents,
        "perf": PerfContents,
        "train": TrainContents,
        "tune": TuneContents,
        "validate": ValidationContents,
    }
)
"""The contents of the document of each command."""

PLAIN = {bool: "boolean", int: "integer", float: "number", str: "string", NoneType: "null"}


def schema_of(contents: type[Contents]) -> dict[str, Any]:
    """Return the JSON Schema of the documents with ``contents``; no other keys are allowed."""
    defined: dict[str, Any] = {}
    own = _object(contents, defined)
    properties = {
        "schema": {"const": contents.SCHEMA},
        "environment": _schema(Environment, defined),
        "interrupted": {"const": True, "description": "Lines are missing, of a run that was ended"},
    }
    return {
        "$schema": DIALECT,
        "title": contents.SCHEMA,
        "description": own["description"],
        "type": "object",
        "properties": properties | own["properties"],
        "required": ["schema", "environment", *own["required"]],
        "additionalProperties": False,
        "$defs": defined,
    }


def _schema(kind: Any, defined: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a type; that of a dataclass is put into ``defined``."""
    if kind in PLAIN:
        return {"type": PLAIN[kind]}
    if is_dataclass(kind) and isinstance(kind, type):
        if kind.__name__ not in defined:
            defined[kind.__name__] = {}  # against one that holds itself
            defined[kind.__name__] = _object(kind, defined)
        return {"$ref": f"#/$defs/{kind.__name__}"}
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return {"anyOf": [_schema(each, defined) for each in arguments]}
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _schema(arguments[1], defined)}
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return {"type": "array", "items": _schema(arguments[0], defined)}
    raise TypeError(f"{kind} in a document: needed a type that JSON has")


def _object(kind: Any, defined: dict[str, Any]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    properties = {each.name: _schema(hints[each.name], defined) for each in fields(kind)}
    return {
        "description": " ".join((getdoc(kind) or "").split()),
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }
