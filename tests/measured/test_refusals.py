"""What is refused, and whether the message names the file, the line and the column."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from measured import logs

from emul.errors import EmulError
from emul.measured import Hints, MeasurementError, read_measurements
from emul.reading import bounded_text

TIMES = [(64, 31e-6, 30e-6), (65536, 48e-6, 47e-6), (1 << 20, 92e-6, 91e-6)]
NCCL = logs.nccl_log("all_reduce", [2], TIMES)
ROW = next(logs.nccl_lines("all_reduce", 2, TIMES[1:]))
ROW_LINE = NCCL.splitlines().index(ROW) + 1
LAST_LINE = len(NCCL.splitlines())
JSON = logs.nccl_json("all_reduce", 2, TIMES)
OSU = logs.osu_log("all_reduce", [(8, "10.00"), (64, "20.00")])
PING = logs.ping_log([0.6, 0.61, 0.62])
IPERF = logs.iperf_log([1e9] * 4)
CSV = "collective,world_size,size_bytes,time_s\nall_reduce,4,1024,0.5\nall_reduce,4,2048,0.7\n"
LINK = "kind,size_bytes,time_s\nrtt,0,1e-3\n"


def refusal(text, tmp_path, hints=None):
    path = tmp_path / "bad.log"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(MeasurementError) as caught:
        read_measurements(path, hints or Hints(world_size=2))
    assert isinstance(caught.value, (EmulError, ValueError))
    said = str(caught.value)
    assert said.startswith(str(path))
    return said.removeprefix(str(path))


def without(text, *beginnings):
    return "\n".join(line for line in text.splitlines() if not line.startswith(beginnings)) + "\n"


def row(**cells):
    """The log with some cells of one line replaced, by column and by half."""
    columns = ("size", "count", "type", "redop", "root", "time", "algbw", "busbw", "wrong")
    values = ROW.split()
    for name, value in cells.items():
        values[columns.index(name)] = value
    return NCCL.replace(ROW, "  ".join(values))


def cell(text, line, column, value):
    """A CSV with one cell replaced."""
    lines = [each.split(",") for each in text.splitlines()]
    lines[line - 1][lines[0].index(column)] = value
    return "\n".join(",".join(each) for each in lines)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        (row(time="nan"), f", line {ROW_LINE}, column time: 'nan'", "finite"),
        (row(time="inf"), f", line {ROW_LINE}, column time: 'inf'", "finite"),
        (row(time="-3.1"), f", line {ROW_LINE}, column time: '-3.1'", "above 0"),
        (row(time="0.00"), f", line {ROW_LINE}, column time: '0.00'", "above 0"),
        (row(time="48us"), f", line {ROW_LINE}, column time: '48us'", "without the unit 'us'"),
        (row(time="1,5"), f", line {ROW_LINE}, column time: '1,5'", "above 0, in us"),
        (row(size="64.5"), f", line {ROW_LINE}, column size: '64.5'", "whole number of bytes"),
        (row(size="-64"), f", line {ROW_LINE}, column size: '-64'", "whole number of bytes"),
        (row(size="1e30"), f", line {ROW_LINE}, column size: '1e30'", "whole number of bytes"),
        (row(count="1.5"), f", line {ROW_LINE}, column count: '1.5'", "whole number of elements"),
        (row(algbw="x"), f", line {ROW_LINE}, column algbw: 'x'", "GB/s"),
        (row(wrong="3"), f", line {ROW_LINE}, column #wrong: '3'", "only what is right"),
        (row(wrong="-"), f", line {ROW_LINE}, column #wrong: '-'", "only what is right"),
        (row(busbw=""), f", line {ROW_LINE}: 12 columns", "needed 13"),
        (NCCL[: NCCL.index(ROW) + 40], f", line {ROW_LINE}: 3 columns", "needed 13"),
        (NCCL[: NCCL.index(ROW)], f", line {ROW_LINE}", "ends early"),
        (without(NCCL, "# Avg"), f", line {LAST_LINE}", "# Avg bus bandwidth"),
        (without(NCCL, "# Out"), ", line ", "# Out of bounds values"),
        (NCCL.split("# Out")[0] + NCCL, ", line ", "ends early"),
        (NCCL.replace("(us)", "(ms)", 1), ", line ", "the units (B) (elements) (us)"),
        (NCCL.replace("algbw", "speed", 1), ", line ", "needed those of nccl-tests"),
        (NCCL.replace(" time ", " cputime "), ", line ", "launching (-C 1)"),
        (NCCL.replace("all_reduce_perf", "hypercube_perf"), ", line ", "'hypercube_perf'"),
        (NCCL.replace("Rank  1", "Rank  1\n"), ", line 7: a line of a rank", "--world-size"),
        (without(NCCL, "#  Rank  0"), ", line ", "rank 0 is not listed"),
        (without(NCCL, "  "), "", "no line of results"),
        (NCCL.replace("Group", f"Group {'9' * 500}"), ", line 6: a line of a rank", "needed"),
        (NCCL.replace("nGpus 1", f"nGpus {'9' * 5000}").replace("Rank", "rank"), "", "0 ranks"),
    ],
)
def test_output_of_nccl_tests(text, where, what, tmp_path):
    said = refusal(text, tmp_path, Hints())
    assert said.startswith(where)
    assert what in said


def test_a_log_whose_bandwidths_are_not_those_of_its_collective(tmp_path):
    text = logs.nccl_log("all_reduce", [8], TIMES)
    said = refusal(text.replace("all_reduce_perf", "broadcast_perf"), tmp_path)
    assert "is not 1 x algbw" in said
    assert "as of broadcast over 8 ranks" in said


def test_groups_of_different_sizes(tmp_path):
    lines = "\n".join(logs.rank_lines([3], groups=[0, 0, 1]))
    text = NCCL.replace("\n".join(logs.rank_lines([2])), lines)
    assert "groups of [1, 2] ranks" in refusal(text, tmp_path)


def changed(text, *steps, to):
    """JSON with one value replaced, or taken out for None."""
    document = inner = json.loads(text)
    for step in steps[:-1]:
        inner = inner[step]
    if to is None:
        del inner[steps[-1]]
    else:
        inner[steps[-1]] = to
    return json.dumps(document, indent=1)


def line_of(text, part, nth=0):
    return [i for i, line in enumerate(text.splitlines(), 1) if part in line][nth]


TIME = ("results", 1, "out_of_place", "time")
TIME_LINE = line_of(JSON, '"time"', 2)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        (JSON[:-30], ", line ", "(the file ends early)"),
        (JSON[: len(JSON) // 2], ", line ", "not JSON"),
        (changed(JSON, *TIME, to=float("nan")), f", line {TIME_LINE}, column", "'NaN'"),
        (changed(JSON, *TIME, to=-float("inf")), f", line {TIME_LINE}, column", "'-Infinity'"),
        (changed(JSON, *TIME, to="nan"), f", line {TIME_LINE}, column", "results[1].out_of_place"),
        (changed(JSON, *TIME, to=-1), f", line {TIME_LINE}, column", "above 0"),
        (changed(JSON, *TIME, to=1e16), f", line {TIME_LINE}, column", "to 1e+15"),
        (changed(JSON, "results", 1, "size", to=1 << 61), ", line ", "a whole number to"),
        (changed(JSON, *TIME, to=10**400), f", line {TIME_LINE}, column", "finite number"),
        (changed(JSON, *TIME, to=True), f", line {TIME_LINE}, column", "finite number"),
        (changed(JSON, *TIME, to=None), ", line ", "results[1].out_of_place.time = 'None'"),
        (changed(JSON, "results", 1, "size", to=8.5), ", line ", "results[1].size = '8.5'"),
        (changed(JSON, "results", 1, "in_place", "nwrong", to=2), ", line ", "only what is right"),
        (changed(JSON, "results", to=[]), ", line ", "no line of results"),
        (changed(JSON, "results", to={}), ", line ", "results = '{}': needed a list"),
        (changed(JSON, "results", to=None), ", line 1", "JSON of an unknown format"),
        (changed(JSON, "out_of_bounds", to=None), ", line 1", "needed all of it"),
        (changed(JSON, "config", "ngpus", to=0), ", line ", "config.ngpus"),
        (changed(JSON, "config", "ngpus", to=1), ", line ", "1 ranks"),
        (JSON.replace('"time"', '"cpu_time"'), ", line ", "launching (-C 1)"),
        ('{"a":' * 100_000, "", "not JSON"),
        ("{}", ", line 1", "JSON of an unknown format"),
        (IPERF[:-5], ", line ", "(the file ends early)"),
        (changed(IPERF, "error", to="unable to connect"), ", line ", "unable to connect"),
        ('{"error": "interrupted - the client has terminated"}', ", line 1", "come to its end"),
        (changed(IPERF, "end", to={}), ", line ", "'sum_received'"),
        (changed(IPERF, "end", "sum_received", "bits_per_second", to=0), ", line ", "above 0"),
        (changed(IPERF, "intervals", 0, "sum", "bits_per_second", to=-1), ", line ", "0 or more"),
        (changed(IPERF, "intervals", to=4), ", line ", "needed a list"),
        (logs.iperf_log([5e9, 0, 0, 0, 0]), ", line ", "a rate above 0"),
    ],
)
def test_json(text, where, what, tmp_path):
    said = refusal(text, tmp_path, Hints())
    assert said.startswith(where)
    assert what in said


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        (OSU[:-2], ", line 5: '64", "may be cut"),
        (OSU.replace("20.00", "nan"), ", line 5, column Avg Latency(us): 'nan'", "finite"),
        (OSU.replace("20.00", "-1"), ", line 5, column Avg Latency(us): '-1'", "above 0"),
        (OSU.replace("20.00", "20us"), ", line 5, column Avg Latency(us): '20us'", "unit 'us'"),
        (OSU.replace("64  ", "6.4 "), ", line 5, column Size: '6.4'", "whole number of bytes"),
        (OSU.replace("20.00", ""), ", line 5: 1 columns", "needed 2"),
        (OSU.replace("(us)", "(ms)"), ", line 3: columns", "Avg Latency(us)"),
        (OSU.replace("Allreduce", "Barrier"), ", line 1: 'OSU MPI Barrier", "Allreduce"),
        (OSU.split("8  ")[0], ", line ", "no line of results"),
    ],
)
def test_output_of_osu(text, where, what, tmp_path):
    said = refusal(text, tmp_path)
    assert said.startswith(where)
    assert what in said


def test_osu_of_ranks_that_nobody_has_counted(tmp_path):
    assert refusal(OSU, tmp_path, Hints()).endswith("needed --world-size")


def test_osu_whose_results_are_wrong(tmp_path):
    columns = ("Avg Latency(us)", "Validation")
    text = logs.osu_log("all_reduce", [(8, "10.00", "Fail")], columns)
    assert ", line 4, column Validation: 'Fail'" in refusal(text, tmp_path)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        (PING.split("64")[0], ", line ", "ends early"),
        (PING.replace("0.61 ms", "0.61 us"), ", line 3, column time: '0.61 us'", "in ms"),
        (PING.replace("0.61 ms", "nan ms"), ", line 3, column time: 'nan'", "finite"),
        (PING.replace("0.61 ms", "-1 ms"), ", line 3, column time: '-1'", "above 0"),
        (PING.replace("/0.610/", "/x/"), ", line 8: 'x'", "a number of ms"),
        (PING.replace("0.008 ms", "0.008 s"), ", line 8: 's'", "in ms"),
        (without(PING, "rtt", "64"), ", line ", "3 of 3 packets came back, and no times"),
    ],
)
def test_output_of_ping(text, where, what, tmp_path):
    said = refusal(text, tmp_path)
    assert said.startswith(where)
    assert what in said


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        (CSV.replace(",time_s", ""), ", line 1: no column 'time_s'", "collective, world_size"),
        (CSV.replace("time_s", "time_us"), ", line 1: no column 'time_s'", "size_bytes, time_s"),
        (LINK.replace("size_bytes", "size"), ", line 1: no column 'size_bytes'", "kind"),
        (CSV.replace("time_s", "time_s,time_s"), ", line 1, column time_s", "given twice"),
        (CSV.replace("time_s", "time_s,speed"), ", line 1: 'speed'", "one of the columns"),
        (cell(CSV, 3, "time_s", "700us"), ", line 3, column time_s: '700us'", "the unit 'us'"),
        (cell(CSV, 3, "time_s", "0.7 s"), ", line 3, column time_s: '0.7 s'", "the unit 's'"),
        (cell(CSV, 3, "size_bytes", "2K"), ", line 3, column size_bytes: '2K'", "the unit 'K'"),
        (cell(CSV, 3, "time_s", "NaN"), ", line 3, column time_s: 'NaN'", "finite"),
        (cell(CSV, 3, "time_s", "-inf"), ", line 3, column time_s: '-inf'", "finite"),
        (cell(CSV, 3, "time_s", "1e999"), ", line 3, column time_s: '1e999'", "above 0"),
        (cell(CSV, 3, "time_s", "1e16"), ", line 3, column time_s: '1e16'", "to 1e+15"),
        (cell(CSV, 3, "time_s", "-1"), ", line 3, column time_s: '-1'", "above 0"),
        (cell(CSV, 3, "time_s", ""), ", line 3, column time_s: ''", "above 0, in seconds"),
        (cell(CSV, 3, "size_bytes", "1.5"), ", line 3, column size_bytes: '1.5'", "whole"),
        (cell(CSV, 3, "size_bytes", "0"), ", line 3, column size_bytes: 0", "1 byte or more"),
        (cell(CSV, 3, "world_size", "1"), ", line 3, column world_size: '1'", "from 2"),
        (cell(CSV, 3, "world_size", "2.5"), ", line 3, column world_size: '2.5'", "whole"),
        (cell(CSV, 3, "collective", "sum"), ", line 3, column collective: 'sum'", "all_reduce"),
        (CSV[:-5], ", line 3: 3 columns", "needed 4"),
        (CSV[:-1] + ",1\n", ", line 3: 5 columns", "needed 4"),
        (CSV.splitlines()[0], ", line 1", "no line after that of the columns"),
        (cell(LINK, 2, "kind", "rttt"), ", line 2, column kind: 'rttt'", "goodput"),
        (cell(LINK, 2, "size_bytes", "8"), ", line 2, column size_bytes: 8", "0 bytes for kind"),
        (LINK.replace("rtt,0", "latency,8"), ", line 2, column size_bytes: 8", "0 bytes for kind"),
        (cell(LINK, 2, "kind", "goodput"), ", line 2, column size_bytes: 0", "1 byte or more"),
    ],
)
def test_csv(text, where, what, tmp_path):
    said = refusal(text, tmp_path)
    assert said.startswith(where)
    assert what in said


@pytest.mark.parametrize("text", ["", "[]", "hello\n", "a,b,c\n1,2,3\n", "\n\n# only a comment\n"])
def test_what_is_of_no_known_format(text, tmp_path):
    assert "unknown format: needed the output of nccl-tests" in refusal(text, tmp_path)


def test_iperf_as_printed(tmp_path):
    text = "[ ID] Interval           Transfer     Bitrate\n[  5] 0.00-1.00 sec 1 GBytes\n"
    assert "needed its JSON (-J)" in refusal(text, tmp_path)


def test_files_that_cannot_be_read(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(MeasurementError, match="cannot be read"):
            read_measurements(path)


def test_a_file_too_large_is_refused_before_it_is_parsed(tmp_path, monkeypatch):
    monkeypatch.setattr(bounded_text, "MOST_MEASURED_BYTES", 100)
    assert f"{len(NCCL)} bytes: needed at most 100" in refusal(NCCL, tmp_path)


ANY = [NCCL, JSON, OSU, PING, IPERF, CSV, LINK]


@given(text=st.sampled_from(ANY), data=st.data())
def test_a_file_that_is_cut_or_garbled_is_read_or_refused_and_never_breaks(
    text, data, tmp_path_factory
):
    path = tmp_path_factory.mktemp("cut") / "log"
    first = data.draw(st.integers(0, len(text)))
    last = data.draw(st.integers(first, len(text)))
    path.write_text(text[:first] + data.draw(st.text(max_size=5)) + text[last:])
    with contextlib.suppress(MeasurementError):
        log = read_measurements(path, Hints(world_size=2))
        assert all(each.time_s > 0 for each in log.measurements)


@pytest.mark.parametrize("text", [NCCL, JSON, IPERF], ids=["nccl", "json", "iperf"])
def test_no_beginning_of_a_log_passes_for_the_whole(text, tmp_path):
    """All that is missing may be what comes after the closing lines."""
    end = text.index("# Avg") + 22 if text == NCCL else len(text)
    for length in range(0, end, 7):
        assert refusal(text[:length], tmp_path)
