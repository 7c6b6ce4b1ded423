"""Error feedback: nothing is lost for good."""

import numpy as np
import pytest

import emul
from emul import ArgumentError, ShapeError
from emul.training import ErrorFeedback


@pytest.mark.parametrize("wire", ["int8", "fp8", "fp4", "bfloat16"])
def test_all_that_was_sent_is_all_that_was_to_be_sent_less_one_loss(wire):
    """Of 30 gradients in 3 rows; in float32, so to a few units in the last place of the sum."""
    draw = np.random.default_rng(5)
    feedback, wanted, sent = ErrorFeedback(wire), 0.0, 0.0
    for _ in range(30):
        x = draw.standard_normal((3, 500)).astype(np.float32)
        wanted, sent = wanted + x.astype(np.float64), sent + feedback(x).astype(np.float64)
    np.testing.assert_allclose(sent + feedback.lost, wanted, rtol=0, atol=1e-4)
    assert np.abs(feedback.lost).max() < 4
    assert np.abs(feedback.lost).max() > 1e-4


def test_a_mean_of_gradients_that_4_bits_round_away_gets_there():
    """Without feedback 0.1 beside 6 is never sent; with it the mean over steps is 0.1."""
    world = emul.World("three-campus")
    x = np.full((24, 24 * 32), 0.1, np.float32)
    x[:, ::32] = 6.0
    feedback, plain, fed = ErrorFeedback("fp4"), 0.0, 0.0
    for _ in range(40):
        how = {"wire": "fp4", "algorithm": "direct"}
        plain += world.reduce_scatter(x, **how).output[0, 1] / 24 / 40
        fed += world.reduce_scatter(feedback(x), **how).output[0, 1] / 24 / 40
    assert plain < 0.01  # the rank's own value alone, which is not sent
    assert fed == pytest.approx(0.1, rel=0.2)


def test_what_it_cannot_do_is_refused():
    with pytest.raises(ArgumentError, match="unknown wire"):
        ErrorFeedback("int3")
    feedback = ErrorFeedback("int8")
    feedback(np.ones((2, 3), np.float32))
    with pytest.raises(ShapeError, match=r"needed \(2, 3\), as before"):
        feedback(np.ones((2, 4), np.float32))
