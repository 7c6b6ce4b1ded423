"""MPI with a process for each rank: Allreduce in place through shared memory; run by mpirun."""

import time

import numpy as np

from bench.peers.protocol import Rows, may_be_missing, tell

with may_be_missing("mpi4py"):
    from mpi4py import MPI

if __name__ == "__main__":
    rows, world = Rows.of_command_line(), MPI.COMM_WORLD
    assert world.size == rows.ranks
    x = rows.filled()[world.rank]
    work, taken = np.empty_like(x), []
    for number in range(rows.repeats + 1):
        work[...] = x
        world.Barrier()
        started = time.perf_counter()
        world.Allreduce(MPI.IN_PLACE, work)
        world.Barrier()
        taken.append(time.perf_counter() - started)
        if number == 0:
            assert rows.data.wrong(work[None]) == 0
    if world.rank == 0:
        version = MPI.Get_library_version().split(",")[0]
        tell(
            taken[1:],
            f"{version}, {world.size} processes, shared memory only (btl self,vader), "
            "oversubscribed, in place, from barrier to barrier",
        )
