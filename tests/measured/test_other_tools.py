"""Pings of all systems, iperf3 of all versions, and tools that are named."""

import json

import pytest
from measured import logs

from emul.measured import Hints, MeasurementError, read_measurements

RTTS_MS = [9.0, 1.0, 1.5, 2.0, 1.5]


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


def busybox(text):
    text = text.replace("icmp_seq=", "seq=").replace("/mdev", "").replace("/stddev", "")
    return text.replace("/0.010 ms", " ms")


SYSTEMS = {
    "linux": logs.ping_log(RTTS_MS),
    "mac": logs.ping_log(RTTS_MS, system="mac"),
    "ping6": logs.ping_log(RTTS_MS, system="mac")
    .replace("stddev", "std-dev")
    .replace("ttl=", "hlim=")
    .replace(
        "PING b.example (192.0.2.7) 56(84) bytes of data.", "PING6(56=40+8+8 bytes) ::2 --> ::1"
    ),
    "busybox": busybox(logs.ping_log(RTTS_MS, system="mac")),
    "busybox, closing without deviation": logs.ping_log(RTTS_MS, system="mac")
    .replace("icmp_seq=", "seq=")
    .replace("min/avg/max/stddev", "min/avg/max"),
    "linux -D": logs.ping_log(RTTS_MS).replace("64 bytes", "[1700000000.123456] 64 bytes"),
    "linux in German": logs.ping_log(RTTS_MS)
    .replace("64 bytes from", "64 Bytes von")
    .replace(" time=", " Zeit=")
    .replace("packets transmitted", "Pakete übertragen")
    .replace("received", "empfangen")
    .replace("packet loss, time", "Paketverlust, Zeit"),
    "with duplicates": logs.ping_log(RTTS_MS).replace(
        "\n\n", "\n64 bytes from 192.0.2.7: icmp_seq=4 ttl=64 time=77 ms (DUP!)\n\n"
    ),
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_ping_of_any_system_is_half_the_median_of_its_packets(system, tmp_path):
    log = read(tmp_path, SYSTEMS[system])
    assert [(m.kind, m.time_s) for m in log.measurements] == [("latency", pytest.approx(0.75e-3))]
    assert log.measurements[0].samples == pytest.approx([rtt / 2e3 for rtt in RTTS_MS])
    assert "damaged" not in notes(log)


LANGUAGES = {
    "German": ("Antwort von", "Bytes", "Zeit"),
    "French": ("Réponse de", "octets", "temps"),
    "Spanish": ("Respuesta desde", "bytes", "tiempo"),
    "Polish": ("Odpowiedź z", "bajtów", "czas"),
    "Russian": ("Ответ от", "число байт", "время"),
    "Chinese": ("来自", "字节", "时间"),
    "English": ("Reply from", "bytes", "time"),
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_ping_of_windows_in_any_language(language, encoding, tmp_path):
    text = logs.windows_ping_log([14, 15, 19], LANGUAGES[language], sent=4)
    if language != "English":
        text = text.replace("Pinging 192.0.2.7 with", "192.0.2.7").replace("Sent", "S")
    log = read(tmp_path, text.encode(encoding))
    assert [m.time_s for m in log.measurements] == [pytest.approx(7.5e-3)]
    assert "1 of 4 packets were lost" in notes(log)
    assert "whole milliseconds" in notes(log)


def test_the_whole_milliseconds_of_an_average_are_no_damage(tmp_path):
    text = logs.windows_ping_log([1, 1, 2])
    assert "damaged" not in notes(read(tmp_path, text))
    assert "damaged" in notes(read(tmp_path, text.replace("time=2ms", "time=9ms")))


def test_a_ping_of_windows_without_its_packets_is_half_the_average(tmp_path):
    text = logs.windows_ping_log([14, 15, 19])
    closing = "\n".join(line for line in text.split("\n") if "TTL" not in line)
    assert read(tmp_path, closing).measurements[0].time_s == pytest.approx(8e-3)


def test_bytes_that_are_not_utf_8_are_told(tmp_path):
    text = logs.windows_ping_log([14, 15, 19], LANGUAGES["French"]).encode("cp850")
    log = read(tmp_path, text)
    assert log.measurements[0].time_s == pytest.approx(7.5e-3)
    assert "3 characters are not UTF-8" in notes(log)


def test_times_below_what_a_ping_resolves_are_no_median(tmp_path):
    text = logs.windows_ping_log([1, 1, 1]).replace("time=1ms", "time<1ms")
    assert "3 of 3 round trips are less than the 1 ms" in refusal(tmp_path, text)
    half = logs.windows_ping_log([1, 1, 5, 6]).replace("time=1ms", "time<1ms")
    assert "2 of 4 round trips" in refusal(tmp_path, half)
    few = logs.windows_ping_log([1, 5, 6]).replace("time=1ms", "time<1ms")
    assert read(tmp_path, few).measurements[0].time_s == pytest.approx(2.5e-3)


def test_a_ping_that_was_killed_has_whole_lines(tmp_path):
    text = logs.ping_log(RTTS_MS).split("\n\n")[0]
    log = read(tmp_path, text)
    assert log.measurements[0].time_s == pytest.approx(0.75e-3)
    assert "closing lines are missing" in notes(log)
    gap = "\n".join(line for line in text.split("\n") if "icmp_seq=2" not in line)
    assert "1 numbers of the sequence are missing" in notes(read(tmp_path, gap))
    cut = read(tmp_path, text[:-4])
    assert "left out line 6 (" in notes(cut)
    assert len(cut.measurements[0].samples) == len(RTTS_MS) - 1


@pytest.mark.parametrize("why", ["Destination Host Unreachable", "Time to live exceeded"])
def test_an_answer_without_a_time_is_no_damaged_line(why, tmp_path):
    text = logs.ping_log(RTTS_MS, sent=6)
    line = next(line for line in text.split("\n") if "icmp_seq=3" in line)
    log = read(tmp_path, text.replace(line, f"From 192.0.2.1 icmp_seq=9 {why}\n{line}"))
    assert "left out" not in notes(log)
    assert len(log.measurements[0].samples) == len(RTTS_MS)


def test_pings_to_two_addresses_are_two_links(tmp_path):
    one, other = logs.ping_log([1.0] * 3), logs.ping_log([41.0] * 3).replace("192.0.2.7", "::9")
    assert "pings to 2 addresses, 192.0.2.7, ::9" in refusal(tmp_path, one + other)
    bare = "\n".join(line for line in (one + other).split("\n") if "bytes from" in line)
    assert "pings to 2 addresses" in refusal(tmp_path, bare)
    windows = logs.windows_ping_log([1, 2, 3], LANGUAGES["German"]).split("\n", 1)[1]
    both = windows + windows.replace("192.0.2.7", "192.0.2.8")
    assert "pings to 2 addresses" in refusal(tmp_path, both)


def test_two_pings_to_one_address_are_two_measurements(tmp_path):
    log = read(tmp_path, logs.ping_log([1.0] * 3) + logs.ping_log([3.0] * 3, sent=4))
    assert [m.time_s for m in log.measurements] == pytest.approx([0.5e-3, 1.5e-3])
    assert [m.run for m in log.measurements] == [1, 2]
    assert "1 of 4 packets were lost" in notes(log)


def test_a_mean_that_is_not_that_of_the_lines_is_told(tmp_path):
    text = logs.ping_log(RTTS_MS).replace("time=9.0 ms", "time=90.0 ms")
    assert "a line may be damaged" in notes(read(tmp_path, text))


def iperf(protocol="TCP", test_start=None, end=None, rates=(2e9,) * 5):
    document = json.loads(logs.iperf_log(rates))
    document["start"]["test_start"] |= {"protocol": protocol, **(test_start or {})}
    document["end"] |= end or {}
    return document


def udp(lost, packets=10_000, received=True):
    """A UDP test that sends 2 Gbit/s; older versions write one sum, which is the sender's."""
    counts = {"packets": packets, "lost_packets": lost}
    came = {"bits_per_second": 2e9 * (1 - lost / packets), **counts}
    document = iperf("UDP", end={"sum": {"bits_per_second": 2e9, **counts}})
    document["end"].pop("sum_received")
    if received:
        document["end"]["sum_received"] = came
    return json.dumps(document)


@pytest.mark.parametrize("received", [True, False])
def test_udp_is_what_was_received(received, tmp_path):
    log = read(tmp_path, udp(7500, received=received))
    assert log.measurements[0].size_bytes == pytest.approx(0.5e9 / 8)
    assert "7500 of 10000 packets were lost" in notes(log)
    assert log.taken_as == ("stream, UDP from client to server",)


@pytest.mark.parametrize("lost", [0, 1, 499])
def test_udp_that_did_not_fill_the_link_is_refused(lost, tmp_path):
    assert "over UDP" in refusal(tmp_path, udp(lost))
    assert "over UDP" in refusal(tmp_path, udp(lost, received=False))


def test_udp_that_just_filled_the_link_is_taken_and_one_that_lost_all_is_not(tmp_path):
    for received in (True, False):
        log = read(tmp_path, udp(500, received=received))
        assert log.measurements[0].size_bytes == pytest.approx(1.9e9 / 8)
    all_lost = refusal(tmp_path, udp(10_000, received=False))
    assert "lost_packets" in all_lost
    assert "fewer than 10000" in all_lost


def test_the_receiver_of_udp_counts_in_its_own_time(tmp_path):
    document = json.loads(udp(7500))
    document["end"]["sum_received"]["bits_per_second"] = 0.4e9
    assert read(tmp_path, json.dumps(document)).measurements[0].size_bytes == 0.4e9 / 8


@pytest.mark.parametrize(
    ("rates", "skipped"),
    [
        ((1, 2, 3, 4, 5, 6, 10, 10, 10, 10, 10, 10), 7),
        ((8.9, 8.9, 10, 10, 10, 10, 10, 10), 3),
        ((9.1, 9.1, 10, 10, 10, 10, 10, 10), 0),
        ((10, 10, 10, 10, 9, 1, 1, 1, 1), 0),
    ],
)
def test_the_ramp_is_over_at_nine_tenths_of_the_later_half(rates, skipped, tmp_path):
    log = read(tmp_path, json.dumps(iperf(rates=[8e9 * each for each in rates])))
    assert log.measurements[0].samples == tuple(1e9 * each for each in rates[skipped:])
    assert f"{len(rates) - skipped} intervals after {skipped} of the ramp" in notes(log)


@pytest.mark.parametrize(("seconds", "kept"), [(0.4, 5), (0.6, 6)])
def test_an_interval_of_less_than_half_the_usual_time_is_left_out(seconds, kept, tmp_path):
    document = iperf(rates=[8e9] * 6)
    document["intervals"][-1]["sum"] |= {"seconds": seconds, "bytes": 1e9 * seconds}
    assert len(read(tmp_path, json.dumps(document)).measurements[0].samples) == kept


def test_both_ways_at_once_are_told(tmp_path):
    end = {"sum_received_bidir_reverse": {"bits_per_second": 1e9}}
    log = read(tmp_path, json.dumps(iperf(test_start={"bidir": 1}, end=end)))
    assert log.measurements[0].size_bytes == pytest.approx(2e9 / 8)
    assert "0.125 GB/s (1 Gbit/s) went the other way" in notes(log)


def test_json_is_json_whatever_its_texts_look_like(tmp_path):
    extra = {
        "title": "# OSU MPI Latency Test v7",
        "extra_data": "PING b (192.0.2.7) nThread 1 nGpus 8",
    }
    log = read(tmp_path, json.dumps(iperf() | extra, indent=1))
    assert (log.form, len(log.measurements)) == ("iperf3", 1)


def test_the_direction_and_the_streams_are_told(tmp_path):
    log = read(tmp_path, json.dumps(iperf(test_start={"reverse": 1, "num_streams": 4})))
    assert log.taken_as == ("stream, TCP from server to client, 4 streams together",)


@pytest.mark.parametrize("form", ["iperf", "nccl json", "iperf stream"])
def test_a_key_that_comes_twice_is_refused_wherever_it_is(form, tmp_path):
    text = logs.EVERY[form]
    for key in ("start", "intervals", "bits_per_second", "results", "nwrong", "ngpus", "data"):
        at = text.find(f'"{key}":')
        if at < 0:
            continue
        twice = text[:at] + f'"{key}": 1, ' + text[at:]
        assert f"the key {key!r} comes twice" in refusal(tmp_path, twice)


def test_several_documents_are_as_many_measurements(tmp_path):
    one, other = logs.iperf_log([1e9] * 5), logs.iperf_log([3e9] * 5)
    for text in (
        one + other,
        f"[{one},{other}]",
        f"{one}\n\n{other}\n",
        one + logs.iperf_stream([3e9] * 5),
    ):
        log = read(tmp_path, text)
        assert [m.size_bytes for m in log.measurements] == pytest.approx([1e9 / 8, 3e9 / 8])
        assert "2 documents" in notes(log)


def test_documents_among_text_are_read_and_the_text_told(tmp_path):
    text = f"$ iperf3 -J -c b\n{logs.iperf_log([1e9] * 5)}\ndone\n"
    log = read(tmp_path, text)
    assert log.measurements[0].size_bytes == pytest.approx(1e9 / 8)
    last = text.count("\n")
    assert f"left out 2 lines: 1, {last} (text that is not JSON)" in notes(log)


def test_a_document_behind_text_in_its_first_line_alone_is_read(tmp_path):
    for rates in ([1e9] * 5, [3e9] * 4):
        log = read(tmp_path, f"out of b: {logs.iperf_log(rates)}\n")
        assert len(log.measurements[0].samples) == len(rates)
        assert log.measurements[0].size_bytes == pytest.approx(rates[0] / 8)


def test_the_place_in_a_stream_of_events_is_that_of_its_line(tmp_path):
    lines = logs.EVERY["iperf stream"].split("\n")
    lines[2] = lines[2].replace("990000000.0", "-1")
    column = lines[2].index("-1") + 1
    assert f"log, line 3, column {column}:" in refusal(tmp_path, "\n".join(lines))


def test_a_stream_of_events_that_was_cut_is_refused(tmp_path):
    cut = "\n".join(logs.EVERY["iperf stream"].split("\n")[:-2])
    assert "the end of a test" in refusal(tmp_path, cut)


def test_an_interval_whose_bytes_are_not_its_rate_is_refused(tmp_path):
    document = iperf()
    document["intervals"][2]["sum"]["bytes"] = 1000
    assert "that of 1000 bytes" in refusal(tmp_path, json.dumps(document))


OTHERS = {
    "fping": "b.example : [0], 84 bytes, 10.1 ms (10.1 avg, 0% loss)\n"
    "b.example : xmt/rcv/%loss = 1/1/0%, min/avg/max = 10.1/10.1/10.1\n",
    "mtr": "Start: 2026-01-12T10:11:12+0000\nHOST: a.example   Loss%   Snt   Last   Avg  Best\n"
    "  1.|-- b.example  0.0%    10    1.0   1.1   0.9\n",
    "traceroute": "traceroute to b.example (192.0.2.7), 30 hops max\n 1  r (192.0.2.1)  1.0 ms\n",
    "hping": "HPING b.example (eth0 192.0.2.7): S set, 40 headers + 0 data bytes\n"
    "len=44 ip=192.0.2.7 ttl=60 DF id=0 sport=80 flags=SA seq=0 win=64240 rtt=10.0 ms\n",
    "perftest": " RDMA_Write BW Test\n #bytes #iterations BW peak[MB/sec] BW average[MB/sec]\n"
    " 65536 5000 11770.39 11769.84\n",
    "iperf 2": "Client connecting to b.example, TCP port 5001\n[  3]  0.0-10.0 sec  1.0 GBytes\n",
    "iperf3 as printed": "[ ID] Interval           Transfer     Bitrate\n",
    "netperf": "MIGRATED TCP STREAM TEST from 0.0.0.0 () port 0\n".replace("P ST", "P_ST"),
    "Intel MPI Benchmarks": "# Benchmarking PingPong\n #bytes #repetitions t[usec] Mbytes/sec\n",
    "nvbandwidth": "nvbandwidth Version: v0.4\n",
    "sockperf": "sockperf: == version #3.7 ==\n",
    "qperf": "tcp_bw:\n    bw  =  1.2 GB/sec\n",
}


@pytest.mark.parametrize("tool", OTHERS)
def test_a_known_neighbour_is_named_with_what_to_bring(tool, tmp_path):
    said = refusal(tmp_path, OTHERS[tool])
    assert tool in said
    assert ": needed " in said
    assert ", line " in said
