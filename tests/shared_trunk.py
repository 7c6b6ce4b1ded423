"""A trunk that several connections use, for the slow event simulation of ``reference``."""

import math


class SharedTrunk:
    """A trunk whose rate its busy connections share evenly; each sends one thing after the other.

    ``served`` is what each was given since the trunk was idle, ``until`` what that has to come to
    until the first in its queue has left: in doubles, because times are rounded to picoseconds and
    exact fractions round the other way where a double is a hair off one half.
    """

    def __init__(self, rate):
        self.rate = rate
        self.queues, self.until, self.since, self.served = {}, {}, 0, 0.0

    def advance(self, now):
        if self.until:
            self.served += self.rate / len(self.until) * (now - self.since) / 1e12
        else:
            self.served = 0.0
        self.since = now

    def enter(self, now, number, connection, nbytes):
        """Queue a transfer; return whether it begins at once."""
        self.queues.setdefault(connection, []).append((number, nbytes))
        if connection in self.until:
            return False
        self.advance(now)
        self.until[connection] = self.served + nbytes
        return True

    def due(self):
        """When the next one has left, and which connection it is on."""
        until, connection = min((until, connection) for connection, until in self.until.items())
        rest, share = max(0.0, until - self.served), self.rate / len(self.until)
        return self.since + math.floor(rest * 1e12 / share + 0.5), connection

    def leave(self, now, connection):
        """Take what has left; return it, and what begins in its place."""
        self.advance(now)
        number, _ = self.queues[connection].pop(0)
        del self.until[connection]
        if not self.queues[connection]:
            return number, None
        after, nbytes = self.queues[connection][0]
        self.advance(now)
        self.until[connection] = self.served + nbytes
        return number, after
