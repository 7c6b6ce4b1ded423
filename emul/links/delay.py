"""The delay of one bit: glass and the boxes along it."""

from __future__ import annotations

from emul.reading.checks import not_negative, positive, whole_numbers

__all__ = [
    "AMPLIFIER_S",
    "GLASS_GROUP_INDEX",
    "SPEED_OF_LIGHT_KM_PER_S",
    "TRANSPONDER_PAIR_S",
    "equipment_s",
    "glass_s_per_km",
    "one_way_delay_s",
    "store_and_forward_s",
]

SPEED_OF_LIGHT_KM_PER_S = 299_792.458
"""In vacuum; exact by definition of the metre."""

GLASS_GROUP_INDEX = 1.4682
"""Of standard single-mode fibre at 1550 nm (data sheets; ITU-T G.652 class)."""

AMPLIFIER_S = 0.15e-6
"""One erbium-doped amplifier: about 30 m of doped fibre, 0.1 to 0.15 us
(mapyourtech.com, optical-fiber-latency; forum.huawei.com 681393)."""

TRANSPONDER_PAIR_S = 8e-6
"""Both ends of a 400ZR or 800ZR wave with their error correction; assumed, sweep 2 to 20 us."""


def glass_s_per_km(group_index: float = GLASS_GROUP_INDEX) -> float:
    """Return the seconds that light needs for one kilometre of fibre: n_g / c.

    >>> round(glass_s_per_km() * 1e6, 3)
    4.897
    """
    positive("light speeds in vacuum", group_index=group_index)
    return group_index / SPEED_OF_LIGHT_KM_PER_S


def store_and_forward_s(mtu_bytes: float, rate_bytes_per_s: float) -> float:
    """Return the seconds that one hop adds when it takes in a whole packet first: MTU / rate.

    A cut-through hop adds none, except where the port changes from slow to fast.

    >>> round(store_and_forward_s(9000, 10e9 / 8) * 1e6, 3)
    7.2
    """
    not_negative("bytes", mtu_bytes=mtu_bytes)
    positive("bytes per second", rate_bytes_per_s=rate_bytes_per_s)
    return mtu_bytes / rate_bytes_per_s


def equipment_s(
    *,
    amplifiers: int = 0,
    amplifier_s: float = AMPLIFIER_S,
    transponder_pairs: int = 0,
    transponder_pair_s: float = TRANSPONDER_PAIR_S,
    hops: int = 0,
    hop_s: float = 0.0,
    store_and_forward_hops: int = 0,
    packet_s: float = 0.0,
    error_correction_s: float = 0.0,
    macsec_s: float = 0.0,
) -> float:
    """Return the seconds that all boxes of a path add, one way.

    ``hops`` counts the switches and routers that cut through and ``store_and_forward_hops``
    those that take in a whole packet first: each costs ``hop_s``, the latter also
    ``packet_s`` (of `store_and_forward_s`). ``transponder_pair_s`` contains the pair's own
    error correction; the further delay of an older OTN layer is ``error_correction_s`` (15 to
    150 us; mapyourtech.com, fec-and-latency). ``macsec_s`` is per link, 1 to 3 us
    (trueneutral.eu, macsec-perf).

    >>> round(equipment_s(transponder_pairs=1, hops=2, hop_s=1e-6, macsec_s=2e-6) * 1e6, 3)
    12.0
    """
    whole_numbers("boxes", 0, amplifiers=amplifiers, transponder_pairs=transponder_pairs)
    whole_numbers("hops", 0, hops=hops, store_and_forward_hops=store_and_forward_hops)
    not_negative("seconds", amplifier_s=amplifier_s, transponder_pair_s=transponder_pair_s)
    not_negative("seconds", hop_s=hop_s, packet_s=packet_s, macsec_s=macsec_s)
    not_negative("seconds", error_correction_s=error_correction_s)
    optics_s = amplifiers * amplifier_s + transponder_pairs * transponder_pair_s
    switches_s = (hops + store_and_forward_hops) * hop_s + store_and_forward_hops * packet_s
    return optics_s + switches_s + error_correction_s + macsec_s


def one_way_delay_s(
    km: float,
    *,
    route_factor: float = 1.0,
    dispersion_compensation: float = 0.0,
    equipment_s: float = 0.0,
    group_index: float = GLASS_GROUP_INDEX,
) -> float:
    """Return the one-way delay in seconds of a fibre link, first bit out to first bit in.

    ``km`` is the line of sight in kilometres; ``route_factor`` says how much longer the
    fibre is than that (US conduits: median 1.3 for the shortest path, 2.1 as a rule of
    thumb; Bozkurt et al., arXiv 1811.10737). ``dispersion_compensation`` is the extra fibre
    of compensating spools as a share of the route (0.125 to 0.25 on 10G and 40G
    direct-detect systems). ``equipment_s`` is the sum of the boxes (see `equipment_s`):
    transponders and their error correction, amplifiers, switches.

    >>> round(one_way_delay_s(16.09344) * 1e6, 1)
    78.8
    """
    not_negative("kilometres", km=km)
    positive("fibre per line of sight", route_factor=route_factor)
    not_negative("fibre per route", dispersion_compensation=dispersion_compensation)
    not_negative("seconds", equipment_s=equipment_s)
    fibre_km = km * route_factor * (1.0 + dispersion_compensation)
    return fibre_km * glass_s_per_km(group_index) + equipment_s
