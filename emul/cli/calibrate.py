"""``emul calibrate``: from measurements of one's own to the numbers of a link."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emul.cli.calls import STACK_OPTION
from emul.cli.help import Command, option, options
from emul.cli.names import COLLECTIVE, NAMED_ALGORITHM, STACK, TOPOLOGY, Recorded
from emul.cli.outputs import Output, Outputs
from emul.cli.params import Size, by_name
from emul.cli.places import ranks_by_name, ranks_in
from emul.cli.reports import write_calibration_report
from emul.cli.terminal import complain, print_table, say, say_each, say_fitted, terminal_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emul.links import Link
    from emul.measured import Calibration, Log, Measurement, SiteLayout, Taken
    from emul.report.calibration_words import CalibrationResult
    from emul.topology import Document, Topology

__all__ = ["calibrate"]

RECOVERY_OF = {"Socket": "cubic", "IB": "gbn"}
"""By the transport of the stack; the default of Linux, and of a reliable connection of RDMA."""

UNFIT, UNFIT_PART = 2.0, 0.1
"""Times that a form makes twice as long or half; and the part of all that may be so: few outliers
are borne."""

MOST_SITES = 1_000


def _write_topology(path: Path, result: CalibrationResult) -> None:
    """Write the topology, unless nothing was measured, and say so."""
    from emul.files import write_text
    from emul.measured import topology_text

    if not result.calibration.measured_anything or result.unfit:
        say(f"{path}: not written")
        return
    text = topology_text(
        result.layout,
        result.link,
        result.parameters,
        base=result.base,
        base_name=result.base_name,
        base_folder=Path(result.base_name).parent,
        remarks=_remarks(result),
        recovery=RECOVERY_OF.get(result.net, ""),
    )
    write_text(path, text)
    say(f"{path}: written")


def _remarks(result: CalibrationResult) -> list[str]:
    """Return the comments at the head of a topology file."""
    from emul.report.calibration_words import NOT_CALIBRATED

    files = [
        f"By emul calibrate from {log.path.name} ({log.form}): "
        f"{'; '.join(each.words for each in rows)}."
        for log, rows in result.taken.items()
    ]
    base = [
        f"Each call takes {each.value:g} {each.unit} more, which no link has."
        for each in result.parameters
        if each.name == "base_us"
    ]
    notes = [f"Note: {note}." for log in result.taken for note in log.notes]
    told = [f"Warning: {each}." for each in result.warnings]
    stack = [f"For emul perf --stack {result.stack}, whose constants are no part of the link."]
    return [*files, *base, *stack * bool(result.stack), NOT_CALIBRATED, *notes, *told]


def _write_json(path: Path, result: CalibrationResult) -> None:
    from emul import __version__
    from emul.report.calibration_words import calibration_document
    from emul.report.documents import write_json

    write_json(path, calibration_document(__version__, result))


def _write_csv(path: Path, result: CalibrationResult) -> None:
    from emul.files import write_text
    from emul.report.documents import rows_csv

    write_text(path, rows_csv(result.parameters))


FILES: Outputs[CalibrationResult] = Outputs(
    Output("--out", "Write a topology with the calibrated link.", _write_topology,
           metavar="TOPOLOGY.toml"),
    Output("--json", "Write the parameters as JSON (emul schema calibrate).", _write_json),
    Output("--csv", "Write the parameters as CSV, by the names of the JSON.", _write_csv),
    Output("--report", "Write a page in HTML: the numbers, the fit, its errors.",
           write_calibration_report),
)  # fmt: skip


@click.command(
    cls=Command,
    short_help="Find the numbers of a link from measurements.",
    examples={
        "a log of nccl-tests between two sites, and a ping": (
            "emul calibrate all_reduce.log ping.txt --sites north=8,south=8"
        ),
        "the same as a topology for emul perf": (
            "emul calibrate all_reduce.log --sites north=8,south=8 --out mine.toml"
        ),
    },
    page="howto/calibration.md",
)
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=Recorded(".log", ".txt", ".json", ".csv"),
)
@options(
    "Where it was measured",
    option(
        "--link",
        type=click.Choice(["trunk", "site", "node"]),
        default=None,
        help="Which links were measured: between sites, between nodes of a site, or inside a "
        "node. The farthest that there are, if not given.",
    ),
    option(
        "--sites",
        metavar="NAME=RANKS,...",
        help="Where the ranks live, in their order; if not given, as in --base if that has as "
        "many, or else at one site.",
    ),
    option(
        "--base",
        metavar="NAME|FILE",
        type=TOPOLOGY,
        help="A topology to take the other links from; else they are assumed fast.",
    ),
    option(
        "--world-size",
        "world_sizes",
        multiple=True,
        metavar="[FILE=]RANKS",
        help="Of files that do not say it (OSU); may be given for each file.",
    ),
)
@options(
    "What was measured",
    option(
        "--collective",
        type=COLLECTIVE,
        metavar="NAME",
        help="Of logs of nccl-tests that do not say it.",
    ),
    option(
        "--algorithm",
        type=NAMED_ALGORITHM,
        metavar="NAME",
        help="Of collectives whose file does not say it; ring, if not given, or what there is "
        "instead.",
    ),
    option(
        "--stack",
        type=STACK,
        metavar="NAME|FILE",
        help="Fit by the emulator, as this library sends: nccl for curves of nccl-tests, whose "
        "algorithm and protocol change with the size. Its constants are then no part of the link.",
    ),
    STACK_OPTION,
    option(
        "--slice",
        "slice_bytes",
        type=Size(),
        help="A ring hands chunks on in pieces of this size, 0 for whole chunks; if not given, "
        "512K (NCCL, emul perf) or whole, whichever fits better.",
    ),
    option(
        "--half",
        type=click.Choice(["out-of-place", "in-place"]),
        default=None,
        help="Of lines of nccl-tests take only this half; both, if not given, unless they differ.",
    ),
    option(
        "--partial",
        is_flag=True,
        help="Take the complete lines of files that are cut, damaged or not closed; those that "
        "are left out are told.",
    ),
)
@FILES.options
def calibrate(files: tuple[Path, ...], **asked: Any) -> None:
    r"""Find the latency, overhead and rate of a link from measurements, and how sure they are.

    Each FILE is the output of nccl-tests (as printed, or -J), of an OSU micro-benchmark, of
    iperf3 -J or of ping, or a CSV. The content
    of a FILE tells its kind.

    A CSV of collectives has the columns collective, world_size, size_bytes (of the whole vector)
    and time_s, and if wanted algorithm. A CSV of a link has kind, size_bytes and time_s, where
    kind is latency (one way), rtt (both ways), message (one, until it has come) or goodput (bytes
    that a stream moves in the time).

    The time of a collective is fitted as base + steps x (latency + overhead) + factor x size /
    rate, with steps and factor of its closed form. Parameters that the data cannot
    tell apart are named and put together. Needs scipy: pip install '.[calibrate]'.
    """
    from emul.measured import ALIKE, LINKS, base_link, layout_of, parameters_of
    from emul.measured import calibrate as fitted
    from emul.report.calibration_words import CalibrationResult
    from emul.topology import load_document

    FILES.check(asked, files)
    logs = _logs(files, asked)
    base = load_document(asked["base"]) if asked["base"] else None
    layout = layout_of(logs, _ranks_of_sites(asked["sites"]), base.topology if base else None)
    link = asked["link"] or layout.binding_link
    layout.check(link, logs)
    known = {each: base_link(base, each) for each in LINKS}
    measurements, net = [each for log in logs for each in log.measurements], ""
    if asked["stack"]:
        calibration, net = _by_stack(measurements, asked, layout, link, base)
    elif asked["stack_option"]:
        raise click.UsageError("--stack-option: needed --stack, whose option it is")
    else:
        calibration = fitted(
            measurements,
            algorithm=asked["algorithm"] or "",
            slice_bytes=asked["slice_bytes"],
            ring=layout.ring_over(link, known) if base else ALIKE,
        )
    taken = {log: _taken(log, asked) for log in logs}
    said = f"as in {asked['base']}" if base else "no --base was given"
    words = {log.measurements[0].source: " and ".join(log.taken_as) for log in logs}
    parameters = parameters_of(calibration, known[link], said, words)
    beside = [] if asked["stack"] else layout.warnings(link, logs)
    beside = beside if base is None else _words_of_base(base, link, asked)
    warnings = [*calibration.warnings, *beside]
    result = CalibrationResult(
        taken, layout, link, parameters, calibration, base, asked["base"] or "", warnings, sys.argv,
        asked["stack"] or "", net, _unfit(calibration, measurements, by_stack=bool(asked["stack"])),
    )  # fmt: skip
    _print(result)
    FILES.write(asked, result)
    if not calibration.measured_anything:
        say(f"nothing of the {link} link was measured")
        click.get_current_context().exit(1)
    if result.unfit:
        complain(f"emul calibrate: {result.unfit}")
        click.get_current_context().exit(1)


def _taken(log: Log, asked: dict[str, Any]) -> tuple[Taken, ...]:
    """Return the measurements of a file; a stack chooses the algorithm that it does not say."""
    from emul.measured import taken_of

    taken = taken_of(log, asked["algorithm"] or "")
    if not asked["stack"]:
        return taken
    return tuple(
        replace(each, algorithm=f"as {asked['stack']} chooses", algorithm_from="by the size")
        if each.algorithm_from == "assumed"
        else each
        for each in taken
    )


def _by_stack(
    measurements: list[Measurement],
    asked: dict[str, Any],
    layout: SiteLayout,
    link: str,
    base: Document | None,
) -> tuple[Calibration, str]:
    """Return the fit by the emulator, and the transport of the library."""
    from emul.measured import base_link, topology_text
    from emul.measured.parameters import Parameter
    from emul.runtime.stack_fit import fit_by_stack
    from emul.stacks.profile import load_stack
    from emul.stacks.transport import with_options
    from emul.topology.toml.reader import parse_document

    for other in ("algorithm", "slice_bytes"):
        if asked[other] is not None:
            name = "--slice" if other == "slice_bytes" else f"--{other}"
            raise click.UsageError(f"{name} with --stack: needed one of them, for a stack has both")

    def topology_of(tried: Link) -> Topology:
        numbers = (
            ("latency_us", tried.latency_s * 1e6, "us"),
            ("overhead_us", 0.0, "us"),
            ("rate_gbit_per_s", tried.rate_bytes_per_s * 8 / 1e9, "Gbit/s"),
        )
        parameters = [
            Parameter(name, value, unit, None, None, "assumed", "tried")
            for name, value, unit in numbers
        ]
        name, folder = asked["base"] or "", Path(asked["base"] or "").parent
        text = topology_text(
            layout, link, parameters, base=base, base_name=name, base_folder=folder, remarks=()
        )
        return parse_document(text, name="tried", where="the topology", folder=folder).topology

    stack = with_options(load_stack(asked["stack"]), by_name(asked["stack_option"]))
    found = fit_by_stack(measurements, stack, topology_of, base_link(base, link))
    return found.calibration, found.stack.net


def _unfit(calibration: Calibration, measurements: Sequence[Measurement], *, by_stack: bool) -> str:
    """Say that a form is another than that of the times, if it is; else return nothing.

    Then a tenth of the times or more are off by twice or more.
    """
    rows = measurements if len(calibration.fitted_s) == len(measurements) else ()
    off = [
        each
        for each, fitted_s in zip(rows, calibration.fitted_s, strict=bool(rows))
        if max(fitted_s / each.time_s, each.time_s / fitted_s) >= UNFIT
    ]
    if by_stack or len(off) < max(1, len(rows) * UNFIT_PART):
        return ""
    sizes = [each.size_bytes for each in off]
    from emul.units import format_bytes

    return (
        f"the form is off by twice or more at {len(off)} of {len(rows)} measurements, from "
        f"{format_bytes(min(sizes))} to {format_bytes(max(sizes))}, so no link follows: needed "
        "times of one algorithm and protocol, or --stack nccl, which chooses both by the size"
    )


def _words_of_base(base: Document, link: str, asked: dict[str, Any]) -> list[str]:
    """Name the keys of the base link that are lost when the calibrated link replaces it."""
    from emul.measured import keys_left_out

    keys = keys_left_out(base, link)
    if not keys:
        return []
    return [
        f"{', '.join(keys)} of the {link} link in {asked['base']}: left out, for they were not "
        "measured beside what was"
    ]


def _logs(files: tuple[Path, ...], asked: dict[str, Any]) -> list[Log]:
    from emul.errors import unknown_name
    from emul.measured import COLLECTIVES, Hints, only_half, read_measurements

    collective = asked["collective"] or ""
    if collective and collective not in COLLECTIVES:
        raise unknown_name("collective", collective, COLLECTIVES)
    everywhere, by_file = _world_sizes(asked["world_sizes"], files)
    for path in files:
        if files.count(path) > 1:
            raise click.UsageError(f"{path}: given {files.count(path)} times: needed once")
    logs = [
        read_measurements(
            path, Hints(by_file.get(str(path), everywhere), collective, asked["partial"])
        )
        for path in files
    ]
    half = (asked["half"] or "").replace("-", " ")
    return _named_apart([only_half(log, half) for log in logs] if half else logs)


def _named_apart(logs: list[Log]) -> list[Log]:
    """Return the logs, of which those with one name in several folders are named by their paths."""
    names = [log.path.name for log in logs]
    return [
        replace(log, measurements=tuple(replace(m, source=str(log.path)) for m in log.measurements))
        if names.count(log.path.name) > 1
        else log
        for log in logs
    ]


def _world_sizes(given: tuple[str, ...], files: tuple[Path, ...]) -> tuple[int, dict[str, int]]:
    """Return the world size of all files that do not say it, and those of some of them."""
    everywhere, by_file = 0, {}
    for text in given:
        name, _, number = text.rpartition("=")
        ranks = ranks_in(number)
        if ranks < 2:
            raise click.UsageError(f"--world-size {text}: needed 2 ranks or more, or FILE=RANKS")
        if name and name not in map(str, files):
            raise click.UsageError(
                f"--world-size {text}: needed one of {', '.join(map(str, files))}"
            )
        if name:
            by_file[name] = ranks
        else:
            everywhere = ranks
    return everywhere, by_file


def _ranks_of_sites(given: str | None) -> dict[str, int]:
    """Return the ranks of each site by its name."""
    sites = ranks_by_name("--sites", given)
    if len(sites) > MOST_SITES:
        raise click.UsageError(f"--sites: {len(sites)} sites: needed at most {MOST_SITES}")
    return sites


def _print(result: CalibrationResult) -> None:
    from emul.report.calibration_words import calibration_table, file_line, fit_words

    width = terminal_width()
    say_fitted((file_line(log, rows) for log, rows in result.taken.items()), width)
    print_table(calibration_table(result.parameters))
    say_fitted([f"{result.link} link: {fit_words(result.calibration)}"], width)
    say_each("note: ", (note for log in result.taken for note in log.notes))
    say_each("warning: ", result.warnings)
