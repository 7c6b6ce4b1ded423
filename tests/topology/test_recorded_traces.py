"""Traces as others record them: seconds or milliseconds, rates or parts, any delimiter, large."""

import random

import numpy as np
import pytest
from counting import few_calls
from hypothesis import given
from hypothesis import strategies as st

from emul import TopologyError, World
from emul.topology import read_topology
from emul.topology.formats.mahimahi import mahimahi_states
from emul.topology.formats.traces import recorded_rows

RATE = 1e9 / 8
"""Of the link, in bytes per second: 1 Gbit/s."""

PER_MBIT = {
    "rate_factor": 1e-3,
    "rate_kbit_per_s": 1e3,
    "rate_mbit_per_s": 1.0,
    "rate_gbit_per_s": 1e-3,
}
PER_SECOND = {"from_s": 1.0, "from_ms": 1e3}

TOPOLOGY = """
[defaults]
node_link = { rate_gbit_per_s = 400, latency_us = 1 }
site_link = { rate_gbit_per_s = 400, latency_us = 1 }
[[site]]
name = "a"
nodes = [1]
[[site]]
name = "b"
nodes = [1]
[[trunk]]
between = ["a", "b"]
rate_gbit_per_s = 1
latency_us = 100
trace = """


def trunk_over(folder, trace):
    (folder / "two.toml").write_text(TOPOLOGY + trace)
    return read_topology(folder / "two.toml").trunks[0]


@given(
    samples=st.lists(st.floats(0, 1000), min_size=1, max_size=30),
    time=st.sampled_from(list(PER_SECOND)),
    rate=st.sampled_from(list(PER_MBIT)),
    delimiter=st.sampled_from([",", ";", "\t", " ", "   "]),
    ending=st.sampled_from(["\n", "\r\n"]),
    named=st.booleans(),
    strewn=st.booleans(),
    marked=st.booleans(),
    turned=st.booleans(),
)
def test_however_it_is_written_a_trace_is_the_same(
    tmp_path_factory, samples, time, rate, delimiter, ending, named, strewn, marked, turned
):
    names = (rate, time) if turned else (time, rate)
    rows = [(i * 0.5 * PER_SECOND[time], mbit * PER_MBIT[rate]) for i, mbit in enumerate(samples)]
    lines = [delimiter.join(map(repr, row[::-1] if turned else row)) for row in rows]
    lines = [delimiter.join(names), *lines] if named else lines
    if strewn:
        lines = [part for line in lines for part in ("# a comment", line, "")]
    text = ending.join(lines) + ending
    path = tmp_path_factory.getbasetemp() / "trace"
    path.write_bytes(text.encode("utf-8-sig" if marked else "utf-8"))
    found = [row for _, row in recorded_rows(path, RATE, () if named else names)]
    assert [row[0] for row in found] == pytest.approx([i * 0.5 for i in range(len(samples))])
    assert [row[1] for row in found] == pytest.approx([mbit / 1000 for mbit in samples])
    assert [row[2:] for row in found] == [[0.0, None, True]] * len(samples)


def test_a_measured_trace_times_a_message(tmp_path):
    # 1 s at 800 Mbit/s carries 100 MB, one more at 400 another 50
    (tmp_path / "t").write_text("time mbps lat\n0.0 800.0 3\n1.0 400.0 x\n2.0 100.0 5\n")
    trunk_over(tmp_path, '{ file = "t", columns = ["from_s", "rate_mbit_per_s", "_"] }')
    world = World(tmp_path / "two.toml")
    for nbytes, seconds in ((100_000_000, 1.0), (150_000_000, 2.0)):
        found = world.predict("broadcast", nbytes, dtype="uint8", algorithm="direct").time_s
        assert found == pytest.approx(seconds + 102e-6, abs=5e-6)


@pytest.mark.parametrize(
    ("columns", "content", "complaint"),
    [
        ("", "0.0 800.0\n1.0 400.0\n", "line 1 = '0.0 800.0': needed the names of the columns"),
        ("", "0.0 800.0\n", r"say trace = .*columns = \[\"from_s\", \"rate_mbit_per_s\"\]"),
        ("", "from_s,from_ms,rate_factor\n0,0,1\n", "line 1 = 'from_s,from_ms,rate_factor': need"),
        ("", "from_s,rate_factor,rate_mbit_per_s\n0,1,1\n", "line 1 = .*: needed the names"),
        ("", "from_s;rate_mbit_per_s\n0;1,5\n", "line 2: rate_mbit_per_s = '1,5': needed a number"),
        ("", "from_s,rate_mbit_per_s\n0,1_000\n", "rate_mbit_per_s = '1_000': needed a number"),
        ("", "from_s,rate_mbit_per_s\n0,-1\n", "line 2: rate_mbit_per_s = -1: needed a number fr"),
        ("", "from_s,rate_mbit_per_s\n0,nan\n", "line 2: rate_mbit_per_s = nan: needed a number"),
        (
            "",
            "from_s,rate_mbit_per_s\n0,1001\n",
            "= 1001: needed a number from 0 to 1000, the rate",
        ),
        ("", "from_s,rate_mbit_per_s\n0,inf\n", "= inf: needed a number from 0 to 1000, the rate"),
        ("", "from_s,rate_mbit_per_s\nnan,1\n", r"line 2\[0\] = nan: needed a number from 0"),
        ("", "from_s,rate_mbit_per_s\n0,1\n2,1\n1,1\n", "trace goes back from 2.0 s to 1.0 s"),
        ("", "from_s,rate_mbit_per_s\n0,1\n2,1\n2,1\n", "trace goes back from 2.0 s to 2.0 s"),
        ("", "from_s,rate_mbit_per_s\n5,1\n", "begins at 5.0 s: .* first time taken off all of"),
        ("", "from_s,rate_mbit_per_s\n1467000000,1\n", r"line 2\[0\] = 1467000000.0: needed a nu"),
        ("", "# only\n\n", "line 1 = '': needed the names of the columns"),
        ('columns = ["from_s"]', "0\n", r"columns = \['from_s'\]: needed the names of the columns"),
        ('columns = ["a"]', "0\n", r"trunk\[0\].trace.columns\[0\] = 'a': needed a list of names"),
        ("columns = 3", "0\n", r"trunk\[0\].trace.columns = 3: needed a list of names"),
        ('columns = ["from_s", "rate_factor"]', "0 1 2\n", "line 1 has 3 fields: needed 2, which"),
        ('columns = ["from_s", "rate_factor"]', "", "no line with numbers: needed at least one"),
    ],
)
def test_what_is_wrong_in_a_recorded_trace_is_named(tmp_path, columns, content, complaint):
    (tmp_path / "t").write_text(content)
    also = f", {columns}" if columns else ""
    with pytest.raises(TopologyError, match=complaint) as refused:
        trunk_over(tmp_path, f'{{ file = "t"{also} }}')
    assert "\n" not in str(refused.value)


def test_columns_are_those_of_a_table(tmp_path):
    (tmp_path / "t").write_text("1\n")
    with pytest.raises(TopologyError, match=r"trace = .*: needed rows"):
        trunk_over(tmp_path, '{ mahimahi = "t", columns = ["from_s", "rate_factor"] }')


def test_a_large_trace_of_mahimahi_is_read_at_once(tmp_path):
    # 4 packets of 1500 bytes each millisecond: 6 MB a second
    path = tmp_path / "large"
    path.write_text("".join(f"{i // 4 + 1}\n" for i in range(4_000_000)))
    with few_calls():
        states, repeat_s = mahimahi_states(path, 100.0, 12.5e6)
    assert repeat_s == 1000.0
    assert [state.rate_factor * 12.5e6 for state in states] == pytest.approx([6e6])


def test_the_first_word_that_is_no_stamp_is_numbered_in_a_large_file(tmp_path):
    stamps = [str(i) for i in range(500_000)]
    at = random.Random(1).randrange(300_000, 500_000)
    stamps[at] = "x"
    (tmp_path / "t").write_text("\n".join(stamps))
    with pytest.raises(TopologyError, match=f"stamp {at + 1} = 'x': needed whole milliseconds"):
        mahimahi_states(tmp_path / "t", 100.0, 1e12)
    stamps[at] = str(at - 5)
    (tmp_path / "t").write_text("\n".join(stamps))
    with pytest.raises(TopologyError, match=f"stamp {at + 1} goes back from {at - 1} to {at - 5}"):
        mahimahi_states(tmp_path / "t", 100.0, 1e12)


def test_stamps_are_parted_nowhere(tmp_path, monkeypatch):
    stamps = np.sort(np.random.default_rng(2).integers(0, 10**9, 1000))
    (tmp_path / "t").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(map(str, stamps)).encode())
    whole = mahimahi_states(tmp_path / "t", 1e6, 1e12)
    monkeypatch.setattr("emul.topology.formats.mahimahi.PARSED_AT_ONCE", 7)
    assert mahimahi_states(tmp_path / "t", 1e6, 1e12) == whole
