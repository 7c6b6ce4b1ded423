"""NICs that messages share, and the trunks between them, for the simulation of ``reference``."""

import math


class SharedPorts:
    """Links between the pairs of ranks beyond nodes, as max-min fair as they can be.

    ``path_of``: the (link, rate) pairs between two ranks. All connections of a pair have the same
    rate, and each sends one thing after the other. ``served`` is what each connection of a pair was
    given since none was busy, ``until`` what that has to come to until the first in its queue has
    left: in doubles, as in ``shared_trunk``.
    """

    def __init__(self, path_of):
        self.path_of = path_of
        self.queues, self.until = {}, {}
        self.served, self.since, self.rate = {}, {}, {}

    def busy(self, pair):
        return [each for each in self.until if each[:2] == pair]

    def together(self, pair):
        """The busy pairs that share links with ``pair``, or with others that do; and itself."""
        found, links = [pair], {link for link, _ in self.path_of(*pair)}
        busy = sorted({each[:2] for each in self.until} - {pair})
        while more := [
            each
            for each in busy
            if each not in found and links & {link for link, _ in self.path_of(*each)}
        ]:
            found += more
            links.update(link for each in more for link, _ in self.path_of(*each))
        return found

    def serve(self, pairs, now):
        for pair in pairs:
            if not self.busy(pair):
                self.served[pair] = 0.0
            self.served[pair] += self.rate.get(pair, 0.0) * (now - self.since.get(pair, 0)) / 1e12
            self.since[pair] = now

    def share(self, pairs):
        """Let the rates of all rise together, until a link of theirs is full."""
        pairs = sorted(pairs, key=self.order)
        rates = {link: rate for pair in pairs for link, rate in self.path_of(*pair)}
        for pair in pairs:
            self.rate[pair] = 0.0
        settled, rising = [], [pair for pair in pairs if self.busy(pair)]
        while rising:
            level = {}
            for link in rates:
                over = [pair for pair in rising if link in dict(self.path_of(*pair))]
                if over:
                    level[link] = self.free(link, rates[link], settled) / self.connections(over)
            lowest = min(level.values())
            full = {link for link in level if level[link] <= lowest * (1 + 1e-12)}
            for pair in [each for each in rising if full & set(dict(self.path_of(*each)))]:
                self.rate[pair] = lowest
                settled.append(pair)
                rising.remove(pair)

    def free(self, link, rate, settled):
        for pair in sorted(settled, key=self.order):
            if link in dict(self.path_of(*pair)):
                rate = max(0.0, rate - self.rate[pair] * len(self.busy(pair)))
        return rate

    def connections(self, pairs):
        return sum(len(self.busy(pair)) for pair in pairs)

    def order(self, pair):
        """Inside sites first, then by trunk, then by rank."""
        path = self.path_of(*pair)
        return (len(path) == 3, path[1][0] if len(path) == 3 else (), pair)

    def enter(self, now, number, connection, nbytes):
        """Queue a transfer; return whether it begins at once."""
        self.queues.setdefault(connection, []).append((number, nbytes))
        if connection in self.until:
            return False
        self.begin(now, connection, nbytes)
        return True

    def begin(self, now, connection, nbytes):
        pair = connection[:2]
        self.serve([pair], now)
        self.until[connection] = self.served[pair] + nbytes
        others = self.together(pair)
        self.serve(others[1:], now)
        self.share(others)

    def due(self):
        """When the next one has left, and which connection it is on."""
        found = []
        for connection, until in self.until.items():
            pair = connection[:2]
            ps = max(0.0, until - self.served[pair]) * 1e12 / self.rate[pair]
            due = self.since[pair] + math.floor(ps + 0.5)
            found.append((due, self.order(pair), until, connection))
        first = min(found)
        return first[0], first[-1]

    def leave(self, now, connection):
        """Take the transfer that has left; return it, and the one that begins in its place."""
        pair = connection[:2]
        others = self.together(pair)
        self.serve(others, now)
        number, _ = self.queues[connection].pop(0)
        del self.until[connection]
        self.share(others)
        if not self.queues[connection]:
            return number, None
        after, nbytes = self.queues[connection][0]
        self.begin(now, connection, nbytes)
        return number, after
