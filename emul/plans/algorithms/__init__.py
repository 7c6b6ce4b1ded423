"""The algorithms, one module for each, and their registry by name."""
