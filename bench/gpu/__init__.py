"""What a GPU must reach, measured there by one command; see ``__main__``."""
