"""``emul explain``: the share of each effect in the time of a collective."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emul.cli.calls import (
    DATA,
    NETWORK,
    SEED,
    STEP,
    SWITCHES,
    WIRE_FORMAT,
    sizes_by_factor,
)
from emul.cli.help import Command, option, options
from emul.cli.names import COLLECTIVE, PLANS
from emul.cli.outputs import Output, Outputs
from emul.cli.params import INTERRUPTED
from emul.cli.places import PLACES, document_asked
from emul.cli.progress import progress
from emul.cli.reports import write_explain_report
from emul.cli.requests_asked import requests_asked
from emul.cli.terminal import complain, print_table, say_fitted, terminal_width

if TYPE_CHECKING:
    from emul.insight import Explanation
    from emul.report.explanation import ExplainResult
    from emul.runtime.request import Request
    from emul.world import World

__all__ = ["explain"]


def _write_json(path: Path, result: ExplainResult) -> None:
    from emul import __version__
    from emul.report.documents import write_json
    from emul.report.explanation import explain_document

    write_json(path, explain_document(__version__, result))


def _write_csv(path: Path, result: ExplainResult) -> None:
    from emul.files import write_text
    from emul.report.documents import rows_csv
    from emul.report.explanation import explain_rows

    write_text(path, rows_csv(explain_rows(result)))


FILES: Outputs[ExplainResult] = Outputs(
    Output("--json", "Write all of it as JSON (emul schema explain).", _write_json),
    Output("--csv", "Write the lines as CSV, by the names of the JSON.", _write_csv),
    Output("--report", "Write a page in HTML: shares, chain, sources.", write_explain_report),
)


@click.command(
    cls=Command,
    short_help="Say why it is slow: the share of each effect, which add up.",
    examples={
        "was it the distance between three campuses?": "emul explain -b 32M -e 32M",
        "the cost of the effects for those who choose the schedule anew": (
            "emul explain all_gather --topology three-campus -b 1M -e 1M --plan again"
        ),
    },
    page="why-slow.md",
)
@click.argument("collective", required=False, type=COLLECTIVE)
@options("Sizes", *sizes_by_factor("1M", "32M", 32), STEP)
@options("Data", *DATA, WIRE_FORMAT, SEED)
@options("Network and algorithm", *PLACES, *NETWORK)
@options("Effects left out", *SWITCHES)
@options(
    "Attribution",
    option(
        "--plan",
        type=PLANS,
        default="kept",
        show_default=True,
        metavar="kept|again",
        help="kept: every time is of the plan of today. again: each is of the plan that "
        "--algorithm chooses where some effects are off.",
    ),
)
@FILES.options
def explain(**given: Any) -> None:
    """Share out the time of a collective among the effects of its links, and its schedule.

    Times are modelled, on the virtual clock, under every subset of the effects that the links have:
    latency, window, gap, loss, jitter, queue, load, outage, host. The share is the Shapley value of
    an effect, and all shares add up to the time. alone is the time that switching off this one
    alone would bring. schedule is time above the bound, below which no schedule is; sending is the
    bound without any effect. The words are about the last size.
    """
    from emul.cli.algorithms import file_read
    from emul.reading.checks import one_of
    from emul.report.explanation import (
        ExplainResult,
        explain_head,
        explain_table,
        explain_title,
    )

    plan = one_of(given["plan"], "--plan", PLANS.known())
    files = [given["topology"] or "", file_read(given["algorithm"]), given["stack"]]
    FILES.check(given, files)
    document = document_asked(given)
    world, requests, dtype = requests_asked(given, document.topology)
    done: list[Explanation] = []
    for found in _explained(world, requests, plan):
        if not done:
            head = explain_head(world, requests[0].collective, dtype, found.plan, given["wire"])
            say_fitted([head, ""], terminal_width())
        say_fitted([explain_title(found)], terminal_width())
        print_table(explain_table(found))
        done.append(found)
    if done:
        say_fitted(done[-1].words(), terminal_width())
        cut = len(done) < len(requests)
        promise = requests[0].shape.collective
        root = requests[0].root if promise.rooted else -1
        result = ExplainResult(
            world,
            promise.name,
            dtype,
            root,
            done,
            sys.argv,
            document,
            interrupted=cut,
            wire=given["wire"],
        )
        FILES.write(given, result)
    if len(done) < len(requests):
        complain(f"emul explain: interrupted after {len(done)} of {len(requests)} sizes")
        sys.exit(INTERRUPTED)


def _explained(world: World, requests: list[Request], plan: str) -> Iterator[Explanation]:
    """Yield the explanation of each size; end at an interrupt."""
    from emul.insight.collective import explain_request

    for number, request in enumerate(requests, start=1):
        try:
            with progress(f"size {number} of {len(requests)}") as advance:
                found = explain_request(world.planner, request, plan, advance)
        except KeyboardInterrupt:
            return
        yield found
