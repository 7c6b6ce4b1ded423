"""``emul train``: the time of a training step across campuses, and the changes that would help."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emul.cli.calls import SEED, STACK_OPTION
from emul.cli.help import Command, option, options
from emul.cli.names import DTYPE, HARDWARE, MODEL, STACK
from emul.cli.outputs import Output, Outputs
from emul.cli.params import INTERRUPTED, Amount, Real, Seconds
from emul.cli.pictures import check_trace
from emul.cli.places import PLACES
from emul.cli.progress import progress
from emul.cli.reports import write_train_report
from emul.cli.terminal import complain, print_table, say_fitted, terminal_width

if TYPE_CHECKING:
    from emul.report.training import TrainedMethod, TrainResult
    from emul.training import Job

__all__ = ["train"]


def _write_json(path: Path, result: TrainResult) -> None:
    from emul import __version__
    from emul.report.documents import write_json
    from emul.report.training import train_document

    write_json(path, train_document(__version__, result))


def _write_csv(path: Path, result: TrainResult) -> None:
    from emul.files import write_text
    from emul.report.documents import rows_csv
    from emul.report.training import train_rows

    write_text(path, rows_csv(train_rows(result)))


def _write_trace(path: Path, result: TrainResult) -> None:
    from emul.training.step_trace import write_step_trace

    write_step_trace(result.methods[-1].step.timer, path)


FILES: Outputs[TrainResult] = Outputs(
    Output("--json", "Write all of it as JSON (emul schema train).", _write_json),
    Output("--csv", "Write the lines as CSV, by the names of the JSON.", _write_csv),
    Output("--report", "Write a page in HTML: bars, maps, changes, sources.", write_train_report),
    Output(
        "--trace",
        "Write a trace of a period of the one method: .json, .json.gz (Chrome), "
        ".pftrace or .perfetto-trace.",
        _write_trace,
        check_trace,
    ),
)


@click.command(
    cls=Command,
    short_help="Say how long a training step takes across campuses.",
    examples={
        "by two methods, of a model by its numbers": (
            "emul train 1e9x8 --compute 0.5 --method ddp:buckets=4 --method local:20"
        ),
        "a job in a file, and what 95 % utilisation would need": (
            "emul train job.toml --need 0.95"
        ),
    },
    page="train-campuses.md",
)
@click.argument("model", required=False, type=MODEL, metavar="[MODEL|JOB.toml]")
@options(
    "Job",
    option("--tokens", type=Amount(), metavar="N", help="Of a step of all ranks: 48M is 48e6."),
    option("--hardware", type=HARDWARE, metavar="NAME", help="Of each rank (see --list)."),
    option("--mfu", type=Real(0), help="Part of its peak that is reached without waiting."),
    option(
        "--compute",
        "compute_s",
        type=Seconds(),
        metavar="TIME",
        help="In place of --mfu: as measured, 0.5 or 500ms.",
    ),
    option(
        "--precision",
        type=DTYPE,
        metavar="TYPE",
        show_default="bfloat16",
        help="Of parameters and gradients.",
    ),
    option(
        "--mesh",
        metavar="AXIS=N,...",
        show_default="all ranks replicate",
        help="Axes over all ranks, outermost first: replicate, shard, context, pipeline, tensor, "
        "expert.",
    ),
    option(
        "--method",
        "methods",
        multiple=True,
        metavar="NAME[:FIELD=VALUE,...]",
        show_default="hsdp where the mesh shards, else ddp",
        help="Again for each more: ddp, zero, fsdp, hsdp, local:50 (see --list), or "
        "FILE.py:NAME, a function of yours (executed).",
    ),
)
@options(
    "Network",
    *PLACES,
    option(
        "--stack",
        type=STACK,
        metavar="NAME|FILE",
        show_default="ideal",
        help="Whose messages, as of emul perf.",
    ),
    STACK_OPTION,
    option(
        "--start",
        "start_s",
        type=Real(0),
        metavar="SECONDS",
        show_default="0",
        help="When the step begins, where trunks change.",
    ),
    (SEED[0], SEED[1] | {"default": None, "show_default": "0"}),
)
@options(
    "Answers",
    option(
        "--changes/--no-changes",
        default=True,
        show_default=True,
        help="Run the job again with one thing changed, for each thing.",
    ),
    option(
        "--need",
        "need",
        type=Real(0),
        metavar="PART",
        help="Say how to reach a utilisation, such as 0.95.",
    ),
    option("--list", "lists", is_flag=True, help="List models, hardware and methods, and end."),
)
@FILES.options
def train(**given: Any) -> None:
    """Time a step of training over the ranks of a topology, by each of some methods.

    MODEL is a name, a config.json, or parameters x layers, as 405e9x126; JOB.toml says all in a
    file, and options override it. A job is carried out as a program on the virtual clock, and every
    change is a run of its own. exposed: the part of a step that is not compute, and its causes:
    trunks, the network of a site, links of a node. Utilisation: compute over time. crossing: bytes
    over all trunks.
    """  # fmt: skip
    if given["lists"]:
        _list()
        return
    from emul.cli.train_setup import asked_of
    from emul.report.training import TrainResult, train_head, train_rows, train_table, train_words

    FILES.check(given, [given["topology"] or "", given["model"] or "", given["stack"] or ""])
    asked = asked_of(given)
    if given["trace_path"] and len(asked.jobs) > 1:
        raise click.UsageError("--trace: needed one --method, whose step it shows")
    done: list[TrainedMethod] = list(_timed(asked.jobs, given))
    cut = len(done) < len(asked.jobs)
    if done:
        result = TrainResult(done, asked.prices, sys.argv, asked.document, interrupted=cut)
        say_fitted([train_head(result.job)], terminal_width())
        print_table(train_table(train_rows(result)))
        say_fitted(train_words(result), terminal_width())
        FILES.write(given, result)
    if cut:
        complain(f"emul train: interrupted after {len(done)} of {len(asked.jobs)} methods")
        sys.exit(INTERRUPTED)


def _timed(jobs: Sequence[Job], given: dict[str, Any]) -> Iterator[TrainedMethod]:
    """Yield the step of each job; end at an interrupt."""
    from emul.report.training import TrainedMethod
    from emul.training.specification import method_name

    for number, job in enumerate(jobs, start=1):
        try:
            with progress(f"method {number} of {len(jobs)}") as advance:
                advance(method_name(job.method))
                step = job.run()
                needs = None if given["need"] is None else job.needs(given["need"])
                found = TrainedMethod(step, needs, tries_changes=given["changes"])
                found.work_out()
        except KeyboardInterrupt:
            return
        yield found


def _list() -> None:
    """Print the models, the hardware and the methods that have names."""
    from emul.report.training_presets import preset_tables

    for title, table in preset_tables():
        say_fitted(["", title], terminal_width())
        print_table(table)
