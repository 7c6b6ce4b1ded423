"""Switches and routers by generation: the delay that each adds to a packet."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SWITCHES", "Switch"]

PAGES = (
    "secondary pages: people.ucsc.edu/~warner/Bufs/Arista-7050X, gist saillinux/1715451, "
    "router-switch.com, yobitel.com, documentation.extremenetworks.com"
)


@dataclass(frozen=True, slots=True)
class Switch:
    """A generation of switches: seconds from port to port, and where that is known from.

    ``status`` is ``published`` or ``assumed``. One that ``stores`` takes in a whole packet first,
    which adds its bytes over the rate; the others cut through.
    """

    latency_s: float
    status: str
    source: str
    stores: bool = False


SWITCHES = {
    "switchx": Switch(0.25e-6, "published", f"SwitchX, 10G: 0.25 us; {PAGES}"),
    "trident-plus": Switch(
        1.075e-6, "published", f"Trident+: the middle of 0.8 to 1.35 us; {PAGES}"
    ),
    "trident2": Switch(0.6e-6, "published", f"Trident II: the middle of 0.55 to 0.65 us; {PAGES}"),
    "tomahawk": Switch(0.45e-6, "published", f"Tomahawk class: about 0.45 us; {PAGES}"),
    "ndr": Switch(
        0.23e-6, "published", f"InfiniBand NDR: sources say below 0.15 and about 0.33 us; {PAGES}"
    ),
    "deep-buffer": Switch(
        7e-6, "assumed", "modular router: the middle of 4 to 10 us, plus a packet", stores=True
    ),
}
"""By the name that files use."""
