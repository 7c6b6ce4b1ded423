"""The joint schedule of all ranks, where several collectives are in flight at once."""
