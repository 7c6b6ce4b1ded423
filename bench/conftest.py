"""Shared by the suites: the fixture ``measured``, and the JSON of a run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import pytest

from bench import machine, machine_class
from bench.figures import add_comparisons
from bench.measuring import Calibration, Ratio, cpu_s

PLANT = os.environ.get("EMUL_BENCH_PLANT", "")
"""``name:1.3`` makes the work of all benchmarks with ``name`` in theirs take 1.3 times as long."""

RATES = {"bytes": "GB_per_s", "transfers": "transfers_per_s", "calls": "calls_per_s"}

Work = Callable[[], Any]


class Measured(Protocol):
    """Checks the result of the work, times it, and stores the ratio to a calibration."""

    def __call__(
        self,
        work: Work,
        check: Callable[[Any], Mapping[str, Any]],
        *,
        against: Calibration,
        rounds: int,
        prepare: Callable[[], object] | None = None,
        **about: Any,
    ) -> None:
        """``check`` gets the result of the work, asserts that it is right, returns the work done.

        That is ``bytes``, ``transfers`` or ``calls`` by number. ``prepare`` runs before every
        round and is not timed. ``about``: further entries to store.
        """


@pytest.fixture
def measured(benchmark: Any, request: pytest.FixtureRequest) -> Measured:
    def measure(
        work: Work,
        check: Callable[[Any], Mapping[str, Any]],
        *,
        against: Calibration,
        rounds: int,
        prepare: Callable[[], object] | None = None,
        **about: Any,
    ) -> None:
        prepare = prepare or _nothing
        prepare()
        done = check(work())
        assert any(done.get(kind, 0) > 0 for kind in RATES), "the benchmark did no work"
        calibrations: list[float] = []
        against.work()

        def before() -> None:
            prepare()
            calibrations.append(against.seconds())

        slow, taken = planted(work, request.node.nodeid), []

        def timed() -> Any:
            started = cpu_s()
            result = slow()
            taken.append(cpu_s() - started)
            return result

        last = benchmark.pedantic(timed, setup=before, rounds=rounds, iterations=1)
        calibrations.append(against.seconds())
        assert check(last) == done, "the last round did other work than the first"
        if not benchmark.disabled:
            ratio = Ratio(taken, calibrations)
            benchmark.extra_info.update(figures(ratio, against, done), **about)

    return measure


def figures(ratio: Ratio, against: Calibration, done: Mapping[str, Any]) -> dict[str, Any]:
    """Return the stored figures of a benchmark: its ratio, its calibration and its rates."""
    least_s, calibration_s = min(ratio.rounds), min(ratio.calibrations)
    found = {
        "ratio": ratio.least,
        "ratio_paired": ratio.paired,
        "seconds": least_s,
        "calibration": against.name,
        "calibration_s": calibration_s,
        "done": dict(done),
    }
    for kind, name in RATES.items():
        if kind in done:
            found[name] = done[kind] / least_s / (1e9 if kind == "bytes" else 1)
    if against.nbytes and "bytes" in done:
        found["roof_GB_per_s"] = against.nbytes / calibration_s / 1e9
        found["of_roof"] = found["GB_per_s"] / found["roof_GB_per_s"]
    return found


def planted(work: Work, name: str) -> Work:
    """Return ``work``, made slower if EMUL_BENCH_PLANT names it: to see that it would be found."""
    part, _, factor = PLANT.rpartition(":")
    if not part or part not in name:
        return work

    def slower() -> Any:
        started = cpu_s()
        result = work()
        until = started + (cpu_s() - started) * float(factor)
        while cpu_s() < until:
            pass
        return result

    return slower


def _nothing() -> None:
    """Prepare nothing."""


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: Any) -> None:
    machine_info["emul"] = {"machine_class": machine_class(), **machine()}
    machine_info["node"] = ""  # a run is of a kind of machine, not of one with a name


def pytest_benchmark_update_json(config: pytest.Config, benchmarks: Any, output_json: Any) -> None:
    add_comparisons(output_json["benchmarks"])
