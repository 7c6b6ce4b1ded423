"""In which order a plan reduces: the expression that each chunk ends with.

Whole numbers come out the same in any order; rounded ones do not. Two ranks whose expressions are
the same, but for a + b and b + a, end with the same bits.
"""

from __future__ import annotations

import numpy as np

from emul.arrays import Int64Array
from emul.plans.collectives import collective_named
from emul.plans.plan import Plan
from emul.plans.runs import expand

__all__ = ["Expressions"]

NOTHING = -1


class Expressions:
    """The expression in every place after the last step of a verified plan.

    ``at`` (n, n_places) holds numbers of expressions, -1 for none: those below n are the buffers
    of the ranks; number n + i joins the two expressions ``parts[i]``.
    """

    def __init__(self, plan: Plan) -> None:
        """Carry out the steps of ``plan`` on expressions."""
        n = plan.world_size
        self.plan = plan
        self.parts: list[tuple[int, int]] = []
        self._known: dict[tuple[int, int], int] = {}
        self.at: Int64Array = np.full((n, plan.n_places), NOTHING, dtype=np.int64)
        self.at[:, : plan.partition.n_chunks] = np.arange(n)[:, None]
        for step in plan.steps():
            row, within = expand(step.nchunks)
            source = self.at[step.src[row], step.src_chunk[row] + within]
            target = step.dst[row], step.dst_chunk[row] + within
            joined = [
                self._join(int(stood), int(sent)) if reduce else int(sent)
                for stood, sent, reduce in zip(
                    self.at[target], source, step.reduce[row], strict=True
                )
            ]
            self.at[target] = joined

    def _join(self, stood: int, sent: int) -> int:
        pair = (min(stood, sent), max(stood, sent))
        number = self._known.get(pair)
        if number is None:
            number = self._known[pair] = self.plan.world_size + len(self.parts)
            self.parts.append((stood, sent))
        return number

    @property
    def alike(self) -> bool:
        """Whether all ranks of an all_reduce end with the same bits."""
        first = self.plan.received
        result = self.at[:, first : first + self.plan.partition.n_chunks]
        return bool((result == result[0]).all())

    @property
    def result(self) -> int:
        """The expression of the first chunk that the collective reduces, at a rank that has it."""
        name = self.plan.collective
        assert collective_named(name).reduces, f"{name} reduces nothing"
        rank = self.plan.root if name == "reduce" else 0
        return int(self.at[rank, self.plan.received])

    def text(self, number: int, most: int = 60) -> str:
        """Return an expression in words such as ((0 + 1) + 2), of at most about ``most`` ranks."""
        words: list[str] = []
        todo: list[int | str] = [number]
        while todo and len(words) < 4 * most:
            each = todo.pop()
            if isinstance(each, str):
                words.append(each)
            elif each < self.plan.world_size:
                words.append(str(each))
            else:
                a, b = self.parts[each - self.plan.world_size]
                todo += [")", b, " + ", a, "("]
        return "".join(words) + (" ..." if todo else "")

    def depth(self, number: int) -> int:
        """Return how many reductions follow one another in an expression."""
        deep = [0] * (self.plan.world_size + len(self.parts))
        for i, (a, b) in enumerate(self.parts):
            deep[self.plan.world_size + i] = 1 + max(deep[a], deep[b])
        return deep[number]
