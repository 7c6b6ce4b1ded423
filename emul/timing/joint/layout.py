"""One issue laid out: the transfers with which its ranks start, its own, those with which they end.

It is the same for each issue of a footprint but for where it begins, so it is kept with that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from emul.arrays import Int64Array, UInt8Array
from emul.plans import Multiplicity
from emul.timing.effects.drawn_delays import connection_keys
from emul.timing.engine.dependencies import STARTS_KIND, UPON_ARRIVAL_KIND, UPON_SENT_KIND
from emul.timing.joint.rank_ops import CHANNELS, Footprint
from emul.timing.traffic import NOBODY, Transfers, connections_of

__all__ = ["COLUMNS", "EdgeList", "Layout", "joined", "keys_of", "stays"]


COLUMNS = (
    "src", "dst", "channel", "nbytes", "begins", "takes", "remainder", "host_ps", "completion_ps",
    "growth",
)  # fmt: skip
EdgeList = tuple[Int64Array, Int64Array, UInt8Array]
"""Earlier and later transfers, and the kinds of the waits between them."""


def stays(ranks: npt.NDArray[np.integer], host_ps: npt.NDArray[np.number]) -> Transfers:
    """Return a transfer of each of ``ranks`` to itself, which takes so long: (ranks,)."""
    nothing: Int64Array = np.zeros(len(ranks), dtype=np.int64)
    own, none = ranks.astype(np.int32), nothing.astype(np.uint8)
    return Transfers(
        src=own,
        dst=own,
        channel=nothing.astype(np.int32),
        nbytes=nothing,
        begins=none,
        takes=nothing,
        remainder=none,
        credit=0,
        host_ps=host_ps.astype(np.int64),
        completion_ps=nothing,
        call_ps=0,
        multiplicity=None,
        origin=None,
        growth=nothing + 1,
    )


def joined(pieces: list[Transfers]) -> Transfers:
    """Return the transfers of all pieces, one after the other."""
    columns = {name: np.concatenate([getattr(each, name) for each in pieces]) for name in COLUMNS}
    credit, several = max(each.credit for each in pieces), _joined_multiplicity(pieces)
    return Transfers(**columns, credit=credit, call_ps=0, multiplicity=several, origin=None)


def _joined_multiplicity(pieces: list[Transfers]) -> Multiplicity | None:
    """Return how many transfers each of all ``pieces`` stands for; None if all for themselves."""
    if all(each.multiplicity is None for each in pieces):
        return None
    alike = np.concatenate([connections_of(each) for each in pieces])
    return Multiplicity(alike, np.ones_like(alike), np.zeros_like(alike))


def keys_of(transfers: Transfers) -> Int64Array:
    """Return the keys of their connections, NOBODY of those that stay with their rank."""
    keys = connection_keys(transfers.src, transfers.dst, transfers.channel)
    keys[transfers.src == transfers.dst] = NOBODY
    return keys


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The transfers of a footprint from the starts of its ranks to their ends, and all waits.

    Transfers are numbered from 0. ``keys``: as of ``keys_of``.
    """

    transfers: Transfers
    keys: Int64Array
    edges: EdgeList

    @classmethod
    def of(cls, footprint: Footprint) -> Layout:
        """Return the layout of ``footprint``, which is made once for all delays."""
        footprint = footprint.drawn_from or footprint
        layout = _LAYOUTS.get(footprint)
        if layout is None:
            layout = _LAYOUTS[footprint] = cls._of(footprint)
        return layout

    @classmethod
    def _of(cls, footprint: Footprint) -> Layout:
        ranks, own = footprint.ranks, footprint.transfers
        channel = own.channel + np.int32(footprint.communicator * CHANNELS)
        start = stays(ranks, np.full(len(ranks), footprint.call_ps))
        end = stays(ranks, np.zeros(len(ranks)))
        transfers = joined([start, replace(own, channel=channel), end])
        return cls(transfers, keys_of(transfers), _waits(footprint))


_LAYOUTS: WeakKeyDictionary[Footprint, Layout] = WeakKeyDictionary()


def _waits(footprint: Footprint) -> EdgeList:
    """Return who waits for whom between starts, transfers and ends."""
    ranks, own = footprint.ranks, footprint.transfers
    starts = np.arange(len(ranks))
    lines = len(ranks) + np.arange(len(own.src))
    ends = starts + len(ranks) + len(lines)
    sender, receiver = (np.searchsorted(ranks, each) for each in (own.src, own.dst))
    more = [(starts[sender], lines), (starts, ends), (lines, ends[receiver])]
    kinds = [STARTS_KIND] * len(more)
    if footprint.release != "issue":
        more.append((lines, ends[sender]))
        upon = UPON_SENT_KIND if footprint.release == "sent" else UPON_ARRIVAL_KIND
        kinds.append(STARTS_KIND | upon)
    kind = [np.full(len(a), kind, np.uint8) for (a, _), kind in zip(more, kinds, strict=True)]
    return (
        np.concatenate([footprint.earlier + len(ranks), *(a for a, _ in more)]),
        np.concatenate([footprint.later + len(ranks), *(b for _, b in more)]),
        np.concatenate([footprint.kind, *kind]),
    )
