"""The options of a call that commands share: its sizes, its elements, its root, its network."""

from __future__ import annotations

from emul.cli.help import Declared, option
from emul.cli.names import ALGORITHM, DTYPE, OP, STACK, WIRE
from emul.cli.params import Named, Real, Size, Whole

__all__ = [
    "DATA",
    "NETWORK",
    "ROOT",
    "SEED",
    "STACK_OPTION",
    "STEP",
    "SWITCHES",
    "WIRE_FORMAT",
    "sizes_by_factor",
]

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

WIRE_FORMAT = option(
    "--wire",
    type=WIRE,
    metavar="FORMAT",
    help="The format of floats in every message: int8, fp8, fp4 (in blocks with scales), bfloat16, "
    "float16, float32. By default they go as they are.",
)

SEED = option(
    "--seed",
    type=Whole(0),
    default=0,
    show_default=True,
    help="Of all that is drawn by chance.",
)

NETWORK = (
    option(
        "--algorithm",
        type=ALGORITHM,
        default="auto",
        show_default=True,
        metavar="NAME|FILE",
        help="A name (see emul plan list), auto for the quickest by the model, FILE.xml, a "
        "plan, or FILE.py:NAME, a function of yours (executed; see emul plan check).",
    ),
    option(
        "--stack",
        type=STACK,
        default="ideal",
        show_default=True,
        metavar="NAME|FILE",
        help="Whose messages: ideal, nccl, gloo, openmpi, or a profile in TOML. auto is then "
        "that library's algorithm.",
    ),
    STACK_OPTION,
    option(
        "--slice",
        "slice_bytes",
        type=Size(),
        default="512K",
        show_default=True,
        help="Send chunks on in pieces of this size; 0 for whole chunks.",
    ),
    option(
        "--slots",
        type=Whole(1),
        default=8,
        show_default=True,
        help="Slices in flight on a connection.",
    ),
    option(
        "--start",
        "start_s",
        type=Real(0),
        default=0.0,
        show_default=True,
        metavar="SECONDS",
        help="When calls begin, where trunks change.",
    ),
)
"""The algorithm, how it is sent, and when."""

SWITCHES = (
    option("--zero-latency", is_flag=True, help="No distance between the ranks."),
    option("--no-window", is_flag=True, help="Any number of bytes and slices in flight."),
    option("--no-gap", is_flag=True, help="Nothing between the slices of a stream."),
    option("--no-loss", is_flag=True, help="No packet is lost."),
    option("--no-jitter", is_flag=True, help="Every message takes the same time."),
    option("--no-queue", is_flag=True, help="No packets of others in front, no pauses."),
    option("--no-load", is_flag=True, help="The whole rate, whatever others take of it."),
    option("--no-outage", is_flag=True, help="Trunks are never down."),
    option("--no-host", is_flag=True, help="The software of a stack takes no time."),
)
"""By each effect of links, the option that leaves it out."""

STEP = option("-i", "--stepbytes", type=Size(), help="Add this to each size, instead of -f.")


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
