"""Names that people type: how they are spelled, and which other names mean the same.

The rooms own what the names stand for (``emul.plans.ALGORITHMS``, ``emul.ops.DTYPES`` and so on);
a test holds this table against theirs. It needs no array, so a command line is completed and
checked before NumPy is there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

__all__ = [
    "ALGORITHMS",
    "BACKENDS",
    "CLOCKS",
    "COLLECTIVES",
    "DTYPES",
    "OPS",
    "PLANS",
    "WIRES",
    "canonical",
]

COLLECTIVES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "all_reduce": (),
        "reduce_scatter": (),
        "all_gather": (),
        "broadcast": ("bcast",),
        "reduce": (),
        "all_to_all": ("a2a",),
        "gather": (),
        "scatter": (),
        "send_recv": ("sendreceive",),
    }
)
"""Other names of each collective. Spellings such as AllReduce and all-reduce need none."""

DTYPES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "float64": ("double", "fp64", "f64"),
        "float32": ("float", "single", "fp32", "f32"),
        "float16": ("half", "fp16", "f16"),
        "bfloat16": ("bf16",),
        "int8": ("i8", "char"),
        "int32": ("int", "i32"),
        "int64": ("i64", "long"),
        "uint8": ("u8", "byte"),
    }
)
"""Other names of each element type: of nccl-tests, of PyTorch and of papers."""

WIRES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "float32": ("float", "single", "fp32", "f32"),
        "float16": ("half", "fp16", "f16"),
        "bfloat16": ("bf16",),
        "fp8": ("float8", "mxfp8"),
        "int8": ("i8",),
        "fp4": ("float4", "mxfp4"),
    }
)
"""Other names of each wire format."""

OPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "sum": ("add",),
        "prod": ("product", "mul"),
        "min": ("minimum",),
        "max": ("maximum",),
        "avg": ("average", "mean"),
    }
)
"""Other names of each reduction."""

REDUCING = ("all_reduce", "reduce_scatter", "all_gather")
ROOTED = (*REDUCING, "broadcast", "reduce")
MOVING = ("all_to_all", "gather", "scatter", "send_recv")

ALGORITHMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ring": ROOTED,
        "ring:interleaved": ROOTED,
        "ring:bidirectional": ROOTED,
        "ring:channels": ROOTED,
        "direct": (*ROOTED, *MOVING),
        "direct:one_shot": ("all_reduce",),
        "hierarchical": ROOTED,
        "hierarchical:nodes": ROOTED,
        "hierarchical:pieces": ROOTED,
        "hierarchical:one_shot": ("all_reduce",),
        "halving_doubling": REDUCING,
        "halving_doubling:far_first": REDUCING,
        "recursive_doubling": (
            "all_reduce", "all_gather", "broadcast", "reduce", "gather", "scatter",
        ),
        "double_binary_tree": ("all_reduce", "broadcast", "reduce"),
        "bruck": (*REDUCING, "all_to_all"),
        "pairwise": (*REDUCING, "all_to_all"),
        "pat": REDUCING,
        "packed": (*ROOTED, "all_to_all", "gather", "scatter"),
    }
)  # fmt: skip
"""The collectives that each algorithm does."""

BACKENDS = ("auto", "cpu", "numpy", "cupy")
CLOCKS = ("virtual", "wall")
PLANS = ("kept", "again")
"""Whether times without some effects are of the plan of today, or of one that is chosen anew."""


def folded(name: str) -> str:
    """Return ``name`` without the marks of its spelling.

    >>> folded("All-Reduce") == folded("allreduce") == folded("all_reduce")
    True
    """
    return name.lower().replace("_", "").replace("-", "")


def canonical(
    came: str, known: Collection[str], others: Mapping[str, tuple[str, ...]] | None = None
) -> str:
    """Return the name in ``known`` that ``came`` means, in any spelling, or by one of ``others``.

    A name that means none of them comes back as it is, for the room that knows to refuse it.

    >>> canonical("All-Reduce", COLLECTIVES), canonical("bf16", DTYPES, DTYPES)
    ('all_reduce', 'bfloat16')
    """
    if came in known:
        return came
    spelled = {folded(name): name for name in known}
    for name, more in (others or {}).items():
        spelled |= {folded(each): name for each in more}
    return spelled.get(folded(came), came)
