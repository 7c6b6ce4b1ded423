"""The options of a call that commands share: its sizes, its elements, its root."""

from __future__ import annotations

from emul.cli.help import Declared, option
from emul.cli.names import DTYPE, OP
from emul.cli.params import Named, Size, Whole

__all__ = ["DATA", "ROOT", "STACK_OPTION", "sizes_by_factor"]

ROOT = option(
    "-r",
    "--root",
    type=Whole(0),
    show_default="0, or that of the file",
    help="Of broadcast, reduce, gather, scatter; of send_recv how far.",
)

STACK_OPTION = option(
    "--stack-option",
    type=Named(),
    multiple=True,
    metavar="NAME=VALUE",
    help="A variable of the stack, as in NCCL_ALGO=Ring; may be given several times.",
)

DATA = (
    option(
        "-d",
        "--datatype",
        type=DTYPE,
        default="float32",
        show_default=True,
        metavar="TYPE",
        help="Element type, by any of its names (float32, float, fp32; bf16 ...).",
    ),
    option(
        "-o", "--op", type=OP, default="sum", show_default=True, help="sum, prod, min, max or avg."
    ),
    ROOT,
)
"""The elements of a call, and what is done with them."""


def sizes_by_factor(first: str, last: str, factor: int) -> tuple[Declared, ...]:
    """Declare the sizes of a sweep, with these defaults."""
    return (
        option("-b", "--minbytes", type=Size(), default=first, show_default=True,
               help="First size."),
        option("-e", "--maxbytes", type=Size(), default=last, show_default=True,
               help="Last size."),
        option("-f", "--stepfactor", type=Whole(2), default=factor, show_default=True,
               help="Multiply each size by this."),
    )  # fmt: skip
