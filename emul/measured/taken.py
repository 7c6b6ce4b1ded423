"""The measurements that were taken from a file: collective, ranks, algorithm, protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emul.errors import ArgumentError
from emul.measured.forms import COLLECTIVES, algorithm_of
from emul.measured.measurement import Log, Measurement

__all__ = ["Taken", "only_half", "taken_of"]


@dataclass(frozen=True, slots=True)
class Taken:
    """Measurements of one file that are alike but for their sizes.

    ``ranks`` are 2 where no collective was measured; ``algorithm`` is empty there, and
    ``algorithm_from`` says who named it: the file, --algorithm, or nobody, so that it is assumed.
    ``places`` are the halves of nccl-tests; ``how`` is the protocol and the direction; ``what``
    says in words the collective and its ranks, or how a link was measured.
    """

    kind: str
    ranks: int
    algorithm: str
    algorithm_from: str
    places: tuple[str, ...]
    how: str
    measurements: int
    what: str

    @property
    def words(self) -> str:
        """All of it in words."""
        algorithm = f"{self.algorithm} ({self.algorithm_from})" if self.algorithm else ""
        how = self.how if self.kind in COLLECTIVES else ""
        places = " and ".join(self.places)
        return ", ".join(each for each in (self.what, how, algorithm, places) if each)


def taken_of(log: Log, asked: str) -> tuple[Taken, ...]:
    """Return the measurements taken from a file; ``asked`` is the algorithm that the user names."""
    groups: dict[tuple[str, int, str, str], list[Measurement]] = {}
    for each in log.measurements:
        key = (each.kind, each.world_size, each.algorithm, each.how)
        groups.setdefault(key, []).append(each)
    return tuple(_taken(rows, asked) for rows in groups.values())


def _taken(rows: Sequence[Measurement], asked: str) -> Taken:
    first = rows[0]
    algorithm, said_by = "", ""
    if first.kind in COLLECTIVES:
        algorithm = algorithm_of(first, asked)
        said_by = "assumed" if algorithm != asked else "as --algorithm says"
        said_by = "as the file says" if first.algorithm else said_by
    places = tuple(dict.fromkeys(each.place for each in rows if each.place))
    return Taken(
        first.kind,
        first.world_size,
        algorithm,
        said_by,
        places,
        first.how,
        len(rows),
        first.taken_as,
    )


def only_half(log: Log, half: str) -> Log:
    """Return a log without the other half of its lines; other files are left as they are.

    Raises ArgumentError where a file that has halves does not have this one.
    """
    if not any(each.place for each in log.measurements):
        return log
    kept = tuple(each for each in log.measurements if each.place in ("", half))
    if not kept:
        there = ", ".join(dict.fromkeys(each.place for each in log.measurements))
        raise ArgumentError(f"--half: {log.path} has nothing {half}: needed {there}")
    return Log(log.path, log.form, kept, log.ranks_of_hosts, log.notes)
