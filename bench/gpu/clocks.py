"""Waits of the device: how exact they are, and the time that they leave to the host."""

from __future__ import annotations

import statistics
import time

import numpy as np

from bench.gpu.record import Figure, at_most
from bench.gpu.setting import Job, Setting
from emul import World
from emul.ops.cuda.device_ops import DeviceOps
from emul.ops.cuda.pacing import RETURN_NS, Pace, tick_ns

__all__ = ["emulated", "host_idle", "return_path", "small", "tick", "wait_errors"]

SHORTEST_WAIT_NS = 20_000
ASKED_MEDIAN_US, ASKED_P99_US = 2.0, 5.0
ASKED_OFF = 0.01
ASKED_HOST = 0.005
"""Of one core: the rest is below the resolution of the measurement."""

ASKED_STEP_US = 10.0
LONG_S = 1e-3
EMPTY_STEPS, EMPTY_NS = 46, 2_000_000
"""As many steps as a ring of the default topology has, all due after two milliseconds."""

DRIFT = 1e-4
"""By so much two clocks may run apart: some 20 millionths were seen."""

TOPOLOGY = "three-campus"


def tick(setting: Setting) -> list[Figure]:
    """Return by how much the device's clock moves on."""
    least, median = tick_ns(setting.device)
    return [
        Figure("globaltimer moves on by at least", least, "ns"),
        Figure("globaltimer moves on by, median", median, "ns"),
    ]


def wait_errors(setting: Setting) -> list[Figure]:
    """Return how late waits end, from 20 us to 20 ms, as many of each decade."""
    scale = setting.scale
    low, high = np.log(SHORTEST_WAIT_NS), np.log(scale.longest_wait_ns)
    drawn = np.exp(np.random.default_rng(0).uniform(low, high, scale.waits)).astype(np.int64)
    late: list[int] = []
    pace = Pace(setting.device, [()] * scale.waits_of_a_graph)
    for waits in drawn.reshape(-1, scale.waits_of_a_graph):
        late += pace.run(np.cumsum(waits), time.monotonic_ns()).tolist()
    assert len(late) == scale.waits
    assert min(late) >= 0, "a wait ended early"
    late_us = np.array(late) / 1e3
    about = {"waits": scale.waits, "largest_us": float(late_us.max())}
    p99 = float(np.percentile(late_us, 99))
    return [
        at_most("wait error, median", float(np.median(late_us)), "us", ASKED_MEDIAN_US, **about),
        at_most("wait error, 99th percentile", p99, "us", ASKED_P99_US, **about),
    ]


def emulated(setting: Setting) -> list[Figure]:
    """Return how far measured times of emulated collectives are from modelled ones."""
    world = World(TOPOLOGY, backend=DeviceOps(setting.device), clock="wall")
    found, off = [], []
    for nbytes in setting.scale.paced_bytes:
        x, expected = _rows(setting, world, nbytes)
        out = setting.device.empty(x.shape, x.dtype)
        runs = []
        for _ in range(setting.scale.paced_calls + 1):
            world.restart()  # so that all ranks begin at once, and the device waits step by step
            runs.append(world.all_reduce(x, out=out))
        del runs[0]
        assert (setting.device.download(out) == expected).all()
        ratio = statistics.median(run.wall_s / run.time_s for run in runs)
        on_device = statistics.median(float(run.step_lag_s[-1]) / run.time_s for run in runs)
        about = {
            "algorithm": runs[0].prediction.algorithm,
            "modelled_s": runs[0].time_s,
            "steps": len(runs[0].step_lag_s),
            "late_on_the_device": on_device,
            "latest_step_us": max(float(run.step_lag_s.max()) for run in runs) * 1e6,
        }
        found.append(Figure(f"all_reduce of {nbytes} B, measured / modelled", ratio, about=about))
        if runs[0].time_s >= LONG_S:
            off.append(abs(ratio - 1))
    if off:
        found.append(at_most("farthest off, of 1 ms or more", max(off), "", ASKED_OFF))
    return found


def host_idle(setting: Setting) -> list[Figure]:
    """Return how much of a core the host takes while a captured collective runs."""
    plain = World(TOPOLOGY, backend=DeviceOps(setting.device))
    x, _ = _rows(setting, plain, 1 << 10)
    modelled_s = plain.all_reduce(x, algorithm="ring").time_s
    world = World(
        TOPOLOGY,
        backend=DeviceOps(setting.device),
        clock="wall",
        dilation=setting.scale.long_call_s / modelled_s,
    )
    out = setting.device.empty(x.shape, x.dtype)
    quick = World(TOPOLOGY, backend=world.ops, clock="wall")
    quick.all_reduce(x, algorithm="ring", out=out)  # captures it
    began_s, cpu_s = time.monotonic(), time.process_time()
    run = world.all_reduce(x, algorithm="ring", out=out)
    cpu_s, took_s = time.process_time() - cpu_s, time.monotonic() - began_s
    assert took_s >= run.time_s * world.dilation * (1 - DRIFT)
    about = {"cpu_s": cpu_s, "seconds": took_s, "steps": len(run.step_lag_s)}
    return [
        at_most("host CPU while it replays, of one core", cpu_s / took_s, "", ASKED_HOST, **about)
    ]


def return_path(setting: Setting) -> list[Figure]:
    """Return how late the host has a collective back that has nothing to do but to wait.

    The product lets the waits end so much earlier, and the host waits for the rest.
    """
    pace = Pace(setting.device, [()] * EMPTY_STEPS)
    late_us = []
    for _ in range(setting.scale.paced_calls):
        began_ns = time.monotonic_ns()
        pace.run(np.full(EMPTY_STEPS, EMPTY_NS, np.int64), began_ns)
        late_us.append((time.monotonic_ns() - began_ns - EMPTY_NS) / 1e3)
    about = {"least_us": min(late_us), "most_us": max(late_us), "steps": EMPTY_STEPS}
    name = f"the host has {EMPTY_NS / 1e6:g} ms of waits back, late by"
    return [at_most(name, statistics.median(late_us), "us", RETURN_NS / 1e3, **about)]


def small(setting: Setting) -> list[Figure]:
    """Return the time of a step of a captured collective of 24 x 1 KiB without delays."""
    world = World(TOPOLOGY)
    job = Job(
        setting,
        "all_reduce",
        "ring",
        (world.size,),
        row_bytes=1 << 10,
        dtype="float32",
        stepwise=True,
    )
    job.check()
    pace = Pace(setting.device, [*job.work.steps[:-1], job.work.steps[-1] + job.work.last])
    steps = pace.n_steps
    pace.run(np.zeros(steps, np.int64), time.monotonic_ns())
    step_us = setting.median_s(pace.replay) / steps * 1e6
    pace.lateness()
    bare_us = setting.median_s(job.replay) / steps * 1e6
    about = {"steps": steps, "without_waits_us": bare_us}
    return [
        at_most("a step of 24 x 1 KiB, captured, no delay", step_us, "us", ASKED_STEP_US, **about)
    ]


def _rows(setting: Setting, world: World, nbytes: int) -> tuple[object, np.float32]:
    """Return rows of ones, and their sums."""
    ones = np.ones((world.size, nbytes // 4), np.float32)
    return setting.device.upload(ones), np.float32(world.size)
