"""What a link, its window and its losses leave one connection; each figure worked out by hand."""

import math
from dataclasses import replace

import pytest

from emul.links import Link
from emul.links.limits import (
    UNLIMITED,
    Limit,
    connection_limit,
    lifted_limit_bytes_per_s,
    usual_limit,
)
from emul.links.link import Jitter, OtherTraffic, Transport

RATE, LATENCY_S, RTT_S = 1e9, 1e-3, 2e-3


def limit(*, rtt_s=RTT_S, loss=None, waves=1, **transport):
    """The limit of a connection that has the whole link."""
    link = Link(RATE, LATENCY_S, transport=Transport(**transport), waves=waves)
    return connection_limit(link, rate_bytes_per_s=RATE, rtt_s=rtt_s, loss=loss)


def test_a_link_alone_limits_nothing():
    assert limit() == UNLIMITED
    assert limit(streams=3) == UNLIMITED
    assert limit(window_bytes=RATE * RTT_S) == UNLIMITED


@pytest.mark.parametrize("streams", [1, 2, 5])
def test_windows_are_of_each_stream(streams):
    # 100 kB each 2 ms are 50 MB/s
    assert limit(window_bytes=1e5, streams=streams) == Limit(streams * 5e7, "window")


def test_a_window_is_free_again_after_its_chunk_and_the_turn():
    # A stream of two has 500 MB/s, so a chunk of 500 kB takes 1 ms: 2 + 1 + 3 ms for 100 kB.
    found = limit(window_bytes=1e5, streams=2, chunk_bytes=5e5, turnaround_s=3e-3)
    assert found == Limit(pytest.approx(2 * 1e5 / 6e-3), "window")


@pytest.mark.parametrize(
    ("waves", "streams", "line"), [(1, 4, RATE / 4), (4, 1, RATE / 4), (4, 2, RATE / 4)]
)
def test_a_stream_has_its_part_of_the_streams_or_a_wave(waves, streams, line):
    found = limit(waves=waves, streams=streams, loss=0.1, recovery="sr")
    assert found == Limit(pytest.approx(streams * 0.9 * line), "loss")


def test_one_stream_has_one_wave():
    assert limit(waves=4) == Limit(RATE / 4, "share")
    assert limit(waves=4, streams=3) == Limit(3 * RATE / 4, "share")


def test_what_hardly_limits_is_not_named():
    full = RATE * RTT_S
    assert limit(window_bytes=0.995 * full) == Limit(pytest.approx(0.995 * RATE), "share")
    assert limit(window_bytes=0.98 * full) == Limit(pytest.approx(0.98 * RATE), "window")


def test_the_greater_of_two_factors_is_named():
    # Selective repeat loses 1 - p of whatever the window lets through.
    half = RATE * RTT_S / 2
    assert limit(window_bytes=half, loss=0.2, recovery="sr").term == "window"
    assert limit(window_bytes=half, loss=0.6, recovery="sr").term == "loss"
    for lost in (0.2, 0.6):
        found = limit(window_bytes=half, loss=lost, recovery="sr", mtu_bytes=1.0)
        assert found.bytes_per_s == pytest.approx(RATE / 2 * (1 - lost), rel=1e-5)


def test_the_loss_of_the_moment_counts_in_place_of_the_usual_one():
    link = Link(RATE, LATENCY_S, transport=Transport(loss=0.1, recovery="sr"))
    numbers = {"rate_bytes_per_s": RATE, "rtt_s": RTT_S}
    assert connection_limit(link, **numbers) == Limit(pytest.approx(0.9 * RATE), "loss")
    assert connection_limit(link, loss=0.5, **numbers) == Limit(RATE / 2, "loss")
    assert connection_limit(link, loss=0.0, **numbers) == UNLIMITED


def test_go_back_n_has_its_window_in_packets():
    # N = 1 + 2 ms x 1 GB/s / 1000 B = 2001 packets fill the pipe, of which the window holds 10.
    found = limit(window_bytes=1e4, loss=0.01, recovery="gbn", mtu_bytes=1000.0)
    expected = RATE * 10 * 0.99 / ((0.99 + 0.01 * 10) * 2001)
    assert found == Limit(pytest.approx(expected), "window")


def test_each_tcp_has_its_own_law():
    lossy = {"loss": 1e-4, "mtu_bytes": 1000.0}
    reno = 1000 / RTT_S * math.sqrt(1.5 / 1e-4)
    assert limit(recovery="reno", **lossy) == Limit(pytest.approx(reno), "loss")
    # RFC 9438: at 2 ms the Reno-friendly window is the larger one, 1.2 / sqrt(p)
    cubic = 1000 / RTT_S * 1.2 / math.sqrt(1e-4)
    assert limit(recovery="cubic", **lossy) == Limit(pytest.approx(cubic), "loss")
    assert limit(recovery="bbr", **lossy) == Limit(pytest.approx(RATE * (1 - 1e-4)), "share")
    assert limit(recovery="bbr", loss=0.1) == Limit(pytest.approx(0.9 * RATE), "loss")
    assert limit(recovery="reno", rtt_s=0.0, **lossy) == UNLIMITED


def test_usually_a_connection_has_the_rate_that_others_leave():
    lossy = Transport(loss=0.1, recovery="sr")
    link = Link(RATE, LATENCY_S, transport=lossy, others=OtherTraffic(load=0.5))
    assert usual_limit(link) == Limit(pytest.approx(0.45 * RATE), "loss")


def test_a_standing_queue_is_behind_twice_and_no_longer_than_its_buffer():
    queued = Link(RATE, LATENCY_S, others=OtherTraffic(queue_bytes=5e5, load=0.5))
    assert (queued.queue_s, queued.rtt_s) == (5e-4, 3e-3)
    assert queued.bdp_bytes == 3e6
    full = OtherTraffic(queue_bytes=5e5, buffer_bytes=1e5)
    assert Link(RATE, LATENCY_S, others=full).queue_s == 1e-4
    assert queued.available_bytes_per_s == RATE / 2
    assert Link(RATE, 0.0, others=OtherTraffic(load=0.25)).available_bytes_per_s == 0.75 * RATE


def lossless(**others):
    """10 GB/s over 100 us: 2 MB fly in a round trip, and two packets of 9216 bytes come on top."""
    return Link(1e10, 1e-4, others=OtherTraffic(lossless=True, **others))


def test_a_buffer_that_is_short_of_its_headroom_caps_the_rate():
    assert lossless().headroom_bytes == pytest.approx(2e6 + 2 * 9216)
    large = Link(1e10, 1e-4, transport=Transport(mtu_bytes=65536.0))
    assert large.headroom_bytes == pytest.approx(2e6 + 2 * 65536)
    enough = lossless(buffer_bytes=2.1e6, load=0.2)
    assert (enough.short_of_headroom, enough.available_bytes_per_s) == (False, 8e9)
    short = lossless(buffer_bytes=1e6, load=0.2)
    assert (short.short_of_headroom, short.available_bytes_per_s) == (True, 5e9)
    none = Link(1e10, 1e-4, others=OtherTraffic(buffer_bytes=1e6))
    assert (none.short_of_headroom, none.available_bytes_per_s) == (False, 1e10)


def test_go_back_n_loses_where_others_pause():
    loses = Transport(loss=1e-4, recovery="gbn")
    others = OtherTraffic(lossless=True, buffer_bytes=1e6)
    assert Link(1e10, 1e-4, transport=loses, others=others).available_bytes_per_s == 1e10
    repeats = Transport(loss=1e-4, recovery="sr")
    assert Link(1e10, 1e-4, transport=repeats, others=others).available_bytes_per_s == 5e9


def test_effects_are_turned_off_whole_and_alone():
    transport = Transport(
        window_bytes=1e5, gap_s=1e-6, loss=1e-3, recovery="cubic", slow_start=True
    )
    others = OtherTraffic(
        load=0.5, queue_bytes=1e3, buffer_bytes=1e6, lossless=True, burst_bytes=7.0
    )
    link = Link(1e10, 1e-4, 1e-6, transport, Jitter(1e-6, 3.0), others, 4)
    no_window = link.without({"window"})
    assert (no_window.transport.window_bytes, no_window.transport.slow_start) == (0, False)
    no_queue = link.without({"queue"})
    assert (no_queue.queue_s, no_queue.others.lossless) == (0, False)
    assert no_queue.available_bytes_per_s == 5e9
    assert link.without({"load"}).others.load == 0
    assert link.without({"gap"}).transport.gap_s == link.without({"loss"}).transport.loss == 0
    assert link.without({"jitter"}).jitter == Jitter()
    assert link.without({"latency"}).latency_s == 0
    copied = replace(link, host_bytes_per_s=1e9, completion_s=1e-6)
    assert copied.without({"host"}) == link
    assert copied.without({"latency"}).completion_s == 1e-6
    assert link.without(()) == link.without({"outage"}) == link
    bare = link.without({"window", "queue", "load", "gap", "loss", "jitter"})
    assert bare == Link(
        1e10,
        1e-4,
        1e-6,
        Transport(recovery="cubic"),
        others=OtherTraffic(buffer_bytes=1e6, burst_bytes=7.0),
        waves=4,
    )


def test_a_transport_of_which_nothing_is_said():
    # NCCL's defaults: 7 retries (NCCL_IB_RETRY_CNT), InfiniBand's largest MTU; ten segments of TCP
    usual = Transport()
    assert (usual.retries, usual.mtu_bytes, usual.streams) == (7, 4096, 1)
    assert usual.initial_window_bytes == 10 * 1448


@pytest.mark.parametrize("waves", [1, 4])
@pytest.mark.parametrize(
    ("window_bytes", "expected"),
    # The port gives 5 GB/s, whatever one wave of the link does; 3 MB each 2 ms are 1.5 GB/s, more
    # than the link, and 20 MB more than the port.
    [(0.0, 5e9), (3e6, 1.5e9), (20e6, 5e9)],
)
def test_with_tokens_bytes_come_as_fast_as_port_and_window_let_them(waves, window_bytes, expected):
    link = Link(RATE, LATENCY_S, transport=Transport(window_bytes), waves=waves)
    found = lifted_limit_bytes_per_s(link, port_bytes_per_s=5e9, rtt_s=RTT_S)
    assert found == pytest.approx(expected, rel=1e-12)
