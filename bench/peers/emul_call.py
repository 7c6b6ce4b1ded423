"""An all_reduce of emul as its users call it: plan known, timeline known."""

import sys

import numpy as np

from bench.measuring import repeated
from bench.peers.protocol import Rows, tell
from bench.worlds import one_site
from emul import World

if __name__ == "__main__":
    rows, (backend, _, place) = Rows.of_command_line(), sys.argv[-1].partition(":")
    world = World(one_site(rows.ranks), backend=backend)
    x = rows.filled()
    given = x.copy() if place else x
    out = given if place else np.empty_like(x)

    def prepare() -> None:
        if place:
            np.copyto(given, x)

    def work() -> None:
        world.all_reduce(given, algorithm="ring", out=out)

    work()
    assert rows.data.wrong(out) == 0
    tell(
        repeated(work, rows.repeats, prepare),
        f'World(backend="{backend}").all_reduce(x, algorithm="ring", '
        f"out={'x' if place else 'out'}): in the order of the ring; threads as the backend chooses",
    )
