"""A stack: how a communication library puts the messages of a plan on the wire."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from emul.errors import ArgumentError, unknown_name
from emul.fixed_mapping import FixedMapping
from emul.links.transport import ASSUMED_WINDOW_BYTES, TCP_INITIAL_WINDOW_BYTES
from emul.reading.brief import brief
from emul.reading.checks import not_negative, positive, positive_or_unlimited, whole_numbers
from emul.stacks.nccl_levers import SOCKET
from emul.stacks.tuner_rules import TunerRules

__all__ = [
    "HANDSHAKES", "HOP_KINDS", "IDEAL", "NO_CONSTANTS", "Choice", "Constants", "Sockets", "Stack",
]  # fmt: skip

HANDSHAKES = ("none", "rendezvous", "notice")
"""How sender and receiver agree on a message: not at all; the sender asks, the receiver says that
it is ready, the data follow; or the receiver says so on its own, and nothing goes before."""


HOP_KINDS = ("node", "site", "trunk")
"""Between ranks of a node, of a site, of two sites."""


@dataclass(frozen=True, slots=True)
class Constants:
    """The times of the software of a host, in seconds; all of them delay, and the first two occupy.

    ``call_s`` once per collective before anything is sent, ``message_s`` of the sender for each
    message, ``control_s`` of the sender for each notice or answer, ``completion_s`` of the receiver
    for each message that has come, and ``byte_s`` for each of its bytes.
    """

    call_s: float = 0.0
    message_s: float = 0.0
    control_s: float = 0.0
    completion_s: float = 0.0
    byte_s: float = 0.0

    __repr__ = brief

    def __post_init__(self) -> None:
        """Refuse times below 0."""
        not_negative("seconds", **{name: getattr(self, name) for name in self.__slots__})


NO_CONSTANTS = Constants()


@dataclass(frozen=True, slots=True)
class Sockets:
    """How a library sends over TCP of the kernel; NCCL's beyond a node, those of others everywhere.

    Of NCCL, ``window_bytes``: of a socket in flight where a link states no window of its own, by
    the buffers of the kernel; after a silence it begins with ``restart_bytes``. Of a thread that
    copies into and out of the kernel, seconds for each byte: ``send_byte_s`` and
    ``receive_byte_s``; and for each message of the sender and of the receiver ``message_s`` and
    ``completion_s``, calls and wake-ups.
    """

    window_bytes: int = ASSUMED_WINDOW_BYTES
    restart_bytes: int = TCP_INITIAL_WINDOW_BYTES
    send_byte_s: float = 0.0
    receive_byte_s: float = 0.0
    message_s: float = 0.0
    completion_s: float = 0.0

    __repr__ = brief

    def __post_init__(self) -> None:
        """Refuse windows without bytes and times below 0."""
        positive("bytes", window_bytes=self.window_bytes, restart_bytes=self.restart_bytes)
        for name in ("send_byte_s", "receive_byte_s", "message_s", "completion_s"):
            not_negative("seconds", **{name: getattr(self, name)})


@dataclass(frozen=True, slots=True)
class Choice:
    """An algorithm that the library takes for worlds and sizes up to a limit.

    ``algorithm`` is a name of emul.plans; ``{segments}`` in it stands for the segments of
    ``segment_bytes`` of a rank's block, at least ``least_segments``. It holds for worlds of
    at most ``ranks`` and vectors below ``nbytes``.
    """

    algorithm: str
    ranks: float = math.inf
    nbytes: float = math.inf
    segment_bytes: float = math.inf
    least_segments: int = 1

    __repr__ = brief

    def __post_init__(self) -> None:
        """Refuse limits without room."""
        positive_or_unlimited("ranks", ranks=self.ranks)
        positive_or_unlimited("bytes", nbytes=self.nbytes, segment_bytes=self.segment_bytes)
        whole_numbers("segments", least_segments=self.least_segments)

    def named(self, world_size: int, nbytes: int) -> str:
        """Return the name of the algorithm for a vector of ``nbytes``."""
        pieces = math.ceil(nbytes / self.segment_bytes) if nbytes else 0
        segments = max(self.least_segments, math.ceil(pieces / world_size))
        return self.algorithm.replace("{segments}", str(segments))


@dataclass(frozen=True, slots=True)
class Stack:
    """A library and its transport.

    A message of at most ``eager_bytes`` goes without ``handshake``. Its notices and answers take
    ``control_bytes``; in order, they wait behind bulk data of the same connection. With
    ``slice_bytes`` a rank sends on the part of a chunk that has come, of which ``slots`` slices may
    be in flight; else messages are whole. ``choices`` says by collective which algorithm the
    library takes; the first that fits counts; with the ``tuner`` of ``nccl``, NCCL's own does (see
    emul.stacks.nccl). A byte takes ``wire_factor`` bytes of the links; ``hop_overhead_s`` says by
    ``node``, ``site`` and ``trunk`` the cost of a message for its sender in place of the link's own
    overhead, ``hop_completion_s`` the software that delays a message and occupies nothing.
    ``sources`` says by name where a number comes from.

    ``more_call_s``: by collective, the time of a call beyond ``constants.call_s``.

    ``rules``: of the version of the tuner. ``options``: the variables that the user set, by name
    (see emul.stacks.nccl_levers). ``sockets``: how it sends over TCP. ``net``: its transport beyond
    a node, ``Socket`` or ``IB``, empty where it is yet to be found or the library has but one;
    ``net_assumed``: whether nothing told it. ``shares_ports``: whether messages that meet at a NIC
    share it, as those of several connections of TCP do; else one waits for the other.
    ``free_software``: none of its software takes time, to see the cost of it (see
    emul.stacks.transport.without_host).
    """

    name: str
    description: str = ""
    eager_bytes: float = math.inf
    handshake: str = "none"
    control_bytes: int = 64
    in_order: bool = True
    slice_bytes: int = 0
    slots: int = 8
    tuner: str = "none"
    wire_factor: float = 1.0
    hop_overhead_s: Mapping[str, float] = field(default_factory=FixedMapping)
    hop_completion_s: Mapping[str, float] = field(default_factory=FixedMapping)
    constants: Constants = field(default=NO_CONSTANTS)
    choices: Mapping[str, tuple[Choice, ...]] = field(default_factory=FixedMapping)
    sources: Mapping[str, str] = field(default_factory=FixedMapping)
    rules: TunerRules = field(default=TunerRules())
    options: Mapping[str, str] = field(default_factory=FixedMapping)
    more_call_s: Mapping[str, float] = field(default_factory=FixedMapping)
    sockets: Sockets = field(default=Sockets())
    net: str = ""
    net_assumed: bool = False
    shares_ports: bool = False
    free_software: bool = False

    __repr__ = brief

    def __post_init__(self) -> None:
        """Refuse numbers of no library; keep mappings that nobody can change."""
        of_hops = ("hop_overhead_s", "hop_completion_s")
        for name in (*of_hops, "choices", "sources", "options", "more_call_s"):
            object.__setattr__(self, name, FixedMapping(getattr(self, name)))
        if self.handshake not in HANDSHAKES:
            raise unknown_name("handshake", self.handshake, HANDSHAKES)
        if not self.eager_bytes >= 0:
            raise ArgumentError(f"eager_bytes = {self.eager_bytes}: needed 0 or more bytes")
        positive("bytes", control_bytes=self.control_bytes)
        whole_numbers("slice_bytes", 0, slice_bytes=self.slice_bytes)
        whole_numbers("slots", slots=self.slots)
        positive("bytes on the wire per byte", wire_factor=self.wire_factor)
        for name in of_hops:
            for kind, seconds in getattr(self, name).items():
                if kind not in HOP_KINDS:
                    raise unknown_name("kind of hop", kind, HOP_KINDS)
                not_negative("seconds", **{f"{name}[{kind!r}]": seconds})
        for name, seconds in self.more_call_s.items():
            not_negative("seconds", **{f"more_call_s[{name!r}]": seconds})

    @property
    def host_constants(self) -> Constants:
        """The constants, with the calls of a socket for each message of a library of whole ones.

        Those of NCCL are in the overhead of its hops and in its links.
        """
        sockets, own = self.sockets, self.constants
        if not (self.sends_whole_messages and sockets.message_s + sockets.completion_s):
            return own
        return replace(
            own,
            message_s=own.message_s + sockets.message_s,
            completion_s=own.completion_s + sockets.completion_s,
        )

    def for_call(self, collective: str) -> Stack:
        """Return the stack with the time of a call of this collective among its constants."""
        more_s = self.more_call_s.get(collective, 0.0)
        if not more_s:
            return self
        constants = replace(self.constants, call_s=self.constants.call_s + more_s)
        return replace(self, constants=constants, more_call_s={})

    @property
    def sends_whole_messages(self) -> bool:
        """Whether a rank uses a message only when all of it has come."""
        return self.slice_bytes == 0

    @property
    def over_sockets(self) -> bool:
        """Whether it sends beyond a node over sockets of the kernel."""
        return self.net == SOCKET

    @property
    def fills_windows(self) -> bool:
        """Whether a connection with a window sends it at once, and anew each round trip.

        So does TCP: of a library of whole messages, and of one that sends over sockets.
        """
        whole = self.sends_whole_messages and self.name != IDEAL.name
        return whole or self.over_sockets

    @property
    def told(self) -> str:
        """The name, with the transport and the options, in one line."""
        net = f"NCCL_NET={self.net}{' (assumed)' * self.net_assumed}" if self.net else ""
        chosen = [f"{name}={text}" for name, text in self.options.items() if name != "NCCL_NET"]
        return "  ".join([self.name, *([net] if net else []), *chosen])

    def algorithm_for(self, collective: str, world_size: int, nbytes: int) -> str | None:
        """Return the algorithm that the library takes, None where it is not known."""
        for choice in self.choices.get(collective, ()):
            if world_size <= choice.ranks and nbytes < choice.nbytes:
                return choice.named(world_size, nbytes)
        return None


IDEAL = Stack("ideal", "nothing of a library: messages go when their data are there")
