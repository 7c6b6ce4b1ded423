"""Topologies from TOML files: the file, the tables of its links, and where numbers come from."""
