"""The windows of the rings of a mesh, for its collectives in a joint simulation.

A ring inside a replica is long: few of its rounds are laid out. A ring from replica to replica has
few transfers a round, and all of them are laid out; its windows say which come again.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emul.arrays import Int32Array, Int64Array
from emul.plans import Encoded, RingRounds, Shape, SymmetricPlan
from emul.stacks import IDEAL
from emul.timing.joint.finding_windows import WindowFinder, in_order_of_rings, side_by_side
from emul.timing.joint.rank_ops import Footprint
from emul.timing.joint.window import Window
from emul.timing.quotient import INNER, MeshQuotient
from emul.timing.symmetry import may_settle
from emul.timing.traffic import NOBODY, Slicing

__all__ = ["inner_windows", "outer_windows"]


ROUNDS_PER_RANK, MORE_ROUNDS = 2, 16
"""Rounds of an inner ring that are laid out. No rank is further ahead of another than there are
ranks, for each round of a rank waits for the round before of its neighbour. Credit that is not back
yet may be as many rounds behind."""


def inner_windows(
    quotient: MeshQuotient,
    plan: SymmetricPlan,
    shape: Shape,
    encoding: Encoded,
    slicing: Slicing | None,
    communicator: int,
) -> Footprint | None:
    """Return the footprint of all groups along the inner axis, with few rounds of each ring.

    None where the rounds of a ring may differ, or are too few to leave any out.
    """
    (reduce,), (gather,) = plan.rounds.reduce, plan.rounds.gather
    stride, whole = plan.cells.ranks[0], reduce + gather
    omitted = (whole - ROUNDS_PER_RANK * plan.periods[0] - MORE_ROUNDS) // stride * stride
    if omitted <= 0 or not may_settle(quotient.topology):
        return None
    shown = whole - omitted
    kept = shown if not gather else shown // 2 if reduce else 0
    rounds = RingRounds((kept,), (shown - kept,))
    program = quotient.weighted(plan.program(shape, encoding, rounds), None)
    network = quotient.network
    parts = [
        Footprint.of(program, network, slicing, IDEAL, ranks, communicator, seed=0)
        for ranks in quotient.groups(INNER)
    ]
    windows: list[Window] = []
    for part in parts:
        window = WindowFinder(part).window(range(part.size), part.size // shown, omitted)
        if window is None or window.rounds < shown - 2:
            return None
        windows.append(window)
    ranks: Int32Array = np.arange(network.world_size, dtype=np.int32)
    return side_by_side(parts, ranks, windows)


def outer_windows(quotient: MeshQuotient, plan: SymmetricPlan, footprint: Footprint) -> Footprint:
    """Return ``footprint``, of all groups along the outer axis, with the windows of their rings.

    Its transfers come ring by ring, in three phases: rings that reduce, all between sites, rings
    that gather. In a single site it is one phase.
    """
    if not may_settle(quotient.topology):
        return footprint
    site_of, src = quotient.network.site_of.astype(np.int64), footprint.transfers.src
    far = np.flatnonzero(site_of[src] != site_of[footprint.transfers.dst])
    number = np.arange(footprint.size)
    phase: Int64Array = np.zeros(footprint.size, dtype=np.int64)
    if len(far):
        phase += (number >= far[0]).astype(np.int64) + (number > far[-1])
    positions = quotient.within.periods[0]
    ring = site_of[src] * positions + src % positions
    ring[phase == 1] = NOBODY
    order = np.lexsort((number, ring, phase))
    ordered = in_order_of_rings(footprint, order)
    run = (phase * (ring.max(initial=0) + 2) + ring + 1)[order]
    bounds = np.append(np.flatnonzero(np.diff(run, prepend=-2)), footprint.size)
    finder, windows = WindowFinder(ordered), []
    for first, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        at = order[first]
        if ring[at] != NOBODY:
            rounds = _rounds(
                plan, int(ring[at]) // positions, int(phase[at]), several=bool(len(far))
            )
            window = finder.window(range(first, stop), (stop - first) // max(1, rounds))
            windows += [] if window is None else [window]
    return replace(ordered, windows=tuple(windows))


def _rounds(plan: SymmetricPlan, site: int, phase: int, *, several: bool) -> int:
    """Return the rounds of a ring of a site in a phase; in all where there are not ``several``."""
    reduce, gather = plan.rounds.reduce[site], plan.rounds.gather[site]
    if not several:
        return reduce + gather
    return gather if phase else reduce
