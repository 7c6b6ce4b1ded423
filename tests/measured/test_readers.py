import json
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st
from measured import logs

from emul.measured import Hints, read_measurements

TIMES = [(64, 31.25e-6, 30.5e-6), (65536, 48.75e-6, 47.25e-6), (1 << 30, 0.0925, 0.0915)]
ALL = [each for each in logs.LIKE if each != "send_recv"]


def read(folder, text, hints=None, name="log.txt"):
    path = folder / name
    path.write_text(text)
    return read_measurements(path, hints)


def said(log):
    return [(m.kind, m.world_size, m.size_bytes, m.time_s) for m in log.measurements]


def expected(collective, n, times):
    """What a log of ``times`` says: a measurement for each half of each line."""
    return [
        (collective, n, size, pytest.approx(t, rel=1e-9)) for size, *both in times for t in both
    ]


@pytest.mark.parametrize("collective", logs.LIKE)
@pytest.mark.parametrize("dtype", logs.ITEM_BYTES)
def test_nccl_tests_output_of_every_collective_and_type(collective, dtype, tmp_path):
    log = read(tmp_path, logs.nccl_log(collective, [4, 4], TIMES, dtype))
    assert log.form == "nccl-tests"
    assert said(log) == expected(collective, 8, TIMES)
    assert log.ranks_of_hosts == (4, 4)


@pytest.mark.parametrize("collective", logs.LIKE)
def test_nccl_tests_json(collective, tmp_path):
    text = logs.nccl_json(collective, 3, TIMES, devices=["a", "a", "b"])
    log = read(tmp_path, text)
    assert said(log) == expected(collective, 3, TIMES)
    assert log.ranks_of_hosts == (2, 1)


def test_nccl_tests_json_of_processes_of_several_ranks(tmp_path):
    document = json.loads(logs.nccl_json("all_reduce", 8, TIMES, devices=["a", "b"]))
    document["config"]["ngpus"] = 4  # devices are listed once for each process
    log = read(tmp_path, json.dumps(document))
    assert log.ranks_of_hosts == (4, 4)
    assert said(log) == expected("all_reduce", 8, TIMES)


def test_nccl_tests_json_where_a_half_was_not_run(tmp_path):
    document = json.loads(logs.nccl_json("all_reduce", 2, TIMES))
    for result in document["results"]:
        result["in_place"] = None
    assert said(read(tmp_path, json.dumps(document))) == expected(
        "all_reduce", 2, [each[:2] for each in TIMES]
    )


@pytest.mark.parametrize(
    "collective", ["all_reduce", "reduce_scatter", "broadcast", "reduce", "send_recv"]
)
def test_a_log_without_the_name_of_its_program_is_told_by_its_columns(collective, tmp_path):
    text = logs.nccl_log(collective, [1, 1], TIMES)
    if collective == "send_recv":
        text = text.replace(" sum ", "none ")  # as all_gather, but count is that of the whole
    unnamed = "\n".join(line for line in text.splitlines() if "_perf" not in line)
    assert said(read(tmp_path, unnamed)) == expected(collective, 2, TIMES)


@pytest.mark.parametrize("collective", ["all_gather", "all_to_all", "gather", "scatter"])
def test_a_log_that_may_be_of_two_collectives_is_what_the_user_says(collective, tmp_path):
    text = logs.nccl_log(collective, [2], TIMES)
    unnamed = "\n".join(line for line in text.splitlines() if "_perf" not in line)
    with pytest.raises(ValueError, match="needed --collective"):
        read(tmp_path, unnamed)
    hints = Hints(collective=collective)
    assert said(read(tmp_path, unnamed, hints)) == expected(collective, 2, TIMES)


def test_a_log_of_several_runs_among_lines_of_others(tmp_path):
    one = logs.nccl_log("all_reduce", [2, 2], TIMES)
    other = logs.nccl_log("all_gather", [2, 2], TIMES[1:])
    chatter = "node0:17:17 [0] NCCL INFO Using eth0\n[2]: 99\n2026-01-02 03:04 up\n03:04 x\n"
    amid = next(logs.nccl_lines("all_reduce", 4, TIMES[1:]))
    text = chatter + one.replace(amid, f"{chatter}{amid}") + chatter + other
    log = read(tmp_path, text)
    assert said(log) == [
        *expected("all_reduce", 4, TIMES),
        *expected("all_gather", 4, TIMES[1:]),
    ]
    assert log.ranks_of_hosts == (2, 2)


def test_a_run_without_a_name_does_not_take_that_of_the_run_before(tmp_path):
    one = logs.nccl_log("all_reduce", [3], TIMES)
    other = logs.nccl_log("broadcast", [3], TIMES)
    unnamed = "\n".join(line for line in other.splitlines() if "_perf" not in line)
    assert said(read(tmp_path, f"{one}{unnamed}\n")) == [
        *expected("all_reduce", 3, TIMES),
        *expected("broadcast", 3, TIMES),
    ]


def test_without_lines_of_ranks_there_is_one_process(tmp_path):
    text = logs.nccl_log("all_reduce", [6], TIMES)
    bare = "\n".join(line for line in text.splitlines() if not line.startswith("#  Rank"))
    log = read(tmp_path, bare.replace("nThread 1 nGpus 1", "nThread 2 nGpus 3"))
    assert said(log) == expected("all_reduce", 6, TIMES)
    assert log.ranks_of_hosts == ()


def test_groups_of_ranks_are_worlds_of_their_own(tmp_path):
    text = logs.nccl_log("all_reduce", [2, 2], TIMES)
    groups = logs.rank_lines([2, 2], groups=[0, 1, 0, 1])
    text = text.replace("\n".join(logs.rank_lines([2, 2])), "\n".join(groups))
    of_four, of_two = (list(logs.nccl_lines("all_reduce", n, TIMES)) for n in (4, 2))
    for before, after in zip(of_four, of_two, strict=True):
        text = text.replace(before, after)
    log = read(tmp_path, text)
    assert said(log) == expected("all_reduce", 2, TIMES)
    assert log.ranks_of_hosts == (1, 1)


def test_lines_of_no_bytes_are_left_out(tmp_path):
    text = logs.nccl_log("all_gather", [4], TIMES)
    nothing = next(logs.nccl_lines("all_gather", 4, [(8, 9e-6, 9e-6)]))
    nothing = nothing.replace(" 8 ", " 0 ", 1)
    first = next(logs.nccl_lines("all_gather", 4, TIMES))
    assert said(read(tmp_path, text.replace(first, f"{nothing}\n{first}"))) == expected(
        "all_gather", 4, TIMES
    )
    document = json.loads(logs.nccl_json("all_gather", 4, TIMES))
    document["results"].insert(0, {**document["results"][0], "size": 0, "count": 0})
    assert said(read(tmp_path, json.dumps(document))) == expected("all_gather", 4, TIMES)


def test_results_that_were_not_checked_count(tmp_path):
    log = read(tmp_path, logs.nccl_log("all_reduce", [2], TIMES, wrong="N/A"))
    assert said(log) == expected("all_reduce", 2, TIMES)


IN_PLACE_WIDTH = 7 + 3 * 6 + 4 * 2
"""Time, two bandwidths and #wrong, each after two spaces."""


def test_columns_of_per_iteration_times_and_timestamps(tmp_path):
    lines = logs.nccl_log("all_reduce", [2], TIMES).splitlines()
    more = "  ".join(["   1.00"] * 4)
    names, units = "i_min  i_max  i_p99  i_cv%", "(us)  (us)  (us)  (%)"
    for i, line in enumerate(lines):
        if line.strip()[:1].isdigit():
            at = len(line) - IN_PLACE_WIDTH
            lines[i] = f"{line[:at]}  {more}{line[at:]}  {more}  2026-01-02 03:04:05"
        elif "#wrong" in line:
            lines[i] = line.replace("#wrong", f"#wrong  {names}") + " timestamp"
        elif "(GB/s)" in line:
            at = line.index("(us)", line.index("(us)") + 1)
            lines[i] = f"{line[:at]} {units}  {line[at:]} {units} %Y-%m-%d %H:%M:%S"
    assert said(read(tmp_path, "\n".join(lines))) == expected("all_reduce", 2, TIMES)


def test_columns_of_an_old_version(tmp_path):
    text = logs.nccl_log("all_reduce", [2], TIMES, wrong="0e+00")
    lines = text.replace("#wrong", "error").replace("  root", "").splitlines()
    old = [
        line.replace("      -1  ", "  ", 1) if line.strip()[:1].isdigit() else line
        for line in lines
    ]
    assert said(read(tmp_path, "\n".join(old))) == expected("all_reduce", 2, TIMES)


def test_lines_that_mpirun_has_tagged(tmp_path):
    text = logs.nccl_log("all_reduce", [2], TIMES)
    tagged = "\n".join(f"[1,0]<stdout>:{line}" for line in text.splitlines())
    assert said(read(tmp_path, tagged)) == expected("all_reduce", 2, TIMES)


def test_windows_and_old_mac_line_ends(tmp_path):
    text = logs.nccl_log("all_reduce", [2], TIMES)
    path = tmp_path / "log"
    for end in ("\r\n", "\r"):
        path.write_bytes(text.replace("\n", end).encode())
        assert said(read_measurements(path)) == expected("all_reduce", 2, TIMES)


sizes = st.integers(1, 1 << 40).map(lambda count: 4 * count)
hundredths_us = st.integers(100, 99_999).map(lambda n: n / 1e8)  # as printed: 1.00 to 999.99 us


@given(
    times=st.lists(st.tuples(sizes, hundredths_us, hundredths_us), min_size=1, max_size=5),
    hosts=st.lists(st.integers(1, 8), min_size=2, max_size=4),
    collective=st.sampled_from(["all_reduce", "broadcast", "reduce", "send_recv"]),
)
def test_what_nccl_tests_prints_is_read_back(times, hosts, collective, tmp_path_factory):
    folder = tmp_path_factory.mktemp("log")
    for text in (
        logs.nccl_log(collective, hosts, times),
        logs.nccl_json(collective, sum(hosts), times),
    ):
        assert said(read(folder, text)) == expected(collective, sum(hosts), times)


@pytest.mark.parametrize("columns", [("Avg Latency(us)",), ("Latency (us)",)])
def test_osu_latency_is_the_time_of_a_message(columns, tmp_path):
    text = logs.osu_log("message", [(0, "1.25"), (1024, "2.50")], columns)
    assert said(read(tmp_path, text)) == [
        ("message", 2, 0, pytest.approx(1.25e-6)),
        ("message", 2, 1024, pytest.approx(2.5e-6)),
    ]


@pytest.mark.parametrize(
    ("title", "directions"), [("Bandwidth", 1), ("Bi-Directional Bandwidth", 2)]
)
def test_osu_bandwidth_is_the_time_of_a_window(title, directions, tmp_path):
    text = logs.osu_log("window", [(0, "0.00"), (4096, "512.00")], ("Bandwidth (MB/s)",))
    log = read(tmp_path, text.replace("MPI Bandwidth", f"MPI {title}"))
    # 64 messages in each direction at 512 MB/s in all
    assert said(log) == [("window", 2, 4096, pytest.approx(directions * 64 * 4096 / 512e6))]
    assert "windows of 64 messages" in log.notes[0]


@pytest.mark.parametrize("kind", ["all_reduce", "broadcast", "reduce_scatter"])
def test_osu_collectives_whose_size_is_the_vector(kind, tmp_path):
    text = logs.osu_log(kind, [(8, "10.00"), (64, "20.00")])
    assert said(read(tmp_path, text, Hints(world_size=4))) == [
        (kind, 4, 8, pytest.approx(10e-6)),
        (kind, 4, 64, pytest.approx(20e-6)),
    ]


@pytest.mark.parametrize("kind", ["all_gather", "all_to_all"])
def test_osu_collectives_whose_size_is_a_block(kind, tmp_path):
    log = read(tmp_path, logs.osu_log(kind, [(8, "10.00")]), Hints(world_size=4))
    assert said(log) == [(kind, 4, 8 * 4, pytest.approx(10e-6))]


def test_osu_with_all_columns_and_validation(tmp_path):
    columns = ("Avg Latency(us)", "Min Latency(us)", "Max Latency(us)", "Iterations", "Validation")
    text = logs.osu_log("all_reduce", [(8, "10.00", "9.00", "12.00", "1000", "Pass")], columns)
    log = read(tmp_path, "mpirun -np 4 osu_allreduce\n\n" + text, Hints(world_size=4))
    assert said(log) == [("all_reduce", 4, 8, pytest.approx(10e-6))]


def test_osu_cuda_titles_and_several_tests_in_one_file(tmp_path):
    one = logs.osu_log("message", [(8, "1.00")], ("Latency (us)",))
    other = logs.osu_log("all_reduce", [(8, "9.00")]).replace("OSU MPI", "OSU MPI-CUDA")
    log = read(tmp_path, one + "real 0m0.2s\n" + other, Hints(world_size=2))
    assert [m.kind for m in log.measurements] == ["message", "all_reduce"]


@pytest.mark.parametrize("system", ["linux", "mac"])
def test_ping_is_half_the_median_of_its_packets(system, tmp_path):
    rtts_ms = [0.612, 0.604, 0.608, 2.5, 0.61]
    log = read(tmp_path, logs.ping_log(rtts_ms, sent=6, system=system))
    assert said(log) == [("latency", 2, 0, pytest.approx(median(rtts_ms) / 2e3))]
    assert len(log.measurements[0].samples) == 5
    assert "median of 5 packets" in log.notes[0]
    assert "1 of 6 packets were lost" in log.notes[1]


def test_ping_without_packets_is_half_the_average(tmp_path):
    rtts_ms = [1.0, 2.0, 6.0]
    lines = [line for line in logs.ping_log(rtts_ms).splitlines() if "icmp_seq" not in line]
    log = read(tmp_path, "\n".join(lines))
    assert said(log) == [("latency", 2, 0, pytest.approx(sum(rtts_ms) / 3 / 2e3))]
    assert log.measurements[0].samples == ()
    assert "half of the average" in log.notes[0]


def test_iperf_is_the_median_after_the_ramp(tmp_path):
    rates = [0.1e9, 0.5e9, 0.9e9, 0.97e9, 0.99e9, 0.98e9, 0.2e9, 0.98e9]
    log = read(tmp_path, logs.iperf_log(rates))
    (measured,) = log.measurements
    # 0.9e9 is the first with nine tenths of the later half's median, and began below it
    assert measured.size_bytes / measured.time_s == pytest.approx(median(rates[3:]) / 8)
    assert "5 intervals after 3 of the ramp" in log.notes[0]


def test_iperf_leaves_out_what_is_omitted_or_cut_short(tmp_path):
    document = json.loads(logs.iperf_log([9e9, 9e9, 9e9, 9e9, 1e9, 1e9, 1e9, 0.5e9, 0.4e9]))
    for i in range(4):
        document["intervals"][i]["sum"]["omitted"] = True
    for i in (-1, -2):
        document["intervals"][i]["sum"]["seconds"] = 0.001
    (measured,) = read(tmp_path, json.dumps(document)).measurements
    assert measured.size_bytes == pytest.approx(1e9 / 8)


def test_iperf_of_few_intervals_is_the_average_of_the_receiver(tmp_path):
    log = read(tmp_path, logs.iperf_log([1e9, 3e9]))
    assert log.measurements[0].size_bytes == pytest.approx(2e9 / 8)
    assert log.measurements[0].samples == ()
    assert "average of the whole test" in log.notes[0]


def test_iperf_says_what_else_it_saw(tmp_path):
    document = json.loads(logs.iperf_log([1e9] * 5))
    document["start"]["test_start"]["num_streams"] = 4
    document["end"]["sum_sent"] = {"retransmits": 17}
    document["end"]["streams"] = [{"sender": {"mean_rtt": 1500}}]
    notes = "\n".join(read(tmp_path, json.dumps(document)).notes)
    assert "4 streams together" in notes
    assert "17 segments were sent again" in notes
    assert "under load 1.5 ms" in notes


def test_csv_of_collectives_in_any_order_of_columns(tmp_path):
    text = "# ours\ntime_s,world_size,size_bytes,collective\n0.5,4,1024,all_reduce\n\n"
    text += "2e-3,8,16,all_gather\n"
    assert said(read(tmp_path, text)) == [
        ("all_reduce", 4, 1024, 0.5),
        ("all_gather", 8, 16, 0.002),
    ]


def test_csv_may_name_the_algorithm(tmp_path):
    text = "collective,world_size,size_bytes,time_s,algorithm\nall_reduce,4,8,0.5,ring\n"
    assert read(tmp_path, text).measurements[0].algorithm == "ring"


def test_csv_of_a_link(tmp_path):
    text = "kind,size_bytes,time_s\nlatency,0,1e-3\nrtt,0,4e-3\nmessage,10,5e-3\ngoodput,99,1\n"
    assert [(kind, size, time) for kind, _, size, time in said(read(tmp_path, text))] == [
        ("latency", 0, 1e-3),
        ("latency", 0, 2e-3),
        ("message", 10, 5e-3),
        ("stream", 99, 1),
    ]


rows = st.tuples(
    st.sampled_from(ALL),
    st.integers(2, 10**6),
    st.integers(1, 1 << 53),
    st.floats(1e-12, 1e12),
)


@given(rows=st.lists(rows, min_size=1, max_size=5))
def test_a_csv_is_read_back_exactly(rows, tmp_path_factory):
    lines = [",".join(map(str, row)) for row in rows]
    text = "\n".join(["collective,world_size,size_bytes,time_s", *lines])
    assert said(read(tmp_path_factory.mktemp("csv"), text)) == rows


@pytest.mark.parametrize("name", ["a.json", "a.csv", "a.log", "a"])
def test_a_format_is_told_by_content_and_not_by_name(name, tmp_path):
    texts = {
        "nccl-tests": logs.nccl_log("all_reduce", [2], TIMES),
        "nccl-tests JSON": logs.nccl_json("all_reduce", 2, TIMES),
        "OSU micro-benchmarks": logs.osu_log("message", [(8, "1.00")], ("Latency (us)",)),
        "ping": logs.ping_log([1.0, 1.1, 1.2]),
        "iperf3": logs.iperf_log([1e9] * 4),
        "CSV": "kind,size_bytes,time_s\nrtt,0,1e-3\n",
    }
    assert [read(tmp_path, text, name=name).form for text in texts.values()] == list(texts)
