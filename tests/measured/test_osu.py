"""OSU tests: which are read, of how many pairs, and when a line is not complete."""

import pytest
from measured import logs

from emul.measured import Hints, MeasurementError, read_measurements


def read(folder, text, **hints):
    path = folder / "log"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_measurements(path, Hints(**hints))


def refusal(folder, text, **hints):
    with pytest.raises(MeasurementError) as caught:
        read(folder, text, **hints)
    return str(caught.value)


def notes(log):
    return "\n".join(log.notes)


ONE_SIDED = [
    "MPI_Put Latency", "MPI_Get Latency", "MPI_Accumulate latency", "MPI_Get_accumulate latency",
    "MPI_Fetch_and_op latency", "MPI_Compare_and_swap latency", "MPI_Put Bandwidth",
    "MPI_Get Bandwidth", "MPI_Put Bi-directional Bandwidth", "OpenSHMEM Put", "OpenSHMEM Get",
    "UPC MEMPUT", "MPI-CUDA_Put Latency",
]  # fmt: skip


@pytest.mark.parametrize("title", ONE_SIDED)
def test_one_sided_tests_are_refused_by_name(title, tmp_path):
    text = (
        f"# OSU {title} Test v5.9\n# Size          Latency (us)\n1        60.00\n8        61.00\n"
    )
    said = refusal(tmp_path, text)
    assert f"OSU {title} Test v5.9" in said
    assert "one-sided" in said


@pytest.mark.parametrize(
    "title",
    ["MPI Multi-threaded Latency", "MPI Non-blocking Allreduce Latency", "MPI Barrier Latency",
     "OpenSHMEM Broadcast Latency", "MPI Alltoallv Latency"],
)  # fmt: skip
def test_osu_tests_that_are_not_read_are_named(title, tmp_path):
    text = (
        f"# OSU {title} Test v5.9\n# Size          Latency (us)\n1        60.00\n8        61.00\n"
    )
    assert f"OSU {title} Test v5.9" in refusal(tmp_path, text)


@pytest.mark.parametrize("size", [96, 64, 32, 40])
def test_an_osu_size_that_does_not_grow_or_is_no_power_of_two_may_be_cut(size, tmp_path):
    text = logs.EVERY["osu"].replace("4096", str(size))
    assert "a size above 64, and of powers of two one" in refusal(tmp_path, text)


def test_an_osu_line_without_an_end_is_no_complete_one(tmp_path):
    text = logs.EVERY["osu"].rstrip("\n")
    assert "this line has no end" in refusal(tmp_path, text)
    log = read(tmp_path, text, partial=True)
    assert [m.size_bytes for m in log.measurements] == [8, 64]
    assert "results that are not complete" in notes(log)


@pytest.mark.parametrize("verdict", ["Fail", "-"])
def test_what_osu_has_not_found_right_is_refused(verdict, tmp_path):
    columns = ("Avg Latency(us)", "Validation")
    text = logs.osu_log("all_reduce", [(8, "10.00", verdict)], columns)
    assert "needed Pass" in refusal(tmp_path, text, world_size=4)


def test_an_osu_time_with_fewer_digits_than_the_others_may_be_cut(tmp_path):
    text = logs.EVERY["osu"]
    for whole, cut in (("20.00", "20.0"), ("30.25", "30"), ("10.00", "10.")):
        assert "needed as many digits" in refusal(tmp_path, text.replace(whole, cut))


def test_osu_of_both_ways_at_once_is_told(tmp_path):
    text = logs.osu_log("window", [(8, "16.00"), (16, "32.00")], ("Bandwidth (MB/s)",))
    assert read(tmp_path, text).taken_as == ("window, one way",)
    both = text.replace("MPI Bandwidth", "MPI Bi-Directional Bandwidth")
    assert read(tmp_path, both).taken_as == ("window, both ways at once",)


def test_osu_pairs_are_values_of_one_pair(tmp_path):
    text = logs.multi_bandwidth_log([(1, 8.0), (1 << 20, 40000.0)], pairs=4)
    log = read(tmp_path, text)
    # 64 messages at a quarter of the rate of all four pairs
    assert [m.time_s for m in log.measurements] == pytest.approx(
        [64 * 1 / 2e6, 64 * (1 << 20) / 10e9]
    )
    assert "4 pairs ran at once" in notes(log)
    multi = logs.osu_log("message", [(1, "2.00"), (8, "3.00")], ("Latency (us)",))
    log = read(tmp_path, multi.replace("MPI Latency", "MPI Multi Latency"))
    assert [m.time_s for m in log.measurements] == pytest.approx([2e-6, 3e-6])
    assert "all pairs of ranks ran at once" in notes(log)


def test_osu_pairs_of_other_windows_or_none_are_refused(tmp_path):
    text = logs.multi_bandwidth_log([(8, 8.0), (16, 16.0)], window=32)
    assert "window size: 32" in refusal(tmp_path, text)
    bare = logs.multi_bandwidth_log([(8, 8.0), (16, 16.0)]).replace("[ pairs: 4 ]", "")
    assert "[ pairs: ... ]" in refusal(tmp_path, bare)
    text = logs.multi_bandwidth_log([(8, 8.0), (16, 16.0)]).replace("1000000.00", "3000000.00")
    assert "column Messages/s" in refusal(tmp_path, text)
