"""Outputs of other tools, known by name so that an error names the output to bring in their
place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from types import MappingProxyType

__all__ = ["neighbour_of"]

NEIGHBOURS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        r"\[ *ID\] +Interval +Transfer": ("iperf3 as printed", "its JSON (-J)"),
        r"^Client connecting to \S+, (?:TCP|UDP) port": ("iperf 2", "iperf3 -J"),
        r"\bxmt/rcv/%loss|\[\d+\], \d+ bytes, [\d.]+ ms \([\d.]+ avg, \d+% loss\)": (
            "fping",
            "ping, one file for each address",
        ),
        r"\bHOST:.*\bLoss%|\bMy traceroute\b|\bPackets\s+Pings\b": ("mtr", "ping"),
        r"^traceroute6? to |^Tracing route to ": (
            "traceroute",
            "ping",
        ),
        r"^HPING \S+|\bsport=\d+ flags=\S+ seq=\d+": ("hping", "ping"),
        r"^ARPING \S+|Unicast reply from": ("arping", "ping"),
        r"\bRCVD \(\d|Starting Nping": ("nping", "ping"),
        r"\bRDMA_\w+ (?:BW|Bidirectional BW)[\w ]*Test|\bSend (?:BW|Bidirectional BW)[\w ]*Test"
        r"|#bytes\s+#iterations\s+(?:BW|t_min)|\b(?:RDMA_\w+|Send|Atomic) Latency Test": (
            "perftest (ib_write_bw and others)",
            "osu_bw and osu_latency, or a CSV of kind goodput or message",
        ),
        r"Intel\(R\) MPI Benchmarks|^# Benchmarking (?:PingPong|Allreduce|Uniband|SendRecv)": (
            "the Intel MPI Benchmarks",
            "the OSU micro-benchmarks",
        ),
        r"\bMIGRATED (?:TCP|UDP)_\w+ TEST|Throughput\s+10\^6bits/sec": ("netperf", "iperf3 -J"),
        r"^sockperf: ": ("sockperf", "ping and iperf3 -J"),
        r"^(?:tcp|udp|rc|ud|uc)_\w*(?:bw|lat):\s*$": ("qperf", "ping and iperf3 -J"),
        r"\bnuttcp-\d|\bMB /\s+[\d.]+ sec\s+=": ("nuttcp", "iperf3 -J"),
        r"overhead \(usec\)\s+\|\s+bandwidth|\bUCX_.*perftest\b|\bpercentile average\b": (
            "ucx_perftest",
            "osu_bw and osu_latency",
        ),
        r"^Collective:\s+\w+\s*$|^Memory type:\s+\w+": ("ucc_perftest", "nccl-tests"),
        r"\bP2P Connectivity Matrix|P2P=Disabled (?:Bandwidth|Latency) Matrix": (
            "p2pBandwidthLatencyTest",
            "nccl-tests (sendrecv_perf)",
        ),
        r"^nvbandwidth Version": ("nvbandwidth", "nccl-tests (sendrecv_perf)"),
    }
)
"""A pattern of a tool's output, the name of the tool, and the output to bring in its place."""

MOST_LINES, LONGEST_LINE = 2_000, 500
"""Lines with text, and their characters, in which the name of a tool is sought."""

PATTERNS = [(re.compile(pattern, re.MULTILINE), *said) for pattern, said in NEIGHBOURS.items()]


def neighbour_of(lines: Sequence[str]) -> tuple[str, str, int] | None:
    """Return the tool that printed ``lines``, the output to bring, and the line that tells."""
    told = ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
    first = [(number, line[:LONGEST_LINE]) for number, line in islice(told, MOST_LINES)]
    for pattern, name, needed in PATTERNS:
        for number, line in first:
            if pattern.search(line):
                return name, needed, number
    return None
