"""The targets of a GPU, measured there by one command; see ``__main__``."""
