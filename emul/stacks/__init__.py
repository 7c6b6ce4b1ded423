"""Stacks: communication libraries, as data.

``load_stack`` and ``stack_names`` are in ``emul.stacks.profile``, which reads files; the names
here know numbers only.
"""

from emul.stacks.stack import (
    HANDSHAKES,
    HOP_KINDS,
    IDEAL,
    NO_CONSTANTS,
    Choice,
    Constants,
    Sockets,
    Stack,
)

__all__ = [
    "HANDSHAKES",
    "HOP_KINDS",
    "IDEAL",
    "NO_CONSTANTS",
    "Choice",
    "Constants",
    "Sockets",
    "Stack",
]
