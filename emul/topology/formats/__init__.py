"""Formats of recorded traces and of graphs, as topologies refer to them."""
