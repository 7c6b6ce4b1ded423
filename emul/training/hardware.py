"""Accelerators: their peak rates and memory, and the time and memory that a model takes on them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from emul.errors import ArgumentError, shown, unknown_name
from emul.fixed_mapping import FixedMapping
from emul.naming import DTYPES, canonical
from emul.reading.bounded_text import toml_document
from emul.reading.brief import brief
from emul.reading.checks import finite, whole
from emul.training.model import Model

__all__ = ["Hardware", "StateBytes", "hardware_names", "state_bytes"]

FLOPS_PER_PARAMETER = 6
"""Of a token's forward and backward pass: a multiplication and an addition with each parameter
forwards, twice as many backwards (Kaplan et al., arXiv 2001.08361, section 2.1; the C = 6 N D of
Hoffmann et al., arXiv 2203.15556, appendix F)."""

PARAMETER_BYTES = 2
"""Of a parameter in bfloat16 or float16."""

OPTIMIZER_BYTES = 12
"""Of a parameter's float32 copy, momentum and variance under Adam in mixed precision (ZeRO,
Rajbhandari et al., arXiv 1910.02054, section 3.1)."""

PRECISIONS: Mapping[str, tuple[str, ...]] = FixedMapping(
    {
        **DTYPES,
        "tfloat32": ("tf32",),
        "float8": ("fp8", "f8"),
        "float4": ("fp4", "f4", "nvfp4", "mxfp4"),
    }
)
"""Other names of each precision."""

LARGEST = 1e30


@dataclass(frozen=True, slots=True)
class Hardware:
    """One accelerator.

    Parameters
    ----------
    name
        For reports.
    peak_flops
        By the precision of the matrix units: multiplications and additions a second, without
        sparsity. Names as those of element types; also ``tfloat32``, ``float8``, ``float4``.
    memory_bytes
        Memory of one, of which a program can use a little less.
    source
        For reports: who says so.

    Raises ArgumentError for rates or memory that are not above 0.

    >>> Hardware.of("h100").peak_flops["bfloat16"]
    989400000000000.0
    >>> Hardware("mine", {"bf16": 1e14}, 24e9).peak("bfloat16")
    100000000000000.0
    """

    name: str
    peak_flops: Mapping[str, float]
    memory_bytes: float
    source: str = ""

    __repr__ = brief

    def __post_init__(self) -> None:
        """Keep the rates in a mapping that nobody can change."""
        if not isinstance(self.peak_flops, Mapping) or not self.peak_flops:
            raise ArgumentError(
                f"peak_flops {shown(self.peak_flops)}: needed a rate for each precision, such as "
                "{'bfloat16': 9.9e14}"
            )
        rates = {
            _precision(name): _above_0(rate, f"peak_flops[{shown(name)}]", "operations a second")
            for name, rate in self.peak_flops.items()
        }
        object.__setattr__(self, "peak_flops", FixedMapping(rates))
        memory = _above_0(self.memory_bytes, "memory_bytes", "bytes")
        object.__setattr__(self, "memory_bytes", memory)

    @classmethod
    def of(cls, given: Hardware | str) -> Hardware:
        """Return hardware that is given as such, or by one of `hardware_names`.

        Raises ArgumentError for a name that is none.
        """
        if isinstance(given, Hardware):
            return given
        names = hardware_names()
        name = canonical(given, names) if isinstance(given, str) else given
        if name not in names:
            raise unknown_name("hardware", given, names)
        return _presets()[name]

    def peak(self, precision: str = "bfloat16") -> float:
        """Return the peak rate at a precision, in operations a second; raises ArgumentError."""
        name = _precision(precision)
        if name not in self.peak_flops:
            raise ArgumentError(
                f"precision {shown(precision)} of hardware {shown(self.name)}: needed one of "
                f"{', '.join(self.peak_flops)}"
            )
        return self.peak_flops[name]

    def compute_s(
        self,
        model: Model,
        tokens: float,
        ranks: int,
        *,
        mfu: float,
        precision: str = "bfloat16",
    ) -> float:
        """Return the seconds of computing in one step: 6 N D over the rate of all ranks.

        N are the parameters that a token meets, D the tokens. Left out: the products of queries
        with keys and of weights with values, which grow with the length of the sequence, and
        passes that are computed again (activation checkpoints). So ``mfu`` counts as in papers that
        leave them out.

        Parameters
        ----------
        model
            Its `Model.active` parameters count.
        tokens
            Of the batch of all ranks.
        ranks
            That share the work evenly.
        mfu
            The share of the peak that is reached while nothing is waited for, above 0 to 1.
        precision
            Of the matrix products.

        Raises ArgumentError for numbers out of range, and a precision without a rate.

        >>> round(Hardware.of("h100").compute_s(Model(405e9, 126), 48e6, 300_000, mfu=0.4), 3)
        0.982
        """
        share = _above_0(mfu, "mfu", "of the peak")
        if share > 1:
            raise ArgumentError(f"mfu {shown(mfu)}: needed a share of the peak, at most 1")
        met = _above_0(tokens, "tokens", "tokens")
        rate = whole(ranks, "ranks", 1) * self.peak(precision) * share
        return FLOPS_PER_PARAMETER * model.active * met / rate

    def memory_warning(self, needed: StateBytes) -> str:
        """Return a sentence when ``needed`` does not fit on one accelerator; empty where it does.

        Activations, buffers of collectives and the memory of libraries come on top; they are not
        counted.
        """
        if needed.total <= self.memory_bytes:
            return ""
        ways = math.ceil(needed.unsharded / self.memory_bytes)
        return (
            f"{_gigabytes(needed.total)} of parameters, gradients and optimizer state on each "
            f"rank, and {self.name} has {_gigabytes(self.memory_bytes)}, without activations; all "
            f"three sharded over {ways:,} ranks would fit"
        )


@dataclass(frozen=True, slots=True)
class StateBytes:
    """The bytes that a training step keeps on one rank, without activations.

    ``unsharded``: of all three together, were each rank to hold them whole.
    """

    parameters: float
    gradients: float
    optimizer: float
    unsharded: float

    @property
    def total(self) -> float:
        """The bytes of all three."""
        return self.parameters + self.gradients + self.optimizer


def state_bytes(
    parameters: float,
    *,
    parameters_over: int = 1,
    gradients_over: int = 1,
    optimizer_over: int = 1,
    gradient_bytes: int = 2,
) -> StateBytes:
    """Return the bytes of parameters, gradients and optimizer state (Adam) on one rank.

    In mixed precision 2 bytes for each parameter, 2 for each gradient and 12 of the optimizer: 16
    where nothing is sharded (ZeRO, arXiv 1910.02054, section 3.1).

    Parameters
    ----------
    parameters
        Of the part of the model that a rank would hold without sharding: behind pipeline, tensor
        and expert parallelism.
    parameters_over, gradients_over, optimizer_over
        The ranks that each is sharded over. DDP: 1, 1, 1. ZeRO-1: 1, 1, n. ZeRO-2: 1, n, n. ZeRO-3
        and FSDP: n, n, n.
    gradient_bytes
        2, or 4 where gradients are summed in float32.

    Raises ArgumentError for numbers out of range.

    >>> state_bytes(7.5e9, optimizer_over=64).total / 1e9
    31.40625
    """
    number = _above_0(parameters, "parameters", "parameters")
    size = whole(gradient_bytes, "gradient_bytes", 1, 8)
    ways = [
        whole(value, what, 1)
        for what, value in (
            ("parameters_over", parameters_over),
            ("gradients_over", gradients_over),
            ("optimizer_over", optimizer_over),
        )
    ]
    sizes = (PARAMETER_BYTES, size, OPTIMIZER_BYTES)
    kept, summed, updated = (number * each / over for each, over in zip(sizes, ways, strict=True))
    return StateBytes(kept, summed, updated, number * sum(sizes))


def hardware_names() -> tuple[str, ...]:
    """Return the names of the accelerators that come with emul, in alphabetical order."""
    return tuple(sorted(_presets()))


@cache
def _presets() -> dict[str, Hardware]:
    text = files("emul.training.presets").joinpath("hardware.toml").read_text(encoding="utf-8")
    tables: dict[str, Any] = toml_document(text, "hardware that comes with emul")
    return {
        name: Hardware(
            name,
            {precision: rate * 1e12 for precision, rate in table["peak_tflops"].items()},
            table["memory_gb"] * 1e9,
            table["source"],
        )
        for name, table in tables.items()
    }


def _precision(name: object) -> str:
    """Return the name of a precision in the spelling of emul; raises ArgumentError."""
    found = canonical(name, PRECISIONS, PRECISIONS) if isinstance(name, str) else ""
    if found not in PRECISIONS:
        raise unknown_name("precision", name, PRECISIONS)
    return found


def _above_0(value: object, what: str, unit: str) -> float:
    number = finite(value, what, f"a number above 0, in {unit}", 0)
    if not 0 < number <= LARGEST:
        raise ArgumentError(f"{what} {shown(value)}: needed a number above 0, in {unit}")
    return number


def _gigabytes(nbytes: float) -> str:
    return f"{nbytes / 1e9:.4g} GB"
