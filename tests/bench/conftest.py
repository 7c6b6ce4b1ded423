"""Lets the tests import the benchmarks, which are not installed.

At the end of the path, so that what is installed is found first.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent.parent))
