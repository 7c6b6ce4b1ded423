"""Functions in a Python file of the user, named on a command line as ``mine.py:my_plan``.

The file is executed: it is the user's own code. While it runs, and while its functions yield, its
folder can be imported from, its standard output is standard error, and no file is written beside
it. An error in it becomes one PlanError with its file and line.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, islice
from os.path import realpath
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

from emul.errors import EmulError, PlanError, listed, shown, text_of
from emul.plans.custom import MOST_ROWS, CustomAlgorithm
from emul.plans.plan import Plan
from emul.reading.bounded_text import file_version, read_bytes

if TYPE_CHECKING:
    from typing import TypeGuard

__all__ = ["UserFunction", "is_user_code", "load_algorithm", "load_user_function", "user_file"]

PYTHON = ".py"
ALGORITHM = "a function that yields steps, or a Plan"
LONGEST_COMPLAINT = 300
NO_EXIT = "needed a file and functions that return"
END = object()

_numbers = count()


def is_user_code(name: object) -> TypeGuard[str]:
    """Say whether ``name`` means a Python file, alone or with a name in it behind a colon."""
    return isinstance(name, str) and user_file(name).lower().endswith(PYTHON)


def user_file(name: str) -> str:
    """Return the path of the file in ``name``: all of it, or the part before ``:NAME``."""
    path, _, attribute = name.rpartition(":")
    return path if path.lower().endswith(PYTHON) and "/" not in attribute else name


def load_algorithm(name: str) -> Plan | CustomAlgorithm:
    """Return the plan, or the algorithm, that ``FILE.py:NAME`` means.

    NAME may be a function that yields steps or returns a Plan, the same under
    `emul.plans.algorithm`, or a Plan. A file is executed once, and again when it has changed.
    Raises PlanError, with file and line, for everything that is wrong with the file.
    """
    return _loaded(name, file_version(user_file(name)))


@lru_cache(maxsize=32)
def _loaded(name: str, version: object) -> Plan | CustomAlgorithm:
    """Return the algorithm of a file in this ``version``."""
    return _algorithm(name, user_file(name), _named(name, version, ALGORITHM))


def load_user_function(name: str, needed: str) -> UserFunction:
    """Return the function that ``FILE.py:NAME`` means; ``needed`` says in errors which one.

    What it returns, or yields, is the caller's to check. Raises PlanError, with file and line, for
    everything that is wrong with the file or happens in the function.
    """
    path = user_file(name)
    found = _named(name, file_version(path), needed)
    if not callable(found) or isinstance(found, type):
        raise PlanError(f"{name} is {shown(found)}: needed {needed}")
    return UserFunction(path, found)


def _named(name: str, version: object, needed: str) -> Any:
    """Return the object that a name in a file in this ``version`` stands for."""
    path = user_file(name)
    attribute = name[len(path) + 1 :]
    module = _module(path, version, needed)
    if not attribute:
        raise PlanError(f"{path}: no name in it is asked for: needed {_one_of(path, module)}")
    with _users_turn(path):  # which may have a __getattr__
        found = getattr(module, attribute, END)
    if found is END:
        raise PlanError(_unknown(path, attribute, module, needed))
    return found


def _algorithm(name: str, path: str, found: Any) -> Plan | CustomAlgorithm:
    """Return the algorithm that a name in a file stands for."""
    if isinstance(found, Plan):
        return found
    if isinstance(found, CustomAlgorithm):
        return _with_errors(name, path, found)
    if callable(found) and not isinstance(found, type):
        return _with_errors(name, path, CustomAlgorithm(found))
    raise PlanError(f"{name} is {shown(found)}: needed {ALGORITHM} (see emul.plans.plan_from)")


@dataclass(frozen=True, slots=True)
class _LoadedAlgorithm(CustomAlgorithm):
    """The algorithm that ``origin``, FILE.py:NAME, means; pickled as that, and loaded anew."""

    origin: str = ""

    def __reduce__(self) -> tuple[Any, ...]:
        return load_algorithm, (self.origin,)


def _with_errors(name: str, path: str, mine: CustomAlgorithm) -> CustomAlgorithm:
    """Return the algorithm with functions whose errors name file and line."""
    named = {
        each: UserFunction(path, value) if callable(value) else value
        for each, value in (("chunks", mine.chunks), ("scratch", mine.scratch))
    }
    return _LoadedAlgorithm(
        UserFunction(path, mine.schedule),
        mine.collective,
        named["chunks"],
        named["scratch"] or 0,
        mine.root,
        origin=name,
    )


class UserFunction:
    """A function of a user's file, whose errors, and those of the values it yields, say where."""

    def __init__(self, path: str, function: Callable[..., Any]) -> None:
        """Take the file and the function in it."""
        self.path = path
        self.__wrapped__ = function  # whose parameters are looked at
        with _users_turn(path):
            self.__name__ = str(getattr(function, "__name__", "custom"))

    def __call__(self, *args: Any, **more: Any) -> Any:
        """Return the value of the function; of a generator, one whose errors say where too."""
        with _users_turn(self.path):
            found = self.__wrapped__(*args, **more)
            return self.yielding(iter(found)) if _is_iterated_by_its_own_code(found) else found

    def yielding(self, found: Iterator[Any]) -> Iterator[Any]:
        """Yield the values of a generator, each taken while it is the user's turn."""
        while True:
            with _users_turn(self.path):
                step = next(found, END)
                if _is_iterated_by_its_own_code(step):
                    step = list(islice(step, MOST_ROWS + 1))
            if step is END:
                return
            yield step


def _is_iterated_by_its_own_code(found: object) -> TypeGuard[Iterable[Any]]:
    """Say whether to iterate over ``found`` runs code that may be a user's."""
    return isinstance(found, Iterable) and not isinstance(found, list | tuple | str | bytes)


@lru_cache(maxsize=32)
def _module(path: str, version: object, needed: str) -> ModuleType:
    """Return the module in the file at ``path``, executed in this ``version`` of it."""
    said = f"a Python file with {needed}, as FILE.py:NAME"
    text = read_bytes(Path(path), said, error_class=PlanError)
    module = ModuleType(f"emul_user_{next(_numbers)}_{Path(path).stem}")
    module.__file__ = path
    with _users_turn(path):
        code = compile(text, path, "exec", dont_inherit=True)
        sys.modules[module.__name__] = module  # where dataclasses and pickle look for it
        exec(code, module.__dict__)
    return module


@contextmanager
def _users_turn(path: str) -> Iterator[None]:
    """Let code of the user run: with its folder to import from, and errors with their line."""
    folder, before = str(Path(realpath(path)).parent), set(sys.modules)
    writes_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, folder)
    try:
        with redirect_stdout(sys.stderr):
            yield
    except SystemExit as end:
        at = _place(path, folder, end)
        raise PlanError(f"{at}: the program is ended here: {NO_EXIT}") from None
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:
        raise PlanError(_complaint(path, folder, error)) from None
    finally:
        sys.dont_write_bytecode = writes_bytecode
        if folder in sys.path:
            sys.path.remove(folder)
        _forget_siblings(folder, before)


def _forget_siblings(folder: str, before: set[str]) -> None:
    """Forget modules that were imported from ``folder``: another file may have others so named."""
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and not name.startswith("emul_user_") and realpath(file).startswith(f"{folder}/"):
            del sys.modules[name]


def _complaint(path: str, folder: str, error: BaseException) -> str:
    """Return an error of a user's code in one line, with its file and line."""
    said = text_of(error)[:LONGEST_COMPLAINT]
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}: no Python: {error.msg}"
    kind = "" if isinstance(error, EmulError) else f"{type(error).__name__}: "
    return f"{_place(path, folder, error)}: {kind}{said}".removesuffix(": ")


def _place(path: str, folder: str, error: BaseException) -> str:
    """Return file and line of the user's code that an error came through last."""
    place, trace = path, error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file == path or _is_within(file, folder):
            place = _line(file, trace)
        trace = trace.tb_next
    return place


def _line(file: str, trace: TracebackType) -> str:
    return f"{file}, line {trace.tb_lineno}"


def _is_within(file: str, folder: str) -> bool:
    return realpath(file).startswith(f"{folder}/") and "site-packages" not in file


def _names(module: ModuleType) -> list[str]:
    """Return the names in a module that may be algorithms of its own."""
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (
            isinstance(value, Plan | CustomAlgorithm)
            or (
                callable(value)
                and not isinstance(value, type)
                and getattr(value, "__module__", None) == module.__name__
            )
        )
    ]


def _one_of(path: str, module: ModuleType) -> str:
    names = _names(module)
    return " or ".join(f"{path}:{name}" for name in names[:3]) if names else f"{path}:NAME"


def _unknown(path: str, attribute: str, module: ModuleType, needed: str) -> str:
    """Return the complaint about a name that the file does not have."""
    from difflib import get_close_matches

    names = _names(module)
    close = get_close_matches(attribute, names, n=1)
    meant = f"did you mean {path}:{close[0]}?" if close else f"it has {listed(names) or 'none'}"
    return f"{path} has no {attribute}: needed {needed}; {meant}"
