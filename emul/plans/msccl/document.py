"""The XML of MSCCL as records: algo, gpu, tb, step, each with the line it stands on.

Checks here look at one element at a time. Text, document types (so no entity is ever
expanded) and numbers out of range are refused. Elements and attributes that are not known are
passed over and noted, as MSCCL and RCCL do, which look up known attributes by name
(microsoft/msccl, src/graph/xml.cc and topo.cc; ROCm/rccl, src/misc/msccl/msccl_parser.cc): TACCL
and TE-CCL write ``redop=`` and ``<copy>``. The file is read piece by piece, so that the first wrong
line ends it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from xml.parsers import expat

from emul.errors import PlanError
from emul.plans.msccl.attributes import LONGEST_NAME, MOST_CHUNKS, Attributes
from emul.plans.msccl.notes import IgnoredParts, pieces_of
from emul.plans.proof.verify import MOST_CHANNELS

__all__ = [
    "BUFFERS",
    "TYPES",
    "Algo",
    "Gpu",
    "Instruction",
    "Threadblock",
    "read_document",
    "refusal",
]

MOST_STEPS = 1 << 16
"""In one file: the number that 128 ranks need for a ring all-reduce."""
MOST_MOVES = 1 << 22
"""Chunks that all steps of a file move together: 11 s of proof, and 1.2 GB (measured)."""
MOST_GPUS = 1 << 14
MOST_THREADBLOCKS = 1 << 12
"""Of a gpu: MSCCL takes 216; emul writes two for each other rank and channel, and one."""

BUFFERS = ("i", "o", "s")
PROTOCOLS = ("Simple", "LL", "LL128")
ORDERS = ("free", "issue", "lockstep")

TYPES = {
    "s": (False, True),
    "r": (True, False),
    "rcs": (True, True),
    "rrc": (True, False),
    "rrs": (True, True),
    "rrcs": (True, True),
    "cpy": (False, False),
    "re": (False, False),
    "nop": (False, False),
}
"""Of each type of step: whether it receives, and whether it sends."""

BufferIndex = tuple[str, int]

PARENTS = {"algo": "", "gpu": "algo", "tb": "gpu", "step": "tb"}
"""Of each element that is read: the element it stands in."""

REQUIRED = {
    "algo": ("name", "proto", "nchannels", "nchunksperloop", "ngpus", "coll", "inplace"),
    "gpu": ("id", "i_chunks", "o_chunks", "s_chunks"),
    "tb": ("id", "send", "recv", "chan"),
    "step": (
        "s", "type", "srcbuf", "srcoff", "dstbuf", "dstoff", "cnt", "depid", "deps", "hasdep",
    ),
}  # fmt: skip
"""The attributes without which an element cannot be read, here or by topo.cc of MSCCL."""

NEIGHBOURS = {
    "system": " (a topology of NCCL)",
    "graphs": " (graphs of NCCL)",
}
"""Outermost elements of other files that people have beside their plans."""


@dataclass(slots=True)
class Instruction:
    """A ``step`` element: the next instruction of a threadblock."""

    line: int
    type: str
    source: BufferIndex
    target: BufferIndex
    count: int
    depends: tuple[int, int] | None
    has_dependents: bool
    round: int | None
    row: int | None

    @property
    def receives(self) -> bool:
        """Whether it takes a message in."""
        return TYPES[self.type][0]

    @property
    def sends(self) -> bool:
        """Whether it sends a message out."""
        return TYPES[self.type][1]


@dataclass(slots=True)
class Threadblock:
    """A ``tb`` element: steps in order, with at most one peer to send to and one to hear from."""

    line: int
    id: int
    send: int
    recv: int
    channel: int
    steps: list[Instruction] = field(default_factory=list)


@dataclass(slots=True)
class Gpu:
    """A ``gpu`` element: a rank, and how many chunks its input, output and scratch have.

    ``scratch`` is an addition of emul: see own.py.
    """

    line: int
    id: int
    chunks: dict[str, int]
    scratch: tuple[int, ...]
    threadblocks: list[Threadblock] = field(default_factory=list)


@dataclass(slots=True)
class Algo:
    """The ``algo`` element. ``root`` to ``drains`` are additions of emul: see own.py."""

    line: int
    name: str
    collective: str
    world_size: int
    n_chunks: int
    in_place: bool
    out_of_place: bool
    root: int
    order: str | None
    units: int
    edges: tuple[int, ...]
    under_way: int
    drains: tuple[int, ...]
    passed_over: IgnoredParts
    gpus: list[Gpu] = field(default_factory=list)


def refusal(path: str, line: int, complaint: str) -> PlanError:
    """Return the error about a line of a file."""
    return PlanError(f"{path}, line {line}: {complaint}")


def read_document(path: str | Path) -> Algo:
    """Return the ``algo`` of a file; raises PlanError with file and line of the fault."""
    reader = _Reader(str(path))
    try:
        for piece in pieces_of(Path(path)):
            reader.parser.Parse(piece, False)
        reader.parser.Parse(b"", True)
    except expat.ExpatError as error:
        said = expat.ErrorString(error.code)
        raise refusal(str(path), error.lineno, f"not well-formed XML: {said}") from None
    algo = reader.algo
    assert algo is not None, "well-formed XML has an element"
    if len(algo.gpus) < algo.world_size:
        reader.refuse(f"{len(algo.gpus)} gpus with ngpus={algo.world_size}: needed one for each")
    algo.gpus.sort(key=lambda gpu: gpu.id)
    return algo


class _Reader:
    """Builds the records while the parser goes through the file."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.algo: Algo | None = None
        self.ranks: set[int] = set()
        self.steps = self.chunks = self.ignored = 0
        self.depth: list[str] = []
        self.passed_over = IgnoredParts()
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.text
        self.parser.StartDoctypeDeclHandler = self.doctype

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Take in an element, or pass it over with all that is in it."""
        parent = self.depth[-1] if self.depth else ""
        if self.ignored or (parent and name not in PARENTS):
            if not self.ignored:
                self.passed_over.add(f"<{name[:LONGEST_NAME]}> in <{parent}>", self.line)
            self.ignored += 1
            return
        self._check_place(name, parent)
        self.depth.append(name)
        lacking = [each for each in REQUIRED[name] if each not in attributes]
        if lacking:
            needed = "each" if len(lacking) > 1 else "one"
            self.refuse(f"<{name}> without {'=, '.join(lacking)}=: needed {needed}")
        given = Attributes(self, name, attributes)
        if name == "step":
            self.add_step(given)
        elif name == "tb":
            self.add_threadblock(given)
        elif name == "gpu":
            self.add_gpu(given)
        else:
            self.algo = _algo(given)
        given.note_unused()

    def _check_place(self, name: str, parent: str) -> None:
        if PARENTS.get(name) != parent:
            within = f"in <{parent}>" if parent else "as the outermost element"
            wanted = next((child for child, above in PARENTS.items() if above == parent), None)
            also = NEIGHBOURS.get(name, "")
            self.refuse(
                f"<{name[:LONGEST_NAME]}> {within}{also}: needed "
                f"{f'<{wanted}>' if wanted else 'nothing'}"
            )

    def end(self, name: str) -> None:
        """Leave an element."""
        if self.ignored:
            self.ignored -= 1
            return
        self.depth.pop()
        if name == "gpu":
            self._check_threadblocks()

    def _check_threadblocks(self) -> None:
        """Put the threadblocks of the gpu that ends in order; refuse gaps."""
        assert self.algo is not None, "a gpu stands in an algo"
        blocks = self.algo.gpus[-1].threadblocks
        blocks.sort(key=lambda block: block.id)
        for number, block in enumerate(blocks):
            if block.id != number:
                raise refusal(
                    self.path,
                    block.line,
                    f"tb {block.id}: needed tb {number} too, each once without gaps",
                )

    def text(self, text: str) -> None:
        """Refuse anything but white space between elements."""
        if text.strip():
            self.refuse(f"text {text.strip()[:20]!r} between elements: needed elements only")

    def doctype(self, *_: object) -> None:
        """Refuse document types: they may declare entities that grow without end."""
        self.refuse("a document type declaration: needed a file without (no entity is expanded)")

    @property
    def line(self) -> int:
        """The line the parser is at."""
        return self.parser.CurrentLineNumber

    def refuse(self, complaint: str) -> NoReturn:
        """Raise PlanError about the line the parser is at."""
        raise refusal(self.path, self.line, complaint)

    def add_gpu(self, given: Attributes) -> None:
        algo = self.algo
        assert algo is not None, "a gpu stands in an algo"
        chunks = {each: given.number(f"{each}_chunks", 0, MOST_CHUNKS) for each in BUFFERS}
        rank = given.number("id", 0, algo.world_size - 1)
        if rank in self.ranks:
            self.refuse(f"gpu {rank} again: needed each gpu once")
        self.ranks.add(rank)
        algo.gpus.append(Gpu(self.line, rank, chunks, given.numbers("scratch")))

    def add_threadblock(self, given: Attributes) -> None:
        algo = self.algo
        assert algo is not None, "a tb stands in an algo"
        gpu, peers = algo.gpus[-1], algo.world_size - 1
        ends = given.number("send", -1, peers), given.number("recv", -1, peers)
        if gpu.id in ends:
            self.refuse(f"gpu {gpu.id} is its own peer: needed another gpu, or -1 for none")
        if len(gpu.threadblocks) >= MOST_THREADBLOCKS:
            self.refuse(f"more than {MOST_THREADBLOCKS} tb in gpu {gpu.id}: needed fewer")
        number = given.number("id", 0, MOST_STEPS)
        channel = given.number("chan", 0, MOST_CHANNELS - 1)
        gpu.threadblocks.append(Threadblock(self.line, number, *ends, channel))

    def add_step(self, given: Attributes) -> None:
        self.steps += 1
        if self.steps > MOST_STEPS:
            self.refuse(f"more than {MOST_STEPS} steps: needed a smaller file")
        assert self.algo is not None, "a step stands in an algo"
        block = self.algo.gpus[-1].threadblocks[-1]
        if given.number("s", 0, MOST_STEPS) != len(block.steps):
            self.refuse(f"step {given.raw('s')}: needed step {len(block.steps)}, in order")
        step = _instruction(given, self.line)
        receives, sends = TYPES[step.type]
        if (sends and block.send < 0) or (receives and block.recv < 0):
            missing = "send" if sends and block.send < 0 else "recv"
            self.refuse(f"a step of type {step.type} in a tb without a peer: needed {missing}=")
        self.chunks += step.count
        if self.chunks > MOST_MOVES:
            self.refuse(f"more than {MOST_MOVES} chunks moved in all: needed a smaller file")
        block.steps.append(step)


COLLECTIVES = {
    "allreduce": "all_reduce",
    "allgather": "all_gather",
    "reduce_scatter": "reduce_scatter",
    "reducescatter": "reduce_scatter",
    "alltoall": "all_to_all",
    "broadcast": "broadcast",
    "reduce": "reduce",
    "gather": "gather",
    "scatter": "scatter",
    "sendrecv": "send_recv",
}
"""By MSCCL's names; the last three are emul's own."""


def _algo(given: Attributes) -> Algo:
    world_size = given.number("ngpus", 1, MOST_GPUS)
    in_place = given.number("inplace", 0, 1) == 1
    out_of_place = given.number("outofplace", 0, 1, default=int(not in_place)) == 1
    if not (in_place or out_of_place):
        given.reader.refuse("neither inplace=1 nor outofplace=1: needed one of them")
    given.one_of("proto", PROTOCOLS)
    given.number("nchannels", 0, MOST_CHANNELS)
    for unused in ("minBytes", "maxBytes", "nthreads"):
        given.number(unused, 0, (1 << 63) - 1, default=0)
    order = given.one_of("order", ("", *ORDERS), default="")
    return Algo(
        line=given.reader.line,
        name=given.raw("name"),
        collective=COLLECTIVES[given.one_of("coll", tuple(COLLECTIVES))],
        world_size=world_size,
        n_chunks=given.number("nchunksperloop", 1, MOST_CHUNKS),
        in_place=in_place,
        out_of_place=out_of_place,
        root=given.number("root", 0, world_size - 1, default=0),
        order=order or None,
        units=given.number("units", 1, MOST_CHUNKS, default=1),
        edges=given.numbers("edges"),
        under_way=given.number("underway", 1, MOST_STEPS, default=1),
        drains=given.numbers("drains"),
        passed_over=given.reader.passed_over,
    )


def _instruction(given: Attributes, line: int) -> Instruction:
    type_ = given.one_of("type", tuple(TYPES))
    places = [
        (given.one_of(f"{end}buf", BUFFERS), given.number(f"{end}off", -1, MOST_CHUNKS))
        for end in ("src", "dst")
    ]
    block, step = given.number("depid", -1, MOST_STEPS), given.number("deps", -1, MOST_STEPS)
    if block >= 0 > step:  # without depid, the runtimes pass over deps
        given.reader.refuse(f"depid={block} with deps={step}: needed both, or -1 for both")
    count = given.number("cnt", 0, MOST_CHUNKS)
    if type_ != "nop" and count < 1:
        given.reader.refuse("cnt=0: needed at least one chunk")
    number, row = (given.number(each, -1, MOST_STEPS, default=-1) for each in ("round", "row"))
    return Instruction(
        line=line,
        type=type_,
        source=places[0],
        target=places[1],
        count=count,
        depends=(block, step) if block >= 0 else None,
        has_dependents=given.number("hasdep", 0, 1) == 1,
        round=number if number >= 0 else None,
        row=row if row >= 0 else None,
    )
