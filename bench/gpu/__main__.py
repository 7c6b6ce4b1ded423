"""``python -m bench.gpu``: the same as ``python -m bench gpu``."""

import sys

from bench.command import program

if __name__ == "__main__":
    sys.exit(program("gpu")())
