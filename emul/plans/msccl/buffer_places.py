"""Where the buffers of an MSCCL program lie among the places of a plan.

In place, input and output are one vector, of which all_gather's input and reduce_scatter's output
are the rank's own block; out of place they are two, one behind the other. Scratch comes last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from emul.plans.collectives import collective_named
from emul.plans.msccl.document import Algo, BufferIndex, Gpu, refusal

__all__ = ["BufferPlaces"]


@dataclass(frozen=True, slots=True)
class BufferPlaces:
    """Places in the chunks of the file; ``apart`` when the program runs out of place."""

    path: str
    algo: Algo
    apart: bool

    @property
    def scratch(self) -> int:
        """Places of scratch: those of the rank that has most."""
        return max(gpu.chunks["s"] for gpu in self.algo.gpus)

    @property
    def vectors(self) -> int:
        """The place with which scratch begins."""
        return self.algo.n_chunks * (2 if self.apart else 1)

    @property
    def per_rank(self) -> int:
        """Places of a rank."""
        return self.vectors + self.scratch

    def check(self) -> None:
        """Refuse chunks that do not fit the collective."""
        n, chunks = self.algo.world_size, self.algo.n_chunks
        if collective_named(self.algo.collective).in_blocks and chunks % n:
            self.refuse(
                self.algo.line,
                f"nchunksperloop={chunks} for {self.algo.collective} over {n} gpus: needed a "
                f"multiple of {n}",
            )
        for gpu in self.algo.gpus:
            for buffer in ("i", "o"):
                size, came = self._size(gpu, buffer), gpu.chunks[buffer]
                if came not in (0, size):
                    self.refuse(
                        gpu.line,
                        f"{buffer}_chunks={came} of gpu {gpu.id}: needed {size} by "
                        f"nchunksperloop={chunks}, or 0",
                    )

    def range_of(self, gpu: Gpu, place: BufferIndex, count: int, line: int) -> range:
        """Return the places of ``count`` chunks; raises PlanError beyond the buffer's end."""
        buffer, offset = place
        size = self._size(gpu, buffer)
        if offset < 0 or offset + count > size:
            self.refuse(
                line,
                f"chunks {offset} to {offset + count - 1} of buffer {buffer!r} of gpu {gpu.id}: "
                f"needed chunks from 0 to {size - 1}",
            )
        first = self._base(gpu, buffer) + offset
        return range(first, first + count)

    def _size(self, gpu: Gpu, buffer: str) -> int:
        if buffer == "s":
            return gpu.chunks["s"]
        whole = self._is_whole(buffer)
        return self.algo.n_chunks if whole else self.algo.n_chunks // self.algo.world_size

    def _base(self, gpu: Gpu, buffer: str) -> int:
        if buffer == "s":
            return self.vectors
        block = self.algo.n_chunks // self.algo.world_size
        own = 0 if self._is_whole(buffer) else gpu.id * block
        return own + (self.algo.n_chunks if self.apart and buffer == "o" else 0)

    def _is_whole(self, buffer: str) -> bool:
        promise = collective_named(self.algo.collective)
        return promise.input_whole if buffer == "i" else promise.output_whole

    def refuse(self, line: int, complaint: str) -> NoReturn:
        """Raise PlanError about a line of the file."""
        raise refusal(self.path, line, complaint)
