"""Benchmarks; their figures are kept in bench/results."""
