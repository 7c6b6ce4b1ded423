"""Algorithms as communication libraries carry them out: with their waits, message by message."""

from emul.plans.libraries.names import LIBRARY_ALGORITHMS, build_library_plan, library_algorithms

__all__ = ["LIBRARY_ALGORITHMS", "build_library_plan", "library_algorithms"]
