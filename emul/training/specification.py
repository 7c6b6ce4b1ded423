"""Methods and meshes by their text, as options of a command line and keys of a file have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from emul.errors import ArgumentError, shown, unknown_name
from emul.training.methods import DDP, FSDP, HSDP, LocalSteps, ZeRO

__all__ = ["METHODS", "mesh_of", "method_name", "method_of"]

METHODS: Mapping[str, Callable[..., Any]] = {
    "ddp": DDP,
    "zero": ZeRO,
    "fsdp": FSDP,
    "hsdp": HSDP,
    "local": LocalSteps,
}
"""The methods by their names."""

FIRST = {"local": "every"}
"""The field whose value may stand without its name."""

YES, NO = ("yes", "true"), ("no", "false")


def method_of(text: str) -> Any:
    """Return the method that a text means: ``hsdp``, ``ddp:buckets=80``, ``local:50,wire=fp4``.

    Behind the name stand its fields; of ``local`` the first may be the number of steps alone.
    Raises ArgumentError.

    >>> method_of("local:50,fragments=10,delay=3").fragments
    10
    """
    name, _, rest = text.partition(":")
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
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
    kind = METHODS[name]
    known = [each.name for each in fields(kind) if each.name != "inner"]  # type: ignore[arg-type]
    for key in given:
        if key not in known:
            raise unknown_name(f"field of method {name}", key, known)
    try:
        return kind(**given)
    except TypeError as error:
        raise ArgumentError(f"method {name}: {_lacking(error)}") from None


def method_name(method: Any) -> str:
    """Return a method as text: its name, and the fields that differ from the defaults."""
    name = getattr(method, "name", None) or getattr(method, "__name__", type(method).__name__)
    if name not in METHODS:
        return str(name)
    first = FIRST.get(str(name))
    said = [
        ("" if each.name == first else f"{each.name}=") + _told(method, each.name)
        for each in fields(method)
        if each.name == first or getattr(method, each.name) != each.default
    ]
    return f"{name}:{','.join(said)}" if said else str(name)


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
