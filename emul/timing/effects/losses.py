"""How much later messages arrive because packets near their end are lost, by chance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from emul.arrays import Float64Array, Int64Array, UInt64Array
from emul.links import Link
from emul.links.draws import exponential, uniform

__all__ = ["Losses"]


SURELY = 1e-9
"""Relative difference beyond which two numbers compare alike, however they were rounded."""

NEGLIGIBLE = 1e-15
"""A packet that is lost so many times in a row that its probability is below this is left out."""


class Losses(NamedTuple):
    """What transfers lose on their links, under selective repeat: all (transfers,).

    ``packets``: of each transfer; ``packet_s``: from one to the next; ``loss``: the probability
    that a packet is lost; ``most``: how many times in a row one is lost at most; ``rtt_s``: how
    much later it is there each time; ``least``: a draw below which nothing is lost.
    ``rto_s``: how long a message waits whose very last packet is lost, under any way of recovery.
    """

    packets: Float64Array
    packet_s: Float64Array
    loss: Float64Array
    most: Float64Array
    rtt_s: Float64Array
    least: Float64Array
    rto_s: Float64Array

    @classmethod
    def of(cls, link: Link, nbytes: Int64Array, line: Float64Array) -> Losses:
        """Return those of transfers of ``nbytes`` on one link.

        ``line`` (transfers,): bytes per second at which packets follow one another. Under selective
        repeat each loss is made good one round trip later; the cost of the other ways of recovery
        is in the rate already.
        """
        transport = link.transport
        packets = -(-nbytes // int(transport.mtu_bytes))
        # Nearly all lose nothing, and of them that can be told without the logarithm of their
        # draws, which are below 1.
        least = np.exp(np.log1p(-transport.loss) * (packets + 1.0)) * (1 - SURELY)
        most = np.ceil(np.log(NEGLIGIBLE) / np.log(transport.loss))
        return cls(
            packets.astype(np.float64),
            transport.mtu_bytes / line,
            np.full(len(nbytes), transport.loss),
            np.full(len(nbytes), most),
            np.full(len(nbytes), link.rtt_s),
            least if transport.recovery == "sr" else np.ones(len(nbytes)),
            np.full(len(nbytes), transport.rto_s),
        )

    def at(self, which: Int64Array) -> Losses:
        """Return those of some transfers."""
        return Losses(*(column[which] for column in self))

    def tails_s(self, keys: UInt64Array) -> Float64Array:
        """Return how many seconds later each arrives because of packets lost near its end.

        ``keys``: by transfer, each time: (times, transfers), as the result.
        """
        tail_s = np.zeros(keys.shape)
        may = np.nonzero(uniform(keys, 0) >= self.least)
        if len(may[-1]):
            tail_s[may] = self.at(may[-1])._tails_s(keys[may])
        return tail_s

    def _tails_s(self, keys: UInt64Array) -> Float64Array:
        """Return the same of transfers that may lose some."""
        tail_s = np.zeros(len(keys))
        rate, again = -np.log1p(-self.loss), -np.log(self.loss)
        before = np.zeros(len(keys))  # packets from the end, the next lost one included
        draw = 0
        while True:
            before += np.floor(exponential(keys, draw) / rate) + 1
            lost = before <= self.packets
            reach_s = self.most * self.rtt_s - (before - 1) * self.packet_s
            if not (lost & (reach_s > 0)).any():
                return tail_s
            times = 1 + np.floor(exponential(keys, draw + 1) / again)
            late_s = times * self.rtt_s - (before - 1) * self.packet_s
            tail_s = np.where(lost, np.maximum(tail_s, late_s), tail_s)
            draw += 2

    def timers_s(self, keys: UInt64Array) -> Float64Array:
        """Return how long each message waits for the timer because its last packet was lost.

        Nothing follows that could tell of it: RDMA waits for ``rto_s``. ``keys``: as of
        ``tails_s``.
        """
        result: Float64Array = np.where(uniform(keys, 0) < self.loss, self.rto_s, 0.0)
        return result
