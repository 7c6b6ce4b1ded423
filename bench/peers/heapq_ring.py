"""The ring in plain Python over heapq: ports of both ends, cut-through."""

import heapq
import platform

from bench.measuring import repeated
from bench.peers.protocol import Ring, tell


def total_ps(ring: Ring) -> int:
    """Return when the last transfer has arrived."""
    n, overhead, sending, latency = ring.ranks, ring.overhead_ps, ring.sending_ps, ring.latency_ps
    out_free, in_free, last, arrived = [0] * n, [0] * n, 0, 0
    heap = [(0, rank, rank, 0) for rank in range(n)]  # when, order, rank, step that it may send
    while heap:
        now, number, rank, step = heapq.heappop(heap)
        last = max(last, now)
        arrived += step > 0
        if step == ring.steps:
            continue
        start = max(now, out_free[rank])
        out_free[rank] = start + overhead + sending
        to = (rank + 1) % n
        head = max(start + overhead + latency, in_free[to])
        in_free[to] = head + sending
        heapq.heappush(heap, (head + sending, number + n, to, step + 1))
    assert arrived == ring.transfers
    return last


if __name__ == "__main__":
    asked = Ring.of_command_line()
    assert total_ps(asked) == asked.total_ps
    tell(
        repeated(lambda: total_ps(asked), asked.repeats),
        f"CPython {platform.python_version()}, a heap of arrivals, ports of both ends, cut-through",
        total_ps=total_ps(asked),
    )
