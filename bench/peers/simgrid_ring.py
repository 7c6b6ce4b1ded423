"""The ring in SimGrid (s4u): an actor for each rank, a mailbox for its messages.

SimGrid's transfers are flows that share links by max-min and take latency + bytes / rate in
floating-point seconds; there is no occupancy and no overhead, so an actor sleeps for the overhead
before it sends. Where ranks are alike, as here, that comes to the same.
"""

import time

from bench.peers.protocol import Ring, may_be_missing, tell
from bench.worlds import LINK
from emul.units import PS_PER_S

with may_be_missing("simgrid"):
    import simgrid
    from simgrid import Actor, Engine, Mailbox, NetZone, this_actor

CONFIGURATION = (
    "network/model:CM02",
    "network/latency-factor:1",
    "network/bandwidth-factor:1",
    "network/crosstraffic:0",
    "network/TCP-gamma:0",
)
WITHIN = 1e-6
"""Of the total: sums of floating-point seconds, cut to SimGrid's precision at every event."""


def platform(ring: Ring) -> list[simgrid.Host]:
    """Return the hosts, each with a link out and a link in, and routes to the next."""
    zone = NetZone.create_full_zone("zone")
    hosts = [zone.create_host(f"rank-{rank}", 1e9) for rank in range(ring.ranks)]
    rate = LINK.rate_bytes_per_s
    out = [
        zone.create_link(f"out-{r}", rate).set_latency(LINK.latency_s) for r in range(ring.ranks)
    ]
    into = [zone.create_link(f"in-{r}", rate).set_latency(0.0) for r in range(ring.ranks)]
    for links in (out, into):
        for link in links:
            link.seal()
    for rank, host in enumerate(hosts):
        to = (rank + 1) % ring.ranks
        hops = [simgrid.LinkInRoute(out[rank]), simgrid.LinkInRoute(into[to])]
        zone.add_route(host.netpoint, hosts[to].netpoint, None, None, hops, False)
    zone.seal()
    return hosts


def rank_of(rank: int, ring: Ring, arrived: list[int]) -> None:
    """Send and receive, step by step."""
    inbox = Mailbox.by_name(f"to-{rank}")
    outbox = Mailbox.by_name(f"to-{(rank + 1) % ring.ranks}")
    for step in range(ring.steps):
        this_actor.sleep_for(LINK.overhead_s)
        sent = outbox.put_async(step, ring.chunk_bytes)
        assert inbox.get() == step
        arrived[rank] += 1
        sent.wait()


if __name__ == "__main__":
    asked = Ring.of_command_line()
    engine = Engine(["ring", "--log=root.thresh:error", *(f"--cfg={c}" for c in CONFIGURATION)])
    counts = [0] * asked.ranks
    for number, host in enumerate(platform(asked)):
        Actor.create(f"rank-{number}", host, rank_of, number, asked, counts)
    started = time.perf_counter()
    engine.run()
    taken = time.perf_counter() - started
    assert sum(counts) == asked.transfers
    found_ps = Engine.clock * PS_PER_S
    assert abs(found_ps / asked.total_ps - 1) < WITHIN, (found_ps, asked.total_ps)
    tell(
        [taken],
        f"SimGrid {simgrid.simgrid_version}, s4u from Python, {', '.join(CONFIGURATION)}; one "
        "simulation per process",
        total_ps=found_ps,
        within=WITHIN,
    )
