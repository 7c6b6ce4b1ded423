"""Predictions for what the first set of measurements does not have: see its README."""

from pathlib import Path

import pytest

from emul.validation import Predictor, read_links, read_measured, summary_of

FOLDER = Path(__file__).parents[1] / "fidelity" / "namespaces"


@pytest.fixture(scope="module")
def found():
    predictor = Predictor(read_links(FOLDER / "links.csv"))
    return [predictor.predict(row) for row in read_measured(FOLDER / "collectives.csv")]


def group(found, **wanted):
    chosen = [
        each
        for each in found
        if all(getattr(each.row, name) == value for name, value in wanted.items())
    ]
    assert chosen
    return chosen


def test_all_rows_together(found):
    model, textbook = summary_of(found)
    assert model.rows == 480
    assert model.median <= 0.015
    assert textbook.median > 20 * model.median


# Bounds are those of the promise for links of 1 ms and more, or tighter where that is reached.
@pytest.mark.parametrize(
    ("wanted", "median", "p90"),
    [
        ({"ranks": 3, "variant": "base", "shape": "uplink"}, 0.02, 0.12),
        ({"ranks": 6, "placement": "block"}, 0.02, 0.08),
        ({"ranks": 6, "placement": "cyclic", "sw": "gloo"}, 0.03, 0.15),
        ({"shape": "pair"}, 0.01, 0.03),
        ({"variant": "win"}, 0.01, 0.12),
        ({"variant": "win", "sw": "gloo"}, 0.01, 0.04),
        ({"variant": "idle", "restarts_after_idle": False}, 0.01, 0.03),
        ({"variant": "idle", "restarts_after_idle": True}, 0.02, 0.12),
        ({"variant": "jitter"}, 0.04, 0.12),
        ({"mtu_bytes": 1500}, 0.04, 0.12),
        ({"loss": 0.001}, 0.08, 0.25),
        ({"loss": 0.01}, 0.25, 0.35),
    ],
)
def test_what_was_not_in_the_first_set_is_predicted(found, wanted, median, p90):
    model, _ = summary_of(group(found, **wanted))
    assert model.median <= median
    assert model.p90 <= p90
