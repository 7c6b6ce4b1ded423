"""Fusing the steps of a program into one pass over the elements."""
