"""The compiled arithmetic on the CPU."""
