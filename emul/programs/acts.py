"""The acts of one rank: computing, issuing collectives and messages, waiting for them, marking.

The program of a rank is an iterable of acts. An act that is complete in itself names its group by
the ranks, so a recorder, a training method or a file can say it without a World.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any, NoReturn

from emul.errors import ArgumentError, shown, unknown_name
from emul.naming import COLLECTIVES, DTYPES, OPS, canonical
from emul.programs.groups import MOST_RANKS, WORLD, RankGroup, check_name
from emul.reading.brief import brief
from emul.reading.checks import finite, is_array, whole

if TYPE_CHECKING:
    from emul.plans import Plan, Schedule

__all__ = [
    "LAST",
    "Act",
    "Compute",
    "Issue",
    "Mark",
    "Recv",
    "Send",
    "Wait",
]

MOST_SECONDS = 4e6
"""Of one act: 46 days. Clocks of 64 bits hold 53 days of picoseconds."""

MOST_ELEMENTS = 1 << 59
"""Of one act, as of one call (see emul.plans.Shape)."""

LAST = -1
"""The number of the operation that a rank issued last."""


@dataclass(frozen=True, slots=True)
class Compute:
    """The rank computes for ``seconds``; ``name``: the part of its program, for reports.

    Of this and all other acts, ``at_s`` is the moment of the wall clock at which a recorder noted
    it; nothing is timed by it.
    """

    seconds: float
    name: str = field(default="", kw_only=True)
    at_s: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse a time that is no finite number from 0 on: ArgumentError."""
        if type(self.seconds) is not float or not 0 <= self.seconds <= MOST_SECONDS:
            object.__setattr__(self, "seconds", _seconds(self.seconds))
        _check_words(self.name, self.at_s)


@dataclass(frozen=True, slots=True)
class Issue:
    """The rank issues a collective of ``group``, and goes on at once.

    The k-th issue of a communicator is one operation of all its ranks, which must call the same.
    Wait for it by its ``name``, or by the number of the operation (see Wait).

    Parameters
    ----------
    collective
        Its name, in any spelling.
    count
        The elements of one rank's input, the same on all ranks, as `World.predict` takes it. Or the
        counts of a vector form: of each rank's block, or in all_to_all those that this rank sends
        to each of the group.
    group
        The communicator; the default is that of the world.
    dtype, op, algorithm
        As in the collectives of a World. An algorithm in a log is a name.
    root
        Of broadcast, reduce, gather and scatter, counted among the ranks of the group.
    shift
        Of send_recv: how far along each rank sends.
    name
        The handle; acts of one name are waited for together.

    Raises ArgumentError.
    """

    collective: str
    count: int | tuple[int, ...]
    group: RankGroup = field(default=WORLD, kw_only=True)
    dtype: str = field(default="float32", kw_only=True)
    op: str = field(default="sum", kw_only=True)
    algorithm: str | Plan | Schedule = field(default="auto", kw_only=True)
    root: int = field(default=0, kw_only=True)
    shift: int = field(default=1, kw_only=True)
    name: str = field(default="", kw_only=True)
    at_s: float | None = field(default=None, kw_only=True)

    __repr__ = brief

    def __post_init__(self) -> None:
        """Check all that can be known without the other ranks."""
        named = type(self.collective) is type(self.dtype) is type(self.op) is str
        if not (
            named and self.collective in COLLECTIVES and self.dtype in DTYPES and self.op in OPS
        ):
            _set(self, collective=_named("collective", self.collective, COLLECTIVES))
            _set(self, dtype=_named("dtype", self.dtype, DTYPES), op=_named("op", self.op, OPS))
        if type(self.count) is not int or not 0 <= self.count <= MOST_ELEMENTS:
            _set(self, count=_counts(self.count))
        if not isinstance(self.group, RankGroup):
            _refuse_group(self.group)
        if not isinstance(self.algorithm, str):
            _check_algorithm(self.algorithm)
        if type(self.root) is not int or self.root < 0:
            _set(self, root=whole(self.root, "root", 0, MOST_RANKS))
        if self.shift != 1:
            _set(self, shift=_shift(self.shift, self.collective))
        _check_words(self.name, self.at_s)

    @classmethod
    def barrier(cls, group: RankGroup = WORLD, *, name: str = "") -> Issue:
        """Return the issue of a barrier, which is timed as an all_reduce of one byte."""
        return cls("all_reduce", 1, dtype="uint8", op="max", group=group, name=name)

    def __str__(self) -> str:
        """Name the call as errors do."""
        counts = self.count if isinstance(self.count, int) else shown(list(self.count))
        more = [self.op] if self.op != "sum" else []
        more += [f"root {self.root}"] if self.root else []
        more += [f"shift {self.shift}"] if self.shift != 1 else []
        more += [f"algorithm {shown(self.algorithm)}"] if self.algorithm != "auto" else []
        return ", ".join([f"{self.collective} of {counts} {self.dtype}", *more])


@dataclass(frozen=True, slots=True)
class Send:
    """The rank begins to send ``count`` elements to rank ``to`` of the world, and goes on at once.

    The k-th send of a communicator to a rank with this ``tag`` meets its k-th Recv there. When the
    sender is done, and whether the receiver has to come first, is as for `World.send`. Raises
    ArgumentError.
    """

    to: int
    count: int
    dtype: str = field(default="float32", kw_only=True)
    tag: int = field(default=0, kw_only=True)
    group: RankGroup = field(default=WORLD, kw_only=True)
    name: str = field(default="", kw_only=True)
    at_s: float | None = field(default=None, kw_only=True)

    __repr__ = brief

    def __post_init__(self) -> None:
        """Check all that can be known without the receiver."""
        _set(self, to=whole(self.to, "to", 0, MOST_RANKS))
        _check_message(self)

    def __str__(self) -> str:
        """Name the call as errors do."""
        tag = f", tag {self.tag}" if self.tag else ""
        return f"send of {self.count} {self.dtype} to rank {self.to}{tag}"


@dataclass(frozen=True, slots=True)
class Recv:
    """The rank is ready to receive ``count`` elements from rank ``source``, and goes on at once.

    It is done when all has arrived; otherwise as Send.
    """

    source: int
    count: int
    dtype: str = field(default="float32", kw_only=True)
    tag: int = field(default=0, kw_only=True)
    group: RankGroup = field(default=WORLD, kw_only=True)
    name: str = field(default="", kw_only=True)
    at_s: float | None = field(default=None, kw_only=True)

    __repr__ = brief

    def __post_init__(self) -> None:
        """Check all that can be known without the sender."""
        _set(self, source=whole(self.source, "source", 0, MOST_RANKS))
        _check_message(self)

    def __str__(self) -> str:
        """Name the call as errors do."""
        tag = f", tag {self.tag}" if self.tag else ""
        return f"recv of {self.count} {self.dtype} from rank {self.source}{tag}"


@dataclass(frozen=True, slots=True)
class Wait:
    """The rank waits until its own part of one operation, or of several, is done.

    ``of``: a name, for all operations that the rank issued under it; or the number of one, counted
    from 0 over its Issue, Send and Recv, where negative numbers count from the last: the default is
    the last one, so that an act and ``Wait()`` are the blocking form of it. Waiting again changes
    nothing. Raises ArgumentError.
    """

    of: str | int = LAST
    at_s: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse all but a name or a whole number."""
        if isinstance(self.of, str):
            _check_words(self.of, self.at_s)
            if not self.of:
                raise ArgumentError("of '': needed a name, or the number of an operation")
            return
        if type(self.of) is not int:
            _set(self, of=whole(self.of, "of"))
        _check_words("", self.at_s)


@dataclass(frozen=True, slots=True)
class Mark:
    """The rank notes its clock under ``name``, as the end of a step. Raises ArgumentError."""

    name: str
    at_s: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse all but a name."""
        _check_words(self.name, self.at_s)
        if not self.name:
            raise ArgumentError("name '' of a mark: needed a name")


Act = Compute | Issue | Send | Recv | Wait | Mark


def _set(act: object, **values: object) -> None:
    for name, value in values.items():
        object.__setattr__(act, name, value)


def _seconds(given: object) -> float:
    needed = f"a finite number from 0 to {MOST_SECONDS:g}"
    seconds = finite(given, "seconds", needed, least=0)
    if seconds > MOST_SECONDS:
        raise ArgumentError(f"seconds {shown(given)}: needed {needed}")
    return seconds


def _counts(given: Any) -> int | tuple[int, ...]:
    """Return one count, or those of a vector form, as whole numbers."""
    if isinstance(given, list | tuple) or is_array(given):
        return tuple(whole(each, "count with", 0, MOST_ELEMENTS) for each in given)
    return whole(given, "count", 0, MOST_ELEMENTS)


def _shift(given: object, collective: str) -> int:
    if collective != "send_recv":
        raise ArgumentError(f"shift {shown(given)} of {collective}: only send_recv has one")
    return whole(given, "shift", -MOST_RANKS, MOST_RANKS)


def _named(what: str, came: object, known: Any) -> str:
    found = canonical(came, known, known) if isinstance(came, str) else came
    if not isinstance(found, str) or found not in known:
        raise unknown_name(what, came, known)
    return found


def _refuse_group(given: object) -> NoReturn:
    raise ArgumentError(f"group {shown(given)}: needed a RankGroup, as RankGroup([0, 8, 16])")


def _check_algorithm(given: object) -> None:
    from emul.plans import Plan  # for algorithms of one's own alone

    if not isinstance(given, Plan) and not callable(given):
        raise ArgumentError(
            f"algorithm {shown(given)}: needed a name, a Plan, or a function that yields steps"
        )


def _check_message(act: Send | Recv) -> None:
    """Check the fields that both ends of a message have."""
    count, tag = (
        whole(act.count, "count", 0, MOST_ELEMENTS),
        whole(act.tag, "tag", 0, MOST_ELEMENTS),
    )
    _set(act, count=count, tag=tag, dtype=_named("dtype", act.dtype, DTYPES))
    if not isinstance(act.group, RankGroup):
        _refuse_group(act.group)
    _check_words(act.name, act.at_s)


def _check_words(name: object, at_s: object) -> None:
    """Refuse a name that is no text, or too long; and a moment that is no number."""
    if name != "":
        check_name(name, "name")
    if at_s is not None and not (type(at_s) is float and isfinite(at_s)):
        finite(at_s, "at_s", "a finite number of seconds")
