"""Runs of fused code that a GPU may do by vectors of 16 bytes, worked out by hand."""

import numpy as np
import pytest

from emul.ops.cuda.tape import _alike


class TwoRuns:
    """Two leaves and a target, then a leaf and two targets."""

    leaf_from, target_from = np.array([0, 2, 3]), np.array([0, 1, 3])

    def __len__(self):
        return 2


@pytest.mark.parametrize(
    ("leaf", "target", "alike"),
    [
        ([0, 16, 32], [48, 64, 80], [True, True]),
        ([4, 20, 40], [36, 8, 24], [True, True]),
        ([0, 8, 32], [48, 64, 80], [False, True]),  # a leaf of the first
        ([0, 16, 32], [48, 64, 72], [True, False]),  # the last target
        ([0, 16, 36], [48, 64, 80], [True, False]),  # both targets beside the leaf
    ],
)
def test_all_leaves_and_targets_of_a_run_lie_alike(leaf, target, alike):
    assert _alike(TwoRuns(), np.array(leaf), np.array(target)).tolist() == alike
