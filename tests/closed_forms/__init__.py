"""Formulas of times and bounds that the tests hold emul against; no code of emul uses them."""
