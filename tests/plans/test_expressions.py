"""In which order plans reduce, and whether all ranks end with the same bits."""

import numpy as np
import pytest
from strategies import CASES, link, one_site

from emul import Send, World
from emul.plans import Expressions, build_plan, plan_from

ALL_REDUCE = [algorithm for name, algorithm in CASES if name == "all_reduce"]


@pytest.mark.parametrize("algorithm", ALL_REDUCE)
def test_alike_is_what_the_bits_say(algorithm):
    x = np.random.default_rng(0).normal(size=(8, 800)).astype(np.float32)
    run = World(one_site(8, link())).all_reduce(x, algorithm=algorithm)
    same_bits = len({row.tobytes() for row in run.output}) == 1
    assert Expressions(run.prediction.plan).alike == same_bits


def test_every_chunk_has_to_be_alike():
    def each_its_own_way(n):
        """Chunk 1 is added up from the rank's own on, the others at rank 0."""
        for rank in range(1, n):
            yield [Send(rank, 0, chunk, reduce=True) for chunk in (0, 2)]
            yield [Send(r, (r + rank) % n, 1, into=n - 1 + rank) for r in range(n)]
        for rank in range(1, n):
            yield [Send(0, rank, chunk) for chunk in (0, 2)]
            yield [Send(r, r, n - 1 + rank, into=1, reduce=True) for r in range(n)]

    expressions = Expressions(plan_from(each_its_own_way, "all_reduce", 3, scratch=2))
    assert len(set(expressions.at[:, 1].tolist())) == 3
    assert (expressions.at[:, [0, 2]] == expressions.at[0, [0, 2]]).all()
    assert not expressions.alike


def test_one_shot_adds_up_in_the_order_of_the_ranks():
    expressions = Expressions(build_plan("all_reduce", "direct:one_shot", (5,)))
    assert expressions.text(expressions.result) == "((((0 + 1) + 2) + 3) + 4)"
    assert expressions.alike
