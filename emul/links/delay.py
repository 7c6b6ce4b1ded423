"""How long one bit is under way: glass and the boxes along it."""

from __future__ import annotations

__all__ = ["GLASS_GROUP_INDEX", "SPEED_OF_LIGHT_KM_PER_S", "glass_s_per_km", "one_way_delay_s"]

SPEED_OF_LIGHT_KM_PER_S = 299_792.458
"""In vacuum; exact by definition of the metre."""

GLASS_GROUP_INDEX = 1.4682
"""Of standard single-mode fibre at 1550 nm (data sheets; ITU-T G.652 class)."""


def glass_s_per_km(group_index: float = GLASS_GROUP_INDEX) -> float:
    """Return the seconds that light needs for one kilometre of fibre: n_g / c.

    >>> round(glass_s_per_km() * 1e6, 3)
    4.897
    """
    return group_index / SPEED_OF_LIGHT_KM_PER_S


def one_way_delay_s(
    km: float,
    *,
    route_factor: float = 1.0,
    dispersion_compensation: float = 0.0,
    equipment_s: float = 0.0,
) -> float:
    """Return the one-way delay in seconds of a fibre link, first bit out to first bit in.

    ``km`` is the line of sight in kilometres; ``route_factor`` says how much longer the
    fibre is than that (US conduits: median 1.3 for the shortest path, 2.1 as a rule of
    thumb; Bozkurt et al., arXiv 1811.10737). ``dispersion_compensation`` is the extra fibre
    of compensating spools as a share of the route (0.125 to 0.25 on 10G and 40G
    direct-detect systems). ``equipment_s`` is the sum of the boxes: transponders and their
    error correction, amplifiers, switches.

    >>> round(one_way_delay_s(16.09344) * 1e6, 1)
    78.8
    """
    fibre_km = km * route_factor * (1.0 + dispersion_compensation)
    return fibre_km * glass_s_per_km() + equipment_s
