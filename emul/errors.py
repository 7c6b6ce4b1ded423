"""Every error that emul raises on purpose.

``EmulError`` is the base; each leaf is also the builtin that a caller would expect.
Unless a leaf says otherwise, the arrays of the caller are as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

__all__ = [
    "ArgumentError",
    "BackendError",
    "CapacityError",
    "DTypeError",
    "EmulError",
    "FileError",
    "InFlightError",
    "LagError",
    "MeasurementError",
    "MissingLibraryError",
    "OutageError",
    "PlanError",
    "ProgramError",
    "ShapeError",
    "StackError",
    "TimeLimitError",
    "TopologyError",
    "TrainingError",
    "did_you_mean",
    "listed",
    "not_compiled",
    "one_of_many",
    "shown",
    "unknown_name",
]

LONGEST_SHOWN = 80
"""Characters of a value in a message; a value may be an array of millions of elements."""


class EmulError(Exception):
    """Base of all errors raised on purpose by emul."""


class ArgumentError(EmulError, ValueError):
    """An argument names nothing that exists, or is out of range."""


class ShapeError(EmulError, ValueError):
    """A buffer has the wrong number of dimensions, rows or elements."""


class DTypeError(EmulError, TypeError):
    """A buffer is not an array, or holds elements that emul does not reduce."""


class TopologyError(EmulError, ValueError):
    """A topology cannot be read, or describes something that cannot exist."""


class MeasurementError(EmulError, ValueError):
    """A file of measurements cannot be read, or its values cannot be fitted."""


class FileError(EmulError, OSError):
    """A file cannot be written; an earlier file of that name is left as it was."""


class MissingLibraryError(EmulError, ImportError):
    """A library is missing that only some commands need."""


class StackError(EmulError, ValueError):
    """The profile of a stack cannot be read, or describes no library."""


class BackendError(EmulError, RuntimeError):
    """A backend cannot compute on this machine, or a device failed to carry out a request."""


class PlanError(EmulError, ValueError):
    """A plan does not compute the promise of its collective; nothing was run.

    ``where`` is the step, rank and chunk that the message names, where there is a step.
    """

    def __init__(self, message: str, where: tuple[int, int, int] | None = None) -> None:
        """Name the fault and its place."""
        super().__init__(message)
        self.where = where


class ProgramError(EmulError, ValueError):
    """The log of a program cannot be read, or the acts of its ranks do not fit each other."""


class TrainingError(EmulError, ValueError):
    """The description of a model, of hardware or of a workload cannot be read."""


class CapacityError(EmulError, MemoryError):
    """The buffers would not fit in memory; said before any of them is allocated."""


class OutageError(EmulError, ConnectionError):
    """A link was down for longer than the transport over it bears; nothing was run."""


class InFlightError(EmulError, RuntimeError):
    """The result of a collective was asked for before it was waited for."""


class TimeLimitError(EmulError, OverflowError):
    """The modelled time passes the range of int64 picoseconds (53 days)."""


class LagError(EmulError, TimeoutError):
    """A result came later after its modelled moment than a strict World allows.

    The call was carried out: ``out`` holds its result, unless it is the input, which is as it was.
    """


MOST_NAMED = 12
LONGEST_NAMED = 600
LONGEST_NAME = 100


def one_of_many(complaints: Iterable[str]) -> str:
    """Return complaints as one text: each once, a dozen at most, cut where they are very long."""
    once = list(dict.fromkeys(complaints))
    named = [
        each if len(each) <= LONGEST_NAMED else f"{each[:LONGEST_NAMED]} ..."
        for each in once[:MOST_NAMED]
    ]
    rest = len(once) - len(named)
    return "; ".join([*named, f"and {rest} more"] if rest else named)


def listed(names: Iterable[str]) -> str:
    """Return names with commas: a dozen at most, and how many more there are."""
    every = list(names)
    named = [name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]} ..." for name in every]
    rest = len(every) - MOST_NAMED
    return ", ".join([*named[:MOST_NAMED], f"and {rest} more"] if rest > 0 else named)


class NotCompiledError(EmulError, ImportError):
    """Compiled modules are missing: Python found the source folder before the package."""


def not_compiled(error: ModuleNotFoundError) -> NotCompiledError:
    """Return the error for a source folder that Python found before the installed package."""
    return NotCompiledError(
        f"{error.name} is not compiled: Python found emul's source folder before the installed "
        "package; leave that folder, or run: pip install -e ."
    )


def unknown_name(what: str, came: object, known: Iterable[str]) -> ArgumentError:
    """Return the error for a name that is none of ``known``; it asks for the nearest, if any."""
    names = tuple(known)
    return ArgumentError(
        f"unknown {what} {shown(came)}: needed one of {', '.join(names)}{did_you_mean(came, names)}"
    )


def did_you_mean(came: object, names: Iterable[str]) -> str:
    """Return the question at the end of an error for the name that ``came`` looks most like.

    Nothing where none is near.
    """
    if not isinstance(came, str) or len(came) > LONGEST_SHOWN:
        return ""
    from difflib import get_close_matches  # for errors alone

    spelled = {name.lower(): name for name in names if " " not in name}
    near = get_close_matches(came.lower(), spelled, n=1)
    return f"; did you mean {spelled[near[0]]}?" if near else ""


def shown(value: object) -> str:
    """Return ``value`` as a message shows it: in one line that is not long."""
    if isinstance(value, int) and abs(value) >= 10**LONGEST_SHOWN:
        return f"of {value.bit_length()} bits"  # Python refuses to print some of these
    text = text_of(value, repr)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]} ..."


def text_of(value: object, form: Callable[[object], str] = str) -> str:
    """Return ``value`` in one line, by ``form``; its type where its own code fails at that.

    An error while an error is being told would hide both, and so would an exit.
    """
    try:
        return " ".join(form(value).split())
    except KeyboardInterrupt:
        raise
    except BaseException:
        return f"of type {type(value).__name__}"
