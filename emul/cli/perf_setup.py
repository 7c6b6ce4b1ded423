"""From the options of ``emul perf`` to its World, its sweep and its sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from emul.cli.params import by_name

if TYPE_CHECKING:
    from emul.cli.sweep import Sweep
    from emul.topology import Topology
    from emul.world import World

__all__ = [
    "check_asked",
    "check_sizes",
    "counts_of",
    "nccl_config",
    "notes_on_sizes",
    "sizes_asked",
    "sweep_of",
    "world_asked",
]

MOST_SIZES = 10_000
"""Of one table: more lines than anybody waits for."""


def check_asked(asked: Mapping[str, Any]) -> None:
    """Raise UsageError for options that contradict each other."""
    check_sizes(asked["minbytes"], asked["maxbytes"], asked["stepbytes"])
    if asked["no_data"] and asked["clock"] != "virtual":
        raise click.UsageError(
            f"--no-data with --clock {asked['clock']}: needed --clock virtual, for nothing is run "
            "that could be waited for"
        )
    if asked["strict_draws"] and not asked["no_data"]:
        raise click.UsageError("--strict-draws: needed --no-data, for else every rank draws")


def check_sizes(first: int, last: int, step: int | None) -> None:
    """Raise UsageError for sizes that are none, or too many."""
    if first < 1:
        raise click.UsageError(f"-b {first}: needed at least 1 byte")
    if first > last:
        raise click.UsageError(f"-b {first} is above -e {last}: needed the smaller size first")
    if step is not None and step < 1:
        raise click.UsageError(f"-i {step}: needed at least 1 byte")
    number = 1 + (last - first) // (step or last)
    if number > MOST_SIZES:
        raise click.UsageError(
            f"-b {first} -e {last} -i {step}: {number} sizes: needed at most {MOST_SIZES}, by a "
            "larger -i or by -f"
        )


def sweep_of(asked: Mapping[str, Any], topology: Topology) -> Sweep:
    """Return the sweep that was asked for, in a World of its own over ``topology``."""
    from emul.cli.algorithms import collective_and_root
    from emul.cli.sweep import Sweep

    collective, root = collective_and_root(asked["collective"], asked["algorithm"], asked["root"])
    return Sweep(
        world_asked(asked, topology),
        collective,
        asked["algorithm"],
        asked["datatype"],
        asked["op"],
        root,
        asked["iters"],
        asked["warmup_iters"],
        asked["check"],
        asked["no_data"],
        asked["strict_draws"],
        asked["wire"],
    )


def world_asked(asked: Mapping[str, Any], topology: Topology) -> World:
    """Return the World that was asked for, without the effects that are to be left out."""
    from emul.links import EFFECTS
    from emul.ops import AUTO_BACKEND, best_backend
    from emul.stacks.profile import load_stack
    from emul.stacks.transport import with_options, without_host, without_windows
    from emul.timing import UNLIMITED, Slicing
    from emul.world import World

    stack = with_options(load_stack(asked["stack"]), by_name(asked["stack_option"]))
    if asked["no_window"]:
        stack = without_windows(stack)
    if asked["no_host"]:
        stack = without_host(stack)
    slots = UNLIMITED if asked["no_window"] else asked["slots"]
    backend = asked["backend"]
    if backend == AUTO_BACKEND and not asked["no_data"]:
        backend = best_backend()
    return World(
        topology.without([each for each in EFFECTS if asked[_switch(each)]]),
        backend=backend,
        clock=asked["clock"],
        dilation=asked["dilation"],
        seed=asked["seed"],
        slicing=Slicing(asked["slice_bytes"], slots) if asked["slice_bytes"] else None,
        start_s=asked["start_s"],
        stack=stack,
    )


def _switch(effect: str) -> str:
    """Return the name of the option that turns an effect off."""
    return "zero_latency" if effect == "latency" else f"no_{effect}"


def counts_of(sweep: Sweep, asked: Mapping[str, Any]) -> list[int]:
    """Return the counts to run; refuse options that cannot be met at the largest."""
    from emul.errors import unknown_name
    from emul.ops import REDUCTIONS, dtype_named
    from emul.ops.carried import wire_of_call

    if sweep.op not in REDUCTIONS:
        raise unknown_name("op", sweep.op, REDUCTIONS)
    wire_of_call(sweep.wire, sweep.collective, dtype_named(sweep.dtype), sweep.op)
    counts = sweep.counts(sizes_asked(asked))
    sweep.check_feasible(counts[-1])
    return counts


def sizes_asked(asked: Mapping[str, Any]) -> Iterator[int]:
    """Yield the sizes of the whole vector that were asked for, in bytes."""
    from emul.cli.sweep import sizes

    step, factor = asked["stepbytes"], asked["stepfactor"]
    return sizes(asked["minbytes"], asked["maxbytes"], step=step, factor=factor)


def notes_on_sizes(asked: Mapping[str, Any]) -> list[str]:
    """Return a sentence where the last size that was asked for is none of the sizes."""
    from emul.units import format_bytes

    *_, largest = sizes_asked(asked)
    most, step = asked["maxbytes"], asked["stepbytes"]
    if largest == most:
        return []
    following = largest * asked["stepfactor"] if step is None else largest + step
    return [
        f"Sizes: the largest is {format_bytes(largest)}; the next, {format_bytes(following)}, is "
        f"beyond -e {format_bytes(most)}."
    ]


def nccl_config(asked: Mapping[str, Any], ranks: int) -> dict[str, Any]:
    """Return the options by the keys of the JSON of nccl-tests."""
    step = {"step_bytes": asked["stepbytes"]}
    if asked["stepbytes"] is None:
        step = {"step_factor": asked["stepfactor"]}
    return {
        "nthreads": 1,
        "ngpus": ranks,
        "minimum_bytes": asked["minbytes"],
        "maximum_bytes": asked["maxbytes"],
        **step,
        "warmup_iters": asked["warmup_iters"],
        "iterations": asked["iters"],
        "aggregated_iterations": 1,
        "validation": asked["check"],
        "graph": 0,
    }
