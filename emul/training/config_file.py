"""The ``config.json`` of Hugging Face, a file that others wrote: one object, within bounds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from emul.errors import TrainingError
from emul.reading.bounded_text import read_text

__all__ = ["CONFIG", "config_in", "named_after"]

CONFIG = "config.json"


def config_in(path: Path) -> dict[str, Any]:
    """Return the object in the file at ``path``; raises TrainingError, with line and column."""
    text = read_text(path, f"the {CONFIG} of a model", error_class=TrainingError)
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        place = f"{path}, line {error.lineno}, column {error.colno}"
        raise TrainingError(f"{place}: not JSON ({error.msg}): needed one object") from None
    except (RecursionError, ValueError) as error:
        raise TrainingError(f"{path}: not JSON ({error}): needed one object") from None
    if not isinstance(content, dict):
        raise TrainingError(f"{path}: {type(content).__name__}: needed one object of JSON")
    return content


def named_after(path: Path) -> str:
    """Return the name of the model whose config lies at ``path``: of its folder, or of the file."""
    return path.resolve().parent.name if path.name == CONFIG else path.stem
