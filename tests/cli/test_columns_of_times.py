"""Measured, modelled and lag of a line are of one call: measured = dilation x modelled + lag."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples

import emul.runtime.launch
import emul.wall.clock
from emul import World
from emul.cli.sweep import Sweep
from emul.plans import COLLECTIVES, Shape
from emul.report import WideTable, perf_row
from emul.runtime.request import Request
from emul.runtime.run import Run
from emul.wall.lag import CallTimes

WORLD = World("one-campus")
SHAPE = Shape.of(COLLECTIVES["all_reduce"], WORLD.size, 1000)
PREPARED = WORLD.planner.prepare(Request(SHAPE, 4, algorithm="ring"))
PREDICTION = PREPARED.prediction
OUTPUT = np.zeros((WORLD.size, 1000), np.float32)


def row_of(lags_ns, dilation):
    """The line of calls that were late by ``lags_ns``, one after another."""
    runs, now_ns = [], 10**9
    busy_ns = math.ceil(PREDICTION.total_ps * dilation / 1000)
    for lag_ns in lags_ns:
        due_ns = now_ns + busy_ns
        arrival = CallTimes(now_ns, due_ns, due_ns, due_ns, due_ns + lag_ns, PREDICTION.time_s)
        runs.append(Run(OUTPUT, PREPARED, arrival, dilation=dilation))
        now_ns = due_ns + lag_ns + 1000
    return perf_row(WORLD, runs, redop="sum", root=0, seed=0, wrong=0), busy_ns


@examples(150)
@given(
    st.lists(st.one_of(st.integers(0, 100), st.integers(0, 10**9)), min_size=1, max_size=9),
    st.sampled_from([0.01, 0.5, 1.0, 3.0, 40.0]),
)
def test_the_columns_add_up_exactly(lags_ns, dilation):
    row, busy_ns = row_of(lags_ns, dilation)
    middle_ns = sorted(lags_ns)[(len(lags_ns) - 1) // 2]
    assert round(row.lag_s * 1e9) == middle_ns
    assert round(row.wall_s * 1e9) == busy_ns + middle_ns
    assert row.wall_s == pytest.approx(dilation * row.modelled_s + row.lag_s, abs=1.1e-9)
    assert row.lag_s <= row.lag_p99_s <= row.lag_max_s


def test_a_call_between_two_times_is_none_of_both():
    """Halfway between 50 ns and 275 us there was no call, and no such time is shown."""
    row, busy_ns = row_of([50, 50, 275_000, 300_000], 1.0)
    assert (round(row.lag_s * 1e9), round(row.wall_s * 1e9)) == (50, busy_ns + 50)


class Clock:
    """Time that passes only in waits, which end late by chance, and while something is done."""

    def __init__(self, seed):
        self.now, self.draw = 10**12, random.Random(seed)

    def now_ns(self):
        self.now += self.draw.choice((10, 1000, 200_000))
        return self.now

    def wait_until(self, due_ns, *, realtime):
        self.now = max(self.now, due_ns) + self.draw.choice((30, 50, 90, 150_000, 400_000))
        return self.now


@pytest.mark.parametrize("seed", range(8))
def test_the_printed_columns_add_up_on_a_busy_machine(monkeypatch, seed):
    clock, dilation = Clock(seed), (1.0, 2.5)[seed % 2]
    for module in (emul.runtime.launch, emul.wall.clock):
        monkeypatch.setattr(module, "now_ns", clock.now_ns)
    monkeypatch.setattr(emul.wall.clock, "wait_until", clock.wait_until)
    world = World("one-campus", clock="wall", dilation=dilation)
    sweep = Sweep(world, "all_reduce", "ring", "float32", "sum", 0, 4 + seed % 3, 0, 0)
    table = WideTable(world, "all_reduce", "ring")
    rows = [sweep.row(count, lambda doing: None) for count in (8, 20_000)]
    for row in rows:
        assert row.wall_s == pytest.approx(dilation * row.modelled_s + row.lag_s, abs=1.1e-9)
        modelled, measured, lag = (float(table.line(row).split()[column]) for column in (5, 13, 14))
        assert measured == pytest.approx(dilation * modelled + lag, abs=0.005 * (2 + dilation))
    said = "\n".join(table.foot(rows, sweep.lag))
    assert ("2.5 x modelled time + lag" in said) == (dilation == 2.5)
