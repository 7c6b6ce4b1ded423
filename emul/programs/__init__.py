"""Programs of single ranks: their acts, logs of them, and the one program that they make."""

from emul.programs.acts import (
    LAST,
    Act,
    Compute,
    Issue,
    Mark,
    Recv,
    Send,
    Wait,
)
from emul.programs.groups import WORLD, RankGroup
from emul.programs.log import Log, write_acts

__all__ = [
    "LAST",
    "WORLD",
    "Act",
    "Compute",
    "Issue",
    "Log",
    "Mark",
    "RankGroup",
    "Recv",
    "Send",
    "Wait",
    "write_acts",
]
