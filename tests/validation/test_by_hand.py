"""Columns, campuses and summaries of a few rows, worked out by hand."""

from dataclasses import replace
from math import inf, log2
from pathlib import Path
from types import SimpleNamespace

import pytest

from emul.stacks.profile import load_stack
from emul.validation import Summary, read_links, read_measured
from emul.validation.algorithms import chosen
from emul.validation.campuses import campuses_of
from emul.validation.columns import LinkMeasurements, MeasuredLinks
from emul.validation.prediction import Predicted, Predictor, _middle
from emul.validation.textbook import textbook_s

ROW = (
    "sw,coll,algo,ranks,placement,delay_us,rate_bps,shape,bytes,median_s,link,"
    "wmax,rmax,buf,jitter_us,mtu\n"
    "gloo,broadcast,default,4,block,5000,8000000,pair,1000,0.5,far,300,200,0,4000,1500\n"
)


@pytest.fixture
def row(tmp_path):
    path = tmp_path / "measured.csv"
    path.write_text(ROW)
    (found,) = read_measured(path)
    return found


def test_columns_have_their_units(row):
    assert (row.delay_s, row.rate_bytes_per_s, row.jitter_s) == (5e-3, 1e6, 4e-3)
    assert (row.buffer_bytes, row.nbytes, row.measured_s) == (200, 1000, 0.5)
    assert row.place.line == 2


def test_links_keep_each_direction_and_the_best_stream(tmp_path):
    path = tmp_path / "links.csv"
    path.write_text(
        "link,kind,src,dst,value\n"
        "far,ping_rtt_ms,0,1,10\n"
        "far,ping_rtt_ms,1,2,30\n"
        "far,ping_rtt_ms_intra,0,0,0.5\n"
        "far,iperf3_goodput_bps,0,1,8000000\n"
        "far,iperf3_goodput_bps,0,1,4000000\n"
        "far,iperf3_goodput_bps,1,0,2000000\n"
        "far,iperf3_goodput_bps_intra,0,1,80000000\n"
        "near,ping_rtt_ms_intra,0,0,0.1\n"
        "next,ping_rtt_ms_intra,0,0,0.2\n"
        "none,ping_rtt_ms,0,1,1\n"
    )
    table = read_links(path)
    far = table.links["far"]
    assert far.rtt_s == {(0, 1): 10e-3, (1, 2): 30e-3}
    assert far.goodput == {(0, 1): 1e6, (1, 0): 0.25e6}
    assert (far.inside_rtt_s, far.inside_goodput, table.fastest) == (0.5e-3, 1e7, 1e6)
    assert table.inside_rtt_s("near") == 0.1e-3
    assert table.inside_rtt_s("none") == table.inside_rtt_s("unheard of") == 0.2e-3


def measured(**changed):
    known = {"rtt_s": {(1, 0): 20e-3}, "goodput": {}, "inside_rtt_s": 1e-3, "inside_goodput": 1e9}
    return MeasuredLinks(Path("links.csv"), {"far": LinkMeasurements(**{**known, **changed})})


def trunk_of(row, table):
    return campuses_of(row, table, 1e6).topology.trunks[0].link


def test_half_of_the_jitter_is_in_the_ping_already(row):
    row = replace(row, ranks=2)
    plain = trunk_of(replace(row, jitter_s=0.0), measured())
    assert (plain.latency_s, plain.jitter.median_s) == (10e-3, 0)
    some = trunk_of(row, measured())
    assert (some.latency_s, some.jitter.median_s) == (pytest.approx(8e-3), 2e-3)
    more = trunk_of(replace(row, jitter_s=50e-3), measured())
    assert (more.latency_s, more.jitter.median_s) == (0, 10e-3)


def test_a_pair_without_ping_has_the_middle_of_the_others_or_what_is_configured(row):
    row = replace(row, ranks=3, jitter_s=0.0)
    known = campuses_of(row, measured(rtt_s={(0, 1): 4e-3, (0, 2): 8e-3}), 1e6).topology
    assert [trunk.link.latency_s for trunk in known.trunks] == [2e-3, 4e-3, pytest.approx(3e-3)]
    back = campuses_of(row, measured(rtt_s={(1, 0): 4e-3, (0, 2): 8e-3}), 1e6).topology
    assert back == known  # a round trip is that of both directions
    nothing = trunk_of(row, measured(rtt_s={}))
    # 5 ms each way as configured, and a round trip within either campus
    assert nothing.latency_s == pytest.approx((2 * 5e-3 + 2 * 1e-3) / 2)
    inside = campuses_of(row, measured(), 1e6).topology.sites[0].link
    assert (inside.rate_bytes_per_s, inside.latency_s) == (1e9, 0.5e-3)


def test_frames_carry_payload_without_their_headers(row):
    # Of 1514 bytes on the wire 52 are IP and TCP, 14 Ethernet.
    assert trunk_of(row, measured()).rate_bytes_per_s == pytest.approx(1e6 * 1448 / 1514)
    shared = campuses_of(replace(row, shape="uplink"), measured(), 1e6).topology.sites[0]
    assert shared.uplink_bytes_per_s == pytest.approx(1e6 * 1448 / 1514)
    assert shared.into_bytes_per_s == inf


@pytest.mark.parametrize(
    ("collective", "nbytes", "algorithm", "expected"),
    [
        ("broadcast", 262_144, "pipeline_256K", "openmpi:chain"),
        ("broadcast", 262_145, "pipeline_256K", "openmpi:chain,segments=2"),
        ("broadcast", 600_000, "pipeline_256K", "openmpi:chain,segments=3"),
        ("all_reduce", 8000, "segmented_ring_1K", "openmpi:ring,segments=2"),  # 1.95 of 4 KiB
        ("all_reduce", 6144, "segmented_ring_1K", "openmpi:ring"),  # one and a half
        ("all_reduce", 6200, "segmented_ring_1K", "openmpi:ring,segments=2"),
        ("all_reduce", 3000, "segmented_ring_1K", "openmpi:ring"),
    ],
)
def test_segments_of_a_call(row, collective, nbytes, algorithm, expected):
    row = replace(row, collective=collective, nbytes=nbytes, algorithm=algorithm)
    assert chosen(row, load_stack("openmpi")).plan.algorithm == expected


@pytest.mark.parametrize(
    ("collective", "family", "steps", "copies"),
    [
        ("all_reduce", "ring", 8, 8 / 5),
        ("all_gather", "ring", 4, 4 / 5),
        ("broadcast", "chain", 4, 4),
        ("broadcast", "binomial", 3, 3),
        ("all_reduce", "recursive_doubling", 3, 3),
        ("all_reduce", "rabenseifner", 6, 8 / 5),
        ("all_gather", "bruck", 3, 4 / 5),
        ("reduce_scatter", "recursive_halving", 3, 4 / 5),
    ],
)
def test_the_textbook_for_five_ranks(collective, family, steps, copies):
    found = textbook_s(collective, family, 5, 1000, alpha_s=1.0, beta=100.0)
    assert found == pytest.approx(steps + 10 * copies)
    assert log2(5) > 2  # three rounds, rounded up


def test_a_prediction_that_is_too_long_errs_upwards(row):
    found = Predicted(row, 0.6, 0.25, "share", ())
    assert found.error == pytest.approx(0.2)
    assert found.textbook_error == pytest.approx(-0.5)


def test_the_middle_of_the_draws_counts():
    drawn = [SimpleNamespace(total_ps=ps) for ps in (5, 1, 9, 7, 3)]
    assert _middle(drawn).total_ps == 5
    assert _middle(drawn[:1]).total_ps == 5


def test_the_textbook_has_the_delay_of_the_middle_trunk(row):
    table = measured(rtt_s={(0, 1): 2e-3, (0, 2): 4e-3, (1, 2): 20e-3})
    row = replace(row, ranks=3, jitter_s=0.0, rate_bytes_per_s=0.0, nbytes=3)
    found = Predictor(table).predict(row)
    assert found.textbook_s == pytest.approx(2 * 2e-3, rel=1e-3)


def test_ten_per_cent_is_close():
    summary = Summary.of([0.1, -0.1, 0.11, -0.5])
    assert (summary.within_10_percent, summary.worst) == (0.5, 0.5)
    assert summary.median == pytest.approx(0.105)
    assert summary.p90 == pytest.approx(0.11 + 0.7 * 0.39)
