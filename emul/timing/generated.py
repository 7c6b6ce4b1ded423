"""Regular plans timed without tables: the figures common to all steps, found out once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emul.arrays import BoolArray, Float64Array, Int32Array, Int64Array, UInt8Array
from emul.plans import BufferLayout, Encoded, Encoding, Plan, Rounds, Shape
from emul.stacks import IDEAL, Stack
from emul.timing.effects.connection_table import ConnectionTable
from emul.timing.engine.rounds import total_of_rounds
from emul.timing.protocol import windows_of, with_hop_costs
from emul.timing.traffic import Slicing, Transfers
from emul.topology import Network
from emul.units import PS_PER_S

__all__ = ["RingConnections", "generated_total_ps"]


ONE_BY_ONE, PLAIN, ALIKE = range(3)
"""How connections are served, as in emul.timing.engine.rounds."""

ALIKE_IN_A_ROW = 32
"""Runs of connections that are alike are worth a call each if they are so long (measured)."""


@dataclass(frozen=True, slots=True, eq=False)
class RingConnections:
    """Those of Rounds, channel after channel, as engine.rounds reads them: (channels * n,).

    ``out``, ``into``: numbers of their ports, in the order in which they are first met; ``piped``:
    whether there is a connection between; ``overhead``, ``latency``, ``spacing`` in picoseconds.
    Blocks may be ``even``, all of as many bytes. ``occupied[out_at + shift]`` is the time its bytes
    occupy at the sender's port in a step of that shift; ``into_at`` and ``pipe_at`` likewise.
    ``spans`` (spans, 3): connections from, to, and how they are served.
    """

    n: int
    channels: int
    even: bool
    out: Int32Array
    into: Int32Array
    piped: UInt8Array
    overhead: Float64Array
    latency: Float64Array
    spacing: Float64Array
    out_at: Int64Array
    into_at: Int64Array
    pipe_at: Int64Array
    occupied: Float64Array
    spans: Int64Array

    @classmethod
    def of(
        cls, step: Transfers, nbytes: Int64Array, network: Network, table: ConnectionTable
    ) -> RingConnections:
        """Return the connections of ``step``, which all of them are part of.

        ``nbytes`` (channels, n): of the block of the rank at each position, on each channel.
        """
        channels, n = nbytes.shape
        paths = network.paths(step.src, step.dst)
        ports = network.ports_out(step.src, step.dst), network.ports_in(step.src, step.dst)
        connection = table.connection
        piped = connection >= 0
        rate = np.append(table.rate, np.inf)[connection]
        rates = np.stack([*(network.link_rate[each] for each in ports), rate])
        even = bool((nbytes == nbytes[0, 0]).all())
        occupied, places = _occupied(rates, nbytes, even=even)
        out, into = (_numbered(each) for each in ports)
        host_ps = step.host_ps if len(step.host_ps) else np.zeros(1, dtype=np.int64)
        overhead = (network.path_overhead_ps[paths] + host_ps).astype(np.float64)
        latency = network.path_latency_ps[paths].astype(np.float64)
        numbers = np.stack([overhead, latency, *rates[:2]])
        return cls(
            n=n,
            channels=channels,
            even=even,
            out=out,
            into=into,
            piped=piped.astype(np.uint8),
            overhead=overhead,
            latency=latency,
            spacing=np.append(table.spacing_ps, 0)[connection].astype(np.float64),
            out_at=places[0],
            into_at=places[1],
            pipe_at=places[2],
            occupied=occupied,
            spans=_spans(
                piped | (channels > 1) | network.shares_nics, places, numbers if even else None
            ),
        )


def generated_total_ps(
    plan: Plan,
    shape: Shape,
    encoding: Encoded,
    network: Network,
    slicing: Slicing | None = None,
    *,
    stack: Stack = IDEAL,
) -> int | None:
    """Return the picoseconds that ``plan`` takes, as ``time_plan`` has them, without any table.

    Returns None where that cannot be: the plan is not of Rounds, ranks have blocks of their own
    lengths, a block is empty or goes in slices, credit may run out, the stack shakes hands, trunks
    are shared or change, links have draws or windows that are filled anew each round trip, heads
    come to a port in another order than that of the plan, or the time is more than 2.5 hours.
    """
    rounds, regular = plan.steps, plan.order == "free" and plan.waits is None
    whole = stack is not IDEAL and stack.sends_whole_messages
    filled = stack.fills_windows and bool(np.isfinite(windows_of(network)).any())
    if not isinstance(rounds, Rounds) or not regular or whole or filled:
        return None
    nbytes = _block_bytes(rounds, BufferLayout.of(plan, shape), encoding, slicing)
    if nbytes is None:
        return None
    if not len(rounds):
        return 0
    if stack is not IDEAL:
        nbytes = np.ceil(nbytes * stack.wire_factor).astype(np.int64)
    network = with_hop_costs(network, stack)
    step = _first_step(rounds, nbytes, stack)
    table = ConnectionTable.of(step, network, seed=0, start_s=0.0, until_s=0.0)
    drawn, streams = len(table.jitter_ps), len(table.classes.of_stream)
    if drawn or streams or table.cwnd_rtt_ps.any():
        return None
    connections = RingConnections.of(step, nbytes, network, table)
    shifts = np.zeros(len(rounds), dtype=np.int64)
    if not connections.even:
        shifts = connections.n - rounds.behind(np.arange(len(rounds)))
    return total_of_rounds(connections, step.call_ps, shifts)


def _block_bytes(
    rounds: Rounds, layout: BufferLayout, encoding: Encoded, slicing: Slicing | None
) -> Int64Array | None:
    """Return the bytes of each position's block, (channels, n); None if they are irregular."""
    channels = len(rounds.orders)
    place = rounds.orders * channels + np.arange(channels)[:, None]
    nbytes = Encoding.of(encoding).nbytes_of_each(np.diff(layout.edges[0])[place])
    if len(layout.edges) > 1 or not nbytes.all():
        return None
    if slicing is None:
        return nbytes
    in_slices = (nbytes > slicing.slice_bytes).any()
    carried = int(slicing.taken_by(nbytes).max()) * len(rounds)
    waits_for_credit = 0 < slicing.credit < carried
    return None if in_slices or waits_for_credit else nbytes


def _first_step(rounds: Rounds, nbytes: Int64Array, stack: Stack) -> Transfers:
    """Return the transfers of the first step: one of every connection."""
    channels, n = rounds.orders.shape
    src = rounds.orders.ravel().astype(np.int32)
    nothing: Int64Array = np.zeros(0, dtype=np.int64)
    message_ps = np.int64(round(stack.host_constants.message_s * PS_PER_S))
    return Transfers(
        src=src,
        dst=np.roll(rounds.orders, -1, axis=1).ravel().astype(np.int32),
        channel=np.repeat(np.arange(channels, dtype=np.int32), n),
        nbytes=np.roll(nbytes, int(rounds.reduces[0]), axis=1).ravel(),
        begins=np.ones(len(src), dtype=np.uint8),
        takes=nothing,
        remainder=np.zeros(0, dtype=np.uint8),
        credit=0,
        host_ps=nothing if stack is IDEAL else np.full(len(src), message_ps),
        completion_ps=nothing,
        call_ps=0 if stack is IDEAL else round(stack.constants.call_s * PS_PER_S),
        multiplicity=None,
        origin=None,
        growth=nothing,
    )


def _numbered(ports: Int64Array) -> Int32Array:
    """Return the numbers of ports in the order in which they are first met."""
    _, first, which = np.unique(ports, return_index=True, return_inverse=True)
    number = np.empty(len(first), dtype=np.int32)
    number[np.argsort(first)] = np.arange(len(first))
    numbered: Int32Array = number[which]
    return numbered


def _occupied(
    rates: Float64Array, nbytes: Int64Array, *, even: bool
) -> tuple[Float64Array, Int64Array]:
    """Return the picoseconds that bytes occupy, and where those of each connection begin.

    ``rates`` (3, connections): at the two ports and in the connection; so is the second result.
    With ``even`` blocks each connection has one number at each. Else every rate of a channel has a
    row of all its blocks, twice: a connection begins at its position and reads on as far as the
    step says.
    """
    channels, n = nbytes.shape
    if even:
        alike = _ps(np.full(rates.size, nbytes[0, 0]), rates.ravel())
        return alike, np.arange(rates.size).reshape(rates.shape)
    used, which = np.unique(rates, return_inverse=True)
    rows = np.concatenate([nbytes, nbytes], axis=1)
    occupied = _ps(rows[None], used[:, None, None])
    row = which.reshape(len(rates), channels, n) * channels + np.arange(channels)[:, None]
    places = row * (2 * n) + np.arange(n)
    return occupied.ravel(), places.reshape(rates.shape)


def _ps(nbytes: Int64Array, rate: Float64Array) -> Float64Array:
    """Return the picoseconds that bytes take, to the nearest, as the scheduler has them."""
    ps: Float64Array = np.floor(nbytes * float(PS_PER_S) / rate + 0.5)
    return ps


def _spans(apart: BoolArray, places: Int64Array, numbers: Float64Array | None) -> Int64Array:
    """Return runs of connections: from, to, and how they are served.

    Those that are ``apart`` go one by one; the others side by side, as long as their occupancies
    stands so (``places``); as if they were one where ``numbers``, (kinds, connections), say that
    they are alike, if that makes long runs.
    """
    joined = apart[1:] == apart[:-1]
    if numbers is not None:
        alike = joined & (apart[1:] | (np.diff(numbers) == 0).all(axis=0))
        if ALIKE_IN_A_ROW * np.count_nonzero(~alike) < len(apart):
            return _runs(alike, np.where(apart, ONE_BY_ONE, ALIKE))
    side_by_side = apart[1:] | (np.diff(places[:2]) == 1).all(axis=0)
    return _runs(joined & side_by_side, np.where(apart, ONE_BY_ONE, PLAIN))


def _runs(joined: BoolArray, how: Int64Array) -> Int64Array:
    first = np.flatnonzero(np.append(True, ~joined))
    end = np.append(first[1:], len(how))
    return np.stack([first, end, how[first]], axis=1).astype(np.int64)
