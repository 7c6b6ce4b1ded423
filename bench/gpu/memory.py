"""The arithmetic against copying on the device, and against others' ways to write it."""

from __future__ import annotations

from typing import Any

from bench.gpu.record import Figure, at_least
from bench.gpu.setting import Job, Setting
from bench.worlds import one_site
from emul import World
from emul.ops.cuda.device_ops import DeviceOps

__all__ = [
    "FUSED",
    "all_reduce",
    "array_ring",
    "copying",
    "fused",
    "fused_ranks",
    "long_rows",
    "of_copy",
    "other_collectives",
    "ring",
    "stepwise",
    "torch_sum",
]

FUSED = ("float32", "float16", "bfloat16", "int8", "float64")
ASKED_OF_FUSED = {"float32": 0.90, "float16": 0.80, "bfloat16": 0.80}
MANY_RANKS = 24
"""As many as the default topology has."""

ASKED_OF_STEPS = 0.75
ASKED_OVER_RING, ASKED_OVER_TORCH = 2.0, 3.0

OTHERS = ("reduce_scatter", "all_gather", "broadcast")


def copying(setting: Setting) -> list[Figure]:
    """Return how fast the device copies as much as the ranks hold: the denominator of ratios."""
    nbytes = setting.scale.ranks * setting.scale.row_bytes
    rate = setting.copy_bytes_per_s(nbytes)
    return [Figure("device copy, read and written", rate / 1e9, "GB/s", about={"bytes": nbytes})]


def fused(setting: Setting, dtype: str) -> list[Figure]:
    """Return how near the fused all_reduce comes to copying."""
    job = all_reduce(setting, dtype)
    name = f"fused all_reduce, {dtype}, of copy bandwidth"
    return [of_copy(setting, job, name, job.nbytes, ASKED_OF_FUSED.get(dtype))]


def fused_ranks(setting: Setting) -> list[Figure]:
    """Return the same of more ranks, which hold together about as much."""
    row_bytes = setting.scale.ranks * setting.scale.row_bytes // MANY_RANKS
    job = all_reduce(setting, "float32", ranks=MANY_RANKS, row_bytes=row_bytes)
    name = f"fused all_reduce of {MANY_RANKS} ranks, float32, of copy bandwidth"
    return [of_copy(setting, job, name, job.nbytes, None)]


def long_rows(setting: Setting) -> list[Figure]:
    """Return the same of rows with more elements than a signed number of 32 bits counts."""
    job = all_reduce(setting, "int8", ranks=2, row_bytes=setting.scale.long_row_bytes)
    name = "fused all_reduce of 2 long rows, int8, of copy bandwidth"
    return [of_copy(setting, job, name, job.nbytes, None)]


def stepwise(setting: Setting) -> list[Figure]:
    """Return how near the step-by-step all_reduce comes, in the bytes that it moves."""
    job = all_reduce(setting, "float32", stepwise=True)
    name = "step-by-step all_reduce, float32, of copy bandwidth in its bytes"
    return [of_copy(setting, job, name, job.step_bytes, ASKED_OF_STEPS)]


def other_collectives(setting: Setting) -> list[Figure]:
    """Return the same for other collectives; nothing is asked of them."""
    found = []
    for collective in OTHERS:
        job = _job(setting, collective, "direct", "float32")
        nbytes = job.nbytes
        if collective == "broadcast":  # only one row of the input is read
            nbytes = int(job.out.nbytes + job.x[0].nbytes)
        name = f"fused {collective}, float32, of copy bandwidth"
        found.append(of_copy(setting, job, name, nbytes, None))
    return found


def ring(setting: Setting) -> list[Figure]:
    """Return how many times as fast the fused all_reduce is as a ring of array calls."""
    job = all_reduce(setting, "float32")
    ours_s = setting.median_s(job.replay)
    ring_s = _ring_s(setting, job)
    about = {"fused_s": ours_s, "ring_s": ring_s}
    name = "times as fast as a ring of array calls"
    return [at_least(name, ring_s / ours_s, "", ASKED_OVER_RING, **about)]


def torch_sum(setting: Setting) -> list[Figure]:
    """Return how many times as fast it is as torch; whether a tensor goes in and comes out."""
    name = "times as fast as torch.stack().sum(0) and broadcast"
    try:
        import torch

        assert torch.cuda.is_available(), "sees no GPU"
    except Exception as error:  # whatever a library of a GPU comes up with
        about = {"skipped": f"torch: {error}"}
        return [Figure(name, None, "", f">= {ASKED_OVER_TORCH:g}", None, about)]
    job = all_reduce(setting, "float32")
    ours_s = setting.median_s(job.replay)
    torch_s = _torch_s(setting, job, torch)
    about = {"fused_s": ours_s, "torch_s": torch_s, "torch": torch.__version__}
    return [
        at_least(name, torch_s / ours_s, "", ASKED_OVER_TORCH, **about),
        _tensor(setting, torch),
    ]


def _tensor(setting: Setting, torch: Any) -> Figure:
    """Say whether a tensor of bfloat16 is reduced and comes back as one."""
    ones = torch.ones((MANY_RANKS, 1001), dtype=torch.bfloat16, device="cuda")
    world = World(one_site(MANY_RANKS), backend=DeviceOps(setting.device))
    output: Any = world.all_reduce(ones).output
    right = isinstance(output, torch.Tensor) and bool((output == MANY_RANKS).all())
    verdict = "right" if right else f"wrong: {type(output).__name__} {output}"[:200]
    return Figure("a torch tensor of bfloat16, in and out", verdict, "", "right", right)


def array_ring(work: Any) -> None:
    """All-reduce the rows of ``work`` in place by a ring, one call of the array library per row.

    Within a step no rank writes data that another one reads, so no message has to be copied: as
    quick as such a ring can be written.
    """
    n, width = work.shape
    edges = [width * chunk // n for chunk in range(n + 1)]
    for phase in (0, 1):
        for step in range(n - 1):
            for rank in range(n):
                chunk = (rank - step + phase) % n
                part = slice(edges[chunk], edges[chunk + 1])
                if phase == 0:
                    work[(rank + 1) % n, part] += work[rank, part]
                else:
                    work[(rank + 1) % n, part] = work[rank, part]


def _ring_s(setting: Setting, job: Job) -> float:
    device, work = setting.device, setting.device.empty(job.x.shape, job.x.dtype)
    device.copy(work, job.x)
    array_ring(work)
    assert job.wrong(work) == 0
    return setting.median_s(lambda: array_ring(work))


def _torch_s(setting: Setting, job: Job, torch: Any) -> float:
    rows, out = torch.from_dlpack(job.x), torch.from_dlpack(job.out)
    parts = list(rows)

    def work() -> None:
        out.copy_(torch.stack(parts).sum(0).expand_as(out))

    work()
    assert job.wrong(job.out) == 0
    return setting.median_s(work)


def all_reduce(setting: Setting, dtype: str, **more: Any) -> Job:
    """Return an all_reduce by a ring that was found right; ``more``: of ``_job``."""
    return _job(setting, "all_reduce", "ring", dtype, **more)


def _job(
    setting: Setting,
    collective: str,
    algorithm: str,
    dtype: str,
    *,
    ranks: int | None = None,
    row_bytes: int | None = None,
    stepwise: bool = False,
) -> Job:
    """Return a collective that was found right, of as many ranks and bytes as the scale says."""
    scale = setting.scale
    job = Job(
        setting,
        collective,
        algorithm,
        (ranks or scale.ranks,),
        row_bytes=row_bytes or scale.row_bytes,
        dtype=dtype,
        stepwise=stepwise,
    )
    job.check()
    return job


def of_copy(setting: Setting, job: Job, name: str, nbytes: int, asked: float | None) -> Figure:
    """Return how near ``job``, which reads and writes ``nbytes``, comes to copying."""
    seconds = setting.median_s(job.replay)
    copy = setting.copy_bytes_per_s(setting.scale.ranks * setting.scale.row_bytes)
    ratio = nbytes / seconds / copy
    about = {"seconds": seconds, "bytes": nbytes, "GB_per_s": nbytes / seconds / 1e9}
    if asked is None:
        return Figure(name, ratio, about=about)
    return at_least(name, ratio, "", asked, **about)
