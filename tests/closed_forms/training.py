"""What the links cost a training step: by buckets, by layers, by rounds of local steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from closed_forms.site_bounds import all_reduce_bound
from closed_forms.sites import two_shot_s
from emul.errors import ArgumentError
from emul.links.transport import round_up
from emul.reading.checks import not_negative, positive, whole_numbers

__all__ = [
    "CampusStep",
    "OverlappedStep",
    "bucketed_step",
    "campus_step",
    "compression_pays_below_bytes_per_s",
    "compute_time_s",
    "least_local_steps",
    "local_steps_utilisation",
    "pipeline_parallel_penalty_s",
    "required_uplink_bytes_per_s",
    "sharded_step_s",
    "tensor_parallel_penalty_s",
]

H100_FLOPS = 989e12
"""Dense BF16 operations per second of an H100 or H200 (data sheet)."""

MODEL_UTILISATION = 0.4
"""Part of the peak that training reaches; assumed."""

FLOPS_PER_PARAMETER_AND_TOKEN = 6
"""Two forwards, four backwards; full recomputation makes it 8 (Kaplan et al., 2001.08361)."""

FORWARD_PART = 1 / 3
"""Of the compute of a step; assumed, after two operations of six."""

GRADIENT_BYTES = 2
"""Per parameter, in BF16."""

ALL_REDUCES_PER_LAYER = 4
"""Of tensor parallelism: two forwards and two backwards (Shoeybi et al., 1909.08053)."""


def compute_time_s(
    parameters: float,
    tokens: float,
    gpus: int,
    *,
    peak_flops: float = H100_FLOPS,
    utilisation: float = MODEL_UTILISATION,
    flops_per_parameter_and_token: float = FLOPS_PER_PARAMETER_AND_TOKEN,
) -> float:
    """Return 6 P T / (gpus peak utilisation), the seconds of a step without communication.

    >>> round(compute_time_s(405e9, 16e6, 16384), 2)
    6.0
    """
    not_negative("parameters", parameters=parameters)
    not_negative("tokens", tokens=tokens)
    whole_numbers("GPUs", gpus=gpus)
    positive("operations per second", peak_flops=peak_flops)
    positive("parts of the peak", utilisation=utilisation)
    positive("operations", flops_per_parameter_and_token=flops_per_parameter_and_token)
    operations = flops_per_parameter_and_token * parameters * tokens
    return operations / (gpus * peak_flops * utilisation)


@dataclass(frozen=True, slots=True)
class OverlappedStep:
    """A step whose communication runs beside the backward pass, and what sticks out of it."""

    step_s: float
    exposed_s: float


def bucketed_step(
    forward_s: float,
    backward_s: float,
    bucket_bytes: Sequence[float],
    cost_s: Callable[[float], float],
) -> OverlappedStep:
    """Return the step when gradients go out by buckets, in order, one at a time.

    Bucket j is ready when the backward pass has made all bytes up to it, and ends
    ``cost_s(bytes)`` after that or after the bucket before it (Li et al., VLDB 2020).

    >>> bucketed_step(1.0, 2.0, [1.0, 1.0], lambda nbytes: 0.5)
    OverlappedStep(step_s=3.5, exposed_s=0.5)
    """
    not_negative("seconds", forward_s=forward_s, backward_s=backward_s)
    for nbytes in bucket_bytes:
        not_negative("bytes", bucket_bytes=nbytes)
    computed_s = forward_s + backward_s
    total, made, end_s = sum(bucket_bytes), 0.0, 0.0
    for nbytes in bucket_bytes:
        made += nbytes
        ready_s = forward_s + backward_s * (made / total if total else 1.0)
        end_s = max(end_s, ready_s) + cost_s(nbytes)
    step_s = max(computed_s, end_s)
    return OverlappedStep(step_s, step_s - computed_s)


def required_uplink_bytes_per_s(sites: int, gradient_bytes: float, overlap_s: float) -> float:
    """Return 2 (K - 1) / K G / t, the bytes per second per site that hide an all-reduce.

    >>> round(required_uplink_bytes_per_s(3, 810e9, 0.8736) / 1e12, 2)
    1.24
    """
    whole_numbers("sites", sites=sites)
    not_negative("bytes", gradient_bytes=gradient_bytes)
    positive("seconds", overlap_s=overlap_s)
    return 2 * (sites - 1) / sites * gradient_bytes / overlap_s


def sharded_step_s(
    layers: int,
    *,
    forward_s: float,
    backward_s: float,
    all_gather_s: float,
    reduce_scatter_s: float,
) -> float:
    """Return the seconds of a step that gathers each layer's parameters anew (ZeRO-3, FSDP).

    AG + layers max(f, AG) + layers max(b, AG + RS) + RS, f and b per layer, AG and RS of one
    layer; the next layer is gathered while one computes.
    """
    whole_numbers("layers", layers=layers)
    not_negative("seconds", forward_s=forward_s, backward_s=backward_s)
    not_negative("seconds", all_gather_s=all_gather_s, reduce_scatter_s=reduce_scatter_s)
    forwards_s = layers * max(forward_s / layers, all_gather_s)
    backwards_s = layers * max(backward_s / layers, all_gather_s + reduce_scatter_s)
    return all_gather_s + forwards_s + backwards_s + reduce_scatter_s


def local_steps_utilisation(
    local_steps: int,
    *,
    step_s: float,
    sync_s: float,
    overlap_steps: float = 0.0,
    fragments: int = 1,
) -> float:
    """Return H t / (H t + stall), the part of the time that computes, 0 to 1 (DiLoCo).

    Every H local steps P fragments are exchanged, each hidden behind so many steps: stall =
    P max(0, sync / P - overlap t) (streaming DiLoCo, arXiv 2501.18512).

    >>> round(local_steps_utilisation(1, step_s=1.31, sync_s=8.81), 4)
    0.1294
    """
    whole_numbers("steps", local_steps=local_steps)
    whole_numbers("fragments", fragments=fragments)
    positive("seconds", step_s=step_s)
    not_negative("seconds", sync_s=sync_s)
    not_negative("steps", overlap_steps=overlap_steps)
    stall_s = fragments * max(0.0, sync_s / fragments - overlap_steps * step_s)
    return local_steps * step_s / (local_steps * step_s + stall_s)


def least_local_steps(step_s: float, sync_s: float, *, lost_part: float = 0.05) -> int:
    """Return how many local steps lose at most ``lost_part`` of the time: sync (1 - f) / f / t.

    >>> least_local_steps(1.31, 8.81)
    128
    """
    positive("seconds", step_s=step_s)
    not_negative("seconds", sync_s=sync_s)
    if not 0 < lost_part < 1:
        raise ArgumentError(f"lost_part = {lost_part!r}: needed a fraction between 0 and 1")
    return max(1, round_up(sync_s * (1 - lost_part) / lost_part / step_s))


def compression_pays_below_bytes_per_s(nbytes: float, ratio: float, codec_s: float) -> float:
    """Return S (1 - 1 / ratio) / t: on faster links the codec costs more than it saves.

    >>> compression_pays_below_bytes_per_s(1e9, 4, 0.01)
    75000000000.0
    """
    not_negative("bytes", nbytes=nbytes)
    positive("bytes before per byte after", ratio=ratio)
    not_negative("seconds", codec_s=codec_s)
    saved_bytes = max(0.0, nbytes * (1 - 1 / ratio))
    if codec_s == 0:
        return math.inf if saved_bytes else 0.0
    return saved_bytes / codec_s


def tensor_parallel_penalty_s(
    layers: int,
    activation_bytes: float,
    *,
    rate_bytes_per_s: float,
    delay_s: float,
    microbatches: int = 1,
    sites: int = 2,
) -> float:
    """Return the seconds that tensor parallelism over sites adds: four all-reduces per layer.

    Each is a two-shot between the sites: 2 L + S / R for two.
    """
    whole_numbers("layers", layers=layers)
    whole_numbers("microbatches", microbatches=microbatches)
    all_reduce_s = two_shot_s(
        sites, activation_bytes, uplink_bytes_per_s=rate_bytes_per_s, delay_s=delay_s
    )
    return ALL_REDUCES_PER_LAYER * layers * microbatches * all_reduce_s


def pipeline_parallel_penalty_s(
    crossings: int, activation_bytes: float, *, rate_bytes_per_s: float, delay_s: float
) -> float:
    """Return 2 crossings (L + S / R): what stages at other sites add to a step, in seconds.

    Forwards and backwards each once; 1F1B hides the rest, given enough micro-batches
    (assumed).
    """
    whole_numbers("crossings", 0, crossings=crossings)
    not_negative("bytes", activation_bytes=activation_bytes)
    positive("bytes per second", rate_bytes_per_s=rate_bytes_per_s)
    not_negative("seconds", delay_s=delay_s)
    return 2 * crossings * (delay_s + activation_bytes / rate_bytes_per_s)


@dataclass(frozen=True, slots=True)
class CampusStep:
    """A step of data-parallel training over sites; ``distance`` is sync over its bound."""

    compute_s: float
    sync_s: float
    bound_s: float
    exposed_s: float
    step_s: float
    local_steps: int

    @property
    def distance(self) -> float:
        """How many times the lower bound the synchronisation takes; 1 for one site."""
        return self.sync_s / self.bound_s if self.bound_s else 1.0

    @property
    def slowdown(self) -> float:
        """How many times the computation the step takes."""
        return self.step_s / self.compute_s


def campus_step(
    parameters: float,
    *,
    compute_s: float,
    sites: int,
    uplink_bytes_per_s: float,
    delay_s: float,
    gradient_bytes_per_parameter: float = GRADIENT_BYTES,
    buckets: int = 32,
) -> CampusStep:
    """Return a step that all-reduces its gradients between the sites, two-shot by buckets.

    ``sync_s`` is the whole gradient at once; ``local_steps`` how many steps between
    exchanges of it lose at most 5 per cent.
    """
    positive("parameters", parameters=parameters)
    positive("seconds", compute_s=compute_s)
    positive("bytes", gradient_bytes_per_parameter=gradient_bytes_per_parameter)
    whole_numbers("buckets", buckets=buckets)
    gradient = parameters * gradient_bytes_per_parameter

    def cost_s(nbytes: float) -> float:
        return two_shot_s(sites, nbytes, uplink_bytes_per_s=uplink_bytes_per_s, delay_s=delay_s)

    uplinks = [uplink_bytes_per_s] * sites
    forward_s = compute_s * FORWARD_PART
    step = bucketed_step(forward_s, compute_s - forward_s, [gradient / buckets] * buckets, cost_s)
    return CampusStep(
        compute_s=compute_s,
        sync_s=cost_s(gradient),
        bound_s=all_reduce_bound(gradient, uplinks, uplinks, delay_s=delay_s).bound_s,
        exposed_s=step.exposed_s,
        step_s=step.step_s,
        local_steps=least_local_steps(compute_s, cost_s(gradient)),
    )
