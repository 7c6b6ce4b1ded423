"""emul's engine of discrete events: who waits for whom is counted, then the times."""

from bench.measuring import repeated
from bench.peers.protocol import Ring, tell
from bench.worlds import scheduled_ring

if __name__ == "__main__":
    ring = Ring.of_command_line()
    total_ps = scheduled_ring(ring.ranks, ring.chunk_bytes)
    assert total_ps() == ring.total_ps
    tell(
        repeated(total_ps, ring.repeats),
        "dependencies and schedule, from a program that is there; ports of both ends, cut-through",
        total_ps=total_ps(),
    )
