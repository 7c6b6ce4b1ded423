"""The effects that are switched on and off to share out a time: those that are there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import chain

from emul.links import EFFECTS
from emul.runtime.planner import Timing
from emul.runtime.without_effects import without_effects
from emul.topology import Topology

__all__ = ["MOST_PLAYERS", "Advance", "Player", "effects_off", "players_of"]

MOST_PLAYERS = 8
"""Effects that are switched one by one: 256 times to work out. More are switched in groups."""

Advance = Callable[[str], None]
"""Is called with the progress of long work."""

Player = tuple[str, ...]
"""Effects that are switched together: one, or a group."""


def players_of(
    topology: Topology, timing: Timing, time_without: Callable[[Player], int]
) -> list[Player]:
    """Return the effects that these links and settings have, in the order of EFFECTS.

    Of more than MOST_PLAYERS, those are joined whose switching off alone changes the time least,
    two by two. ``time_without``: returns the picoseconds without some effects.
    """
    there = (topology, timing)
    players: list[Player] = [
        (effect,) for effect in EFFECTS if without_effects(*there, [effect]) != there
    ]
    if len(players) <= MOST_PLAYERS:
        return players
    now_ps = time_without(())
    changes = {each: abs(now_ps - time_without(each)) for each in players}
    while len(changes) > MOST_PLAYERS:
        first, second = sorted(changes, key=changes.__getitem__)[:2]
        joined = tuple(each for each in EFFECTS if each in first + second)
        changes = {joined: changes.pop(first) + changes.pop(second)} | changes
    return sorted(changes, key=lambda player: EFFECTS.index(player[0]))


def effects_off(players: Sequence[Player], coalition: int) -> tuple[str, ...]:
    """Return the effects that are off where the players of a coalition are on.

    ``coalition``: as in emul.insight.shapley.
    """
    off: Collection[Player] = [
        player for at, player in enumerate(players) if not coalition >> at & 1
    ]
    return tuple(chain.from_iterable(off))
