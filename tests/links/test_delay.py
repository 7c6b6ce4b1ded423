import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emul import Link, TopologyError
from emul.links import glass_s_per_km, one_way_delay_s


def test_glass_delay_is_group_index_over_the_speed_of_light():
    # links.md 1.1: 4.897 us/km at 1550 nm (n_g 1.4682); 4.89538666112808 at 1310 nm (n_g 1.4676)
    assert glass_s_per_km() == pytest.approx(4.897e-6, rel=1e-4)
    assert glass_s_per_km(1.4676) * 1e6 == pytest.approx(4.89538666112808, rel=1e-9)


def test_ten_miles_straight():
    assert one_way_delay_s(16.09344) == pytest.approx(7.88158206701784e-05, rel=1e-9)


def test_route_compensation_and_boxes_add_up():
    # the ageing 10G metro span of links.md: 16.09 km, route 2, +20 % of compensating fibre
    boxes = 2 * 30e-6 + 2 * 0.15e-6 + 4 * (10e-6 + 9000 * 8 / 10e9)
    delay = one_way_delay_s(
        16.09344, route_factor=2.0, dispersion_compensation=0.2, equipment_s=boxes
    )
    assert delay == pytest.approx(318.257969608428e-6, rel=1e-3)


@given(st.floats(0, 1e4), st.floats(1, 5), st.floats(0, 0.5), st.floats(0, 1e-3))
def test_delay_never_falls_when_a_part_grows(km, route, compensation, boxes):
    def delay(factor):
        return one_way_delay_s(
            km * factor,
            route_factor=route * factor,
            dispersion_compensation=compensation,
            equipment_s=boxes,
        )

    assert delay(1.0) <= delay(1.1)


def test_round_trip_and_bandwidth_delay_product():
    link = Link(rate_bytes_per_s=1e9, latency_s=1e-3)
    assert link.rtt_s == 2e-3
    assert link.bdp_bytes == 2e6


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((0.0, 0.0), "rate_bytes_per_s = 0.0: needed a finite number above 0"),
        ((-1.0, 0.0), "rate_bytes_per_s"),
        ((math.nan, 0.0), "rate_bytes_per_s"),
        ((math.inf, 0.0), "rate_bytes_per_s"),
        ((1.0, -1e-9), "latency_s = -1e-09: needed a finite number of seconds"),
        ((1.0, math.nan), "latency_s"),
        ((1.0, 0.0, -1.0), "overhead_s"),
        ((1.0, 0.0, math.inf), "overhead_s"),
    ],
)
def test_impossible_links_are_refused(arguments, complaint):
    with pytest.raises(TopologyError, match=complaint):
        Link(*arguments)
