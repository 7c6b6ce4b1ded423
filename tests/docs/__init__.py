"""The pages of the documentation, held against the program: ``python -m tests.docs --write``."""
