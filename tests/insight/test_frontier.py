"""The frontier of time against money, beside all pairs of points."""

from hypothesis import given
from hypothesis import strategies as st

from emul.insight.frontier import frontier

points = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12)


@given(points)
def test_no_point_beats_one_on_the_frontier_and_one_on_it_beats_each_other(drawn):
    found = frontier(drawn)

    def beats(one, other):
        return one != other and one[0] <= other[0] and one[1] <= other[1]

    on_it = [drawn[number] for number in found]
    assert not any(beats(each, kept) for each in drawn for kept in on_it)
    assert all(each in on_it or any(beats(kept, each) for kept in on_it) for each in drawn)
    assert len(set(on_it)) == len(on_it)
    assert on_it == sorted(on_it)
    assert all(drawn.index(point) == number for number, point in zip(found, on_it, strict=True))
