"""torch.distributed with gloo: a process for each rank, connected over loopback."""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.peers.protocol import Rows, may_be_missing, tell

with may_be_missing("torch"):
    import torch
    import torch.distributed as dist
    import torch.multiprocessing as mp


def rank_of(rank: int, rows: Rows, folder: str, results: Any) -> None:
    """Take part as ``rank``; rank 0 puts the seconds into ``results``."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=rows.ranks
    )
    x = rows.filled()[rank]
    work, taken = torch.empty(len(x)), []
    for number in range(rows.repeats + 1):
        work.copy_(torch.from_numpy(x))
        dist.barrier()
        started = time.perf_counter()
        dist.all_reduce(work)
        dist.barrier()
        taken.append(time.perf_counter() - started)
        if number == 0:
            assert rows.data.wrong(np.atleast_2d(work.numpy())) == 0
    if rank == 0:
        results.put(taken[1:])
    dist.destroy_process_group()


if __name__ == "__main__":
    asked = Rows.of_command_line()
    queue = mp.get_context("spawn").SimpleQueue()
    with tempfile.TemporaryDirectory() as store:
        mp.spawn(rank_of, (asked, str(Path(store)), queue), nprocs=asked.ranks)
        tell(
            queue.get(),
            f"PyTorch {torch.__version__}, gloo, {asked.ranks} processes of one thread over "
            "loopback, in place, from barrier to barrier",
        )
