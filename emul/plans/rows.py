"""Building steps: rows from single chunks, and steps run backwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt

from emul.plans.plan import Step

__all__ = ["backwards", "chunk_rows", "gathering"]


def chunk_rows(
    src: npt.ArrayLike,
    dst: npt.ArrayLike,
    chunk: npt.ArrayLike,
    *,
    reduce: bool,
    dst_chunk: npt.ArrayLike | None = None,
) -> Step:
    """Return a step that sends single chunks, joined into runs.

    Arguments are broadcast. Rows come by sender and receiver, so that all chunks of a pair are
    one transfer.
    """
    into = chunk if dst_chunk is None else dst_chunk
    columns = [np.asarray(c).ravel() for c in np.broadcast_arrays(src, dst, chunk, into)]
    order = np.lexsort(columns[2::-1])
    senders, receivers, sent, written = (column[order] for column in columns)
    pairs = (np.diff(senders) != 0) | (np.diff(receivers) != 0)
    starts = np.ones(len(order), dtype=bool)
    starts[1:] = pairs | (np.diff(sent) != 1) | (np.diff(written) != 1)
    first = np.flatnonzero(starts)
    return Step.of(
        senders[first],
        receivers[first],
        sent[first],
        dst_chunk=written[first],
        reduce=reduce,
        nchunks=np.diff(first, append=len(order)),
    )


def gathering(collective: str, all_gather: Callable[[], Iterator[Step]]) -> Iterator[Step]:
    """Yield the steps of all_reduce, reduce_scatter or all_gather, made of ``all_gather``.

    Reduce-scatter is the all-gather run backwards, all-reduce one after the other.
    """
    if collective in ("all_reduce", "reduce_scatter"):
        yield from backwards(all_gather(), reduce=True)
    if collective in ("all_reduce", "all_gather"):
        yield from all_gather()


def backwards(steps: Iterable[Step], *, reduce: bool) -> Iterator[Step]:
    """Yield ``steps`` from the last to the first, every receiver sending to its sender.

    Where a chunk was copied, contributions come back along the same way, and are collected or
    reduced. That is right when no rank was sent a chunk twice or one that it had.
    """
    for step in reversed(list(steps)):
        yield _turned(step, reduce=reduce)


def _turned(step: Step, *, reduce: bool) -> Step:
    """Return ``step`` with senders and receivers exchanged, by sender and receiver."""
    order = np.lexsort((step.src_chunk, step.channel, step.src, step.dst))
    return Step(
        step.dst[order],
        step.src[order],
        step.dst_chunk[order],
        step.src_chunk[order],
        step.nchunks[order],
        np.full(len(step), reduce),
        step.channel[order],
    )
