"""Parameter types of the command line."""

from __future__ import annotations

import click

from emul.errors import ArgumentError
from emul.units import parse_size

__all__ = ["Size"]


class Size(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A number of bytes, with K, M, G or T for powers of 1024."""

    name = "size"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return ``value`` in bytes."""
        if isinstance(value, int):
            return value
        try:
            return parse_size(value)
        except ArgumentError as error:
            self.fail(str(error), param, ctx)
