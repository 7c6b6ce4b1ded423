"""Programs of training with sharded replicas, each of 800 ranks: units one after the other."""

from __future__ import annotations

from emul import NoData, World
from emul.collapsed import CollapsedMesh

__all__ = ["UNITS", "overlapping", "synchronous"]


UNITS, FORWARD_OF_UNIT_S = 126, 0.02
"""Of 405e9 parameters, over 300,000 ranks."""

PART_THAT_OVERLAPS = 24_000
"""Elements of a rank: with some, rings of shards and of replicas are under way together."""


def synchronous(world: World, mesh: CollapsedMesh, units: int) -> None:
    """Let units of 405e9 parameters pass over replicas of 800 ranks, each call waited for."""
    shard, replicate = mesh.along("shard"), mesh.along("replicate")
    part = NoData(405 * 10**9 // UNITS // 800 // 375 * 375, "bfloat16")
    unit = NoData(800 * part.count, "bfloat16")
    for _ in range(units):
        shard.all_gather(part)
        world.compute(FORWARD_OF_UNIT_S)
    for _ in range(units):
        shard.all_gather(part)
        world.compute(2 * FORWARD_OF_UNIT_S)
        shard.reduce_scatter(unit)
        replicate.all_reduce(part)


def overlapping(world: World, mesh: CollapsedMesh, units: int) -> None:
    """Let small units pass: gathered ahead, and reduced over replicas behind the next ones."""
    shard, replicate = mesh.along("shard"), mesh.along("replicate")
    part, unit = (
        NoData(PART_THAT_OVERLAPS, "bfloat16"),
        NoData(800 * PART_THAT_OVERLAPS, "bfloat16"),
    )
    reduced, gathered = [], shard.all_gather(part, async_op=True)
    for _ in range(units):
        gathered.wait()
        gathered = shard.all_gather(part, async_op=True)
        world.compute(1e-3)
        shard.reduce_scatter(unit, async_op=True).wait()
        reduced.append(replicate.all_reduce(part, async_op=True))
        if len(reduced) > 1:
            reduced[-2].wait()
    gathered.wait()
    reduced[-1].wait()
