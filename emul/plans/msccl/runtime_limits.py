"""Plans as the run time of MSCCL takes them: only what it reads, and within its limits.

All facts are those of microsoft/msccl at b23e9cd (src/graph/topo.cc, src/graph/xml.h,
src/include/msccl.h, src/include/devcomm.h). Attributes that it does not read are left out, so the
file says nothing of a root, of steps, of the order of starts, or of unequal chunks; it is read back
as an equivalent plan. Of a size that nchunksperloop does not divide, or of 128 MiB and more, MSCCL
takes another algorithm. Its successors in RCCL and msccl-executor-nccl need attributes of their own
(minBytes, maxBytes, outofplace) and another name for reduce_scatter.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import NoReturn
from xml.etree import ElementTree as ET

import numpy as np

from emul.arrays import Int64Array
from emul.errors import PlanError
from emul.plans.collectives import collective_named
from emul.plans.msccl.document import REQUIRED
from emul.plans.msccl.writing import document_of, text_of
from emul.plans.plan import Plan, RecordedSteps, Step

__all__ = ["written_for_msccl"]

COLLECTIVES = (
    "all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast", "reduce"
)  # fmt: skip
"""That have a name in topo.cc, beside "custom"."""

LONGEST_NAME = 63
"""MSCCL_MAX_ALGO_NAME; a longer value may be written past the end of its buffer."""

MOST_COUNT = 71
"""Chunks that a step moves: below MSCCL_MAX_COUNT."""

MOST_STEPS = 256
"""Of a threadblock: MSCCL_MAX_NUM_STEPS."""

MOST_THREADBLOCKS = 216
"""Of a gpu: MSCCL_MAX_NUM_THREAD_BLOCKS."""

MOST_PEERS = 32
"""Threadblocks of a gpu that send on a channel, or receive: of a channel, at most
MSCCL_MAX_NUM_THREAD_BLOCKS_PER_CHANNEL."""

MOST_CHANNELS = 32
"""MAXCHANNELS."""

LAST_AWAITED = 127
"""The number of a threadblock that others wait for is an int8_t (dependentBid)."""

LAST_OFFSET = 32767
"""Offsets are int16_t (srcoffset, dstoffset)."""

MOST_GPUS = 1023
"""Elements in another one: below MAX_SUBS."""

MOST_ELEMENTS = 4096
"""MAX_NODES; of the file, every rank keeps all gpu elements, and the content of its own."""


def written_for_msccl(plan: Plan) -> str:
    """Return ``plan`` as MSCCL XML for its run time: see emul.plans.msccl_xml."""
    if plan.collective not in COLLECTIVES:
        _refuse(plan, f"MSCCL has no {plan.collective}", f"one of {', '.join(COLLECTIVES)}")
    if collective_named(plan.collective).rooted and plan.root:
        _refuse(plan, f"root {plan.root}, and the file of MSCCL says none", "root 0")
    root = document_of(_in_small_rows(plan))
    _keep_reductions_apart(root)
    _leave_out_additions(root)
    _check(plan, root)
    return text_of(root)


def _refuse(plan: Plan, came: str, needed: str) -> NoReturn:
    raise PlanError(f"{plan} cannot be run by MSCCL: {came}: needed {needed}")


def _in_small_rows(plan: Plan) -> Plan:
    """Return the plan with rows of no more chunks of the file than a step may move."""
    vector = np.diff(plan.partition.edges).astype(np.int64)
    both = np.concatenate([vector] * (2 if plan.apart else 1))
    lengths = np.hstack([np.broadcast_to(both, (len(plan.scratch), len(both))),
                         vector[plan.scratch]])  # fmt: skip
    longest = int(vector.max())
    if longest > MOST_COUNT:
        _refuse(plan, f"a chunk of {longest} chunks of the file", f"at most {MOST_COUNT}")
    small = tuple(_small(step, lengths) for step in RecordedSteps.of(plan).steps)
    return replace(plan, steps=RecordedSteps(small))


def _small(step: Step, lengths: Int64Array) -> Step:
    """Return the step with its long rows in pieces; ``lengths`` are those of the places."""
    ends = np.cumsum(np.pad(lengths, ((0, 0), (1, 0))), axis=1)
    of_rank = step.src if len(ends) > 1 else np.zeros_like(step.src)
    moved = ends[of_rank, step.src_chunk + step.nchunks] - ends[of_rank, step.src_chunk]
    if not (moved > MOST_COUNT).any():
        return step
    rows, first, number = [], [], []
    for row, chunk in enumerate(step.src_chunk.tolist()):
        at = lengths[of_rank[row], chunk : chunk + int(step.nchunks[row])].tolist()
        for start, stop in pairwise(_cuts(at)):
            rows.append(row)
            first.append(start)
            number.append(stop - start)
    taken, ahead = np.array(rows), np.array(first, dtype=np.int32)
    return Step(
        step.src[taken],
        step.dst[taken],
        step.src_chunk[taken] + ahead,
        step.dst_chunk[taken] + ahead,
        np.array(number, dtype=np.int32),
        step.reduce[taken],
        step.channel[taken],
    )


def _cuts(lengths: list[int]) -> list[int]:
    """Return where places of these lengths are cut, so that each piece is within the limit."""
    cuts, moved = [0], 0
    for place, length in enumerate(lengths):
        if moved + length > MOST_COUNT:
            cuts.append(place)
            moved = 0
        moved += length
    return [*cuts, len(lengths)]


def _keep_reductions_apart(root: ET.Element) -> None:
    """Let no two reductions be joined that are of unlike length.

    MSCCL joins reductions in a row into the same place, and takes the last one's length for all;
    those that others may wait for it leaves alone.
    """
    for block in root.iter("tb"):
        for one, next_one in pairwise(block):
            both_reduce = one.get("type") == next_one.get("type") == "re"
            if both_reduce and one.get("cnt") != next_one.get("cnt"):
                one.set("hasdep", "1")


def _leave_out_additions(root: ET.Element) -> None:
    for element in root.iter():
        for name in list(element.attrib):
            if name not in REQUIRED[element.tag]:
                del element.attrib[name]
    root.set("name", root.get("name", "")[:LONGEST_NAME])


def _check(plan: Plan, root: ET.Element) -> None:
    """Raise PlanError for the first limit of the run time that the file is beyond."""

    def within(came: int, most: int, what: str) -> None:
        if came > most:
            _refuse(plan, f"{came} {what}", f"at most {most}")

    gpus = root.findall("gpu")
    within(len(gpus), MOST_GPUS, "ranks")
    within(int(root.get("nchannels", 0)), MOST_CHANNELS, "channels")
    for gpu in gpus:
        at = f"of rank {gpu.get('id')}"
        blocks, steps = gpu.findall("tb"), list(gpu.iter("step"))
        within(len(blocks), MOST_THREADBLOCKS, f"threadblocks {at}")
        for end in ("send", "recv"):
            peers = Counter(each.get("chan") for each in blocks if each.get(end) != "-1")
            within(max(peers.values(), default=0), MOST_PEERS, f"peers {at} to {end} on a channel")
        most = max((len(block) for block in blocks), default=0)
        within(most, MOST_STEPS, f"steps of a threadblock {at}")
        within(1 + len(gpus) + len(blocks) + len(steps), MOST_ELEMENTS, f"elements {at}")
        awaited = max((int(step.get("depid", -1)) for step in steps), default=-1)
        within(awaited, LAST_AWAITED, f"as the number of a threadblock {at} that others wait for")
        offsets = (int(step.get(each, -1)) for step in steps for each in ("srcoff", "dstoff"))
        within(max(offsets, default=-1), LAST_OFFSET, f"as an offset {at}")
