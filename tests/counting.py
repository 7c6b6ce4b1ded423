"""What a call costs, counted: the same on every machine, whatever else runs there."""

import sys
import tracemalloc
from contextlib import contextmanager

MOST_CALLS = 5_000_000
"""Of functions, Python's and C's: what is refused at once takes fewer, about a second."""

MOST_BYTES = 128 << 20
"""The most that Python has allocated at a time when something is refused at once."""


@contextmanager
def few_calls():
    """Assert that what is within makes fewer than MOST_CALLS calls."""
    calls = 0

    def count(_frame, event, _argument):
        nonlocal calls
        if event == "call" or event == "c_call":
            calls += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(before)
    assert calls < MOST_CALLS


@contextmanager
def little_memory():
    """Assert that what is within has less than MOST_BYTES at a time."""
    tracemalloc.start()
    try:
        yield
    finally:
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak_bytes < MOST_BYTES
