"""How late the last packet of a message is when lost packets come again one by one.

Selective repeat, M packets sent t apart, each loss noticed and repaired R later: one round
trip with negative acknowledgements, about three or a timer without. Only what is lost near
the end shows; earlier repairs hide behind packets that are still being sent.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from emul.reading.checks import loss_probability, not_negative, positive, whole_numbers

__all__ = ["expected_tail_s", "selective_repeat_time_s", "tail_closed_form_s"]

MOST_POINTS = 16_384
"""Where the integrand is evaluated per recovery time: exact for messages of up to so many
packets; beyond, the steps are so many and so small that the midpoint rule smooths them."""

NEGLIGIBLE = 1e-15
"""Expected packets lost so often are left out: less than rounding errors."""

Floats = npt.NDArray[np.float64]


def tail_closed_form_s(packets: int, *, packet_s: float, recovery_s: float, loss: float) -> float:
    """Return about how many seconds losses add, as if no packet were lost twice.

    With a = -ln(1 - p): R (1 - (1 - exp(-l)) / l), l = a R / t, for a message of R / t packets
    or more. A shorter one, of duration D = M t < R, has no packets further back to lose:
    (R - D) (1 - exp(-a M)) + D (1 - (1 - exp(-a M)) / (a M)).

    >>> round(tail_closed_form_s(2**18, packet_s=8.356e-8, recovery_s=3e-4, loss=1e-5) * 1e6, 2)
    5.32
    """
    _check(packets, packet_s, recovery_s, loss)
    if loss == 0 or recovery_s == 0:
        return 0.0
    shown_s = min(recovery_s, packets * packet_s)
    expected_losses = -math.log1p(-loss) * shown_s / packet_s
    if expected_losses == 0:  # fewer than a float can tell from none
        return 0.0
    any_lost = -math.expm1(-expected_losses)
    return (recovery_s - shown_s) * any_lost + shown_s * (1 - any_lost / expected_losses)


def expected_tail_s(packets: int, *, packet_s: float, recovery_s: float, loss: float) -> float:
    """Return the mean seconds that losses add after the last packet would have arrived.

    The integral over y >= 0 of 1 - prod_j (1 - p^(floor((y + j t) / R) + 1)): packet j from
    the end is later than y when it is lost so often in a row.
    """
    _check(packets, packet_s, recovery_s, loss)
    if loss == 0 or recovery_s == 0:
        return 0.0
    before_s, widths_s = _points(packets, packet_s, recovery_s)
    total_s, times = 0.0, 0
    while packets * loss ** (times + 1) > NEGLIGIBLE:
        late = _late(before_s, times, packets, packet_s, recovery_s, loss)
        total_s += float(late @ widths_s)
        times += 1
    return total_s


def selective_repeat_time_s(
    packets: int, *, packet_s: float, recovery_s: float, loss: float, delay_s: float
) -> float:
    """Return L + M t + the expected tail, the mean seconds of a message under selective repeat.

    >>> at_metro = dict(packet_s=8.356e-8, recovery_s=3e-4, loss=1e-5, delay_s=1.5e-4)
    >>> round(selective_repeat_time_s(2**18, **at_metro) * 1e3, 4)
    22.0601
    """
    not_negative("seconds", delay_s=delay_s)
    tail_s = expected_tail_s(packets, packet_s=packet_s, recovery_s=recovery_s, loss=loss)
    return delay_s + packets * packet_s + tail_s


def _check(packets: int, packet_s: float, recovery_s: float, loss: float) -> None:
    whole_numbers("packets", packets=packets)
    positive("seconds", packet_s=packet_s)
    not_negative("seconds", recovery_s=recovery_s)
    loss_probability(loss=loss)


def _points(packets: int, packet_s: float, recovery_s: float) -> tuple[Floats, Floats]:
    """Return midpoints and widths of the pieces of one recovery time, counted from its end.

    Within [k R, (k + 1) R) the integrand steps where (y + j t) / R is whole: at the distances
    j t mod R from the end, the same for every k.
    """
    if packets <= MOST_POINTS:
        edges = np.unique(np.arange(packets + 1) * packet_s % recovery_s)
    else:
        edges = np.linspace(0.0, min(recovery_s, packets * packet_s), MOST_POINTS + 1)
    edges = np.append(edges, recovery_s)
    return (edges[1:] + edges[:-1]) / 2, np.diff(edges)


def _late(
    before_s: Floats, times: int, packets: int, packet_s: float, recovery_s: float, loss: float
) -> Floats:
    """Return the probability that some packet is later than y = (times + 1) R - before_s."""
    log_none = np.zeros_like(before_s)
    done = np.zeros_like(before_s)
    further = 0
    while packets * loss ** (times + further + 1) > NEGLIGIBLE and done.min() < packets:
        reach = np.minimum(np.ceil((further * recovery_s + before_s) / packet_s), packets)
        log_none += (reach - done) * math.log1p(-(loss ** (times + further + 1)))
        done, further = reach, further + 1
    late: Floats = -np.expm1(log_none)
    return late
