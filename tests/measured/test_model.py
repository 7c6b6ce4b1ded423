"""The rows of the model, held against rings that are run step by step, and its derivatives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emul.links import Link
from emul.measured import Measurement, Ring
from emul.measured.linear_model import Model

SLICE_BYTES = 1000


def cut(nbytes):
    """The lengths of the slices of a piece."""
    whole, rest = divmod(nbytes, SLICE_BYTES)
    return [SLICE_BYTES] * int(whole) + [rest] * (rest > 0)


def handed_on(hops, nbytes, base_s, latency_s, overhead_s, seconds_per_byte):
    """The end of a chain of ranks that hand on n pieces: slice by slice, each port in order."""
    n = hops + 1
    pieces = [cut(nbytes / n) for _ in range(n)]
    arrived = [[0.0] * len(piece) for piece in pieces]
    for _ in range(hops):
        free = 0.0
        for piece, there in zip(pieces, arrived, strict=True):
            for k, length in enumerate(piece):
                free = max(free, there[k]) + overhead_s * (k == 0) + length * seconds_per_byte
                there[k] = free + latency_s
    return base_s + arrived[-1][-1]


def test_what_a_file_tells_of_an_error_counts_within_limits():
    """A thousandth at least, ten times the value at most, and nothing where it tells nothing."""
    steady, stalled = ((1.0, 1.0 + 1e-9) * 8, (1e-6, 1e3) * 8)
    measured = [
        *(Measurement("latency", 1.0, "x", spread=each) for each in (0.0, 1e-9, 0.02, 50.0)),
        Measurement("latency", 1.0, "x", samples=steady),
        Measurement("latency", 1.0, "x", samples=stalled),
    ]
    spreads = Model.of(measured, slice_bytes=SLICE_BYTES).spreads
    assert spreads[:5].tolist() == [0.0, 1e-3, 0.02, 10.0, 1e-3]
    assert 1e-3 < spreads[5] <= 10.0


@given(
    n=st.integers(2, 6),
    nbytes=st.integers(1, 100_000),
    latency_s=st.floats(0, 1.0),
    overhead_s=st.floats(0, 0.01),
)
def test_a_rooted_ring_takes_what_its_slices_take(n, nbytes, latency_s, overhead_s):
    theta = (0.5, latency_s, overhead_s, 1e-4)
    model = Model.of(
        [Measurement("broadcast", 1.0, "x", nbytes, n, "ring")], slice_bytes=SLICE_BYTES
    )
    # a message of which the first slice waits for its overhead hands that on, and so does the next
    (modelled,) = model.predict(np.array(theta))
    assert modelled == pytest.approx(handed_on(n - 1, nbytes, *theta), rel=1e-9)


FAST = Link(1e6, 1e-3, 1e-4)
rings = st.lists(st.sampled_from([None, FAST]), min_size=4, max_size=4).map(
    lambda hops: Ring(tuple(hops))
)


@given(
    ring=rings,
    slice_bytes=st.sampled_from([0, SLICE_BYTES]),
    theta=st.tuples(*[st.floats(1e-3, 1.0)] * 3, st.floats(1e-6, 1e-2)),
)
def test_slopes_bear_the_prediction_which_is_convex(ring, slice_bytes, theta):
    """Straight pieces, of which the largest counts: so no tangent is ever above it."""
    measured = [
        Measurement(kind, 1.0, "x", nbytes, 4)
        for kind in ("all_reduce", "all_gather", "broadcast", "message", "stream")
        for nbytes in (10, 5000, 1_000_000)
    ]
    model, at = Model.of(measured, slice_bytes=slice_bytes, ring=ring), np.array(theta)
    now, slopes = model.predict(at), model.slopes(at)
    for column, value in enumerate(at):
        for change in (-0.1 * value, 0.1 * value):
            moved = at.copy()
            moved[column] += change
            least = now + slopes[:, column] * change
            assert (model.predict(moved) >= least - 1e-12 * now.max()).all()
