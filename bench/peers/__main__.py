"""``python -m bench.peers``: the same as ``python -m bench peers``."""

import sys

from bench.command import program

if __name__ == "__main__":
    sys.exit(program("peers")())
