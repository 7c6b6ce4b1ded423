"""Writes a plan as MSCCL XML.

Every connection has a threadblock of its own at both ends; moves inside a rank have one more.
A step depends on those that wrote its source, and on those that still had to read the place that it
writes. In a step of the plan every rank sends first, then works inside itself, then receives, so
that everything reads the state before the step.

The files keep to MSCCL's format, not to the limits of its run time: for that, see
runtime_limits.py. See own.py for the additions.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple
from xml.etree import ElementTree as ET

import numpy as np

from emul.errors import PlanError
from emul.plans.collectives import collective_named
from emul.plans.msccl.attributes import MOST_CHUNKS
from emul.plans.msccl.document import COLLECTIVES, MOST_MOVES, MOST_STEPS
from emul.plans.msccl.own import cut_edges
from emul.plans.plan import Plan, Step
from emul.reading.printable import printable

__all__ = ["document_of", "text_of", "written"]

LOCAL = (-1, -1, 0)
NAMES = {ours: name for name, ours in reversed(COLLECTIVES.items())}


def written(plan: Plan) -> str:
    """Return ``plan`` as MSCCL XML: see emul.plans.plan_xml."""
    return text_of(document_of(plan))


def text_of(root: ET.Element) -> str:
    """Return the text of a file."""
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def document_of(plan: Plan) -> ET.Element:
    """Return ``plan`` as the element of a file, with the attributes that emul adds."""
    if plan.waits is not None and plan.spec is not None:
        raise PlanError(f"{plan}: its loops wait for each other: needed a ring without loops")
    if plan.waits is not None:
        raise PlanError(f"{plan} was read from a file: needed a plan of emul, or copy the file")
    n_units = plan.partition.blocks * plan.partition.units
    if n_units > MOST_CHUNKS:
        raise PlanError(f"{plan}: cut into {n_units} units: needed at most {MOST_CHUNKS}")
    writer = _Writer(plan)
    writer.take_all()
    return writer.document()


class _Row(NamedTuple):
    """A row of a step, with the places that it reads and writes."""

    src: int
    dst: int
    source: range
    target: range
    reduce: bool
    channel: int


NumberedRow = tuple[tuple[int, int], _Row]
"""With the numbers of its step and of itself."""


@dataclass(slots=True)
class _StepElement:
    """A ``step`` element in the making."""

    type: str
    source: range
    target: range
    block: _Block
    number: int
    row: tuple[int, int] | None = None
    depends: tuple[_Block, int] | None = None
    has_dependents: bool = False


@dataclass(slots=True, eq=False)
class _Block:
    """A threadblock: whom it sends to, hears from, its channel, and its steps."""

    ends: tuple[int, int, int]
    steps: list[_StepElement] = field(default_factory=list)
    waited: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class _PlaceUse:
    writer: _StepElement | None = None
    readers: list[_StepElement] = field(default_factory=list)


class _Writer:
    """Turns rows into the steps of threadblocks, and remembers who touched each place last."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.blocks: list[dict[tuple[int, int, int], _Block]]
        self.blocks = [{} for _ in range(plan.world_size)]
        self.places: defaultdict[tuple[int, int], _PlaceUse] = defaultdict(_PlaceUse)
        self.steps = self.moves = 0
        self.ranges: list[tuple[int, int]] = []
        self.scratch = np.broadcast_to(plan.scratch, (plan.world_size, plan.scratch.shape[1]))
        lengths = np.diff(plan.partition.edges)[self.scratch]
        self.scratch_starts = np.cumsum(np.pad(lengths, ((0, 0), (1, 0))), axis=1).tolist()

    def take_all(self) -> None:
        """Take in all rows of the plan."""
        number = 0
        for at, step in enumerate(self.plan.steps()):
            rows = list(_rows(step))
            self.take(at, number, rows)
            number += len(rows)

    def take(self, at: int, number: int, rows: list[_Row]) -> None:
        """Take in one step: its sends, its moves inside ranks, its receives."""
        numbered = [((at, number + i), row) for i, row in enumerate(rows)]
        remote = [each for each in numbered if each[1].src != each[1].dst]
        for key, row in remote:
            block = self.block(row.src, (row.dst, -1, row.channel))
            self.add(row.src, block, "s", row.source, row.target, key)
        inside = [each for each in numbered if each[1].src == each[1].dst]
        for key, row in _readers_first(self.plan, inside):
            kind = "re" if row.reduce else "cpy"
            self.add(row.src, self.block(row.src, LOCAL), kind, row.source, row.target, key)
        for _, row in remote:
            block = self.block(row.dst, (-1, row.src, row.channel))
            own = row.target if row.reduce else row.source
            self.add(row.dst, block, "rrc" if row.reduce else "r", own, row.target, None)

    def block(self, rank: int, ends: tuple[int, int, int]) -> _Block:
        """Return the threadblock of ``rank`` with these ends."""
        return self.blocks[rank].setdefault(ends, _Block(ends))

    def add(
        self,
        rank: int,
        block: _Block,
        kind: str,
        source: range,
        target: range,
        row: tuple[int, int] | None,
    ) -> None:
        """Append a step, behind those that it depends on."""
        reads = [self.places[rank, place] for place in source] if kind in ("s", "cpy", "re") else []
        writes = [self.places[rank, place] for place in target] if kind != "s" else []
        needed = [place.writer for place in reads + writes if place.writer]
        needed += [reader for place in writes for reader in place.readers]
        before = self._still_to_wait_for(block, needed)
        for earlier in before[:-1]:
            self._append(block, "nop", range(0), range(0), None, earlier)
        done = self._append(block, kind, source, target, row, before[-1] if before else None)
        for place in reads:
            place.readers.append(done)
        for place in writes:
            place.writer, place.readers = done, []
        self.ranges += [self._units(each) for each in (source, target) if kind != "nop"]

    def _still_to_wait_for(self, block: _Block, needed: list[_StepElement]) -> list[_StepElement]:
        """Return the last step that is needed of each other threadblock, if not waited for yet."""
        last: dict[int, _StepElement] = {}
        for each in needed:
            key = id(each.block)
            if each.block is not block and each.number > block.waited.get(key, -1):
                last[key] = max(last.get(key, each), each, key=lambda one: one.number)
        for key, each in last.items():
            block.waited[key] = each.number
            each.has_dependents = True
        return list(last.values())

    def _append(
        self,
        block: _Block,
        kind: str,
        source: range,
        target: range,
        row: tuple[int, int] | None,
        after: _StepElement | None,
    ) -> _StepElement:
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise PlanError(f"{self.plan}: needed a plan of at most {MOST_STEPS} steps in a file")
        self.moves += len(source)
        if self.moves > MOST_MOVES:
            raise PlanError(f"{self.plan}: needed a plan that moves at most {MOST_MOVES} chunks")
        depends = (after.block, after.number) if after else None
        step = _StepElement(kind, source, target, block, len(block.steps), row, depends)
        block.steps.append(step)
        return step

    def _units(self, places: range) -> tuple[int, int]:
        """Return from where to where ``places`` are in the chunks of the file's vector."""
        chunks, edges = self.plan.partition.n_chunks, self.plan.partition.edges
        if places.start >= self.plan.vectors:
            return 0, 0
        first = places.start % chunks
        if first + len(places) > chunks:
            raise PlanError(f"{self.plan}: a row goes beyond its vector: needed one that does not")
        return int(edges[first]), int(edges[first + len(places)])

    def document(self) -> ET.Element:
        """Return the file."""
        plan, promise = self.plan, collective_named(self.plan.collective)
        partition = plan.partition
        n_units = partition.blocks * partition.units
        channels = [ends[2] for blocks in self.blocks for ends in blocks]
        root = ET.Element(
            "algo",
            name=printable(plan.algorithm),  # XML has no form for most control characters
            proto="Simple",
            nchannels=str(1 + max(channels, default=0)),
            nchunksperloop=str(n_units),
            ngpus=str(plan.world_size),
            coll=NAMES[plan.collective],
            inplace=str(int(not plan.apart)),
            outofplace=str(int(plan.apart)),
            root=str(plan.root),
            order=plan.order,
            units=str(partition.units),
        )
        if plan.under_way > 1:
            root.set("underway", str(plan.under_way))
        if plan.drains:
            root.set("drains", " ".join(map(str, plan.drains)))
        edges = partition.edges.tolist()
        if edges != cut_edges(partition.units, n_units, self.ranges):
            root.set("edges", " ".join(map(str, edges)))
        block = n_units // plan.world_size
        for rank, blocks in enumerate(self.blocks):
            gpu = ET.SubElement(
                root,
                "gpu",
                id=str(rank),
                i_chunks=str(n_units if promise.input_whole else block),
                o_chunks=str(n_units if promise.output_whole else block),
                s_chunks=str(self.scratch_starts[rank][-1]),
            )
            if plan.scratch.size:
                gpu.set("scratch", " ".join(map(str, self.scratch[rank].tolist())))
            self._write_blocks(gpu, rank, list(blocks.values()))
        return root

    def _write_blocks(self, gpu: ET.Element, rank: int, blocks: list[_Block]) -> None:
        number_of = {id(block): number for number, block in enumerate(blocks)}
        for block in blocks:
            send, recv, channel = block.ends
            element = ET.SubElement(
                gpu,
                "tb",
                id=str(number_of[id(block)]),
                send=str(send),
                recv=str(recv),
                chan=str(channel),
            )
            for step in block.steps:
                self._write_step(element, rank, step, number_of)

    def _write_step(
        self, element: ET.Element, rank: int, step: _StepElement, number_of: dict[int, int]
    ) -> None:
        peer = element.get("send")
        target_rank = int(peer or -1) if step.type == "s" else rank
        targets = self._at(target_rank, step.target)
        sources = targets if step.type == "r" else self._at(rank, step.source)
        depends = ("-1", "-1")
        if step.depends is not None:
            depends = str(number_of[id(step.depends[0])]), str(step.depends[1])
        written = ET.SubElement(
            element,
            "step",
            s=str(step.number),
            type=step.type,
            srcbuf=sources[0],
            srcoff=str(sources[1]),
            dstbuf=targets[0],
            dstoff=str(targets[1]),
            cnt=str(targets[2]),
            depid=depends[0],
            deps=depends[1],
            hasdep=str(int(step.has_dependents)),
        )
        if step.row is not None:
            written.set("round", str(step.row[0]))
            written.set("row", str(step.row[1]))

    def _at(self, rank: int, places: range) -> tuple[str, int, int]:
        """Return buffer, offset and count of ``places`` in the chunks of the file."""
        plan, promise = self.plan, collective_named(self.plan.collective)
        if not places:
            return "i", -1, 0
        if places.start >= plan.vectors:
            starts = self.scratch_starts[rank]
            first, last = places.start - plan.vectors, places.stop - plan.vectors
            return "s", starts[first], starts[last] - starts[first]
        low, high = self._units(places)
        if not plan.apart:
            return "i" if promise.input_whole else "o", low, high - low
        received = places.start >= plan.received
        whole = promise.output_whole if received else promise.input_whole
        block = plan.partition.blocks * plan.partition.units // plan.world_size
        base = 0 if whole else rank * block
        if low < base or (high > base + block and not whole):
            raise PlanError(f"{plan}: rank {rank} moves blocks of others: needed only its own")
        return "o" if received else "i", low - base, high - low


def _rows(step: Step) -> Iterator[_Row]:
    columns = (getattr(step, name).tolist() for name in Step.__slots__)
    for src, dst, chunk, into, number, reduce, channel in zip(*columns, strict=True):
        source, target = range(chunk, chunk + number), range(into, into + number)
        yield _Row(src, dst, source, target, reduce, channel)


def _readers_first(plan: Plan, rows: list[NumberedRow]) -> list[NumberedRow]:
    """Return rows within ranks so that the target of each has been read by the others before."""
    readers: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for i, (_, row) in enumerate(rows):
        for place in row.source:
            readers[row.src, place].append(i)
    before = [
        {i for place in row.target for i in readers.get((row.dst, place), ()) if i != number}
        for number, (_, row) in enumerate(rows)
    ]
    after: defaultdict[int, list[int]] = defaultdict(list)
    for i, earlier in enumerate(before):
        for each in earlier:
            after[each].append(i)
    ready = deque(i for i, earlier in enumerate(before) if not earlier)
    ordered: list[NumberedRow] = []
    while ready:
        i = ready.popleft()
        ordered.append(rows[i])
        for later in after[i]:
            before[later].discard(i)
            if not before[later]:
                ready.append(later)
    if len(ordered) < len(rows):
        rank = next(row.src for i, (_, row) in enumerate(rows) if before[i])
        raise PlanError(f"{plan}: rank {rank} exchanges chunks within itself: needed scratch")
    return ordered
