"""Where sites lie on a map: by their coordinates, the distances between them, or on a circle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from emul.arrays import Float64Array

__all__ = ["Positions", "positions_of"]

NEAREST = 0.1
"""Of the largest distance: sites that lie nearer than this to one another hide each other."""

WORST_STRESS = 0.15
"""Of distances on the map, to those between sites; beyond, a plane does not hold them."""


NO_DISTANCES = "Places on the map say nothing of distances."


class Place(Protocol):
    """A site."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def latitude_deg(self) -> float | None:
        """Degrees to the north, if known."""

    @property
    def longitude_deg(self) -> float | None:
        """Degrees to the east, if known."""


class Way(Protocol):
    """A trunk between two sites by name, and its length where that is known."""

    @property
    def sites(self) -> tuple[str, str]:
        """The names of both sites."""

    @property
    def km(self) -> float | None:
        """The line of sight."""


class Places(Protocol):
    """Places and the trunks between them, as a Topology has them."""

    @property
    def places(self) -> Sequence[Place]:
        """The sites, and the waypoints."""

    @property
    def trunks(self) -> Sequence[Way]:
        """The trunks."""


@dataclass(frozen=True, slots=True)
class Positions:
    """A place for each site, (sites, 2) float64 in any unit, y down; ``said`` is how they lie.

    ``is_true``: whether distances mean anything; if not, a map may stretch them.
    """

    at: Float64Array
    said: str
    is_true: bool

    def within(
        self, left: float, top: float, right: float, bottom: float
    ) -> list[tuple[float, float]]:
        """Return the pixels of the places in the middle of this box, as large as it allows."""
        room, start = np.array([right - left, bottom - top]), np.array([left, top])
        low, span = self.at.min(axis=0), np.ptp(self.at, axis=0)
        scale = np.divide(room, span, out=np.full(2, np.inf), where=span > 0)
        if self.is_true:
            scale[:] = scale.min()
        scale[np.isinf(scale)] = 1.0  # of places that are one
        pixels = start + (room - span * scale) / 2 + (self.at - low) * scale
        return [(float(x), float(y)) for x, y in pixels]


def positions_of(topology: Places) -> Positions:
    """Return the positions of the sites of ``topology``.

    They are as the coordinates if every site has them. Else they are as the lengths of the trunks:
    three make a triangle, and those of more sites are met as well as a plane allows (classical
    scaling, W. S. Torgerson, Psychometrika 17 (1952) 401). Where not all lengths are known, where
    no plane has them, or where sites would hide one another, they lie on a circle.
    """
    n = len(topology.places)
    if n == 1:
        return Positions(np.zeros((1, 2)), NO_DISTANCES, is_true=False)
    coordinates = _coordinates(topology)
    if coordinates is not None and _shows_all(coordinates):
        said = "Places on the map are as the coordinates, north is up."
        return Positions(coordinates, said, is_true=True)
    distances = _distances_km(topology)
    if distances is not None and n > 2:
        at, stress = _scaled(distances)
        if stress <= WORST_STRESS and _shows_all(at):
            said = "Distances are as the lengths of the trunks; directions are not known."
            return Positions(at, said, is_true=True)
    if n == 2:
        return Positions(np.array([[0.0, 0.0], [1.0, 0.0]]), NO_DISTANCES, is_true=False)
    turn = 2 * np.pi * np.arange(n) / n
    circle = np.stack([np.sin(turn), -np.cos(turn)], axis=1)
    return Positions(circle, NO_DISTANCES, is_true=False)


def _coordinates(topology: Places) -> Float64Array | None:
    """Return the coordinates on a plane that is true near their middle; None if one is missing."""
    given = [(site.longitude_deg, site.latitude_deg) for site in topology.places]
    if any(value is None for pair in given for value in pair):
        return None
    degrees = np.array(given, dtype=np.float64)
    # The shorter way around the globe from the first site.
    east = (degrees[:, 0] - degrees[0, 0] + 180) % 360 - 180
    narrowed = np.cos(np.radians(degrees[:, 1].mean()))
    return np.stack([east * narrowed, -degrees[:, 1]], axis=1)


def _distances_km(topology: Places) -> Float64Array | None:
    """Return the distance of each pair of places, None where one is not known.

    Two that no trunk joins are as far apart as the shortest way over trunks.
    """
    index = {place.name: number for number, place in enumerate(topology.places)}
    found = np.full((len(index), len(index)), np.inf)
    np.fill_diagonal(found, 0.0)
    for trunk in topology.trunks:
        if not trunk.km:
            return None
        a, b = (index[name] for name in trunk.sites)
        found[a, b] = found[b, a] = trunk.km
    sparse = bool(np.isinf(found).any())
    for via in range(len(index)) if sparse else ():
        found = np.minimum(found, found[:, via, None] + found[via])
    return found


def _scaled(distances: Float64Array) -> tuple[Float64Array, float]:
    """Return points on a plane, and the relative error of their distances."""
    n = len(distances)
    centred = np.eye(n) - 1 / n
    values, vectors = np.linalg.eigh(-0.5 * centred @ (distances**2) @ centred)
    points = vectors[:, -2:][:, ::-1] * np.sqrt(np.maximum(values[-2:][::-1], 0.0))
    largest = np.abs(points).argmax(axis=0)
    points = points * np.where(points[largest, [0, 1]] < 0, -1.0, 1.0)
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    stress = float(np.sqrt(((apart - distances) ** 2).sum() / (distances**2).sum()))
    return points, stress


def _shows_all(at: Float64Array) -> bool:
    """Say whether no two sites would be drawn over one another."""
    apart = np.linalg.norm(at[:, None] - at[None], axis=2)
    nearest = float(apart[~np.eye(len(at), dtype=bool)].min())
    return nearest >= NEAREST * float(apart.max()) > 0
