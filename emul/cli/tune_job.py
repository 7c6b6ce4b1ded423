"""``emul tune JOB.toml``: the search over the settings and the upgrades of a training job."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from emul.cli.outputs import Outputs
from emul.cli.places import DEFAULT_TOPOLOGY, document_asked
from emul.cli.searching import (
    check_state,
    costs_asked,
    end_if,
    extent_asked,
    print_tuning,
    solved,
)
from emul.cli.terminal import say_fitted, terminal_width

if TYPE_CHECKING:
    from emul.plans import Plan
    from emul.report.tuning import TuneResult
    from emul.topology import Document
    from emul.training import Job
    from emul.training.tuning import JobSearch

__all__ = ["tune_job_asked"]

OF_A_JOB = ("collective", "upgrades", "pairs", "cost_path", "budget", "state_path",
            "other_training", "json_path", "csv_path", "write_path")  # fmt: skip
"""The options that the search over a job has a use for."""


def tune_job_asked(given: dict[str, Any], files: Outputs[TuneResult]) -> None:
    """Search the settings of the job in a file, print the cases and write the files."""
    from emul.insight.tuning import TODAY
    from emul.report.tuning import TuneResult
    from emul.training.tuning import tune_job, tuning_of_job
    from emul.world import World

    _check(given)
    files.check(given, [given["collective"], given["cost_path"] or "", given["state_path"] or ""])
    job, search, source, document = _asked(given)
    done, interrupted = solved(partial(tune_job, job, search))
    if done:
        tuning = tuning_of_job(job, search, [case for case, _ in done], done[-1][1])
        topology = job.topology
        head = f"{tuning.subject} over {topology.world_size:,} ranks of {topology.name}"
        say_fitted([f"{head}; {TODAY}, with the best settings, and upgraded"], terminal_width())
        print_tuning(tuning)
        result = TuneResult(
            World(topology, stack=job.stack, seed=job.seed, start_s=job.start_s),
            "",
            job.precision,
            -1,
            [],
            tuning,
            best_plan=_no_plan,
            command=sys.argv,
            document=document,
            topology_source=source,
            within_budget=search.budget_per_month is not None,
            interrupted=interrupted,
        )
        files.write(given, result)
    end_if(interrupted, given, len(done))


def _no_plan() -> Plan:
    raise click.UsageError("--write-plan: needed a collective, for a job has many")


def _check(given: dict[str, Any]) -> None:
    """Refuse options that are of a collective: UsageError; a state that cannot be written."""
    context = click.get_current_context()
    for parameter in context.command.params:
        name = parameter.name or ""
        asked = context.get_parameter_source(name) == ParameterSource.COMMANDLINE
        if asked and name not in OF_A_JOB:
            raise click.UsageError(f"{parameter.opts[-1]}: needed a collective, not a job")
    check_state(given)


def _asked(given: dict[str, Any]) -> tuple[Job, JobSearch, str, Document]:
    """Return the job by the first method of its file, and the extent of the search."""
    from emul.training import Job
    from emul.training.job_file import read_job
    from emul.training.specification import default_method
    from emul.training.tuning import JobSearch

    file = read_job(given["collective"])
    source = file.topology or DEFAULT_TOPOLOGY
    document = document_asked({"topology": source, "ranks": None, "sites": None})
    arguments = dict(file.arguments)
    method = file.methods[0] if file.methods else default_method(arguments.get("mesh"))
    job = Job(**arguments, world=document.topology, method=method, stack=file.stack or "ideal")
    costs = costs_asked(given, document)
    search = JobSearch(**extent_asked(given, costs), other_training=given["other_training"])
    return job, search, source, document
