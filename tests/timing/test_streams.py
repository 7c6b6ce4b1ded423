"""What holds the streams of a shared trunk: times and their terms, derived by hand."""

import numpy as np
import pytest
from strategies import program_of, sites_of_one

from emul import Link
from emul.links import Transport
from emul.plans import Partition, Plan, Step
from emul.timing import critical_path, time_plan
from emul.topology import Network

US = 10**6
"""In picoseconds."""
WAVE = 1e8
"""Bytes per second of each of two waves, over which streams are spread."""
TRUNK = "trunk s0 -> s1"


def timed(nbytes, messages, seed=0, **transport):
    """The timeline of messages from rank 0 to rank 1, over 1 ms and ports without end."""
    trunk = Link(2 * WAVE, 1e-3, waves=2, transport=Transport(**transport))
    steps = [Step.of(0, 1, chunk, reduce=False) for chunk in range(messages)]
    plan = Plan("all_reduce", "by hand", 2, 0, Partition.uniform(messages), lambda: iter(steps))
    network = Network.of(sites_of_one(lambda a, b: trunk, 2, nic=Link(1e18, 0.0)))
    return time_plan(program_of(plan, messages * nbytes, 1), network, seed=seed)


def spent_us(timeline):
    """Microseconds of the critical path on the trunk, by term; nothing of those without any."""
    path = critical_path(timeline)
    assert path.total_ps == timeline.total_ps
    terms = {each.term for each in path.segments if each.place == TRUNK and each.duration_ps}
    return {term: pytest.approx(1e6 * path.spent_s(TRUNK, term), rel=1e-6) for term in terms}


def test_slow_start_of_a_stream_is_told_as_windows():
    # 50 kB, and a round trip of 2 ms later the other 100 kB, of which the last take 1 ms. The
    # stream sends 150 kB in 1.5 ms and is held for as long again.
    found = timed(150_000, 1, recovery="cubic", slow_start=True, initial_window_bytes=50_000,
                  rto_s=9.0)  # fmt: skip
    assert found.total_ps == pytest.approx(4000 * US, rel=1e-6)
    assert spent_us(found) == {"share": 1500, "window": 1500, "latency": 1000}


@pytest.mark.parametrize("messages", [2, 3, 5])
def test_parts_of_a_stream_without_a_break_are_one_run(messages):
    # Of three streams two share a wave, 50 MB/s each, and are through with 10 kB in 200 us. The
    # third is held by its window of 120 kB each 2 ms to 60 MB/s, and begins each message earlier.
    # What holds the last byte is the wave, all the time; that window costs nothing.
    shared = 0
    for seed in range(12):
        found = timed(30_000, messages, seed, streams=3, window_bytes=120_000)
        if int(np.bincount(found.connection_table.classes.of_stream).max()) == 2:
            shared += 1
            assert found.total_ps == (200 * messages + 1000) * US
            assert spent_us(found) == {"share": 200 * messages, "latency": 1000}
    assert shared


@pytest.mark.parametrize(("gap_us", "apart_us"), [(300, 300), (101, 101), (99, 100), (0, 100)])
def test_messages_over_streams_begin_a_gap_apart(gap_us, apart_us):
    # 10 kB take 100 us of a wave: a gap that is longer keeps the next message waiting.
    found = timed(10_000, 3, gap_s=gap_us * 1e-6)
    assert found.on_link_ps[:, 1].tolist() == [0, apart_us * US, 2 * apart_us * US]
    assert found.total_ps == (2 * apart_us + 100 + 1000) * US
    gaps = {"gap": 2 * gap_us, "share": 100} if gap_us > 100 else {"share": 300}
    assert spent_us(found) == {**gaps, "latency": 1000}
