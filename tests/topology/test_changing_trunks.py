"""Trunks that change, from rows, files, hours and outages; and every refusal."""

import os

import pytest
from counting import few_calls, little_memory
from hypothesis import example, given
from hypothesis import strategies as st

from emul import TopologyError
from emul.links import Changes, Diurnal, Outages, State
from emul.topology import read_topology
from emul.topology.formats.mahimahi import mahimahi_states
from emul.topology.formats.traces import recorded_rows
from emul.topology.toml.reader import parse_document

HEAD = """
[defaults]
node_link = { rate_gbit_per_s = 8, latency_us = 1 }
site_link = { rate_gbit_per_s = 8, latency_us = 1 }
[[site]]
name = "a"
nodes = [1]
[[site]]
name = "b"
nodes = [1]
[[trunk]]
between = ["a", "b"]
rate_gbit_per_s = 8
latency_us = 1
"""


def changes(folder, text):
    path = folder / "two.toml"
    path.write_text(HEAD + text)
    (trunk,) = read_topology(path).trunks
    return trunk.changes


def test_without_keys_nothing_changes(tmp_path):
    assert changes(tmp_path, "") == Changes()


def test_rows_are_states_in_their_units(tmp_path):
    text = 'recovery = "sr"\nrepeat_s = 60\ntrace = [[0, 1], [1.5, 0.5, 10, 0.1, false], [2, 0, 3]]'
    assert changes(tmp_path, text) == Changes(
        (State(0, 1), State(1.5, 0.5, 10e-6, 0.1, up=False), State(2, 0, 3e-6)), 60
    )


def test_a_csv_file_says_the_same(tmp_path):
    (tmp_path / "x.csv").write_text(
        "from_s, loss, rate_factor,up\n0,,1,true\n1.5,0.1,0.5,0\n2,0,0,\n"
    )
    assert changes(tmp_path, 'recovery = "sr"\ntrace = { file = "x.csv" }').trace == (
        State(0, 1),
        State(1.5, 0.5, 0.0, 0.1, up=False),
        State(2, 0, loss=0.0),
    )


def test_a_mahimahi_file_is_a_rate_per_bin_that_repeats(tmp_path):
    # At 1 GB/s a millisecond carries 666 packets of 1500 bytes.
    (tmp_path / "x").write_text("\n".join(["1"] * 400 + ["2"] * 200 + ["5"] * 100))
    found = changes(tmp_path, 'trace = { mahimahi = "x", bin_ms = 2 }')
    assert found.repeat_s == 0.005
    assert [state.from_s for state in found.trace] == [0, 0.002, 0.004]
    assert [state.rate_factor for state in found.trace] == pytest.approx([0.45, 0, 0.15])


@example(stamps=[1953], bin_ms=0.7)
@example(stamps=[1], bin_ms=1 / 3)
@example(stamps=[1], bin_ms=1e12)
@given(
    stamps=st.lists(st.integers(0, 2000), min_size=1, max_size=200).filter(any),
    bin_ms=st.floats(0.2, 3000),
)
def test_a_period_of_mahimahi_carries_its_packets(tmp_path_factory, stamps, bin_ms):
    path = tmp_path_factory.getbasetemp() / "packets"
    path.write_text("\n".join(map(str, sorted(stamps))))
    rate = 1e12
    states, repeat_s = mahimahi_states(path, bin_ms, rate)
    ends = [*(state.from_s for state in states[1:]), repeat_s]
    carried = sum(
        state.rate_factor * rate * (end - state.from_s)
        for state, end in zip(states, ends, strict=True)
    )
    assert carried == pytest.approx(1500 * len(stamps), rel=1e-6)
    assert Changes(states, repeat_s).trace == states


@given(
    rows=st.lists(
        st.tuples(st.floats(0, 1e9), st.floats(0, 1), st.floats(0, 1e8), st.booleans()),
        min_size=1,
        max_size=20,
    )
)
def test_what_is_written_as_csv_is_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "rows.csv"
    lines = ["from_s,rate_factor,extra_delay_us,up", *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines))
    assert [[*row[:3], row[4]] for _, row in recorded_rows(path, 1.0)] == [
        list(row) for row in rows
    ]


def test_hours_and_outages(tmp_path):
    text = "diurnal = { least_load = 0.1, most_load = 0.6 }\n"
    assert changes(tmp_path, text).diurnal == Diurnal(0.1, 0.6, 14.0)
    text = "outages = { schedule = [[1, 2], [3, 0.5]] }\n"
    assert changes(tmp_path, text).outages == Outages(((1, 2), (3, 0.5)))
    text = "outages = { between_failures_hours = 2, repair_s = 5 }\n"
    assert changes(tmp_path, text).outages == Outages((), 7200, 5)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("trace = []", r"trunk\[0\].trace = \[\]: needed a list of \[from_s"),
        ("trace = 3", ".trace = 3: needed rows, { file"),
        ("trace = [3]", r".trace\[0\] = 3: needed a list of"),
        ("trace = [[0]]", r".trace\[0\] = \[0\]: needed a list of"),
        ("trace = [[0, 1, 2, 3, true, 5]]", r".trace\[0\] = .*: needed a list of"),
        ("trace = [[0, -1]]", r".trace\[0\]\[1\] = -1: needed a number from 0 to 1 of the rate"),
        ("trace = [[0, nan]]", r".trace\[0\]\[1\] = nan: needed a number"),
        ("trace = [[0, 2]]", r".trace\[0\]\[1\] = 2: needed a number from 0 to 1"),
        ('trace = [["0", 1]]', r".trace\[0\]\[0\] = '0': needed a number from 0 to 1e\+09 s"),
        ("trace = [[0, 1, -1]]", r".trace\[0\]\[2\] = -1: needed a number from 0 to 1e\+08 us"),
        ("trace = [[0, 1, 0, 1]]", r".trace\[0\]\[3\] = 1: needed a number from 0 to below 1"),
        ("trace = [[0, 1, 0, 0, 1]]", r".trace\[0\]\[4\] = 1: needed true or false"),
        ("trace = [[0, 1, 0, 0.5]]", r"\[0\].trace: loss = 0.5 with recovery 'none': needed"),
        ("trace = [[1, 1]]", r"trunk\[0\].trace begins at 1.0 s: needed a first state from 0 s"),
        ("trace = [[0, 1], [2, 1], [1, 1]]", r"\[0\].trace goes back from 2.0 s to 1.0 s: needed"),
        ("trace = [[0, 1], [2, 1]]\nrepeat_s = 1", r"\[0\].trace of 2.0 s repeated every 1.0 s"),
        ("repeat_s = 5", ".repeat_s = 5: needed a trace to repeat"),
        ("repeat_s = 1e-9\ntrace = [[0, 1]]", ".repeat_s = 1e-09: needed a number from 0.001"),
        ("trace = {}", ".trace = {}: needed rows"),
        ('trace = { file = "x", mahimahi = "x" }', ".trace = .*: needed rows"),
        ('trace = { file = "x", bin = 3 }', "unknown key 'trunk.0..trace.bin'"),
        ('trace = { file = 3 }', ".trace.file = 3: needed a string"),
        ('trace = { file = "none.csv" }', r"none.csv: cannot be read \(No such file"),
        ('trace = { file = "." }', r": cannot be read \(no regular file\): needed a trace: a ta"),
        ('trace = { mahimahi = "x", bin_ms = 0 }', ".trace.bin_ms = 0: needed a number from 0.001"),
        ('trace = { mahimahi = "x" }\nrepeat_s = 2', ".repeat_s = 2.0: needed none"),
        ("diurnal = 3", ".diurnal = 3: needed a table"),
        ("diurnal = { least_load = 0.1 }", ".diurnal has no 'most_load'"),
        ("diurnal = { least_load = 0.5, most_load = 0.1 }", ".diurnal: loads 0.5 to 0.1"),
        ("diurnal = { least_load = 0, most_load = 1 }", ".most_load = 1: needed .* below 1"),
        ("diurnal = { least_load = 0, most_load = 0.1, busiest_hour = 25 }", "busiest_hour = 25"),
        ("outages = {}", ".outages = {}: needed a schedule"),
        ("outages = { schedule = [[1]] }", r".schedule\[0\] = \[1\]: needed a list of"),
        ("outages = { schedule = [[1, 0]] }", r".schedule\[0\]\[1\] = 0: needed a number"),
        ("outages = { schedule = [[5, 1], [1, 1]] }", ".outages: outage from 1.0 s, while the"),
        ("outages = { repair_s = 1 }", ".outages: between_failures_s = 0.0, repair_s = 1.0"),
        ("outages = { repair_s = 1, repair_hours = 1 }", "repair_s = 1: needed either repair_s"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_changes_is_named(tmp_path, text, complaint):
    (tmp_path / "x").write_text("1\n")
    with pytest.raises(TopologyError, match=complaint) as caught:
        changes(tmp_path, text)
    assert str(tmp_path) in str(caught.value)
    assert str(caught.value).count("cannot be read") <= 1
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "line 1 = '': needed the names of the columns: from_s"),
        ("from_s,rate\n0,1\n", "line 1 = 'from_s,rate': needed the names of the columns"),
        ("from_s,from_s,rate_factor\n", "line 1 = "),
        ("from_s,rate_factor\n", "no line with numbers: needed at least one"),
        ("from_s,rate_factor\n0,1\n1\n", "line 3 has 1 fields: needed 2"),
        ("from_s,rate_factor\n0,one\n", "line 2: rate_factor = 'one': needed a number"),
        ("from_s,rate_factor\n0,\n", "line 2: rate_factor = '': needed a number"),
        ("from_s,rate_factor\n0,nan\n", r"line 2\[1\] = nan: needed a number from 0 to 1"),
        ("from_s,rate_factor,up\n0,1,yes\n", "line 2: up = 'yes': needed 1, 0, true or false"),
        ("from_s,rate_factor\n0,1\n5,1\n4,1\n", "trace goes back from 5.0 s to 4.0 s"),
    ],
)
def test_what_is_wrong_in_a_csv_file_is_named(tmp_path, content, complaint):
    (tmp_path / "x.csv").write_text(content)
    with pytest.raises(TopologyError, match=complaint):
        changes(tmp_path, 'trace = { file = "x.csv" }')


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "no stamp above 0 ms: needed at least one"),
        ("0\n0\n", "no stamp above 0 ms"),
        ("1\n3\n2\n", "stamp 3 goes back from 3 to 2 ms: needed times that rise"),
        ("1\n-2\n", "stamp 2 = '-2': needed whole milliseconds"),
        ("1.5\n", "stamp 1 = '1.5': needed whole"),
        ("1" * 5000, "stamp 1 = '1{200}': needed whole milliseconds"),
        ("1\n999999999999\n", "10000000000 bins of 100 ms: needed at most 100000"),
        ("1\n" * 700, "8.4 Gbit/s from 0 ms on: needed at most the 8 Gbit/s of the link"),
    ],
)
def test_what_is_wrong_in_a_mahimahi_file_is_named(tmp_path, content, complaint):
    (tmp_path / "x").write_text(content)
    with pytest.raises(TopologyError, match=complaint):
        changes(tmp_path, 'trace = { mahimahi = "x", bin_ms = 100 }')


@pytest.mark.parametrize("kind", ["file", "mahimahi"])
@pytest.mark.parametrize(
    ("lines", "line"),
    [(20_000_000, b"1,1\n"), (10_000_000, b"1,1\n"), (900_000, b"0,1\n"), (1, b"x" * (4 << 20))],
)
def test_trace_bombs_are_refused_at_once(tmp_path, kind, lines, line):
    (tmp_path / "bomb").write_bytes(line * lines)
    with little_memory(), pytest.raises(TopologyError, match=r"needed|CSV"):
        changes(tmp_path, f'trace = {{ {kind} = "bomb" }}')


def test_a_trace_that_never_ends_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "/dev/zero"):
        with pytest.raises(TopologyError, match="no regular file"):
            changes(tmp_path, f'trace = {{ file = "{name}" }}')


def test_a_trace_of_too_many_rows_is_refused_at_once(tmp_path):
    rows = ",".join("[9,1]" for _ in range(50_000))
    complaint = r"trace = '50000 rows': needed at most 20000"
    with few_calls(), pytest.raises(TopologyError, match=complaint):
        changes(tmp_path, f"trace = [{rows}]")


def test_a_csv_file_of_too_many_lines_is_refused(tmp_path):
    (tmp_path / "x.csv").write_text("from_s,rate_factor\n" + "0,1\n" * 100_001)
    with pytest.raises(TopologyError, match="100002 lines: needed at most 100001"):
        changes(tmp_path, 'trace = { file = "x.csv" }')


def test_what_comes_with_emul_has_no_files():
    text = HEAD + 'trace = { file = "x.csv" }'
    with pytest.raises(
        TopologyError, match=r"\.trace\.file = 'x\.csv': needed rows, for what comes"
    ):
        parse_document(text, name="x", where="preset x")
