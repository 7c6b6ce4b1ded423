"""What a plan computes, slow and plain: multisets of contributions. Shares no code with the proof.

``interpret`` follows contributions as multisets. ``expected_output`` knows nothing of plans.
"""

from collections import Counter, defaultdict

import numpy as np

from emul.plans import COLLECTIVES


def blocks_of(plan):
    """The block each chunk of a vector lies in."""
    in_blocks = COLLECTIVES[plan.collective].in_blocks
    return plan.partition.block_of_chunk(plan.world_size if in_blocks else 1).tolist()


def holds_at_first(plan, rank, block):
    return {
        "all_gather": block == rank,
        "gather": block == rank,
        "broadcast": rank == plan.root,
        "scatter": rank == plan.root,
    }.get(plan.collective, True)


def interpret(plan):
    """What each (rank, place) holds at the end: a Counter of (contributing rank, its chunk)."""
    held = defaultdict(Counter)
    for rank in range(plan.world_size):
        for chunk, block in enumerate(blocks_of(plan)):
            mine = holds_at_first(plan, rank, block)
            held[rank, chunk] = Counter([(rank, chunk)] if mine else [])
    for step in plan.steps():
        written = []
        for row in range(len(step)):
            for i in range(step.nchunks[row]):
                sent = held[int(step.src[row]), int(step.src_chunk[row]) + i]
                place = int(step.dst[row]), int(step.dst_chunk[row]) + i
                written.append((place, held[place] + sent if step.reduce[row] else sent))
        held.update(written)  # all that a step reads comes before what it writes
    return held


def must_hold(plan, rank, chunk, block, first):
    """What (rank, chunk) must hold at the end, or None where nothing is asked."""
    n, root, name = plan.world_size, plan.root, plan.collective
    everyone = Counter((each, chunk) for each in range(n))
    if name == "all_to_all":
        return Counter([(block, first[rank] + chunk - first[block])])
    return {
        "all_reduce": everyone,
        "reduce": everyone if rank == root else None,
        "reduce_scatter": everyone if block == rank else None,
        "all_gather": Counter([(block, chunk)]),
        "gather": Counter([(block, chunk)]) if rank == root else None,
        "broadcast": Counter([(root, chunk)]),
        "scatter": Counter([(root, chunk)]) if block == rank else None,
        "send_recv": Counter([((rank - root) % n, chunk)]),
    }[name]


def is_right(plan):
    """Whether ``interpret`` finds what the collective promises."""
    held, blocks = interpret(plan), blocks_of(plan)
    first = {block: blocks.index(block) for block in sorted(set(blocks), reverse=True)}
    begins = plan.partition.n_chunks if plan.apart else 0
    for rank in range(plan.world_size):
        for chunk, block in enumerate(blocks):
            wanted = must_hold(plan, rank, chunk, block, first)
            if wanted is not None and held[rank, begins + chunk] != wanted:
                return False
    return True


def expected_output(collective, x, root, n):
    """The output of a sum over whole numbers, by the definition of the collective."""
    if collective == "scatter":
        return x.reshape(n, -1)
    total = x.astype(np.int64).sum(axis=0)
    if collective == "all_to_all":
        return np.swapaxes(x.reshape(n, n, -1), 0, 1).reshape(n, -1)
    return {
        "all_reduce": lambda: np.tile(total, (n, 1)),
        "reduce": lambda: total,
        "reduce_scatter": lambda: total.reshape(n, -1),
        "all_gather": lambda: np.tile(x.reshape(-1), (n, 1)),
        "gather": lambda: x.reshape(-1),
        "broadcast": lambda: np.tile(x[root], (n, 1)),
        "send_recv": lambda: np.roll(x, root, axis=0),
    }[collective]()
