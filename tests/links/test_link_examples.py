"""Every worked case of the link model and every preset, at the tolerance that it states."""

import math
import sys
from pathlib import Path

import pytest
from link_examples import MODELS

from emul import Link

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent
WORKED = tomllib.loads((HERE / "link_examples.toml").read_text())

ROUNDING = 1e-12
"""Where a case expects 0, in its own unit: all of them are of the order of 1."""


HEADERS = 52
"""Bytes of IP, TCP and time stamps within the MTU of a TCP segment."""

DIGITS = 1e-9
"""The presets state their delays and derived numbers to about 15 digits."""


def test_every_case_has_a_model():
    assert {case["model"] for case in WORKED["case"]} <= MODELS.keys()
    assert len({case["id"] for case in WORKED["case"]}) == len(WORKED["case"]) == 126


@pytest.mark.parametrize("case", WORKED["case"], ids=lambda case: case["id"])
def test_worked_case(case):
    found = MODELS[case["model"]](**case["inputs"])
    expected = case["expected"]
    found = found if isinstance(found, dict) else {"value": found}
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        tolerance = {"rel": case["rel_tol"], "abs": ROUNDING if value == 0 else 0}
        assert found[name] == pytest.approx(value, **tolerance), name


@pytest.mark.parametrize("preset", WORKED["preset"], ids=lambda preset: preset["name"])
def test_preset(preset):
    """The derived numbers of a preset follow from its parameters."""
    rate = preset["line_gbps"] * 1e9 / 8 * preset["efficiency"]
    rtt_s = 2e-6 * preset["delay_us"]
    window = {"rate": rate, "window_B": preset["window_B"], "rtt": rtt_s}
    segment = {"rtt": rtt_s, "p": preset["loss"], "mss_B": preset["mtu_B"] - HEADERS, "rate": rate}
    pipe = {"p": preset["loss"], "n_pkts": 1 + rtt_s * rate / (preset["mtu_B"] or math.inf)}
    derived = {
        "payload_Bps": lambda: rate,
        "rtt_s": lambda: rtt_s,
        "bdp_B": lambda: Link(rate, rtt_s / 2).bdp_bytes,
        "window_rate_Bps": lambda: MODELS["window_rate"](streams=preset["streams"], **window),
        "streams_to_fill": lambda: MODELS["streams_to_fill"](**window),
        "gbn_efficiency": lambda: MODELS["gbn_efficiency"](**pipe),
        "cubic_rate_per_stream_Bps": lambda: MODELS["cubic_rate"](**segment),
    }
    for name, value in preset["expected"].items():
        assert derived[name]() == pytest.approx(value, rel=DIGITS), name
    if "delay_inputs" in preset:
        found_us = MODELS["one_way_delay"](**preset["delay_inputs"]) * 1e6
        assert found_us == pytest.approx(preset["delay_us"], rel=DIGITS)
