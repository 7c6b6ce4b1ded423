"""``python -m bench CASE``: every program of the benchmarks; ``command`` has the table of cases."""

import sys

from bench.command import main

if __name__ == "__main__":
    sys.exit(main())
