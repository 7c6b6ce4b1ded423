"""Windows by round trips: against times worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
from by_hand import (
    BULK,
    CONTROL,
    CONTROL_S,
    DELAY_S,
    ONE_MESSAGE,
    RATE,
    TRUNK,
    exchange_after_a_fold,
    plan_of,
    seconds,
    stacks,
)
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples
from strategies import chaotic_plans, program_of, sites_of_one, topologies

from emul.errors import TimeLimitError
from emul.links import Transport
from emul.links.link import OtherTraffic
from emul.plans import Partition, Plan, Step
from emul.timing import critical_path, time_plan
from emul.topology import Network

WINDOW = 200_000
WINDOWED = replace(TRUNK, transport=Transport(window_bytes=WINDOW), overhead_s=0.0)
RTT_S = 2 * DELAY_S


@pytest.mark.parametrize("windows", [0.5, 1, 2, 7.5])
def test_a_window_is_sent_at_once_and_again_each_round_trip(windows):
    nbytes = int(windows * WINDOW)
    turns = math.ceil(windows) - 1
    expected = DELAY_S + turns * RTT_S + (nbytes - turns * WINDOW) / RATE
    assert seconds(ONE_MESSAGE, nbytes, CONTROL, WINDOWED) == pytest.approx(expected, rel=1e-6)


def test_messages_share_the_window_of_their_connection():
    three = plan_of([Step.of(0, 1, i, reduce=False) for i in range(3)], chunks=3)
    alone = seconds(ONE_MESSAGE, 3 * WINDOW, CONTROL, WINDOWED)
    assert seconds(three, 3 * WINDOW, CONTROL, WINDOWED) == pytest.approx(alone, rel=1e-6)


def test_a_window_is_whole_again_a_round_trip_later():
    # There, back and there again: what was in flight has been acknowledged meanwhile.
    steps = [Step.of(0, 1, 0, reduce=False), Step.of(1, 0, 0, reduce=False)] * 2
    expected = 4 * (DELAY_S + WINDOW / RATE)
    assert seconds(plan_of(steps), WINDOW, CONTROL, WINDOWED) == pytest.approx(expected, rel=1e-6)


def test_windows_of_several_streams_add_up():
    streams = replace(WINDOWED, transport=Transport(window_bytes=WINDOW / 2, streams=2))
    one, two = (seconds(ONE_MESSAGE, 3 * WINDOW, CONTROL, each) for each in (WINDOWED, streams))
    assert one == two


def test_a_message_of_several_windows_is_passed_on_when_all_of_it_has_come():
    steps = [Step.of(0, 1, 0, reduce=False), Step.of(1, 2, 0, reduce=False)]
    chain = Plan("all_reduce", "by hand", 3, 0, Partition.uniform(1), lambda: iter(steps))
    once = seconds(ONE_MESSAGE, 3 * WINDOW, CONTROL, WINDOWED)
    found = seconds(chain, 3 * WINDOW, CONTROL, WINDOWED, n=3)
    assert found == pytest.approx(2 * once, rel=1e-9)


def test_questions_fit_into_a_window():
    asking = replace(CONTROL, handshake="rendezvous", eager_bytes=0)
    expected = 3 * DELAY_S + 2 * CONTROL_S + WINDOW / RATE
    assert seconds(ONE_MESSAGE, WINDOW, asking, WINDOWED) == pytest.approx(expected, rel=1e-9)


def test_a_blocking_send_returns_when_the_last_window_begins():
    # Rank 0 sends to 1 and then to 2: the second begins when what is left of the first fits.
    steps = [Step.of(0, 1, 0, reduce=False), Step.of(0, 2, 0, reduce=False)]
    plan = Plan("all_reduce", "by hand", 3, 0, Partition.uniform(1), lambda: iter(steps),
                order="lockstep")  # fmt: skip
    once = seconds(ONE_MESSAGE, 3 * WINDOW, CONTROL, WINDOWED)
    found = seconds(plan, 3 * WINDOW, CONTROL, WINDOWED, n=3)
    assert found == pytest.approx(2 * RTT_S + once, rel=1e-6)
    # What fits into a window is handed over at once.
    small = seconds(ONE_MESSAGE, WINDOW, CONTROL, WINDOWED)
    assert seconds(plan, WINDOW, CONTROL, WINDOWED, n=3) == pytest.approx(small, rel=1e-3)


def test_answers_wait_behind_all_windows_of_bulk_data():
    stack = replace(CONTROL, handshake="rendezvous", eager_bytes=0, control_bytes=1)
    plan, nbytes = exchange_after_a_fold(), 4 * WINDOW
    bulk_s = 3 * RTT_S + WINDOW / RATE
    in_turns = seconds(plan, nbytes, stack, WINDOWED, n=3)
    at_once = seconds(plan, nbytes, replace(stack, in_order=False), WINDOWED, n=3)
    fold = bulk_s + 3 * DELAY_S
    assert at_once == pytest.approx(fold + 3 * DELAY_S + bulk_s, rel=1e-3)
    # The answer itself finds the window full: it waits for the last one's acknowledgement.
    full_s = RTT_S - WINDOW / RATE
    assert in_turns == pytest.approx(fold + 3 * DELAY_S + 2 * bulk_s + full_s, rel=1e-3)


def test_slow_start_doubles_the_window_up_to_the_most_that_there_is():
    # Windows of 50, 100, 200, 200 ... kB, a round trip each.
    transport = Transport(
        WINDOW, recovery="cubic", slow_start=True, initial_window_bytes=50_000, rto_s=1.0
    )
    trunk = replace(WINDOWED, transport=transport)
    for nbytes, turns, before in (
        (50_000, 0, 0), (150_000, 1, 50_000), (350_000, 2, 150_000), (360_000, 3, 350_000),
        (950_000, 5, 750_000),
    ):  # fmt: skip
        expected = DELAY_S + turns * RTT_S + (nbytes - before) / RATE
        found = seconds(ONE_MESSAGE, nbytes, CONTROL, trunk)
        assert found == pytest.approx(expected, rel=1e-6), nbytes


def third_takes(trunk, *sizes):
    """Seconds of the last of three messages: there, back when it has come, and there again."""
    steps = [Step.of(i % 2, 1 - i % 2, i, reduce=False) for i in range(3)]
    edges = np.cumsum([0, *sizes])
    plan = Plan("all_reduce", "by hand", 2, 0, Partition(1, int(edges[-1]), edges),
                lambda: iter(steps), order="lockstep")  # fmt: skip
    network = Network.of(sites_of_one(lambda a, b: trunk, 2))
    timeline = time_plan(program_of(plan, int(edges[-1]), 1), network, stack=CONTROL)
    return (timeline.arrival_ps[2] - timeline.on_link_ps[2, 1]) / 1e12


def test_slow_start_goes_on_from_what_was_sent_and_not_from_the_time_that_passed():
    # 50 kB there; the answer takes long; then the window has grown to 100 kB, and no further.
    transport = Transport(recovery="cubic", slow_start=True, initial_window_bytes=50_000, rto_s=9.0)
    trunk = replace(TRUNK, latency_s=0.1, transport=transport, overhead_s=0.0)
    found = [third_takes(trunk, 50_000, 50_000, nbytes) for nbytes in (100_000, 150_000)]
    assert found[0] == pytest.approx(0.1 + 100_000 / RATE, rel=1e-6)
    assert found[1] == pytest.approx(0.1 + 0.2 + 50_000 / RATE, rel=1e-6)


@pytest.mark.parametrize(("rto_s", "turns"), [(0.3, 0), (0.1, 1)])
def test_slow_start_begins_again_after_silence_since_the_last_window(rto_s, turns):
    # 50, 100 and 200 kB there, left after 0.4 s; an answer of one byte; 0.2 s of silence.
    transport = Transport(
        recovery="cubic", slow_start=True, initial_window_bytes=50_000, rto_s=rto_s
    )
    trunk = replace(TRUNK, latency_s=0.1, transport=transport, overhead_s=0.0)
    takes = third_takes(trunk, 350_000, 1, 100_000)
    assert takes == pytest.approx(0.1 + (0.2 + 5e-4 if turns else 1e-3), rel=1e-6)


def test_what_is_waited_for_between_windows_is_said():
    transport = Transport(recovery="cubic", slow_start=True, initial_window_bytes=50_000, rto_s=1.0)
    trunk = replace(TRUNK, transport=transport)
    network = Network.of(sites_of_one(lambda a, b: trunk, 2))
    path = critical_path(time_plan(program_of(ONE_MESSAGE, 350_000, 1), network, stack=CONTROL))
    spent = {term: sum(each.duration_ps for each in path.segments if each.term == term) / 1e12
             for term in ("share", "window")}  # fmt: skip
    assert spent["share"] == pytest.approx(350_000 / RATE, rel=1e-6)
    assert spent["window"] == pytest.approx(2 * RTT_S - 150_000 / RATE, rel=1e-6)


@pytest.mark.parametrize("burst_bytes", [0.0, 1.0])  # without and with the fluid
@pytest.mark.parametrize("window", [1e-3, 1e-300])
def test_windows_that_would_end_after_all_time_are_refused(window, burst_bytes):
    others = OtherTraffic(burst_bytes=burst_bytes)
    trunk = replace(TRUNK, latency_s=5.0, transport=Transport(window_bytes=window), others=others)
    with pytest.raises(TimeLimitError, match="53 days"):
        seconds(ONE_MESSAGE, 1_000_000, CONTROL, trunk)


def test_a_thousand_million_windows_are_taken_back_at_once():
    # Each window is one byte; the second message finds the first acknowledged long ago.
    trunk = replace(TRUNK, latency_s=1e-6, transport=Transport(window_bytes=1.0))
    found = third_takes(trunk, 1_000_000_000, 1, 3)
    assert found == pytest.approx(2 * 2e-6 + 1 / RATE + 1e-6, rel=1e-6)


def test_windows_that_never_fill_change_nothing():
    wide = replace(TRUNK, transport=Transport(window_bytes=1e12))
    assert seconds(ONE_MESSAGE, BULK, CONTROL, wide) == seconds(ONE_MESSAGE, BULK, CONTROL)


transports = st.sampled_from([
    Transport(), Transport(window_bytes=40), Transport(window_bytes=1000, streams=2),
    Transport(recovery="cubic", slow_start=True, initial_window_bytes=16, rto_s=1e-6),
    Transport(100, recovery="cubic", slow_start=True, initial_window_bytes=10),
])  # fmt: skip


@examples(100)
@given(st.data(), topologies(), stacks)
def test_segments_sum_to_the_total_whatever_windows_there_are(data, where, stack):
    trunks = tuple(
        replace(each, link=replace(each.link, transport=data.draw(transports)))
        for each in where.trunks
    )
    plan = data.draw(chaotic_plans(where.world_size))
    width = plan.partition.n_chunks * data.draw(st.integers(0, 12))
    network = Network.of(replace(where, trunks=trunks))
    timeline = time_plan(program_of(plan, width, 4), network, None, stack=stack)
    path = critical_path(timeline)
    assert path.total_ps == timeline.total_ps
    assert all(segment.duration_ps >= 0 for segment in path.segments)
    plain = time_plan(program_of(plan, width, 4), Network.of(where), None, stack=stack)
    if plan.order == "lockstep" and where.world_size == 2:
        assert timeline.total_ps >= plain.total_ps
