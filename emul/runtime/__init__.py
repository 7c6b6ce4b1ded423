"""One call of a collective, from its Request to its Run, and the clocks of all ranks."""
