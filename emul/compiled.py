"""What to say when the compiled modules are not there."""

from __future__ import annotations

__all__ = ["not_compiled"]


def not_compiled(error: ModuleNotFoundError) -> ImportError:
    """Return the error for a source folder that Python found before the installed package."""
    return ImportError(
        f"{error.name} is not compiled: Python found emul's source folder before the installed "
        "package; leave that folder, or run: pip install -e ."
    )
