"""``emul tune``: the settings and the upgrades that make a collective quicker."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emul.cli.calls import DATA, NETWORK, SEED, STEP, SWITCHES, sizes_by_factor
from emul.cli.help import Command, option, options
from emul.cli.names import COLLECTIVE_OR_JOB, TOML, Recorded
from emul.cli.outputs import Output, Outputs
from emul.cli.params import Real
from emul.cli.places import DEFAULT_TOPOLOGY, PLACES, document_asked
from emul.cli.reports import write_tune_report
from emul.cli.requests_asked import requests_asked
from emul.cli.searching import (
    check_state,
    costs_asked,
    end_if,
    extent_asked,
    print_tuning,
    solved,
)
from emul.cli.terminal import say, say_fitted, terminal_width

if TYPE_CHECKING:
    from emul.insight.tuner import Search
    from emul.report.tuning import TuneResult
    from emul.topology import Document

__all__ = ["tune"]


def _write_json(path: Path, result: TuneResult) -> None:
    from emul import __version__
    from emul.report.documents import write_json
    from emul.report.tuning import tune_document

    write_json(path, tune_document(__version__, result))


def _write_csv(path: Path, result: TuneResult) -> None:
    from emul.files import write_text
    from emul.report.documents import rows_csv
    from emul.report.tuning import tune_rows

    write_text(path, rows_csv(tune_rows(result)))


def _write_topology(path: Path, result: TuneResult) -> None:
    """Write the topology with the upgrade that the search speaks for."""
    from emul.files import write_text
    from emul.insight.upgraded_file import upgraded_text
    from emul.reading.bounded_text import read_text
    from emul.topology import preset_names
    from emul.topology.library import preset_text

    source, document = result.topology_source, result.document
    assert document is not None
    if source in preset_names():
        text, name, folder = preset_text(source), source, Path()
    else:
        text = read_text(Path(source), "a TOML file")
        name, folder = Path(source).stem, Path(source).parent
    chosen = result.chosen
    said = "no upgrade saves a hundredth" if chosen is None else chosen.name
    written = upgraded_text(
        text,
        document.topology,
        () if chosen is None else chosen.changes,
        name=name,
        folder=folder,
        target=path.parent,
        remarks=[f"{source}, by emul tune: {said}."],
    )
    write_text(path, written)
    say(f"{path}: {said}")


def _write_plan(path: Path, result: TuneResult) -> None:
    """Write the plan of the best settings on the links as they are, at the last size."""
    from emul.files import write_text
    from emul.plans import plan_xml

    text = plan_xml(result.best_plan())
    write_text(path, text)
    say(f"{path}: {len(text.splitlines())} lines")


FILES: Outputs[TuneResult] = Outputs(
    Output("--json", "Write all cases as JSON (emul schema tune).", _write_json),
    Output("--csv", "Write the cases as CSV, by the names of the JSON.", _write_csv),
    Output("--report", "Write a page in HTML: upgrades, pairs, the frontier, sources.",
           write_tune_report),
    Output("--write", "Write the topology with the upgrade, or the two, that save most within "
           "--budget; without, most per money; without costs, most of all single ones.",
           _write_topology),
    Output("--write-plan", "Write the best plan on the links as they are, of the last size, as "
           "MSCCL XML.", _write_plan),
)  # fmt: skip


@click.command(
    cls=Command,
    short_help="Say which settings and upgrades would make it quicker.",
    examples={
        "the trunks that are worth a higher rate": "emul tune -b 32M -e 32M --upgrades rate",
        "all that can be changed, kept in a file as it goes": (
            "emul tune --topology campuses.toml --state tune.jsonl"
        ),
    },
    page="tune.md",
)
@click.argument(
    "collective", required=False, type=COLLECTIVE_OR_JOB, metavar="[COLLECTIVE|JOB.toml]"
)
@options("Sizes", *sizes_by_factor("32M", "32M", 2), STEP)
@options("Data", *DATA, SEED)
@options("Network and algorithm", *PLACES, *NETWORK)
@options("Effects left out", *SWITCHES)
@options(
    "Search",
    option(
        "--upgrades",
        default="rate,wave,trunk,delay,window,uplink,conduit",
        show_default=True,
        metavar="KIND,...|none",
        help="Kinds of upgrades that are tried; none for settings alone.",
    ),
    option(
        "--pairs/--no-pairs",
        default=True,
        show_default=True,
        help="Solve every two upgrades together too (300 pairs at most).",
    ),
    option(
        "--any-root",
        is_flag=True,
        help="Let a rank of another site be the root.",
    ),
    option(
        "--any-shares",
        is_flag=True,
        help="Let the blocks of ranks at unlike sites differ, as the vector forms allow.",
    ),
    option(
        "--cost",
        "cost_path",
        type=Recorded(TOML),
        metavar="FILE",
        help="A TOML file with a table [cost], instead of that of the topology.",
    ),
    option(
        "--budget",
        type=Real(0),
        metavar="MONEY",
        help="Leave out upgrades that cost more a month, or have no known cost.",
    ),
    option(
        "--other-training",
        is_flag=True,
        help="Of a job: search wire formats and local steps too, whose loss may differ.",
    ),
    option(
        "--state",
        "--resume",
        "state_path",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Keep each case in FILE at once; those that are in it are not solved again.",
    ),
)
@FILES.options
def tune(**given: Any) -> None:
    """Search the settings of a collective, and the upgrades of its links that are worth most.

    Settings: algorithms with their pieces, leaders, channels and levels, slices, slots and streams.
    Upgrades: a rate of 2 or 4 times, or a wave more, for each trunk; new trunks; lower delays;
    deeper windows; and every two of them. Each case is solved again with the best settings on its
    own links, and timed by the model, on the virtual clock. With several sizes the time is the sum
    over all. Costs come from a table [cost] (docs/tune.md). Of the file of a training job (emul
    train), its method, buckets, communicators and order of axes are searched, with the options of
    the search alone.
    """
    from emul.cli.algorithms import file_read
    from emul.insight.tuner import plan_of, tune_requests, tuning_of
    from emul.report.tuning import TuneResult, tune_head

    if (given["collective"] or "").endswith(TOML):
        from emul.cli.tune_job import tune_job_asked

        tune_job_asked(given, FILES)
        return
    inputs = [given["topology"] or "", file_read(given["algorithm"]), given["stack"]]
    FILES.check(given, [*inputs, given["cost_path"] or "", given["state_path"] or ""])
    _check(given)
    document = document_asked(given)
    world, requests, dtype = requests_asked(given, document.topology)
    search = _search_asked(given, document)
    done, interrupted = solved(partial(tune_requests, world.planner, requests, search))
    if done:
        cases = [case for case, _ in done]
        tuning = tuning_of(world.planner, requests, search, cases, done[-1][1])
        say_fitted([tune_head(world, dtype, tuning.subject)], terminal_width())
        print_tuning(tuning)
        promise = requests[0].shape.collective
        result = TuneResult(
            world,
            promise.name,
            dtype,
            requests[0].root if promise.rooted else -1,
            [each.nbytes for each in requests],
            tuning,
            best_plan=lambda: plan_of(world.planner, requests, search, tuning.best),
            command=sys.argv,
            document=document,
            topology_source=given["topology"] or DEFAULT_TOPOLOGY,
            within_budget=search.budget_per_month is not None,
            interrupted=interrupted,
        )
        FILES.write(given, result)
    end_if(interrupted, given, len(done))


def _check(given: dict[str, Any]) -> None:
    """Refuse options that cannot be met together: UsageError; a state that cannot be written."""
    if given["write_path"] and (given["ranks"] or given["sites"]):
        raise click.UsageError("--write: needed --topology, of whose file it writes another")
    check_state(given)


def _search_asked(given: dict[str, Any], document: Document) -> Search:
    """Return the extent of the search that was asked for."""
    from emul.insight.tuner import Search

    costs = costs_asked(given, document)
    return Search(
        **extent_asked(given, costs),
        any_root=given["any_root"],
        any_shares=given["any_shares"],
    )
