"""The shares of effects in a time, and the share of the schedule.

Let T(S) be the modelled time where the effects S of the links are on and all others off, and B(S)
the bound there, below which no schedule is. Effects are players, and so is the schedule, which is
switched off by taking the bound in the place of the time:

    worth of S with the schedule      T(S)
    worth of S without                B(S) + T(S) - T(S that the bound counts)

The bound counts latency, queues, load and hosts, and is blind to others, such as windows and
jitter; a perfect schedule is taken to lose as much by those as this one does, or else their time
would be the schedule's. Whether the bound counts an effect is found by asking it, so a better bound
counts. The share of a player is its Shapley value (emul.insight.shapley), and the worth without any
player, B of no effect, is ``sending``. All shares are rounded to picoseconds so that they sum to
the time.

A program has no bound. There the effects alone are players, and the worth of none is cut in two:
``compute``, the time where every message takes none, and ``sending``, the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from emul.insight.explanation import COMPUTE, MEANINGS, SCHEDULE, SENDING, EffectShare
from emul.insight.players import Player
from emul.insight.shapley import shapley_values, whole_parts

__all__ = ["Coalitions", "program_shares", "shares_with_schedule"]

ORDER = tuple(MEANINGS)
"""In which equal shares are told."""


@dataclass(frozen=True, slots=True)
class Coalitions:
    """The ``players``, and the times of their coalitions, (2^players,) picoseconds by number.

    ``algorithms``: of the plan of each coalition.
    """

    players: Sequence[Player]
    times_ps: Sequence[int]
    algorithms: Sequence[str]

    @property
    def everybody(self) -> int:
        """The number of the coalition of all."""
        return len(self.times_ps) - 1

    @property
    def time_ps(self) -> int:
        """The time where every effect is on."""
        return self.times_ps[-1]

    def adds_nothing(self, player: int) -> bool:
        """Say whether no time is another one with this player."""
        times_ps, bit = self.times_ps, 1 << player
        return all(ps == times_ps[each ^ bit] for each, ps in enumerate(times_ps))

    def share(self, player: int, share_ps: int) -> EffectShare:
        """Return the share of a player, with the time that switching it off alone brings."""
        without = self.everybody ^ (1 << player)
        alone_ps = self.time_ps - self.times_ps[without]
        name = " + ".join(self.players[player])
        return EffectShare(name, share_ps, alone_ps, self.algorithms[without])


def shares_with_schedule(found: Coalitions, bounds_ps: Sequence[int]) -> tuple[EffectShare, ...]:
    """Return the shares in the time of a collective, the largest first.

    ``bounds_ps`` (2^players,): of each coalition. An effect that changes neither any time nor any
    bound has none.
    """
    players, times_ps = range(len(found.players)), found.times_ps
    counted = sum(1 << each for each in players if _counts(bounds_ps, each))
    coalitions = range(len(times_ps))
    worths = [bounds_ps[each] + times_ps[each] - times_ps[each & counted] for each in coalitions]
    *values, schedule = shapley_values([*worths, *times_ps])
    silent = [found.adds_nothing(each) and not counted >> each & 1 for each in players]
    schedule_ps, *parts_ps = _rounded([schedule, *values], found.time_ps - bounds_ps[0])
    shares = [
        found.share(each, parts_ps[each]) for each in players if not silent[each]
    ]  # the value of a player that adds nothing is 0
    shares.append(EffectShare(SCHEDULE, schedule_ps, found.time_ps - bounds_ps[-1]))
    shares.append(EffectShare(SENDING, bounds_ps[0], None))
    return _largest_first(shares)


def program_shares(found: Coalitions, compute_ps: int) -> tuple[EffectShare, ...]:
    """Return the shares in the time of a program, the largest first.

    ``compute_ps``: the time where every message takes none.
    """
    players, base_ps = range(len(found.players)), found.times_ps[0]
    parts_ps = _rounded(shapley_values(found.times_ps), found.time_ps - base_ps)
    shares = [found.share(each, parts_ps[each]) for each in players if not found.adds_nothing(each)]
    shares.append(EffectShare(SENDING, base_ps - compute_ps, None))
    shares.append(EffectShare(COMPUTE, compute_ps, None))
    return _largest_first(shares)


def _counts(bounds_ps: Sequence[int], player: int) -> bool:
    """Say whether the bound counts a player: whether any bound is another one without it."""
    bit = 1 << player
    return any(ps != bounds_ps[each ^ bit] for each, ps in enumerate(bounds_ps))


def _rounded(values: list[Fraction], whole_ps: int) -> list[int]:
    rounded = whole_parts(values)
    assert sum(rounded) == whole_ps, "shares sum to the worth of all"
    return rounded


def _largest_first(shares: list[EffectShare]) -> tuple[EffectShare, ...]:
    """Return ``shares``, the largest first, and behind them those that nobody can switch off."""

    def place(each: EffectShare) -> tuple[bool, int, int]:
        return each.alone_ps is None, -each.share_ps, ORDER.index(each.effects[0])

    return tuple(sorted(shares, key=place))
