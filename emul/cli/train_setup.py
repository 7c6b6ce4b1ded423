"""From the options of ``emul train``, and the file of a job, to the jobs of its methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from emul.cli.params import by_name
from emul.cli.places import document_asked

if TYPE_CHECKING:
    from emul.stacks import Stack
    from emul.topology import Document
    from emul.training import Job
    from emul.training.job_file import JobFile
    from emul.training.money import Prices

__all__ = ["Asked", "asked_of"]

TOML = ".toml"
OF_JOB = ("tokens", "hardware", "mfu", "compute_s", "precision", "seed", "start_s")
"""The options that are arguments of a Job as they are."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The jobs that were asked for, one for each method, on the topology of ``document``."""

    jobs: list[Job]
    document: Document
    prices: Prices | None


def asked_of(given: dict[str, Any]) -> Asked:
    """Return the jobs; raises UsageError for options that contradict each other, and EmulErrors."""
    from emul.training import Job
    from emul.training.job_file import JobFile, read_job
    from emul.training.specification import default_method, mesh_of, method_of, model_of

    if given["mfu"] is not None and given["compute_s"] is not None:
        raise click.UsageError(
            "--mfu and --compute: needed one of them, for compute follows from --mfu"
        )
    of_file = (given["model"] or "").endswith(TOML)
    file = read_job(given["model"]) if of_file else JobFile()
    arguments = _overridden(file.arguments, given)
    if given["model"] is not None and not of_file:
        arguments["model"] = model_of(given["model"])
    if "model" not in arguments:
        raise click.UsageError(
            "no model: needed a name (see --list), a config.json, parameters x layers such as "
            "405e9x126, or a file with a table [model]"
        )
    if given["mesh"] is not None:
        arguments["mesh"] = mesh_of(given["mesh"])
    methods = [method_of(text) for text in given["methods"]] or list(file.methods)
    document = _document(given, file)
    job = Job(
        **arguments,
        world=document.topology,
        stack=_stack(given, file),
        method=methods[0] if methods else default_method(arguments.get("mesh")),
    )
    return Asked([job, *(job.with_method(each) for each in methods[1:])], document, file.prices)


def _overridden(arguments: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a file with those of options in their place."""
    said = {name: given[name] for name in OF_JOB if given[name] is not None}
    kept = dict(arguments)
    for name, other in (("mfu", "compute_s"), ("compute_s", "mfu")):
        if name in said:
            kept.pop(other, None)
    return kept | said


def _document(given: dict[str, Any], file: JobFile) -> Document:
    """Return the topology of the options, else of the file."""
    if file.topology is not None and all(
        given[name] is None for name in ("topology", "ranks", "sites")
    ):
        given = given | {"topology": file.topology}
    return document_asked(given)


def _stack(given: dict[str, Any], file: JobFile) -> Stack:
    from emul.stacks.profile import load_stack
    from emul.stacks.transport import with_options

    name = given["stack"] or file.stack or "ideal"
    return with_options(load_stack(name), by_name(given["stack_option"]))
