"""Refuse numbers that mean nothing to a closed form, in one sentence each."""

from __future__ import annotations

from emul.errors import ArgumentError

__all__ = ["not_negative_or_unlimited", "same_length"]


def not_negative_or_unlimited(unit: str, **named: float) -> None:
    """Require numbers, 0 or more, infinity included, in ``unit``."""
    for name, value in named.items():
        if not value >= 0:
            raise ArgumentError(
                f"{name} = {value!r}: needed a number, 0 or more or infinity, in {unit}"
            )


def same_length(least: int, **named: list[float]) -> None:
    """Require lists of one length, at least ``least`` entries each."""
    lengths = {name: len(values) for name, values in named.items()}
    if len(set(lengths.values())) != 1 or min(lengths.values()) < least:
        said = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise ArgumentError(f"{said}: needed lists of one length, {least} or more entries each")
