"""Numbers of training as reports write them, and the causes of exposed time."""

import pytest

from emul.report.training import engineering, kind_of


@pytest.mark.parametrize(
    ("axis", "place", "kind"),
    [
        ("data", "trunk a -> b", "trunk"),
        ("data", "path a -> b", "trunk"),
        ("data", "conduit fibre, back", "trunk"),
        ("shard", "NICs of a", "site"),
        ("shard", "network of a", "site"),
        ("shard", "the hosts", "site"),
        ("tensor", "node links of a", "node"),
        ("", "rank 3", "rank"),
    ],
)
def test_each_place_is_one_kind_of_cause(axis, place, kind):
    assert kind_of(axis, place) == kind


@pytest.mark.parametrize(
    ("number", "said"),
    [(None, "-"), (0, "0"), (0.5, "0.5"), (999, "999"), (1000, "1e3"), (999_960, "1e6"),
     (48e6, "48e6"), (405_853_388_800, "405.9e9"), (2.3444e12, "2.344e12")],
)  # fmt: skip
def test_numbers_have_four_digits_and_a_power_of_a_thousand(number, said):
    assert engineering(number) == said
