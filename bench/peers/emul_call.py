"""An all_reduce of emul as its users call it: plan known, timeline known, input left as it was."""

import sys

import numpy as np

from bench.peers.protocol import Rows, repeated, tell
from bench.worlds import one_site
from emul import World

if __name__ == "__main__":
    rows, backend = Rows.of_command_line(), sys.argv[-1]
    world = World(one_site(rows.ranks), backend=backend)
    x = rows.filled()
    out = np.empty_like(x)

    def work() -> None:
        world.all_reduce(x, algorithm="ring", out=out)

    work()
    assert rows.data.wrong(out) == 0
    tell(
        repeated(work, rows.repeats),
        f'World(backend="{backend}").all_reduce(x, algorithm="ring", out=out): input copied, '
        "then reduced in the order of the ring; threads as the backend chooses",
    )
