"""The arithmetic of emul alone, in place, with one thread."""

import sys

from bench.measuring import repeated
from bench.peers.protocol import Rows, tell
from bench.worlds import Arithmetic

if __name__ == "__main__":
    rows, backend = Rows.of_command_line(), sys.argv[-1]
    ours = Arithmetic(
        backend, "all_reduce", "ring", (rows.ranks,), row_bytes=rows.row_bytes, dtype="float32"
    )
    ours.execute()
    ours.check()
    tell(
        repeated(ours.execute, rows.repeats, ours.prepare),
        f"backend {backend}, one thread, in place, in the order of the ring",
    )
