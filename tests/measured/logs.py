"""Writes what measuring programs print, from times that a test knows."""

import json
import math

LIKE = {
    "all_reduce": ("all_reduce_perf", "sum", -1),
    "reduce_scatter": ("reduce_scatter_perf", "sum", -1),
    "all_gather": ("all_gather_perf", "none", -1),
    "all_to_all": ("alltoall_perf", "none", -1),
    "broadcast": ("broadcast_perf", "none", 0),
    "reduce": ("reduce_perf", "sum", 0),
    "gather": ("gather_perf", "none", 0),
    "scatter": ("scatter_perf", "none", 0),
    "send_recv": ("sendrecv_perf", "sum", -1),
}
IN_BLOCKS = ("reduce_scatter", "all_gather", "all_to_all", "gather", "scatter")
ITEM_BYTES = {"float": 4, "half": 2, "double": 8, "int8": 1, "f8e4m3": 1}
TITLES = {
    "message": "Latency",
    "window": "Bandwidth",
    "all_reduce": "Allreduce Latency",
    "broadcast": "Broadcast Latency",
    "all_gather": "Allgather Latency",
    "reduce_scatter": "Reduce_scatter Latency",
    "all_to_all": "All-to-All Personalized Exchange Latency",
}


def bus_factor(collective, n):
    """busbw over algbw, as in PERFORMANCE.md of nccl-tests."""
    if collective == "all_reduce":
        return 2 * (n - 1) / n
    return (n - 1) / n if collective in IN_BLOCKS else 1


def figure(value, width):
    """A number as getFloatStr of nccl-tests prints it."""
    for digits in (2, 1, 0):
        text = f"{value:{width}.{digits}f}"
        if len(text) <= width:
            return text
    return f"{value:{width}.1e}"


def half(collective, n, size, time_s, wrong):
    algbw = size / time_s / 1e9
    figures = (figure(algbw, 6), figure(algbw * bus_factor(collective, n), 6))
    return "  ".join([figure(time_s * 1e6, 7), *figures, f"{wrong:>6}"])


def rank_lines(hosts, groups=None):
    """``hosts``: the ranks of each; a host is named by its number."""
    ranks = [host for host, ranks in enumerate(hosts) for _ in range(ranks)]
    return [
        f"#  Rank {rank:2} Group {groups[rank] if groups else 0:2} Pid {1000 + rank:6} on "
        f"{f'node{host}':>10} device {rank:2} [0000:{rank:02x}:00] NVIDIA H100"
        for rank, host in enumerate(ranks)
    ]


HEAD = """\
# nccl-tests version 2.19.6 nccl-headers=22807 nccl-library=22807
# Collective test starting: {program}
# nThread 1 nGpus 1 minBytes 8 maxBytes 1073741824 step: 2(factor) warmup iters: 1 iters: 20 \
agg iters: 1 validation: 1 graph: 0 unalign: 0
#
# Using devices"""
COLUMNS = """\
#
#                                                              out-of-place                       in-place
#       size         count      type   redop    root     time   algbw   busbw  #wrong     time   algbw   busbw  #wrong
#        (B)    (elements)                               (us)  (GB/s)  (GB/s)             (us)  (GB/s)  (GB/s)"""  # noqa: E501
FOOT = """\
# Out of bounds values : 0 OK
# Avg bus bandwidth    : 12.3 
#
# Collective test concluded: {program}
"""  # noqa: W291


def nccl_lines(collective, n, times, dtype="float", wrong="0"):
    """``times``: (size_bytes, seconds out of place, seconds in place) for each line."""
    _, redop, root = LIKE[collective]
    for size, *both in times:
        count = size // ITEM_BYTES[dtype] // (n if collective in IN_BLOCKS else 1)
        halves = "  ".join(half(collective, n, size, time_s, wrong) for time_s in both)
        yield f"{size:12}  {count:12}  {dtype:>8}  {redop:>6}  {root:6}  {halves}"


def nccl_log(collective, hosts, times, dtype="float", wrong="0"):
    program = LIKE[collective][0]
    lines = [HEAD.format(program=program), *rank_lines(hosts), COLUMNS]
    lines += nccl_lines(collective, sum(hosts), times, dtype, wrong)
    return "\n".join([*lines, FOOT.format(program=program)])


def nccl_json(collective, n, times, devices=None):
    """The document of nccl-tests -J; ``devices``: the host of each process, of one rank."""
    program, redop, root = LIKE[collective]

    def measured(size, time_s):
        algbw = size / time_s / 1e9
        return {
            "time": time_s * 1e6,
            "alg_bw": algbw,
            "bus_bw": algbw * bus_factor(collective, n),
            "nwrong": 0,
        }

    blocks = n if collective in IN_BLOCKS else 1
    config = {"nthreads": 1, "ngpus": 1 if devices else n}
    if devices:
        config["devices"] = [
            {"rank": i, "group": 0, "hostname": host} for i, host in enumerate(devices)
        ]
    return json.dumps(
        {
            "version": 3,
            "args": [f"./build/{program}", "-b", "8"],
            "config": config,
            "results": [
                {
                    "size": size,
                    "count": size // 4 // blocks,
                    "type": "float",
                    "redop": redop,
                    "root": f"{root:6}",
                    "out_of_place": measured(size, out_s),
                    "in_place": measured(size, in_s),
                    "experiment_name": "",
                }
                for size, out_s, in_s in times
            ],
            "out_of_bounds": {"count": 0, "okay": "true"},
            "average_bus_bandwidth": {"bandwidth": 1.0, "okay": "unchecked"},
        },
        indent=1,
    )


def osu_log(kind, lines, columns=("Avg Latency(us)",), version="v7.5"):
    """``lines``: (size, value, ...) as they are printed."""
    rows = [f"{size:<10}" + "".join(f"{value:>20}" for value in rest) for size, *rest in lines]
    heading = "# Size      " + "   ".join(columns)
    head = [f"# OSU MPI {TITLES[kind]} Test {version}", "# Datatype: MPI_CHAR.", heading]
    return "\n".join([*head, *rows, ""])


def ping_log(rtts_ms, sent=None, system="linux"):
    lines = ["PING b.example (192.0.2.7) 56(84) bytes of data."]
    lines += [
        f"64 bytes from 192.0.2.7: icmp_seq={i} ttl=64 time={rtt} ms"
        for i, rtt in enumerate(rtts_ms)
    ]
    sent, received = sent or len(rtts_ms), len(rtts_ms)
    mean = sum(rtts_ms) / received
    spread = math.sqrt(sum((rtt - mean) ** 2 for rtt in rtts_ms) / received)
    times = f"{min(rtts_ms):.3f}/{mean:.3f}/{max(rtts_ms):.3f}/{spread:.3f} ms"
    lines += ["", "--- b.example ping statistics ---"]
    if system == "linux":
        lost = f"{sent} packets transmitted, {received} received, 0% packet loss, time 9ms"
        return "\n".join([*lines, lost, f"rtt min/avg/max/mdev = {times}", ""])
    lost = f"{sent} packets transmitted, {received} packets received, 0.0% packet loss"
    return "\n".join([*lines, lost, f"round-trip min/avg/max/stddev = {times}", ""])


def iperf_log(rates_bit_per_s, **more):
    """One interval of a second for each rate."""
    intervals = [
        {"streams": [], "sum": {"seconds": 1.0, "bits_per_second": rate, "omitted": False}}
        for rate in rates_bit_per_s
    ]
    average = sum(rates_bit_per_s) / len(rates_bit_per_s) if rates_bit_per_s else 0.0
    return json.dumps(
        {
            "start": {"test_start": {"protocol": "TCP", "num_streams": 1}},
            "intervals": intervals,
            "end": {"streams": [], "sum_received": {"bits_per_second": average}},
            **more,
        },
        indent=1,
    )


OLD_BEFORE = {
    "all_reduce": ("redop",),
    "reduce_scatter": ("redop",),
    "all_gather": (),
    "all_to_all": ("redop",),
    "broadcast": ("root",),
    "reduce": ("redop", "root"),
    "gather": ("root",),
    "scatter": ("root",),
    "send_recv": (),
}
"""The columns between type and time before nccl-tests 2.13 (print_header of each program)."""


def old_nccl_log(collective, hosts, times, error="5e-07"):
    """A log of nccl-tests before 2.13: other columns, an error in place of #wrong, no name."""
    _, redop, root = LIKE[collective]
    names = OLD_BEFORE[collective]
    cells = {"redop": "" if collective == "all_to_all" else redop, "root": root}
    before = "".join(f"  {name:>6}" for name in names)
    checked = collective not in ("all_to_all", "send_recv")
    lines = [
        "# nThread 1 nGpus 1 minBytes 8 maxBytes 1073741824 step: 2(factor) warmup iters: 5 "
        "iters: 20 validation: 1 ",
        "#",
        "# Using devices",
        *(line.replace(" Group  0", " ") for line in rank_lines(hosts)),
        "#",
        "#                                        out-of-place                       in-place",
        f"#       size         count      type{before}" + 2 * "     time   algbw   busbw  error",
        f"#        (B)    (elements){9 * ' ' * len(names)}"
        + 2 * "     (us)  (GB/s)  (GB/s)       ",
    ]
    n = sum(hosts)
    for size, out_s, in_s in times:
        count = size // 4 // (n if collective in IN_BLOCKS else 1)
        head = f"{size:12}  {count:12}  {'float':>8}"
        head += "".join(f"  {cells[name]:>6}" for name in names)
        halves = [half(collective, n, size, out_s, error)]
        halves.append(half(collective, n, size, in_s, error if checked else "N/A"))
        lines.append("  ".join([head, *halves]))
    return "\n".join([*lines, *FOOT.splitlines()[:2], "#", ""])


def windows_ping_log(rtts_ms, words=("Reply from", "bytes", "time"), sent=None):
    """``words``: what a language says for "Reply from", "bytes" and "time"."""
    answer, of_bytes, time = words
    lines = ["Pinging 192.0.2.7 with 32 bytes of data:"]
    lines += [f"{answer} 192.0.2.7: {of_bytes}=32 {time}={rtt}ms TTL=57" for rtt in rtts_ms]
    sent, came = sent or len(rtts_ms), len(rtts_ms)
    mean = sum(rtts_ms) // came
    return "\n".join(
        [
            *lines,
            "",
            "Ping statistics for 192.0.2.7:",
            f"    Packets: Sent = {sent}, Received = {came}, Lost = {sent - came} (0% loss),",
            "Approximate round trip times in milli-seconds:",
            f"    Minimum = {min(rtts_ms)}ms, Maximum = {max(rtts_ms)}ms, Average = {mean}ms",
            "",
        ]
    )


def iperf_stream(rates_bit_per_s):
    """What iperf3 --json-stream prints: an event in each line."""
    document = json.loads(iperf_log(rates_bit_per_s))
    events = [("start", document["start"])]
    events += [("interval", each) for each in document["intervals"]]
    events += [("end", document["end"])]
    return "".join(json.dumps({"event": name, "data": data}) + "\n" for name, data in events)


def multi_bandwidth_log(lines, pairs=4, window=64):
    """osu_mbw_mr; ``lines``: (size, MB/s of all pairs)."""
    rows = [f"{size:<10}{rate:>20.2f}{rate * 1e6 / size:>20.2f}" for size, rate in lines]
    head = [
        "# OSU MPI Multiple Bandwidth / Message Rate Test v7.4",
        f"# [ pairs: {pairs} ] [ window size: {window} ]",
        "# Size                  MB/s        Messages/s",
    ]
    return "\n".join([*head, *rows, ""])


TIMES = [(64, 31.25e-6, 30.5e-6), (65536, 48.75e-6, 47.25e-6), (1 << 30, 0.0925, 0.0915)]
EVERY = {
    "nccl": nccl_log("all_reduce", [2, 2], TIMES),
    "nccl old": old_nccl_log("all_reduce", [2, 2], TIMES),
    "nccl json": nccl_json("all_reduce", 4, TIMES),
    "osu": osu_log("message", [(8, "10.00"), (64, "20.00"), (4096, "30.25")], ("Latency (us)",)),
    "osu pairs": multi_bandwidth_log([(1, 8.0), (1 << 20, 40000.0)]),
    "ping": ping_log([0.612, 0.604, 0.608, 2.5, 0.61], sent=6),
    "ping mac": ping_log([0.612, 0.604, 0.608, 2.5, 0.61], system="mac"),
    "ping windows": windows_ping_log([14, 15, 19]),
    "iperf": iperf_log([0.1e9, 0.97e9, 0.99e9, 0.98e9, 0.98e9]),
    "iperf stream": iperf_stream([0.97e9, 0.99e9, 0.98e9, 0.98e9]),
    "csv": "collective,world_size,size_bytes,time_s\nall_reduce,4,1024,0.5\nall_reduce,4,8,0.7\n",
    "csv link": "kind,size_bytes,time_s\nrtt,0,1e-3\ngoodput,1000,2e-3\n",
}
"""A file of each format that is read."""
