"""The transport of NCCL beyond a node: sockets of the kernel, or RDMA; and links as it uses them.

A socket is done with a slot when the kernel has taken the bytes, so the windows of TCP bound what
is in flight (NVIDIA/nccl 2.30.7, src/transport/net_socket.cc: a request is done when its offset
has come to its size). RDMA is done when the far end has acknowledged them, so a slot is held for a
round trip (src/transport/net_ib/p2p.cc: a request waits for the completion of its work request).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from math import inf

from emul.errors import ArgumentError, shown
from emul.fixed_mapping import FixedMapping
from emul.links import Link, Transport
from emul.links.link import TCP
from emul.links.transport import TCP_LEAST_TIMER_S
from emul.stacks.nccl_levers import IB, NETS, SOCKET, Levers, levers_of
from emul.stacks.stack import IDEAL, NO_CONSTANTS, Sockets, Stack
from emul.topology import Topology

__all__ = [
    "CHANNELS_PER_NIC", "as_sent", "channels_of", "p2p_channels_of", "resolved", "with_options",
    "without_host", "without_windows",
]  # fmt: skip

RDMA = ("gbn", "sr")
NO_LEVERS = Levers()

UNLIMITED, UNLIMITED_BYTES = 1 << 30, 1 << 50
"""Slots, and bytes of a window: more than any plan has on a connection."""

CHANNELS_PER_NIC = 2
"""Each channel that the search finds is opened twice (NVIDIA/nccl 2.30.7, src/graph/connect.cc,
ncclTopoPostset). That it finds one per NIC is assumed; it finds more where they are fast."""

CHANNELS_PER_PEER = 2
"""Of a send or receive beyond the node, where ranks are few: as in NCCL 2.28.9
(src/graph/paths.cc, ncclTopoGetNchannels). 2.30.7 takes one for each 14 GB/s of the NIC
(NCCL_P2P_PER_CHANNEL_NET_BW), rounded up to a power of two: left out."""


def with_options(stack: Stack, options: Mapping[str, str], *, net: str = "") -> Stack:
    """Return ``stack`` with the variables of a user over those of its profile.

    Its transport is yet to be found, unless it is ``net``.
    Raises ArgumentError for a stack that knows none, for unknown names and for wrong values.
    """
    if not options:
        return stack
    if not isinstance(options, Mapping):
        raise ArgumentError(f"stack_options {shown(options)}: needed names with their values")
    if stack.tuner != "nccl":
        raise ArgumentError(
            f"stack {stack.name} with the option {shown(next(iter(options)))}: needed the stack "
            "nccl, for others have no options"
        )
    texts = {name: str(value) for name, value in options.items()}
    levers_of(FixedMapping(texts))
    return replace(stack, options={**stack.options, **texts}, net=net, net_assumed=False)


def without_windows(stack: Stack) -> Stack:
    """Return ``stack`` with any number of slices, and of bytes on a socket, in flight."""
    if not stack.slice_bytes:
        return stack
    most = UNLIMITED_BYTES
    sockets = replace(stack.sockets, window_bytes=most, restart_bytes=most)
    return replace(stack, slots=UNLIMITED, sockets=sockets)


def without_host(stack: Stack) -> Stack:
    """Return ``stack`` with software and copies that take no time.

    A message costs its sender nothing where the library says so much in place of the overhead of
    the link, which else stays.
    """
    if stack is IDEAL:
        return stack
    return replace(
        stack,
        hop_overhead_s=dict.fromkeys(stack.hop_overhead_s, 0.0),
        hop_completion_s={},
        constants=NO_CONSTANTS,
        more_call_s={},
        sockets=Sockets(stack.sockets.window_bytes, stack.sockets.restart_bytes),
        free_software=True,
    )


def resolved(stack: Stack, topology: Topology) -> Stack:
    """Return ``stack`` with its transport over ``topology``, and with the sizes of its options.

    NCCL_NET says it; else the links beyond nodes do, by their framing or their recovery. Where any
    of them is of TCP, it is Socket; where nothing tells, it is assumed to be Socket.
    """
    if stack.tuner != "nccl" or stack.net:
        return stack
    levers = levers_of(stack.options)
    told = levers.net or _told_by(topology)
    if levers.buffer_bytes is not None:
        stack = replace(stack, slice_bytes=max(1, levers.buffer_bytes // stack.slots))
    return replace(stack, net=told or SOCKET, net_assumed=not told)


def _told_by(topology: Topology) -> str:
    """Return the transport that links beyond nodes tell; empty where none does."""
    told = {_transport_of(link.transport) for link in _beyond_nodes(topology)}
    return next((each for each in NETS if each in told), "")


def _beyond_nodes(topology: Topology) -> Iterator[Link]:
    """Yield the links over which ranks of several nodes meet."""
    for site in topology.sites:
        if len(site.nodes) > 1:
            yield site.link
    yield from (trunk.link for trunk in topology.trunks)


def _transport_of(transport: Transport) -> str:
    if transport.framing.startswith("tcp") or transport.recovery in TCP:
        return SOCKET
    return IB if transport.framing or transport.recovery in RDMA else ""


def channels_of(levers: Levers, nics: int) -> int:
    """Return the channels of NCCL per NIC of a node that has so many."""
    return max(CHANNELS_PER_NIC, -(-(levers.least_channels or 0) // nics))


def p2p_channels_of(levers: Levers) -> int:
    """Return the channels of a send or a receive beyond the node."""
    return levers.channels_per_peer or CHANNELS_PER_PEER


def as_sent(topology: Topology, stack: Stack) -> Topology:
    """Return ``topology`` with its links as ``stack`` uses them.

    Over sockets every link beyond a node has windows, its own or those of the kernel, of one number
    of sockets for all calls, and no port
    sends or receives faster than the threads of a host copy. Over RDMA a window that says the same
    as the buffers of the library is the library's. Of a library of whole messages one
    thread of a rank copies what it sends and what it receives.
    """
    if not stack.net:
        return _copied(topology, stack.sockets) if stack.sends_whole_messages else topology
    levers = levers_of(stack.options)
    nics = min(node.ranks for site in topology.sites for node, _ in site.runs)
    channels = channels_of(levers, nics)
    if not stack.over_sockets:
        own_bytes = stack.slots * stack.slice_bytes
        return _changed(topology, *[lambda link: _without_own(link, own_bytes, channels)] * 2)
    sockets, each = stack.sockets, _sockets_of(levers)
    streams = max(channels, levers.channels_per_peer or 0) * each
    asked = each > 1 or bool(levers.least_channels or levers.channels_per_peer)
    most = _copied_bytes_per_s(sockets, levers, channels)

    def over_trunk(link: Link) -> Link:
        return _with_windows(link, sockets, streams, asked=asked)

    def in_site(link: Link) -> Link:
        return replace(_without_idle_windows(over_trunk(link)), host_bytes_per_s=most)

    return _changed(topology, in_site, over_trunk)


def _copied(topology: Topology, sockets: Sockets) -> Topology:
    """Return ``topology`` with ports that send and receive as one thread copies."""
    most = _copied_bytes_per_s(sockets, NO_LEVERS, 1)
    if most == inf:
        return topology

    def in_site(link: Link) -> Link:
        return replace(link, host_bytes_per_s=min(link.host_bytes_per_s, most))

    return _changed(topology, in_site, lambda link: link)


def _changed(
    topology: Topology, in_site: Callable[[Link], Link], over_trunk: Callable[[Link], Link]
) -> Topology:
    """Return ``topology`` with other links inside its sites and between them."""
    return replace(
        topology,
        sites=tuple(replace(site, link=in_site(site.link)) for site in topology.sites),
        trunks=tuple(replace(each, link=over_trunk(each.link)) for each in topology.trunks),
    )


def _without_own(link: Link, own_bytes: int, channels: int) -> Link:
    """Return ``link`` without a window that is just the buffers of the library's channels."""
    transport = link.transport
    streams = transport.streams if transport.streams > 1 else channels
    if transport.window_bytes * streams != own_bytes * channels:
        return link
    return replace(link, transport=replace(transport, window_bytes=0.0))


def _with_windows(link: Link, sockets: Sockets, streams: int, *, asked: bool) -> Link:
    """Return ``link`` with the windows of its sockets; ``asked``: the user said their number.

    A link of several streams states their number; one of a single stream says nothing of it.
    """
    transport = link.transport
    stated = transport.streams > 1
    idle_s = 0.0 if transport.slow_start else TCP_LEAST_TIMER_S + link.rtt_s
    transport = replace(
        transport,
        window_bytes=transport.window_bytes or float(sockets.window_bytes),
        streams=transport.streams if stated and not asked else streams,
        idle_s=idle_s,
        initial_window_bytes=(
            transport.initial_window_bytes if transport.slow_start else sockets.restart_bytes
        ),
    )
    return replace(link, transport=transport, completion_s=sockets.completion_s)


def _without_idle_windows(link: Link) -> Link:
    """Return a link inside a site without windows that hold as much as its path.

    After a silence they would open again within a few of its round trips, which is left out.
    """
    transport = link.transport
    if transport.slow_start or transport.window_bytes * transport.streams < link.bdp_bytes:
        return link
    return replace(link, transport=replace(transport, window_bytes=0.0, idle_s=0.0))


def _sockets_of(levers: Levers) -> int:
    """Return the sockets of a channel that carry data: without helper threads, the main one."""
    return max(1, levers.sockets)


def _copied_bytes_per_s(sockets: Sockets, levers: Levers, channels: int) -> float:
    """Return how fast the threads of a rank copy, in each direction; infinity for no cost.

    Without helper threads, one thread of the rank sends and receives on all channels; with them,
    each channel has so many for either direction (net_socket.cc, persistentSocketThread; proxy.cc).
    """
    there, back = sockets.send_byte_s, sockets.receive_byte_s
    if not there + back:
        return inf
    threads = (levers.socket_threads or 0) * channels
    return threads / max(there, back) if threads else 1 / (there + back)
