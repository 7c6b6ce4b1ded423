"""``emul compare``: algorithms side by side, at a few sizes."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emul.cli import pictures
from emul.cli.calls import DATA, sizes_by_factor
from emul.cli.help import Command, option, options
from emul.cli.names import PLAN
from emul.cli.outputs import Output, Outputs
from emul.cli.params import INTERRUPTED
from emul.cli.places import PLACES, topology_asked
from emul.cli.terminal import columns, complain, say, say_fitted, terminal_width

if TYPE_CHECKING:
    from emul.cli.comparing import Contest
    from emul.report.comparison import ComparisonResult

__all__ = ["compare"]

ALL = "all"
PART_OF_NAME = re.compile(r"(node|site|trunk|pieces|leaders|channels)=")
"""With which a part of the name of a hierarchy, or of packed, begins behind a comma of its own."""


def _write_json(path: Path, result: ComparisonResult) -> None:
    from emul import __version__
    from emul.report.comparison import comparison_document
    from emul.report.documents import write_json

    write_json(path, comparison_document(__version__, result))


def _write_csv(path: Path, result: ComparisonResult) -> None:
    from emul.files import write_text
    from emul.report.documents import rows_csv

    write_text(path, rows_csv(result.compared.rows))


def _draw(path: Path, result: ComparisonResult) -> None:
    from emul.report.comparison import comparison_title, curves_of
    from emul.report.plot import plot_times

    curves, bound = curves_of(result.compared)
    plot_times(path, curves, bound=bound, heading=comparison_title(result.compared))


FILES: Outputs[ComparisonResult] = Outputs(
    Output("--json", "Write all of it as JSON (emul schema compare).", _write_json),
    Output("--csv", "Write the lines as CSV, by the names of the JSON.", _write_csv),
    Output(
        "--plot",
        "Draw time over size, of eight at most, as .png, .svg or .pdf.",
        _draw,
        pictures.check_plot,
    ),
)


@click.command(
    cls=Command,
    short_help="Hold algorithms against each other, also your own.",
    examples={
        "a function of yours beside all others": "emul compare mine.py:my_plan --sites 6,2",
        "two algorithms at one size": "emul compare all_gather ring bruck -b 64M -e 64M",
    },
    page="invent.md",
)
@click.argument("asked", nargs=-1, required=True, metavar="[COLLECTIVE] ALGORITHM...", type=PLAN)
@options(
    "Algorithms",
    option(
        "--against",
        multiple=True,
        metavar="all|NAME,...",
        show_default="all, with one algorithm",
        help="Hold them against these too: names or files behind commas, or all that emul has "
        "for the collective.",
    ),
)
@options("Sizes", *sizes_by_factor("8K", "32M", 64))
@options("Data", *DATA)
@options("Ranks", *PLACES)
@options("Table", option("--markdown", is_flag=True, help="Print tables and words as Markdown."))
@FILES.options
def compare(**given: Any) -> None:
    """Hold algorithms against each other: proven, time, x bound, bytes over boundaries, error.

    ALGORITHM is a name, FILE.xml, a plan, or FILE.py:NAME, a function of yours (see emul plan
    check; the file is executed). Times are modelled on the virtual clock. x bound is the time over
    the least that any algorithm could take; crossing are the bytes over all boundaries between
    sites. The error is that of random numbers, relative to the sum of their magnitudes. An
    algorithm of --against that cannot be compared is listed with the reason.
    """
    from emul.cli.algorithms import file_read
    from emul.report.comparison import ComparisonResult

    collective, subjects = _collective_of(given["asked"])
    others = _names(given["against"] or ([ALL] if len(subjects) == 1 else []))
    files = [file_read(each) for each in (*subjects, *others)]
    FILES.check(given, [*files, given["topology"] or ""])
    contest = _contest(collective, subjects, others, given)
    counts = _counts(contest, given)
    done = (_print_markdown if given["markdown"] else _print)(contest, counts)
    if done:
        FILES.write(given, ComparisonResult(contest.compared, interrupted=done < len(counts)))
    if done < len(counts):
        complain(f"emul compare: interrupted after {done} of {len(counts)} sizes")
        sys.exit(INTERRUPTED)


def _collective_of(asked: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    """Return the collective, if the first argument is one, and the algorithms, each once."""
    from emul.plans import COLLECTIVES  # spelled as here by the type of the argument

    collective, names = (asked[0], asked[1:]) if asked[0] in COLLECTIVES else (None, asked)
    if not names:
        raise click.UsageError(f"Missing argument 'ALGORITHM' of {collective}: needed one or more")
    return collective, tuple(dict.fromkeys(names))


def _names(against: Iterable[str]) -> tuple[str, ...]:
    """Return the names behind commas; those within the name of a hierarchy stay there."""
    names: list[str] = []
    for part in (part for text in against for part in text.split(",")):
        if names and PART_OF_NAME.match(part):
            names[-1] += f",{part}"
        else:
            names.append(part)
    return tuple(dict.fromkeys(names))


def _contest(
    collective: str | None,
    subjects: tuple[str, ...],
    others: tuple[str, ...],
    given: dict[str, Any],
) -> Contest:
    """Return the algorithms that are to be compared, in a World on the virtual clock."""
    from emul.cli.algorithms import collective_and_root
    from emul.cli.comparing import Contest
    from emul.errors import unknown_name
    from emul.ops import REDUCTIONS, dtype_named
    from emul.plans import algorithms_for
    from emul.world import World

    said = {each: collective_and_root(collective, each, given["root"]) for each in subjects}
    if len(set(said.values())) > 1:
        computed = "; ".join(f"{each}: {name}, root {at}" for each, (name, at) in said.items())
        raise click.UsageError(f"{computed}: needed algorithms for one collective, of one root")
    name, root = said[subjects[0]]
    if given["op"] not in REDUCTIONS:
        raise unknown_name("op", given["op"], REDUCTIONS)
    where = topology_asked(given)
    every = [
        each for other in others for each in (algorithms_for(name) if other == ALL else [other])
    ]
    for each in others:
        _check_known(each)
    against = tuple(each for each in dict.fromkeys(every) if each not in subjects)
    dtype = dtype_named(given["datatype"]).name
    return Contest(World(where), name, subjects, against, dtype, given["op"], root)


def _check_known(algorithm: str) -> None:
    """Raise the error of a name, or of a file, that means no algorithm at all."""
    from emul.cli.algorithms import in_file
    from emul.errors import unknown_name
    from emul.plans import ALGORITHMS
    from emul.plans.libraries import LIBRARY_ALGORITHMS

    known = (ALL, *ALGORITHMS, *LIBRARY_ALGORITHMS)
    if algorithm not in known and not PART_OF_NAME.search(algorithm) and in_file(algorithm) is None:
        raise unknown_name("algorithm", algorithm, (ALL, *ALGORITHMS))


def _counts(contest: Contest, given: dict[str, Any]) -> list[int]:
    """Return the counts of one rank's input, from the smallest size to the largest."""
    from emul.cli.perf_setup import check_sizes
    from emul.cli.sweep import counts_of_sizes, sizes

    first, last, factor = given["minbytes"], given["maxbytes"], given["stepfactor"]
    check_sizes(first, last, None)
    wanted = sizes(first, last, step=None, factor=factor)
    return counts_of_sizes(contest.collective, contest.world.size, contest.dtype, wanted)


def _print(contest: Contest, counts: list[int]) -> int:
    """Print the tables and the words; return how many sizes were done, also when interrupted."""
    from emul.report.comparison import comparison_head, comparison_table, comparison_words

    done = 0
    for done, size in enumerate(_sizes_done(contest, counts), start=1):
        if done == 1:
            say_fitted(comparison_head(contest.compared), terminal_width())
        say(*comparison_table(contest.compared, size, columns()))
    if done:
        say("")
        say_fitted(comparison_words(contest.compared), terminal_width())
    return done


def _print_markdown(contest: Contest, counts: list[int]) -> int:
    """Print all of it as Markdown, likewise."""
    from emul.report.comparison import comparison_head, comparison_markdown, comparison_words
    from emul.report.markdown import escaped, markdown_sentence

    done = 0
    for done, size in enumerate(_sizes_done(contest, counts), start=1):
        if done == 1:
            say(*map(escaped, comparison_head(contest.compared)))
        say(*comparison_markdown(contest.compared, size))
    if done:
        say("", *map(markdown_sentence, comparison_words(contest.compared)))
    return done


def _sizes_done(contest: Contest, counts: list[int]) -> Iterator[int]:
    """Yield each size in bytes when it is compared; end at an interrupt."""
    for count in counts:
        try:
            size = contest.compare(count)
        except KeyboardInterrupt:
            return
        yield size
