"""A ring in NumPy as a textbook has it: every message a copy, every step over all ranks."""

import numpy as np

from bench.measuring import repeated
from bench.peers.protocol import Rows, tell
from bench.worlds import textbook_ring

if __name__ == "__main__":
    rows = Rows.of_command_line()
    x = rows.filled()
    work = x.copy()
    assert rows.data.wrong(textbook_ring(work)) == 0
    tell(
        repeated(lambda: textbook_ring(work), rows.repeats, lambda: np.copyto(work, x)),
        f"NumPy {np.__version__}, one thread, in place, a copy for each message",
    )
