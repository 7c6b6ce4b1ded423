"""The ring in SimPy: a process for each rank, a resource for its port, a store for its messages."""

from collections.abc import Generator
from typing import Any

from bench.measuring import repeated
from bench.peers.protocol import Ring, may_be_missing, tell

with may_be_missing("simpy"):
    import simpy


def total_ps(ring: Ring) -> int:
    """Return when the last transfer has arrived."""
    env = simpy.Environment()
    ports = [simpy.Resource(env) for _ in range(ring.ranks)]
    inboxes = [simpy.Store(env) for _ in range(ring.ranks)]
    arrived = 0

    def under_way(to: int, step: int) -> Generator[Any, Any, None]:
        yield env.timeout(ring.latency_ps)
        yield inboxes[to].put(step)

    def rank_of(rank: int) -> Generator[Any, Any, None]:
        nonlocal arrived
        for step in range(ring.steps):
            with ports[rank].request() as port:
                yield port
                yield env.timeout(ring.overhead_ps + ring.sending_ps)
            env.process(under_way((rank + 1) % ring.ranks, step))
            assert (yield inboxes[rank].get()) == step
            arrived += 1

    for rank in range(ring.ranks):
        env.process(rank_of(rank))
    env.run()
    assert arrived == ring.transfers
    return int(env.now)


if __name__ == "__main__":
    asked = Ring.of_command_line()
    assert total_ps(asked) == asked.total_ps
    tell(
        repeated(lambda: total_ps(asked), asked.repeats),
        f"SimPy {simpy.__version__}, whole picoseconds, the sender's port as a resource",
        total_ps=total_ps(asked),
    )
