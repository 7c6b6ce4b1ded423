"""Measured time only: waiting for modelled moments, and how late results came."""

from emul.errors import not_compiled

try:
    from emul.wall.pacer import (
        margin_ns,
        may_be_realtime,
        now_ns,
        wait_until,
    )
except ModuleNotFoundError as error:
    raise not_compiled(error) from error

__all__ = ["margin_ns", "may_be_realtime", "now_ns", "wait_until"]
