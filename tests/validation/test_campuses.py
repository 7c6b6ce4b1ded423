"""What becomes of a measured row: campuses, links, plan, stack, and the textbook's time."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from emul import World
from emul.errors import MeasurementError
from emul.reading.place import Place
from emul.stacks.profile import load_stack
from emul.validation import Predictor, read_links, read_measured
from emul.validation.algorithms import chosen
from emul.validation.campuses import campus_of_ranks, campuses_of
from emul.validation.columns import LinkMeasurements, MeasuredLinks
from emul.validation.textbook import textbook_s

FIDELITY = Path(__file__).parents[1] / "fidelity"
ROWS = read_measured(FIDELITY / "collectives.csv")
TABLE = read_links(FIDELITY / "links.csv")
NOWHERE = Place(Path("m.csv"), 7)


def row_like(**changed):
    (found,) = (
        row
        for row in ROWS
        if (row.sw, row.collective, row.delay_s, row.nbytes) == ("gloo", "broadcast", 5e-3, 1 << 20)
    )
    return replace(found, **changed)


@pytest.mark.parametrize(
    ("placement", "ranks", "expected"),
    [
        ("block", 3, [0, 1, 2]),
        ("block", 6, [0, 0, 1, 1, 2, 2]),
        ("block", 4, [0, 0, 1, 2]),
        ("cyclic", 6, [0, 1, 2, 0, 1, 2]),
        ("021021", 6, [0, 2, 1, 0, 2, 1]),
        ("0-0-2", 3, [0, 0, 2]),
        (",".join(map(str, range(16))), 16, list(range(16))),
        ("15 0 15", 3, [15, 0, 15]),
    ],
)
def test_ranks_live_where_the_placement_says(placement, ranks, expected):
    assert campus_of_ranks(placement, ranks, max(2, *expected) + 1, NOWHERE) == expected


@pytest.mark.parametrize(("placement", "ranks"), [("somewhere", 3), ("01", 3), ("013", 3)])
def test_other_placements_are_refused(placement, ranks):
    with pytest.raises(MeasurementError, match=r"m\.csv, line 7, column placement"):
        campus_of_ranks(placement, ranks, 3, NOWHERE)


def test_links_are_as_measured_and_uplinks_as_shaped():
    row = row_like()
    there = campuses_of(row, TABLE, 1e6)
    (trunk, *_) = there.topology.trunks
    rate = 12.5e6 * 8948 / 9014  # of a frame of 9014 bytes, 8948 are payload
    assert trunk.link.latency_s == pytest.approx(10.2e-3 / 2)
    uplinks = [site.uplink_bytes_per_s for site in there.topology.sites]
    assert uplinks == pytest.approx([rate] * 3)
    assert [site.into_bytes_per_s for site in there.topology.sites] == [math.inf] * 3
    assert there.topology.sites[0].uplink_burst_bytes == pytest.approx(2.2 * 9000)
    assert trunk.link.rate_bytes_per_s > 10 * rate
    assert there.notes == ()


def test_one_bucket_for_each_campus_is_a_matter_of_trunks():
    there = campuses_of(row_like(shape="pair", rate_bytes_per_s=1e9), TABLE, 1e6)
    (trunk, *_) = there.topology.trunks
    assert not there.topology.sites[0].limited
    assert trunk.link.others.burst_bytes == 1e5  # 100 us of bytes are more than 2.2 packets
    assert trunk.link.rate_bytes_per_s < 1e9


def test_a_rate_that_was_not_reached_does_not_hold():
    row = row_like()
    slow = LinkMeasurements({(0, 1): 10.2e-3}, {(0, 1): 5e6}, None, None)
    table = MeasuredLinks(TABLE.path, {row.link: slow})
    assert campuses_of(row, table, 1e6).topology.sites[0].uplink_bytes_per_s == 5e6


def test_a_link_without_ping_is_taken_as_configured_and_said_to_be():
    row = row_like(link="another")
    there = campuses_of(row, TABLE, 1e6)
    assert there.topology.trunks[0].link.latency_s == pytest.approx(5e-3, rel=0.02)
    assert there.notes == (
        "link another: no ping among the links; its delay and rate are as configured",
    )


def test_ranks_dealt_in_turn_keep_their_numbers():
    there = campuses_of(row_like(ranks=6, placement="cyclic"), TABLE, 1e6)
    assert there.rank == (0, 2, 4, 1, 3, 5)  # rank 3 of the row is the second of campus 0


def test_buffers_losses_and_idle_times_bound_what_is_in_flight():
    def transport(flight_bytes=1e6, **changed):
        there = campuses_of(row_like(**changed), TABLE, flight_bytes)
        return there.topology.trunks[0].link.transport

    assert transport().window_bytes == 0.62 * 67_108_864
    assert transport(buffer_bytes=0.0).window_bytes == 0
    assert transport(buffer_bytes=1e5).window_bytes == 62_000
    # CUBIC in Reno's region: 1.2 / sqrt(p) segments (RFC 9438)
    assert transport(loss=0.01).window_bytes == pytest.approx(12 * 8948)
    assert transport(loss=0.01).recovery == "sr"
    idle = transport(idle_s=1.0)
    assert (idle.slow_start, idle.initial_window_bytes) == (True, pytest.approx(89_480))
    # The window was twice what was sent at a time, or what the path holds, and was halved once in
    # 0.3 s; it never begins below ten segments.
    far = {"link": "base-d20000-r500-uplink-mtu9000-cubic-w65536k-l0-j0-s1",
           "rate_bytes_per_s": 62.5e6, "idle_s": 0.3}  # fmt: skip
    path = 62.5e6 * 8948 / 9014 * 40.3e-3
    assert transport(**far).initial_window_bytes == pytest.approx(1e6)
    assert transport(1e5, **far).initial_window_bytes == pytest.approx(1e5)
    assert transport(1e9, **far).initial_window_bytes == pytest.approx(path / 2, rel=0.01)
    assert transport(1e4, **far).initial_window_bytes == pytest.approx(89_480)
    assert not transport(idle_s=1.0, restarts_after_idle=False).slow_start
    assert not transport(idle_s=0.1).slow_start


@pytest.mark.parametrize(
    ("sw", "collective", "algorithm", "nbytes", "expected"),
    [
        ("gloo", "all_reduce", "default", 1000, "gloo:ring,segments=2"),
        ("gloo", "all_reduce", "default", 16 << 20, "gloo:ring,segments=6"),
        ("gloo", "broadcast", "default", 1000, "gloo:binomial"),
        ("openmpi", "all_reduce", "default", 100, "openmpi:recursive_doubling"),
        ("openmpi", "all_reduce", "segmented_ring_256K", 16 << 20, "openmpi:ring,segments=21"),
        ("openmpi", "all_reduce", "segmented_ring_256K", 1 << 20, "openmpi:ring"),
        ("openmpi", "all_reduce", "ring_eager8M", 1 << 20, "openmpi:ring"),
        ("openmpi", "reduce_scatter", "recursive_halving", 1 << 20, "openmpi:recursive_halving"),
        ("openmpi", "all_reduce", "halving_doubling", 1 << 20, "halving_doubling"),
    ],
)
def test_rows_name_plans(sw, collective, algorithm, nbytes, expected):
    row = row_like(collective=collective, algorithm=algorithm, nbytes=nbytes)
    assert chosen(row, load_stack(sw)).plan.algorithm == expected


def test_an_eager_limit_in_the_name_is_the_stacks():
    row = row_like(collective="all_reduce", algorithm="ring_eager8M")
    assert chosen(row, load_stack("openmpi")).stack.eager_bytes == 8 << 20


def test_an_algorithm_that_is_none_is_refused_with_its_place():
    row = row_like(algorithm="teleport")
    with pytest.raises(MeasurementError, match="column algo: 'teleport': needed one of default"):
        chosen(row, load_stack("openmpi"))
    with pytest.raises(MeasurementError, match="stack ideal does not say what it takes"):
        chosen(row_like(), load_stack("ideal"))


@pytest.mark.parametrize(
    ("collective", "family", "steps", "share"),
    [
        ("all_reduce", "ring", 8, 8 / 5),
        ("all_gather", "ring", 4, 4 / 5),
        ("all_reduce", "recursive_doubling", 3, 3),
        ("all_reduce", "rabenseifner", 6, 8 / 5),
        ("reduce_scatter", "recursive_halving", 3, 4 / 5),
        ("all_gather", "bruck", 3, 4 / 5),
        ("broadcast", "binomial", 3, 3),
        ("broadcast", "chain", 4, 4),
    ],
)
def test_the_textbook_counts_steps_and_shares(collective, family, steps, share):
    found = textbook_s(collective, family, 5, 1000, alpha_s=0.5, beta=100.0)
    assert found == pytest.approx(steps * 0.5 + share * 10)


@pytest.mark.parametrize("collective", ["all_reduce", "all_gather", "broadcast"])
@pytest.mark.parametrize("algorithm", ["default", "ring"])
@pytest.mark.parametrize("nbytes", [4096, 64 << 20])
def test_rows_of_nccl_are_timed_as_by_perf(collective, algorithm, nbytes):
    ranks = 16
    row = row_like(
        sw="nccl", collective=collective, algorithm=algorithm, ranks=ranks, nbytes=nbytes,
        placement=",".join(map(str, range(ranks))), shape="pair", link="none",
    )  # fmt: skip
    there = campuses_of(row, TABLE, 0.0).topology
    assert len(there.sites) == ranks
    world = World(there, stack="nccl")
    assert (world.stack.net, world.stack.net_assumed) == ("Socket", False)
    count = nbytes // 4 // (ranks if collective == "all_gather" else 1)
    asked = "auto" if algorithm == "default" else algorithm
    expected = world.predict(collective, count, algorithm=asked)
    assert Predictor(TABLE).predict(row).predicted_s == expected.time_s


def test_a_way_that_nccl_has_not_is_refused_with_its_place():
    row = row_like(sw="nccl", collective="all_gather", algorithm="tree", link="none")
    with pytest.raises(
        MeasurementError, match=r"column algo.*NCCL_ALGO=Tree: NCCL has no such way"
    ):
        Predictor(TABLE).predict(row)
