"""One line of ``emul perf``: the request, the modelled figures, the measured figures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emul.runtime.prediction import Prediction
from emul.runtime.run import Run
from emul.units import PS_PER_S
from emul.wall.lag import Lag
from emul.world import World

__all__ = ["PerfRow", "modelled_row", "perf_row"]


@dataclass(frozen=True, slots=True)
class PerfRow:
    """A line of the table and an object of the JSON, whose keys these names are.

    Times in seconds, GBps in 10^9 bytes per second. ``size_bytes`` is the whole vector;
    ``count`` its elements, or those of one rank's block where it consists of blocks, both as in
    nccl-tests. algbw and busbw follow from the modelled time.
    ``wall_s`` and ``lag_s`` are of one call, the one with the median lag, so
    wall_s = dilation x modelled_s + lag_s (to the nanosecond in which clocks count).
    ``lag_s``, ``lag_p99_s``, ``lag_max_s``, ``behind_share``, ``blame`` and ``enough_dilation``
    (see emul.wall.lag.Lag) are None on the virtual clock, ``wrong`` when nothing was checked,
    ``wall_s`` when nothing was run. ``overflowed``: elements of the checked runs that the type
    cannot hold (see emul.RoundingError); None unless whole numbers were added or multiplied.
    ``slice_bytes`` is the size in which slices were timed: ``slice_growth`` times the asked one,
    above 1 where there would be too many (see emul.Prediction).
    ``passed_over``: algorithms that ``auto`` could not time, each with the reason.
    ``below_bound``: whether the modelled time is below one of its bounds, a defect of emul.
    ``wire``: the format of elements in messages, None where they go as they are. ``wire_rms``: its
    error (see emul.RoundingError), of normal values; None where nothing was checked.
    """

    collective: str
    topology: str
    algorithm: str
    backend: str
    clock: str
    dilation: float
    seed: int
    start_s: float
    stack: str
    slice_bytes: int | None
    slots: int | None
    slice_growth: int
    world_size: int
    size_bytes: int
    count: int
    dtype: str
    redop: str
    root: int
    modelled_s: float
    wall_s: float | None
    lag_s: float | None
    lag_p99_s: float | None
    lag_max_s: float | None
    behind_share: float | None
    blame: str | None
    enough_dilation: float | None
    bound_s: float
    window_bound_s: float
    below_bound: bool
    algbw_GBps: float | None  # noqa: N815 - the key of the JSON
    busbw_GBps: float | None  # noqa: N815
    cross_site_bytes: int
    slowest_trunk_GBps: float | None  # noqa: N815
    wrong: int | None
    overflowed: int | None
    binding: str
    binding_place: str
    passed_over: dict[str, str]
    wire: str | None
    wire_rms: float | None

    @property
    def times_bound(self) -> float | None:
        """Modelled time over the time that no algorithm can beat; None where that is 0."""
        return self.modelled_s / self.bound_s if self.bound_s else None


def perf_row(
    world: World,
    runs: list[Run],
    *,
    redop: str,
    root: int,
    seed: int,
    wrong: int | None,
    overflowed: int | None = None,
    wire: str | None = None,
    wire_rms: float | None = None,
) -> PerfRow:
    """Return the line for repeated ``runs`` of one collective.

    Measured values are those of the middle run: by lag, or where nobody waits by its time. Of an
    even number it is the quicker one of the two in the middle.
    """
    modelled = modelled_row(
        world,
        runs[0].prediction,
        runs[0].output.dtype,
        redop=redop,
        root=root,
        seed=seed,
        wire=wire,
    )
    middle = sorted(runs, key=_lateness)[(len(runs) - 1) // 2]
    row = replace(
        modelled, wall_s=middle.wall_s, wrong=wrong, overflowed=overflowed, wire_rms=wire_rms
    )
    if runs[0].dilation is None:
        return row
    lag = Lag.of([run.call_times for run in runs], runs[0].dilation)
    return replace(
        row,
        lag_s=middle.lag_s,
        lag_p99_s=lag.p99_s,
        lag_max_s=lag.max_s,
        behind_share=lag.behind_share,
        blame=lag.blame,
        enough_dilation=lag.enough_dilation,
    )


def _lateness(run: Run) -> float:
    return run.wall_s if run.lag_s is None else run.lag_s


def modelled_row(
    world: World,
    prediction: Prediction,
    dtype: np.dtype[Any],
    *,
    redop: str,
    root: int,
    seed: int,
    wire: str | None = None,
) -> PerfRow:
    """Return the line for ``prediction``, of elements of ``dtype``, with nothing measured."""
    collective = prediction.shape.collective
    blocks = world.size if collective.in_blocks else 1
    growth = prediction.slice_growth
    algbw = prediction.nbytes / prediction.time_s / 1e9 if prediction.time_s else None
    return PerfRow(
        collective=collective.name,
        topology=world.topology.name,
        algorithm=prediction.algorithm,
        backend=world.ops.name,
        clock=world.clock,
        dilation=world.dilation,
        seed=seed,
        start_s=world.start_s,
        stack=world.stack.name,
        slice_bytes=growth * world.slicing.slice_bytes if world.slicing else None,
        slots=world.slicing.slots if world.slicing else None,
        slice_growth=growth,
        world_size=world.size,
        size_bytes=prediction.nbytes,
        count=prediction.nbytes // dtype.itemsize // blocks,
        dtype=dtype.name,
        redop=redop if collective.reduces else "none",
        root=root if collective.rooted else -1,
        modelled_s=prediction.time_s,
        wall_s=None,
        lag_s=None,
        lag_p99_s=None,
        lag_max_s=None,
        behind_share=None,
        blame=None,
        enough_dilation=None,
        bound_s=prediction.bound_s,
        window_bound_s=prediction.window_bound_s,
        below_bound=prediction.below_bound,
        algbw_GBps=algbw,
        busbw_GBps=None if algbw is None else algbw * collective.bus_factor(world.size),
        cross_site_bytes=round(prediction.timeline.cross_site_bytes * prediction.part_sent),
        slowest_trunk_GBps=_slowest_trunk_gb_per_s(world, prediction),
        wrong=None,
        overflowed=None,
        binding=prediction.binding,
        binding_place=prediction.critical_path.binding_place,
        passed_over=dict(prediction.passed_over),
        wire=wire,
        wire_rms=None,
    )


def _slowest_trunk_gb_per_s(world: World, prediction: Prediction) -> float | None:
    """Return the rate in the busier direction of the slowest trunk, over the time of the run."""
    trunk = world.topology.slowest_trunk
    if trunk is None or not prediction.timeline.total_ps:
        return None
    network = prediction.timeline.network
    carried = network.crossed_by(prediction.timeline.trunk_bytes)
    links = [
        link for link, (_, ends) in network.trunk_links.items() if set(ends) == set(trunk.sites)
    ]
    busier = max(int(carried[link]) for link in links)
    return busier * prediction.part_sent * PS_PER_S / prediction.timeline.total_ps / 1e9
