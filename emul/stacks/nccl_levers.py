"""NCCL's environment variables that change the modelled time, by the names that users know.

Their grammar is NCCL's (NVIDIA/nccl 2.30.7, src/graph/tuning.cc, parseList; docs/userguide,
env.rst). Of a stack they are its ``options``: ``--stack-option NCCL_ALGO=Ring``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from emul.errors import ArgumentError, shown, unknown_name
from emul.fixed_mapping import FixedMapping
from emul.stacks.tuner_rules import NIC_PATHS
from emul.units import parse_size

__all__ = ["FAMILIES", "IB", "NETS", "OPTIONS", "SOCKET", "Allowed", "Levers", "levers_of"]

NETS = SOCKET, IB = "Socket", "IB"

FUNCTIONS = {
    "Broadcast": "broadcast",
    "Reduce": "reduce",
    "AllGather": "all_gather",
    "ReduceScatter": "reduce_scatter",
    "AllReduce": "all_reduce",
}
"""The functions that an entry may be for, and the collectives that they are."""

FAMILIES = {"Tree": "tree", "Ring": "ring", "PAT": "pat"}
NOT_MODELLED = ("CollNetDirect", "CollNetChain", "NVLS", "NVLSTree")
PROTOCOLS = {name: name for name in ("LL", "LL128", "Simple")}

MOST_THREADS, MOST_SOCKETS = 16, 64
"""MAX_THREADS and MAX_SOCKETS of a connection (NVIDIA/nccl 2.30.7, src/transport/net_socket.cc)."""

MOST_CHANNELS = 64
"""MAXCHANNELS (NVIDIA/nccl 2.30.7, src/include/device.h)."""

MOST_BUFFER_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Allowed:
    """The algorithms, or protocols, that a variable leaves for each collective.

    ``by_collective``: None where all are left. ``text``: as the user wrote it.
    """

    by_collective: FixedMapping[frozenset[str]]
    text: str

    def __contains__(self, asked: tuple[str, str]) -> bool:
        """Say whether a collective may go by a name."""
        collective, name = asked
        left = self.by_collective.get(collective)
        return left is None or name in left

    def names(self, collective: str, name: str) -> bool:
        """Say whether the user named this one for the collective, and did not just leave it."""
        return collective in self.by_collective and (collective, name) in self


@dataclass(frozen=True, slots=True)
class Levers:
    """The variables, None where one is not set.

    ``net``: Socket or IB. ``buffer_bytes``: of a channel and connection. ``sockets_per_thread`` and
    ``socket_threads``: of a connection, by helper threads. ``least_channels``: of all NICs of a
    node. ``channels_per_peer``: of a send or receive beyond the node. ``nic_path``: from a GPU to
    its NIC.
    """

    net: str | None = None
    algorithms: Allowed | None = None
    protocols: Allowed | None = None
    sockets_per_thread: int | None = None
    socket_threads: int | None = None
    buffer_bytes: int | None = None
    least_channels: int | None = None
    channels_per_peer: int | None = None
    nic_path: str | None = None

    @property
    def sockets(self) -> int:
        """The sockets of a connection that helper threads serve, 0 where there are none."""
        return (self.sockets_per_thread or 1) * (self.socket_threads or 0)

    def allows(self, collective: str, family: str, protocol: str) -> bool:
        """Say whether a collective may go by an algorithm and a protocol."""
        return (self.algorithms is None or (collective, family) in self.algorithms) and (
            self.protocols is None or (collective, protocol) in self.protocols
        )

    def names_protocol(self, collective: str, protocol: str) -> bool:
        """Say whether NCCL_PROTO names a protocol for the collective."""
        return self.protocols is not None and self.protocols.names(collective, protocol)


def _algorithms(name: str, text: str) -> Allowed:
    return _allowed(name, text, FAMILIES, NOT_MODELLED)


def _protocols(name: str, text: str) -> Allowed:
    return _allowed(name, text, PROTOCOLS, ())


def _allowed(
    name: str, text: str, modelled: Mapping[str, str], not_modelled: tuple[str, ...]
) -> Allowed:
    """Return which a list leaves: ``Ring,Tree``, ``^Tree``, ``allreduce:Tree;broadcast:Ring``."""
    left: dict[str, frozenset[str]] = {}
    known = (*modelled, *not_modelled)
    for number, entry in enumerate(text.split(";")):
        head, colon, rest = entry.partition(":")
        if not colon and number:
            raise ArgumentError(
                f"{name}={shown(text)}: every entry but the first needs a function, as in "
                f"allreduce:{known[0]}"
            )
        functions = FUNCTIONS if not colon else [_named(f"function in {name}", head, FUNCTIONS)]
        elements = rest if colon else head
        unset = elements.startswith("^")
        given = {_named(f"name in {name}", each, known) for each in elements.lstrip("^").split(",")}
        chosen = set(known) - given if unset else given
        names = frozenset(modelled[each] for each in chosen if each in modelled)
        if not names:
            raise ArgumentError(
                f"{name}={shown(text)}: needed one of {', '.join(modelled)}, for others are not "
                "modelled"
            )
        left |= {FUNCTIONS[each]: names for each in functions}
    return Allowed(FixedMapping(left), text)


def _named(what: str, came: str, known: Any) -> str:
    """Return the name of ``known`` that ``came`` is, in any case of letters."""
    for each in known:
        if came.strip().lower() == each.lower():
            return str(each)
    raise unknown_name(what, came, known)


def _one_of(*known: str) -> Callable[[str, str], str]:
    return lambda name, text: _named(f"value of {name}", text, known)


def _number(least: int, most: int) -> Callable[[str, str], int]:
    def read(name: str, text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise ArgumentError(
                f"{name}={shown(text)}: needed a whole number from {least} to {most}"
            )
        return value

    return read


def _bytes(name: str, text: str) -> int:
    try:
        value = parse_size(text)
    except ValueError:
        value = 0
    if not 8 <= value <= MOST_BUFFER_BYTES:
        raise ArgumentError(
            f"{name}={shown(text)}: needed bytes from 8 to {MOST_BUFFER_BYTES}, as 4194304 or 4M"
        )
    return value


OPTIONS: Mapping[str, tuple[str, Callable[[str, str], Any]]] = {
    "NCCL_NET": ("net", _one_of(*NETS)),
    "NCCL_ALGO": ("algorithms", _algorithms),
    "NCCL_PROTO": ("protocols", _protocols),
    "NCCL_NSOCKS_PERTHREAD": ("sockets_per_thread", _number(1, MOST_SOCKETS)),
    "NCCL_SOCKET_NTHREADS": ("socket_threads", _number(0, MOST_THREADS)),
    "NCCL_BUFFSIZE": ("buffer_bytes", _bytes),
    "NCCL_MIN_NCHANNELS": ("least_channels", _number(1, MOST_CHANNELS)),
    "NCCL_NCHANNELS_PER_NET_PEER": ("channels_per_peer", _number(1, MOST_CHANNELS)),
    "NIC_PATH": ("nic_path", _one_of(*NIC_PATHS)),
}
"""By the name of the user: the lever, and who reads its value. NIC_PATH is no variable of NCCL,
which finds the path by itself: it says what NCCL would find."""


@lru_cache(maxsize=64)
def levers_of(options: FixedMapping[str]) -> Levers:
    """Return the levers of options by name. Raises ArgumentError for unknown names and values."""
    found: dict[str, Any] = {}
    for name, text in options.items():
        if name not in OPTIONS:
            raise unknown_name("stack option", name, OPTIONS)
        lever, read = OPTIONS[name]
        found[lever] = read(name, text)
    levers = Levers(**found)
    if levers.sockets > MOST_SOCKETS:
        raise ArgumentError(
            f"NCCL_NSOCKS_PERTHREAD x NCCL_SOCKET_NTHREADS = {levers.sockets}: needed at most "
            f"{MOST_SOCKETS} sockets of a connection"
        )
    return levers
