"""A matter to be tuned whose times are made up: settings are two numbers, links their rates."""

from dataclasses import dataclass, field

from strategies import sites_of_one

from emul import ArgumentError, Link
from emul.insight.search import Facts

RATE = 1e9


def three_sites():
    """Three sites whose trunks have the same rate, and no delay."""
    return sites_of_one(lambda a, b: Link(RATE, 0.0), 3, nic=Link(1e12, 0.0))


@dataclass
class MadeUp:
    """A load over each trunk, of which the longest takes the time; times a factor by the settings.

    ``bytes_of``: by the numbers of trunks. ``best``: of the setting ``x``; each step away costs a
    tenth. A topology in ``refused`` cannot be timed.
    """

    bytes_of: tuple = (4e9, 3e9, 1e9)
    best: int = 3
    refused: tuple = ()
    calls: list = field(default_factory=list)

    def timed(self, topology, settings):
        self.calls.append((topology, dict(settings)))
        if topology in self.refused or settings["x"] == "bad":
            raise ArgumentError(f"no time with {settings['x']}")
        rates = [trunk.link.rate_bytes_per_s for trunk in topology.trunks]
        longest = max(load / rate for load, rate in zip(self.bytes_of, rates, strict=True))
        return longest * (1 + abs(settings["x"] - self.best) / 10)

    def starts(self, topology):
        yield {"x": 1}

    def moves(self, topology, settings):
        yield {"x": "bad"}
        yield {"x": settings["x"] - 1}
        yield {"x": settings["x"] + 1}

    def kept(self, settings):
        yield {**settings, "kept": "yes"}

    def facts(self, topology, settings):
        return Facts("somewhere", times_s=(1.0,), bounds_s=(0.5,))
