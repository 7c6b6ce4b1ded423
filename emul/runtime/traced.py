"""The trace of all collectives of a World that are remembered."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from emul.runtime.history import HistoryEntry, HistoryRow
from emul.timing.traced import Traced, check_traceable, trace_of_many
from emul.topology import Network
from emul.tracks import Slice, Trace

__all__ = ["trace_of_history"]

FORGOTTEN = "transfers are no longer kept"


def trace_of_history(entries: Iterable[tuple[int, HistoryEntry]], network: Network) -> Trace:
    """Return the trace of ``entries``, with their numbers, on the ranks of ``network``.

    A collective is a slice from its issue until its end; of those whose transfers are forgotten,
    it says so. Raises CapacityError for more transfers than a trace has.
    """
    numbered = list(entries)
    check_traceable(sum(entry.lines for _, entry in numbered))
    collectives, operations = [], []
    for number, entry in numbered:
        row = HistoryRow(number, *entry.row)
        crossings = entry.crossings()
        if crossings is not None:
            name = f"{row.collective} {number}"
            collectives.append(Traced(name, crossings, np.zeros(len(crossings), dtype=bool)))
        operations.append(_operation(row, None if crossings is None else len(crossings)))
    first = numbered[0][0] if numbered else 0
    facts = {"left out": f"the first {first} collectives are no longer kept"} if first else {}
    return trace_of_many(network, collectives, operations, facts)


def _operation(row: HistoryRow, transfers: int | None) -> Slice:
    """Return the slice of a collective, on the track of its communicator."""
    args: dict[str, int | str] = {
        "number": row.number,
        "issued_ps": row.issued_ps,
        "started_ps": row.started_ps,
        "done_ps": row.done_ps,
        "transfers": FORGOTTEN if transfers is None else transfers,
    }
    name = f"{row.collective} {row.number}"
    return Slice(row.communicator, row.issued_ps, row.done_ps, name, args)
