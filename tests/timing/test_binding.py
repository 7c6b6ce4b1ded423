"""What is said to bind, by turning it off: the time falls by what is stated, or at least it falls.

Where two terms could be named, the one that is named is the one without which more is won.
"""

from dataclasses import replace
from itertools import product

import pytest
from strategies import sites_of_one

from emul import Link, World
from emul.links import Changes, Jitter, OtherTraffic, Outages, State, Transport
from emul.timing import Slicing

MB = 10**6
L = 0.01
PLAIN = Link(1e9, L)
TRUNK = "trunk s0 -> s1"


def world_of(link, changes=None, slicing=None):
    topology = sites_of_one(lambda a, b: link, 2)
    if changes is not None:
        (trunk,) = topology.trunks
        topology = replace(topology, trunks=(replace(trunk, changes=changes),))
    return World(topology, slicing=slicing)


def sent(world, nbytes=100 * MB):
    return world.predict("broadcast", nbytes, dtype="uint8", algorithm="direct")


def without(world, *effects):
    return World(world.topology.without(effects), slicing=world.slicing)


def stated(prediction, term):
    return prediction.critical_path.spent_s(TRUNK, term)


EXACT = {
    # What is stated is what is won by turning the effect off, to the picosecond.
    "latency": (PLAIN, ("latency",), "latency", MB),
    "queue": (replace(PLAIN, others=OtherTraffic(queue_bytes=30 * MB)), ("queue",), "queue", MB),
    "jitter": (replace(PLAIN, jitter=Jitter(0.03, 2.0)), ("jitter",), "jitter", MB),
}


@pytest.mark.parametrize("name", EXACT)
def test_turned_off_it_saves_what_is_stated(name):
    link, effects, term, nbytes = EXACT[name]
    world = world_of(link)
    found = sent(world, nbytes)
    saved_ps = found.total_ps - sent(without(world, *effects), nbytes).total_ps
    assert saved_ps == round(stated(found, term) * 1e12) > 0
    assert found.binding == ("latency" if term == "jitter" else term)


def test_a_share_is_what_a_link_of_no_end_of_rate_saves():
    found, quick = (sent(world_of(replace(PLAIN, rate_bytes_per_s=r))) for r in (1e9, 1e18))
    assert found.binding == "share"
    assert round(stated(found, "share") * 1e12) == 10**11
    port_ps = 10**5  # then their ports bind, of 10^15 bytes per second
    assert found.total_ps - quick.total_ps == 10**11 - port_ps


def test_slow_start_turned_off_saves_what_its_windows_held_back():
    tcp = Transport(recovery="cubic", slow_start=True, rto_s=9.0)
    world = world_of(replace(PLAIN, transport=tcp))
    found = sent(world, MB)
    saved_ps = found.total_ps - sent(without(world, "window"), MB).total_ps
    assert found.binding == "window"
    assert saved_ps == round(stated(found, "window") * 1e12) > 0


@pytest.mark.parametrize("slices", [2, 5])
def test_a_gap_turned_off_saves_it_but_for_the_slices(slices):
    # Slices of 1 ms begin 40 ms apart: between two beginnings stands the gap, and without it 1 ms.
    link = replace(PLAIN, transport=Transport(gap_s=0.04))
    world = world_of(link, slicing=Slicing(MB, 100))
    found = sent(world, slices * MB)
    saved_s = found.time_s - sent(without(world, "gap"), slices * MB).time_s
    assert found.binding == "gap"
    assert stated(found, "gap") == pytest.approx((slices - 1) * 0.04, rel=1e-12)
    assert saved_s == pytest.approx((slices - 1) * 0.039, rel=1e-9)


def test_slots_saved_are_the_round_trips_that_are_stated():
    # Two slots of 1 MB: after each two slices the sender waits for word of the first.
    found = sent(world_of(PLAIN, slicing=Slicing(MB, 2)), 10 * MB)
    enough = sent(world_of(PLAIN, slicing=Slicing(MB, 10)), 10 * MB)
    assert found.binding == "window"
    saved_s = found.time_s - enough.time_s
    # Of each of the four waits, the sending of one slice goes on meanwhile.
    assert stated(found, "window") == pytest.approx(4 * 2 * L, rel=1e-9)
    assert saved_s == pytest.approx(4 * (2 * L - 0.001), rel=1e-9)


def test_an_outage_turned_off_saves_the_wait_and_what_was_lost():
    # Down at 50 ms: 10 ms of bytes are lost, and sent again after two timers of 0.5 s.
    link = replace(PLAIN, transport=Transport(recovery="gbn", rto_s=0.5))
    world = world_of(link, Changes(outages=Outages(schedule=((0.05, 0.6),))))
    found = sent(world)
    saved_s = found.time_s - sent(without(world, "outage")).time_s
    assert found.binding == "outage"
    assert stated(found, "outage") == pytest.approx(1.0, rel=1e-12)
    assert saved_s == pytest.approx(1.0 + L, rel=1e-9)


def test_a_lost_packet_saves_the_round_trip_that_is_stated():
    # Selective repeat: half of all packets are lost, again and again; 8 packets of 1 us.
    transport = Transport(loss=0.5, recovery="sr", mtu_bytes=1000.0)
    world = world_of(replace(PLAIN, transport=transport))
    found, whole = sent(world, 8000), sent(without(world, "loss"), 8000)
    assert found.binding == "loss"
    tail_s = found.time_s - L - 2 * 8e-6  # half the rate
    assert stated(found, "loss") == pytest.approx(tail_s + 2 * 8e-6, rel=1e-9)
    assert found.time_s - whole.time_s == pytest.approx(stated(found, "loss") - 8e-6, rel=1e-9)


RECOVERIES = ("gbn", "sr", "reno", "cubic", "bbr")
WINDOWS = (0.2, 1.0, 4.0, 15.0)  # MB; the path holds 20 MB
LOSSES = (1e-7, 1e-5, 1e-4, 1e-3, 0.1)


def won(world, nbytes):
    """The seconds that are won without windows, and without losses."""
    time_s = sent(world, nbytes).time_s
    return [time_s - sent(without(world, each), nbytes).time_s for each in ("window", "loss")]


@pytest.mark.parametrize("waves", [1, 4])
@pytest.mark.parametrize(("recovery", "window"), list(product(RECOVERIES, WINDOWS)))
def test_of_windows_and_losses_the_one_is_named_without_which_more_is_won(recovery, window, waves):
    named = set()
    for loss in LOSSES:
        transport = Transport(window * MB, loss=loss, recovery=recovery, mtu_bytes=40_000.0)
        world = world_of(replace(PLAIN, transport=transport, waves=waves))
        found = sent(world, 10_000 * MB)
        by_window, by_loss = won(world, 10_000 * MB)
        if found.binding == "share":  # at least 99 parts of 100 of a wave
            assert max(by_window, by_loss) <= 0.011 * found.time_s
            continue
        assert found.binding in ("window", "loss")
        more = "window" if by_window >= by_loss else "loss"
        even = abs(by_window - by_loss) <= 1e-6 * found.time_s
        assert found.binding == more or even, (loss, by_window, by_loss)
        named.add(found.binding)
    assert named


def test_both_can_be_named_of_each_transport_that_has_both():
    # 4 MB of 20 MB: a fifth of the rate by the window alone; losses go from none to many.
    for recovery in ("gbn", "sr", "reno", "cubic"):
        found = {
            sent(world_of(replace(PLAIN, transport=Transport(
                4.0 * MB, loss=loss, recovery=recovery, mtu_bytes=400_000.0)))).binding
            for loss in (1e-9, 0.9)
        }  # fmt: skip
        assert found == {"window", "loss"}, recovery


def test_a_trunk_that_changes_names_what_held_at_the_time():
    # Half a second at a fifth of the rate by its window; then losses leave a hundredth.
    transport = Transport(4 * MB, loss=1e-9, recovery="gbn", mtu_bytes=4000.0)
    lossy = State(0.5, loss=0.5)
    found = sent(world_of(replace(PLAIN, transport=transport), Changes(trace=(State(), lossy))))
    assert stated(found, "window") == pytest.approx(0.5, rel=1e-9)
    assert stated(found, "loss") == pytest.approx(found.time_s - 0.5 - L, rel=1e-9)
    assert stated(found, "share") == pytest.approx(0.0, abs=2e-12)


def test_where_nothing_holds_a_stream_its_share_is_named():
    others = OtherTraffic(load=0.5)
    world = world_of(replace(PLAIN, others=others))
    found = sent(world)
    assert found.binding == "share"
    assert found.time_s - sent(without(world, "load")).time_s == pytest.approx(0.1, rel=1e-9)
