"""Methods and meshes by their text, as options of a command line and keys of a file have them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from typing import Any

from emul.errors import ArgumentError, shown, unknown_name
from emul.plans import is_user_code
from emul.training.methods import DDP, FSDP, HSDP, LocalSteps, Pipeline, ZeRO
from emul.training.model import Model
from emul.training.user_method import UserMethod

__all__ = [
    "METHODS",
    "default_method",
    "known_fields",
    "mesh_of",
    "method_name",
    "method_of",
    "model_of",
]

METHODS: Mapping[str, Callable[..., Any]] = {
    "ddp": DDP,
    "zero": ZeRO,
    "fsdp": FSDP,
    "hsdp": HSDP,
    "local": LocalSteps,
    "pipeline": Pipeline,
}
"""The methods by their names."""

FIRST = {"local": "every", "pipeline": "micro_batches"}
"""The field whose value may stand without its name."""

OF_PYTHON = ("inner", "data")
"""Fields that are methods themselves, which no text says."""

YES, NO = ("yes", "true"), ("no", "false")

NUMBERS = re.compile(r"([\d.]+(?:[eE]\+?\d+)?)[xX](\d+)", re.ASCII)
"""A model by numbers: its parameters and layers, as 405e9x126."""


def method_of(text: str) -> Any:
    """Return the method that a text means: ``hsdp``, ``ddp:buckets=80``, ``local:50,wire=fp4``.

    Behind the name stand its fields; of ``local`` the first may be the number of steps alone.
    ``mine.py:my_method`` is a function of one's own, whose file is executed. Raises ArgumentError,
    and PlanError for such a file.

    >>> method_of("local:50,fragments=10,delay=3").fragments
    10
    """
    if is_user_code(text):
        return UserMethod(text)
    name, _, rest = text.partition(":")
    if name not in METHODS:
        raise unknown_name("method", name, (*METHODS, "FILE.py:NAME"))
    given: dict[str, Any] = {}
    for at, part in enumerate(rest.split(",") if rest else ()):
        key, equals, value = part.partition("=")
        if not equals and not at and name in FIRST:
            key, value = FIRST[name], part
        elif not equals:
            raise ArgumentError(
                f"method {shown(text)}: needed name=value in place of {shown(part)}"
            )
        given[key.strip()] = _value(value.strip())
    return made(name, given)


def made(name: str, given: Mapping[str, Any]) -> Any:
    """Return the method called ``name`` with some of its fields. Raises ArgumentError."""
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    kind, known = METHODS[name], known_fields(name)
    for key in given:
        if key not in known:
            raise unknown_name(f"field of method {name}", key, known)
    try:
        return kind(**given)
    except TypeError as error:
        raise ArgumentError(f"method {name}: {_lacking(error)}") from None


def known_fields(name: str) -> dict[str, Any]:
    """Return the fields of a method that a text can say, with their defaults; None for none."""
    return {
        each.name: None if each.default is MISSING else each.default
        for each in fields(METHODS[name])  # type: ignore[arg-type]
        if each.name not in OF_PYTHON
    }


def default_method(mesh: Mapping[str, int] | None) -> Any:
    """Return HSDP where a mesh has ranks along shard, else DDP."""
    return HSDP() if (mesh or {}).get("shard", 1) > 1 else DDP()


def model_of(text: str) -> Model:
    """Return the model of a text: a name, a path, or parameters x layers.

    Raises as Model.of does.

    >>> model_of("1e9x24")
    <Model of 1e+09 parameters in 24 layers>
    """
    numbers = NUMBERS.fullmatch(text)
    if numbers is None:
        return Model.of(text)
    try:
        parameters = float(numbers[1])
    except ValueError:
        raise ArgumentError(f"model {shown(text)}: needed a number, such as 1e9x24") from None
    return Model(parameters, int(numbers[2]))


def method_name(method: Any) -> str:
    """Return a method as text: its name, and the fields that differ from the defaults."""
    name = getattr(method, "name", None) or getattr(method, "__name__", type(method).__name__)
    if name not in METHODS:
        return str(name)
    first = FIRST.get(str(name))
    said = [
        ("" if each.name == first else f"{each.name}=") + _told(method, each.name)
        for each in fields(method)
        if each.name == first or getattr(method, each.name) != _default(each)
    ]
    return f"{name}:{','.join(said)}" if said else str(name)


def _default(each: Field[Any]) -> Any:
    return each.default if each.default_factory is MISSING else each.default_factory()


def mesh_of(text: str) -> dict[str, int]:
    """Return the axes of a text such as ``replicate=3,shard=8``. Raises ArgumentError."""
    axes: dict[str, int] = {}
    for part in text.split(","):
        name, equals, size = part.partition("=")
        if not equals or not size.strip().isdecimal():
            raise ArgumentError(
                f"mesh {shown(text)}: needed axis=ranks, such as replicate=3,shard=8"
            )
        if name.strip() in axes:
            raise ArgumentError(f"mesh {shown(text)}: axis {shown(name.strip())} is given twice")
        axes[name.strip()] = int(size)
    return axes


def _value(text: str) -> Any:
    if text.isdecimal():
        return int(text)
    if text.lower() in (*YES, *NO):
        return text.lower() in YES
    return text


def _told(method: Any, name: str) -> str:
    value = getattr(method, name)
    if isinstance(value, bool):
        return YES[0] if value else NO[0]
    return str(value) if isinstance(value, str | int) else str(method_name(value))


def _lacking(error: TypeError) -> str:
    text = str(error)
    return f"needed {text.rpartition(':')[2].strip()}" if "missing" in text else text
