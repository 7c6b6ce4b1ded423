"""One issue laid out: the transfers with which its ranks start, its own, those with which they end.

It is the same for each issue of a footprint but for where it begins, so it is kept with that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from emul.arrays import Int32Array, Int64Array, UInt8Array
from emul.plans import Multiplicity
from emul.timing.effects.drawn_delays import connection_keys
from emul.timing.engine.dependencies import STARTS_KIND, UPON_ARRIVAL_KIND, UPON_SENT_KIND
from emul.timing.joint.rank_ops import CHANNELS, Footprint
from emul.timing.traffic import NOBODY, Transfers, connections_of

__all__ = [
    "COLUMNS",
    "EdgeList",
    "Layout",
    "Piece",
    "Stay",
    "joined",
    "keys_of",
    "picked",
]


COLUMNS: dict[str, type[np.generic]] = {
    "src": np.int32,
    "dst": np.int32,
    "channel": np.int32,
    "nbytes": np.int64,
    "begins": np.uint8,
    "takes": np.int64,
    "remainder": np.uint8,
    "host_ps": np.int64,
    "completion_ps": np.int64,
    "growth": np.int64,
}
"""The columns of transfers that a joint schedule reads."""

EdgeList = tuple[Int32Array, Int32Array, UInt8Array]
"""Earlier and later transfers, and the kinds of the waits between them."""


class Stay(NamedTuple):
    """A transfer of each of ``ranks`` to itself, which takes ``host_ps`` (ranks,) each."""

    ranks: npt.NDArray[np.integer]
    host_ps: npt.NDArray[np.number]


Piece = Stay | Transfers


def joined(pieces: list[Piece]) -> Transfers:
    """Return the transfers of all pieces, one after the other."""
    sizes = [len(each.ranks if isinstance(each, Stay) else each.src) for each in pieces]
    ends = np.cumsum(sizes).tolist()
    columns = {name: np.zeros(ends[-1], kind) for name, kind in COLUMNS.items()}
    columns["growth"][:] = 1
    sent: list[tuple[Transfers, int]] = []
    for piece, size, end in zip(pieces, sizes, ends, strict=True):
        here = slice(end - size, end)
        if isinstance(piece, Stay):
            columns["src"][here] = columns["dst"][here] = piece.ranks
            columns["host_ps"][here] = piece.host_ps
            continue
        sent.append((piece, end))
        for name, column in columns.items():
            column[here] = getattr(piece, name)
    return Transfers(
        **columns,
        credit=max((each.credit for each, _ in sent), default=0),
        call_ps=0,
        multiplicity=_joined_multiplicity(sent, ends[-1]),
        origin=None,
    )


def picked(transfers: Transfers, which: Int64Array) -> Transfers:
    """Return those transfers of a joint schedule, in the order of ``which``."""
    columns = {name: getattr(transfers, name)[which] for name in COLUMNS}
    several = transfers.multiplicity
    again = None if several is None else several.of(which)
    return replace(transfers, **columns, multiplicity=again, origin=None)


def _joined_multiplicity(sent: list[tuple[Transfers, int]], size: int) -> Multiplicity | None:
    """Return how many transfers each stands for; None if all for themselves.

    ``sent``: pieces of all, each with where it ends.
    """
    if all(each.multiplicity is None for each, _ in sent):
        return None
    alike: Int64Array = np.ones(size, dtype=np.int64)
    for each, end in sent:
        alike[end - len(each.src) : end] = connections_of(each)
    return Multiplicity(alike, np.ones_like(alike), np.zeros_like(alike))


def keys_of(transfers: Transfers) -> Int64Array:
    """Return the keys of their connections, NOBODY of those that stay with their rank."""
    keys = connection_keys(transfers.src, transfers.dst, transfers.channel)
    keys[transfers.src == transfers.dst] = NOBODY
    return keys


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The transfers of a footprint from the starts of its ranks to their ends, and all waits.

    Transfers are numbered from 0.
    """

    transfers: Transfers
    edges: EdgeList

    @classmethod
    def of(cls, footprint: Footprint) -> Layout:
        """Return the layout of ``footprint``, which is made once."""
        layout = _LAYOUTS.get(footprint)
        if layout is None:
            layout = _LAYOUTS[footprint] = cls._of(footprint)
        return layout

    @classmethod
    def _of(cls, footprint: Footprint) -> Layout:
        ranks, own = footprint.ranks, footprint.transfers
        channel = own.channel + np.int32(footprint.communicator * CHANNELS)
        start = Stay(ranks, np.full(len(ranks), footprint.call_ps))
        end = Stay(ranks, np.zeros(len(ranks), dtype=np.int64))
        transfers = joined([start, replace(own, channel=channel), end])
        return cls(transfers, _waits(footprint))


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
    earlier = np.concatenate([footprint.earlier + len(ranks), *(a for a, _ in more)])
    later = np.concatenate([footprint.later + len(ranks), *(b for _, b in more)])
    return earlier.astype(np.int32), later.astype(np.int32), np.concatenate([footprint.kind, *kind])
