"""Links in a row: one connection over several trunks, end to end.

Each rule has its reason. Latencies, standing queues and jitter add up, for a packet meets each of
them. The rate is the least, for bytes go through all links at once. Bytes in flight are counted
once, over the whole round trip: a window is the two ends', so the tightest one stated holds, with
its streams. A packet lost on any link is lost: 1 - (1 - p) (1 - q) ... Packets are of the least
MTU, as path MTU discovery finds it (RFC 8899). The two hosts send a message once: the largest
overhead, gap, turnaround and timer, and the fewest retries. A mix is refused where no rule can be
defended: two ways to recover, for a connection has one, and a token bucket.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from emul.errors import TopologyError
from emul.links.link import Jitter, Link, OtherTraffic, Transport

__all__ = ["in_a_row"]

SURELY = 1e-9
"""Relative: two rates that are as close are one."""


def in_a_row(links: Sequence[Link], names: Sequence[str], passage_s: float = 0.0) -> Link:
    """Return the link that a connection sees in ``links``, one after the other.

    ``names``: of each, for errors; ``passage_s``: the delay of all that lies between them. Jitter
    is drawn on each link by itself; here stand the sum of its medians and the largest ratio. Raises
    TopologyError for a mix that no rule is defensible for.
    """
    _check(links, names)
    rate = min(link.wire_bytes_per_s for link in links)
    wave = min(link.available_bytes_per_s / link.waves for link in links)
    queue_s = math.fsum(link.queue_s for link in links)
    return Link(
        rate,
        math.fsum([passage_s, *(link.latency_s for link in links)]),
        max(link.overhead_s for link in links),
        _transport([link.transport for link in links]),
        Jitter(
            math.fsum(link.jitter.median_s for link in links),
            max(link.jitter.p99_over_p50 for link in links),
        ),
        OtherTraffic(queue_bytes=queue_s * rate),
        max(1, int(rate / wave * (1 + SURELY))),
        host_bytes_per_s=min(link.host_bytes_per_s for link in links),
        completion_s=max(link.completion_s for link in links),
    )


def _transport(given: list[Transport]) -> Transport:
    windowed = [each for each in given if each.window_bytes]
    tightest = min(
        windowed or given, key=lambda each: (each.window_bytes * each.streams, each.streams)
    )
    recoveries = [each.recovery for each in given if each.recovery != "none"]
    return Transport(
        window_bytes=tightest.window_bytes,
        streams=tightest.streams,
        chunk_bytes=max(each.chunk_bytes for each in given),
        turnaround_s=max(each.turnaround_s for each in given),
        gap_s=max(each.gap_s for each in given),
        loss=_lost([each.loss for each in given]),
        recovery=recoveries[0] if recoveries else "none",
        mtu_bytes=min(each.mtu_bytes for each in given),
        rto_s=max(each.rto_s for each in given),
        retries=min(each.retries for each in given),
        slow_start=any(each.slow_start for each in given),
        initial_window_bytes=min(each.initial_window_bytes for each in given),
        framing=next((each.framing for each in given if each.framing), ""),
        idle_s=max(each.idle_s for each in given),
    )


def _lost(parts: list[float]) -> float:
    """Return the part of packets that is lost on any of several links."""
    lossy = [part for part in parts if part]
    return lossy[0] if len(lossy) == 1 else 1.0 - math.prod(1.0 - part for part in lossy)


def _check(links: Sequence[Link], names: Sequence[str]) -> None:
    path = f"a path over {' and '.join(names)}"
    kinds = {link.transport.recovery: name for link, name in zip(links, names, strict=True)}
    kinds.pop("none", None)
    if len(kinds) > 1:
        told = ", ".join(f"{name} {kind!r}" for kind, name in kinds.items())
        raise TopologyError(
            f"{path} has trunks of unlike recovery ({told}): needed one for the whole path, for a "
            "connection from end to end has one transport; or a trunk of its own between its ends"
        )
    for link, name in zip(links, names, strict=True):
        if link.others.burst_bytes:
            raise TopologyError(
                f"{path}, of which {name} has burst_bytes = {link.others.burst_bytes:g}: needed no "
                "token bucket on a trunk of a longer path, for the model has none in its middle; "
                "or a trunk of its own between the ends"
            )
