"""Pages of small results, for the tests of the template and of Chromium."""

from dataclasses import replace
from datetime import datetime
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np

import emul
from emul import Link, Node, Site, Topology, Trunk, World
from emul.cli.sweep import Sweep
from emul.measured import (
    LINKS,
    Measurement,
    SiteLayout,
    base_link,
    calibrate,
    parameters_of,
    taken_of,
)
from emul.measured.measurement import Log
from emul.report import modelled_row
from emul.report.calibration_words import CalibrationResult
from emul.report.closing import closing_of
from emul.report.explanation import ExplainResult
from emul.report.html import (
    Origin,
    PerfFindings,
    calibration_page,
    explain_page,
    perf_page,
    train_page,
    tune_page,
    validation_page,
)
from emul.report.training import TrainedMethod, TrainResult
from emul.report.tuning import TuneResult
from emul.report.validation import ValidationResult
from emul.topology import load_document
from emul.topology.costs import Costs, UnitCosts
from emul.training import DDP, Job, LocalSteps, Model
from emul.training.money import Prices
from emul.validation import Predictor, read_links, read_measured

FIDELITY = Path(__file__).parents[1] / "fidelity"
MADE = Origin.of("1.2.3", ["emul", "perf", "a b.toml"], datetime(2026, 12, 1, 10, 30))
NEAR, FAR = Link(1e10, 1e-6, 2e-6), Link(1e9, 1e-3)


def topology(names, name="some", km=None):
    """Return sites of two ranks each, all joined."""
    sites = tuple(Site(each, (Node(1, NEAR),) * 2, NEAR) for each in names)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    return Topology(name, sites, tuple(Trunk(pair, FAR, km) for pair in pairs))


def findings(world, counts=(16, 4096, 1 << 18), algorithm="hierarchical", **more):
    """Return the findings of a sweep that is modelled alone."""
    predictions = [
        world.predict("all_reduce", count, dtype="float32", algorithm=algorithm) for count in counts
    ]
    rows = [
        modelled_row(world, each, np.dtype("float32"), redop="sum", root=0, seed=0)
        for each in predictions
    ]
    return PerfFindings(world, rows, predictions[-1], **more)


@cache
def campuses():
    """Return the page of the preset, with changes and sources."""
    world = World("three-campus")
    sweep = Sweep(world, "all_reduce", "auto", "float32", "sum", 0, 1, 0, 0)
    found = findings(
        world,
        (16, 4096, 1 << 14),
        "auto",
        changes=tuple(islice(sweep.alternatives(1 << 14), 4)),
        document=load_document("three-campus"),
    )
    closing = closing_of(world, found.prediction, sweep.in_one_place(1 << 14))
    return perf_page(replace(found, closing=closing), MADE)


@cache
def explained():
    """Return the page of emul explain, of two sizes on the preset as a library sends them."""
    world = World(World("three-campus").topology.without(["gap", "loss"]), stack="gloo")
    found = [emul.explain(world, "all_reduce", count, dtype="float32") for count in (16, 4096)]
    document = load_document("three-campus")
    result = ExplainResult(world, "all_reduce", "float32", -1, found, (), document)
    return explain_page(result, MADE)


@cache
def trained():
    """Return the page of emul train by two methods, with money, on the preset."""
    document = load_document("three-campus")
    job = Job(model=Model(1e8, 2), world=document.topology, compute_s=0.5, tokens=1e6)
    done = [TrainedMethod(job.with_method(each).run()) for each in (DDP(buckets=1), LocalSteps(5))]
    return train_page(TrainResult(done, Prices(2.0, 500.0, "EUR"), document=document), MADE)


@cache
def tuned():
    """Return the page of emul tune, with costs, on the preset."""
    world = World("three-campus")
    costs = Costs("EUR", UnitCosts(per_gbit_per_s=300))
    found = emul.tune(world, "all_reduce", 1 << 16, upgrades=["rate"], costs=costs)
    result = TuneResult(world, "all_reduce", "float32", -1, [1 << 18], found, lambda: None,
                        document=load_document("three-campus"))  # fmt: skip
    return tune_page(result, MADE)


PREDICTOR = Predictor(read_links(FIDELITY / "links.csv"))


@cache
def predictions():
    """Return some rows that were measured, with their predictions."""
    rows = read_measured(FIDELITY / "collectives.csv")[2:40:2]
    return [PREDICTOR.predict(row) for row in rows if row.nbytes < 1 << 21]


@cache
def validated():
    """Return the page of some rows that were measured."""
    stacks = {each.name: each for each in (PREDICTOR.stack_of(p.row) for p in predictions())}
    result = ValidationResult(predictions(), ["emul", "validate"], stacks=tuple(stacks.values()))
    return validation_page(result, MADE)


def calibration(times=None, name="a.csv"):
    """Return the result of a calibration: of messages of 10 us and 1 GB/s, if not given."""
    sizes = [1 << k for k in range(8, 26)]
    times = times or [10e-6 + size / 1e9 for size in sizes]
    rows = tuple(
        Measurement("message", t, name, size) for size, t in zip(sizes, times, strict=False)
    )
    rows += (Measurement("latency", 8e-6, name),)
    log = Log(Path(name), "CSV", rows)
    found = calibrate(rows)
    return CalibrationResult(
        {log: taken_of(log, "")},
        SiteLayout(()),
        "trunk",
        parameters_of(found, base_link(None, LINKS[0]), "no --base was given"),
        found,
        None,
        "",
        found.warnings,
        ["emul", "calibrate"],
    )


@cache
def calibrated():
    """Return the page of a calibration."""
    return calibration_page(calibration(), MADE)
