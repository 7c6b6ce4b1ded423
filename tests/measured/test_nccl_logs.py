"""Logs of nccl-tests of all versions, and with what other processes write into them."""

import json
import random

import pytest
from measured import logs

from emul.measured import Hints, MeasurementError, read_measurements

TIMES = logs.TIMES
MESSAGE = "node0:100:200 [0] NCCL INFO Channel 00/0 : 0[0] -> 1[1] via P2P/IPC"
ALL = "\n".join


def read(folder, text, **hints):
    path = folder / "log"
    path.write_text(text)
    return read_measurements(path, Hints(**hints))


def said(log):
    return [(m.kind, m.world_size, m.size_bytes, m.time_s, m.place) for m in log.measurements]


def expected(collective, n, times=TIMES):
    return [
        (collective, n, size, pytest.approx(t, rel=1e-9), place)
        for size, *both in times
        for t, place in zip(both, ("out of place", "in place"), strict=True)
    ]


def refusal(folder, text, **hints):
    with pytest.raises(MeasurementError) as caught:
        read(folder, text, **hints)
    return str(caught.value)


def unnamed(text):
    return ALL(line for line in text.split("\n") if "_perf" not in line)


@pytest.mark.parametrize("error", ["0e+00", "5e-07", "N/A"])
@pytest.mark.parametrize("collective", logs.LIKE)
def test_layouts_before_2_13(collective, error, tmp_path):
    text = logs.old_nccl_log(collective, [2, 2], TIMES, error)
    assert said(read(tmp_path, text, collective=collective)) == expected(collective, 4)


def test_errors_that_no_closing_line_judges_are_held_against_the_limits_of_old_versions(tmp_path):
    for error, right in (("5e-07", True), ("2e-05", True), ("4e-05", False)):
        text = logs.old_nccl_log("all_reduce", [2, 2], TIMES, error)
        cut = ALL(line for line in text.split("\n") if "Out of bounds" not in line)
        if right:
            assert said(read(tmp_path, cut, partial=True)) == expected("all_reduce", 4)
        else:
            assert "needed at most 3e-05" in refusal(tmp_path, cut, partial=True)


def test_values_out_of_bounds_are_refused(tmp_path):
    for text in (logs.EVERY["nccl"], logs.EVERY["nccl old"]):
        for wrong in (1, 3):
            bad = text.replace("values : 0 OK", f"values : {wrong} FAILED")
            assert "needed 0 values out of bounds" in refusal(tmp_path, bad)


def test_rccl_tests(tmp_path):
    text = logs.EVERY["nccl"].replace("# Using", "rccl-tests: Version develop:1234567\n# Using")
    text = text.replace("# Out of", "# Errors with asterisks indicate errors ...\n# Out of")
    assert said(read(tmp_path, text)) == expected("all_reduce", 4)


def test_one_half_alone_is_that_of_the_title(tmp_path):
    width = len(logs.half("all_reduce", 4, 64, 1e-5, "0")) + 2
    for title, kept in (("out-of-place", 0), ("in-place    ", 1)):
        lines = logs.EVERY["nccl"].split("\n")
        for i, line in enumerate(lines):
            if "out-of-place" in line:
                lines[i] = f"#      {title}"
            elif "busbw" in line:
                lines[i] = line[: line.rindex("time")]
            elif "(GB/s)" in line:
                lines[i] = line[: line.rindex("(us)")]
            elif line.strip()[:1].isdigit():
                lines[i] = line[:-width] if not kept else line[: -2 * width] + line[-width:]
        assert said(read(tmp_path, ALL(lines))) == expected("all_reduce", 4)[kept::2]


def sendrecv_like(collective, n, wrong):
    text = unnamed(logs.nccl_log(collective, [1] * n, TIMES))
    return ALL(
        line[: line.rindex("0")] + wrong if line.strip()[:1].isdigit() else line
        for line in text.split("\n")
    )


@pytest.mark.parametrize("collective", ["send_recv", "all_to_all"])
def test_what_is_not_checked_in_place_alone_is_told_by_that(collective, tmp_path):
    log = read(tmp_path, sendrecv_like(collective, 2, "N/A"))
    assert said(log) == expected(collective, 2)
    assert log.taken_as == (f"{collective} over 2 ranks",)


def test_two_ranks_without_checks_may_be_all_reduce_or_send_recv_and_are_asked_for(tmp_path):
    text = unnamed(logs.nccl_log("send_recv", [1, 1], TIMES, wrong="N/A"))
    assert "all_reduce or send_recv): needed --collective" in refusal(tmp_path, text)
    log = read(tmp_path, text, collective="send_recv")
    assert said(log) == expected("send_recv", 2)


@pytest.mark.parametrize("half", ["in_place", "out_of_place"])
def test_only_a_check_in_place_tells_all_reduce_from_send_recv(half, tmp_path):
    document = json.loads(logs.nccl_json("all_reduce", 2, TIMES))
    document["args"] = []
    for result in document["results"]:
        result[half] = None
    text = json.dumps(document)
    if half == "in_place":
        assert "all_reduce or send_recv): needed --collective" in refusal(tmp_path, text)
    else:
        assert said(read(tmp_path, text)) == expected("all_reduce", 2)[1::2]


def test_in_json_as_well_send_recv_is_told_by_what_is_not_checked_in_place(tmp_path):
    document = json.loads(logs.nccl_json("send_recv", 2, TIMES))
    document["args"] = []
    for result in document["results"]:
        result["in_place"]["nwrong"] = "N/A"
    assert said(read(tmp_path, json.dumps(document))) == expected("send_recv", 2)


@pytest.mark.parametrize("printed", ["1.5e+06", "2e+06"])
def test_bandwidths_of_few_digits_are_taken_as_far_as_these_go(printed, tmp_path):
    times = [(1 << 30, 7e-7, 7e-7)]
    text = logs.nccl_log("all_reduce", [8], times)
    assert text.count("  1.5e+06") == 2
    log = read(tmp_path, text.replace("  1.5e+06", f"  {printed}"))
    assert said(log) == expected("all_reduce", 8, times)
    assert "algbw 4e+06" in refusal(tmp_path, text.replace("  1.5e+06", "  4e+06"))


def test_a_process_without_devices_has_a_rank_for_each_gpu_of_each_thread(tmp_path):
    document = json.loads(logs.nccl_json("all_reduce", 6, TIMES))
    document["config"] |= {"nthreads": 2, "ngpus": 3}
    assert said(read(tmp_path, json.dumps(document))) == expected("all_reduce", 6)


def test_an_error_below_0_is_none(tmp_path):
    text = logs.old_nccl_log("all_reduce", [4], TIMES, error="-5e-07")
    assert "column error" in refusal(tmp_path, text)


def test_more_ranks_without_checks_are_told_by_busbw(tmp_path):
    for collective in ("send_recv", "all_reduce"):
        text = unnamed(logs.nccl_log(collective, [4], TIMES, wrong="N/A"))
        assert said(read(tmp_path, text)) == expected(collective, 4)


@pytest.mark.parametrize("collective", ["all_gather", "all_to_all", "broadcast"])
def test_a_line_without_elements_does_not_tell_what_a_count_is_of(collective, tmp_path):
    """Of 0 bytes, blocks and whole vectors have as many elements: the largest line tells."""
    empty = (0, 1e-6, 1e-6)
    text = unnamed(logs.nccl_log(collective, [4], [empty, *TIMES]))
    found = {m.kind for m in read(tmp_path, text, collective=collective).measurements}
    assert found == {collective}
    others = {"all_gather": "broadcast", "broadcast": "all_gather"}
    if collective in others:
        assert "redop, root and count" in refusal(tmp_path, text, collective="all_reduce")


def test_a_collective_that_the_columns_contradict_is_refused(tmp_path):
    text = unnamed(logs.nccl_log("reduce_scatter", [2], TIMES))
    said = refusal(tmp_path, text, collective="all_gather")
    assert "are those of reduce_scatter" in said
    document = logs.nccl_json("reduce_scatter", 2, TIMES)
    other = document.replace("reduce_scatter_perf", "all_gather_perf")
    assert "are those of reduce_scatter" in refusal(tmp_path, other)


def test_a_bandwidth_that_is_not_size_over_time_is_refused_in_any_row(tmp_path):
    for row in logs.nccl_lines("all_reduce", 4, TIMES[1:]):
        cells = row.split()
        text = logs.EVERY["nccl"].replace(row, row.replace(cells[5], f"9{cells[5]}", 1))
        assert "is not" in refusal(tmp_path, text)


def hash_signs_lost(text):
    return ALL(line.removeprefix("#") for line in text.split("\n"))


def test_signs_that_a_page_has_eaten(tmp_path):
    for form in ("nccl", "nccl old"):
        assert said(read(tmp_path, hash_signs_lost(logs.EVERY[form]))) == expected("all_reduce", 4)


@pytest.mark.parametrize("form", ["nccl", "nccl old"])
@pytest.mark.parametrize("host", ["node0", "7-up.example", "e1"])
def test_messages_between_in_and_behind_rows(form, host, tmp_path):
    """A row is printed in three pieces; a message may come at each of their ends."""
    text = logs.EVERY[form].replace("node0", host)
    message = MESSAGE.replace("node0", host)
    for line in text.split("\n"):
        if not line.strip()[:1].isdigit():
            continue
        width = len(logs.half("all_reduce", 4, 64, 1e-5, "5e-07" if "old" in form else "0")) + 2
        for at in (0, len(line) - 2 * width, len(line) - width, len(line)):
            torn = line[:at] + f"{message}\n{message}\n" + line[at:]
            log = read(tmp_path, text.replace(line, torn))
            assert said(log) == expected("all_reduce", 4), torn


def test_a_row_whose_rest_does_not_come_is_left_out_and_told(tmp_path):
    row = list(logs.nccl_lines("all_reduce", 4, TIMES))[1]
    text = logs.EVERY["nccl"].replace(row, row[:60] + MESSAGE)
    number = text[: text.index(row[:60])].count("\n") + 1
    log = read(tmp_path, text)
    assert said(log) == [each for each in expected("all_reduce", 4) if each[2] != TIMES[1][0]]
    assert any(f"left out line {number} (" in note for note in log.notes)


def test_a_row_that_was_interrupted_before_its_last_piece_was_lost_is_told(tmp_path):
    row = list(logs.nccl_lines("all_reduce", 4, TIMES))[1]
    width = len(logs.half("all_reduce", 4, 64, 1e-5, "0")) + 2
    torn = f"{row[: -2 * width]}{MESSAGE}\n{row[-2 * width : -width]}"
    log = read(tmp_path, logs.EVERY["nccl"].replace(row, torn))
    assert said(log) == [each for each in expected("all_reduce", 4) if each[2] != TIMES[1][0]]
    assert any("left out line" in note for note in log.notes)


def test_a_row_that_text_of_others_has_cut_is_told(tmp_path):
    row = list(logs.nccl_lines("all_reduce", 4, TIMES))[1]
    log = read(tmp_path, logs.EVERY["nccl"].replace(row, f"{row[:60]}\nwarming up"))
    assert len(log.measurements) == 2 * (len(TIMES) - 1)
    assert any("cut in two" in note for note in log.notes)


def test_a_result_of_json_lacks_no_half(tmp_path):
    for half in ("in_place", "out_of_place"):
        document = json.loads(logs.EVERY["nccl json"])
        del document["results"][1][half]
        assert "a half, or null" in refusal(tmp_path, json.dumps(document))


def test_text_in_the_table_is_told_and_messages_are_not(tmp_path):
    row = next(logs.nccl_lines("all_reduce", 4, TIMES))
    chatter = "15 more processes have sent help\nwarming up\n[node1:77] 3 more\n"
    log = read(tmp_path, logs.EVERY["nccl"].replace(row, f"{row}\n{MESSAGE}\n{chatter}"))
    assert said(log) == expected("all_reduce", 4)
    assert [note for note in log.notes if "left out" in note] == [
        "log: left out 2 lines: 16 to 17 (text that is no row of the table)"
    ]


def of_two_processes(text, seed):
    """Two copies of a log, their lines mixed as two processes print them."""
    draw, waiting, mixed = random.Random(seed), [text.split("\n"), text.split("\n")], []
    while any(waiting):
        mixed.append(draw.choice([lines for lines in waiting if lines]).pop(0))
    return ALL(mixed)


@pytest.mark.parametrize("seed", range(10))
def test_processes_that_do_not_know_of_each_other(seed, tmp_path):
    for hosts in ([1], [2]):
        text = logs.nccl_log("all_reduce", hosts, TIMES)
        message = refusal(tmp_path, of_two_processes(text, seed))
        assert "2 processes print into this log" in message
        assert "MPI=1" in message


def test_two_ranks_0_are_of_two_processes(tmp_path):
    (rank,) = logs.rank_lines([1])
    text = logs.nccl_log("all_reduce", [1], TIMES).replace(rank, f"{rank}\n{rank}")
    assert "2 processes print into this log" in refusal(tmp_path, text)


def test_two_heads_before_two_ends_are_of_two_processes(tmp_path):
    text = logs.nccl_log("all_reduce", [2], TIMES).replace("nGpus 1", "nGpus 2")
    bare = [line for line in text.split("\n") if "  Rank  " not in line]
    assert said(read(tmp_path, ALL(bare))) == expected("all_reduce", 2)
    both = ALL(line for line in bare for _ in range(2))
    assert "2 processes print into this log" in refusal(tmp_path, both)


def test_runs_are_counted_over_all_processes_of_a_file(tmp_path):
    two = logs.nccl_log("all_reduce", [2], TIMES) + logs.nccl_log("broadcast", [2], TIMES)
    lines = [f"{name}: {line}" for name in ("a", "b") for line in two.split("\n")]
    log = read(tmp_path, ALL([*lines, ""]))
    assert [each.run for each in log.measurements] == [n for n in (1, 2, 3, 4) for _ in range(6)]


def test_a_process_of_its_own_world_says_so(tmp_path):
    assert "built without MPI=1" in refusal(tmp_path, logs.nccl_log("all_reduce", [1], TIMES))


@pytest.mark.parametrize("form", ["nccl", "nccl old"])
def test_a_log_without_its_closing_lines(form, tmp_path):
    text = logs.EVERY[form].split("# Out")[0]
    assert "--partial" in refusal(tmp_path, text)
    log = read(tmp_path, text, partial=True)
    assert said(log) == expected("all_reduce", 4)
    assert any("3 complete rows are taken" in note for note in log.notes)


def test_of_a_log_that_does_not_say_whether_all_is_right_that_is_told(tmp_path):
    text = ALL(line for line in logs.EVERY["nccl"].split("\n") if "Out of bounds" not in line)
    assert "no line '# Out of bounds values'" in refusal(tmp_path, text)
    log = read(tmp_path, text, partial=True)
    assert said(log) == expected("all_reduce", 4)
    assert any("lacks the closing lines" in note for note in log.notes)


def test_of_a_log_that_is_cut_the_complete_rows_are_taken(tmp_path):
    text = logs.EVERY["nccl"]
    last = list(logs.nccl_lines("all_reduce", 4, TIMES))[-1]
    cut = text[: text.index(last) + len(last) - 3]
    assert "--partial" in refusal(tmp_path, cut)
    log = read(tmp_path, cut, partial=True)
    assert said(log) == expected("all_reduce", 4)[:-2]
    assert any(f"left out line {cut.count(chr(10)) + 1} (" in note for note in log.notes)


def test_ranks_of_which_a_line_is_lost_are_refused_or_said_by_the_user(tmp_path):
    text = logs.nccl_log("broadcast", [2, 2], TIMES)
    lost = ALL(line for line in text.split("\n") if "Rank  2" not in line)
    assert "rank 2 is not listed" in refusal(tmp_path, lost)
    assert said(read(tmp_path, lost, world_size=4)) == expected("broadcast", 4)


def test_rows_of_a_run_whose_heading_is_lost_are_told(tmp_path):
    whole = logs.EVERY["nccl"]
    lost = ALL(line for line in whole.split("\n") if "busbw" not in line)
    first = whole.count("\n") + 1 + next(i for i, x in enumerate(lost.split("\n")) if " 64 " in x)
    log = read(tmp_path, whole + lost)
    assert said(log) == expected("all_reduce", 4)
    assert f"left out 3 lines: {first} to {first + 2} (rows that stand" in " ".join(log.notes)
