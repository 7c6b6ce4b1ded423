"""Plants faults in a copy of the repository, one at a time, and runs the tests of the room.

A fault that no test of its room sees is a survivor: what the code does there, nobody has written
down. ``python -m tests.mutants --help`` says how to run it; the faults are data in ``faults/``.

It lies beside the tests, since it measures them; it is no test itself, since it takes long.
"""
