"""MSCCL programs for tests: written by hand, and run in any order that their waits allow.

Shares no code with emul: the file is taken apart by ElementTree, every threadblock takes its steps
in turn, and what each chunk holds is a multiset of (rank, chunk) contributions.
"""

import random
from collections import Counter, defaultdict, deque
from xml.etree import ElementTree as ET

RECEIVES = ("r", "rcs", "rrc", "rrs", "rrcs")
SENDS = ("s", "rcs", "rrs", "rrcs")


def step(number, text):
    """A step element from words such as ``rrc i0 i0``, ``s i2 s0 x2 after=1:3 hasdep``."""
    kind, *words = text.split()
    places = [word for word in words if word[0] in "ios" and word[1:].lstrip("-").isdigit()]
    places += ["i-1"] * (2 - len(places))
    count = next((word[1:] for word in words if word[0] == "x"), "0" if kind == "nop" else "1")
    after = next((word[6:] for word in words if word.startswith("after=")), "-1:-1")
    (source, target), (block, done) = places, after.split(":")
    return (
        f'<step s="{number}" type="{kind}" srcbuf="{source[0]}" srcoff="{source[1:]}" '
        f'dstbuf="{target[0]}" dstoff="{target[1:]}" cnt="{count}" depid="{block}" '
        f'deps="{done}" hasdep="{int("hasdep" in words)}"/>'
    )


def program(coll, n_chunks, gpus, *, inplace=1, more="", scratch=0, sizes=None):
    """A file; ``gpus`` lists for each gpu its threadblocks (send, recv, chan, [steps])."""
    own = {"allgather": (n_chunks // len(gpus), n_chunks)}
    own["reduce_scatter"] = (n_chunks, n_chunks // len(gpus))
    size = sizes or own.get(coll, (n_chunks, n_chunks))
    lines = [
        f'<algo name="by_hand" proto="Simple" nchannels="1" nchunksperloop="{n_chunks}" '
        f'ngpus="{len(gpus)}" coll="{coll}" inplace="{inplace}" {more}>'
    ]
    for rank, blocks in enumerate(gpus):
        lines.append(
            f'<gpu id="{rank}" i_chunks="{size[0]}" o_chunks="{size[1]}" s_chunks="{scratch}">'
        )
        for number, (send, recv, channel, steps) in enumerate(blocks):
            lines.append(f'<tb id="{number}" send="{send}" recv="{recv}" chan="{channel}">')
            lines += [step(i, text) for i, text in enumerate(steps)]
            lines.append("</tb>")
        lines.append("</gpu>")
    return "\n".join([*lines, "</algo>"]) + "\n"


def fused_ring(n):
    """An all-reduce in one threadblock per gpu, in which almost every step receives and sends."""
    gpus = []
    for g in range(n):
        chunks = [(g - 1 - t) % n for t in range(2 * n - 1)]
        kinds = ["s", *["rrs"] * (n - 2), "rrcs", *["rcs"] * (n - 2), "r"]
        steps = [f"{kind} i{c} i{c}" for kind, c in zip(kinds, chunks, strict=True)]
        gpus.append([((g + 1) % n, (g - 1) % n, 0, steps)])
    return program("allreduce", n, gpus)


class StuckError(Exception):
    pass


class Threadblocks:
    """A program in flight; ``run`` takes its steps in a random order until all are done."""

    def __init__(self, text, *, apart):
        self.algo = ET.fromstring(text)
        self.n = int(self.algo.get("ngpus"))
        self.n_chunks = int(self.algo.get("nchunksperloop"))
        self.apart = apart
        self.coll = self.algo.get("coll")
        self.held = defaultdict(Counter)
        self.flying = defaultdict(deque)
        self.said = defaultdict(lambda: -1)
        self.blocks = []
        for gpu in self.algo:
            for tb in gpu:
                ends = [int(tb.get(name)) for name in ("send", "recv", "chan")]
                self.blocks.append((int(gpu.get("id")), int(tb.get("id")), *ends, list(tb)))
        self.next = [0] * len(self.blocks)
        for rank in range(self.n):
            for chunk in range(self.n_chunks):
                block = chunk * self.n // self.n_chunks
                mine = {"allgather": block == rank, "gather": block == rank}
                mine |= {"broadcast": rank == self.root, "scatter": rank == self.root}
                if mine.get(self.coll, True):
                    self.held[rank, "i", chunk] = Counter([(rank, chunk)])

    @property
    def root(self):
        return int(self.algo.get("root", 0))

    def place(self, rank, buffer, offset):
        """In place, both buffers are one; a rank's own block begins at its place in the whole."""
        if buffer == "s":
            return rank, "s", offset
        blocks = {"i": ("allgather", "gather"), "o": ("reduce_scatter", "scatter")}
        if self.coll in blocks[buffer]:
            offset += rank * self.n_chunks // self.n
        return rank, (buffer if self.apart else "i"), offset

    def run(self, seed):
        chance = random.Random(seed)
        while any(at < len(b[5]) for at, b in zip(self.next, self.blocks, strict=True)):
            ready = [i for i in range(len(self.blocks)) if self.ready(i)]
            if not ready:
                raise StuckError
            self.take(chance.choice(ready))
        return self

    def ready(self, i):
        rank, _, _, recv, channel, steps = self.blocks[i]
        if self.next[i] == len(steps):
            return False
        now = steps[self.next[i]]
        block, done = int(now.get("depid")), int(now.get("deps"))
        if block >= 0 and self.said[rank, block] < done:
            return False
        return now.get("type") not in RECEIVES or bool(self.flying[recv, rank, channel])

    def take(self, i):
        rank, block, send, recv, channel, steps = self.blocks[i]
        now = steps[self.next[i]]
        kind, count = now.get("type"), int(now.get("cnt"))
        if kind != "nop":
            sources, targets = (
                [self.place(rank, now.get(f"{end}buf"), int(now.get(f"{end}off")) + j)
                 for j in range(count)]
                for end in ("src", "dst")
            )  # fmt: skip
            self.move(kind, sources, targets, (recv, rank, channel), (rank, send, channel))
        if now.get("hasdep") == "1":
            self.said[rank, block] = self.next[i]
        self.next[i] += 1

    def move(self, kind, sources, targets, into, away):
        values = self.flying[into].popleft() if kind in RECEIVES else None
        own = [self.held[place] for place in sources]
        if kind in ("rrc", "rrs", "rrcs"):
            values = [a + b for a, b in zip(values, own, strict=True)]
        if kind in ("s", "cpy"):
            values = [each.copy() for each in own]
        if kind == "re":
            values = [self.held[t] + b for t, b in zip(targets, own, strict=True)]
        if kind not in ("s", "rrs"):
            for place, value in zip(targets, values, strict=True):
                self.held[place] = value.copy()
        if kind in SENDS:
            self.flying[away].append(values)

    def is_right(self):
        """Whether the collective's promise is kept now."""
        buffer = "o" if self.apart else "i"
        for rank in range(self.n):
            for chunk in range(self.n_chunks):
                wanted = self.wanted(rank, chunk)
                if wanted is not None and self.held[rank, buffer, chunk] != wanted:
                    return False
        return True

    def wanted(self, rank, chunk):
        block = chunk * self.n // self.n_chunks
        everyone = Counter((each, chunk) for each in range(self.n))
        per_block = self.n_chunks // self.n
        return {
            "allreduce": everyone,
            "reduce": everyone if rank == self.root else None,
            "reduce_scatter": everyone if block == rank else None,
            "allgather": Counter([(block, chunk)]),
            "gather": Counter([(block, chunk)]) if rank == self.root else None,
            "broadcast": Counter([(self.root, chunk)]),
            "scatter": Counter([(self.root, chunk)]) if block == rank else None,
            "alltoall": Counter([(block, rank * per_block + chunk - block * per_block)]),
            "sendrecv": Counter([((rank - self.root) % self.n, chunk)]),
        }[self.coll]
