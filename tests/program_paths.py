"""Random programs with marks, and an independent look at their critical paths."""

import random

import numpy as np
from random_programs import CALLS, COUNTS

from emul import NoData


class MarkedProgram:
    """A program as it is drawn, with marks, handles, messages and waits of some ranks."""

    def __init__(self, number, members, counts=COUNTS, calls=CALLS):
        self.draw, self.members, self.world = random.Random(number), members, members[0]
        self.counts, self.calls = counts, calls
        self.acts, self.marks, self.handles, self.operations = [], [], [], []
        for _ in range(self.draw.randint(3, 14)):
            self.step()
        self.mark()

    def step(self):
        kinds = ("issue", "issue", "compute", "compute", "wait", "call", "message", "mark")
        kind = self.draw.choice(kinds)
        if kind == "wait" and self.handles:
            self.wait(self.draw.randrange(len(self.handles)))
        elif kind == "message" and self.world.size > 1:
            self.message()
        elif kind in ("issue", "call"):
            self.call(async_op=kind == "issue")
        elif kind in ("compute", "mark"):
            getattr(self, kind)()

    def some(self, ranks):
        return sorted(self.draw.sample(list(ranks), self.draw.randint(1, len(ranks))))

    def mark(self):
        ranks = None if self.draw.random() < 0.7 else self.some(range(self.world.size))
        mark = self.world.mark(self.draw.choice("ab"), ranks)
        self.marks.append(mark)
        self.acts.append(("mark", mark))

    def compute(self):
        ranks = range(self.world.size)
        ranks = self.some(ranks) if self.draw.random() < 0.6 else list(ranks)
        ps = self.draw.choice((1_009, 700_001, 30_000_001, 400_000_003))
        self.world.compute(ps / 1e12, ranks)
        self.acts.append(("compute", ps, ranks))

    def wait(self, which):
        handle, ranks, of_message = self.handles.pop(which)
        own = list(range(len(ranks)))
        if of_message:
            handle.wait()
            self.acts.append(("wait", handle._operation, of_message))
        else:
            some = self.some(own)
            handle.wait(some)
            self.acts.append(("wait", handle._operation, [int(ranks[each]) for each in some]))

    def call(self, *, async_op):
        member = self.draw.choice(self.members)
        (name, algorithm), count = self.draw.choice(self.calls), self.draw.choice(self.counts)
        x = np.ones((member.size, count), np.uint8)
        result = getattr(member, name)(x, algorithm=algorithm, async_op=async_op)
        operation = result._operation if async_op else result.operation
        self.operations.append(operation)
        if async_op:
            self.handles.append((result, member.ranks, None))
        else:
            self.acts.append(("wait", operation, member.ranks.tolist()))

    def message(self):
        src, dst = self.draw.sample(range(self.world.size), 2)
        x = NoData(self.draw.choice(self.counts), "uint8")
        sides = [
            lambda: (self.world.send(x, src, dst, async_op=True), [src]),
            lambda: (self.world.recv(src, dst, async_op=True), [dst]),
        ]
        self.draw.shuffle(sides)
        both = [side() for side in sides]
        self.operations.append(both[0][0]._operation)
        self.handles += [(handle, (), rank) for handle, rank in both]

    def replayed(self):
        """Return by rank the stretches of compute, and by mark the clocks of all ranks."""
        clocks = np.zeros(self.world.size, dtype=np.int64)
        computes, marks = {}, {}
        for kind, what, *ranks in self.acts:
            if kind == "mark":
                marks[what.number] = clocks.copy()
            elif kind == "compute":
                for rank in ranks[0]:
                    stretch = int(clocks[rank]), int(clocks[rank]) + what
                    computes.setdefault(rank, []).append(stretch)
                    clocks[rank] += what
            else:
                moments = what.moments
                done = dict(zip(moments.ranks.tolist(), moments.done_ps.tolist(), strict=True))
                for rank in ranks[0]:
                    clocks[rank] = max(clocks[rank], done[rank])
        return computes, marks

    def check(self, path, begin, end):
        """Hold every row of a path between two marks against the replay."""
        computes, marks = self.replayed()
        from_ps = int(marks[begin.number][begin.ranks].max())
        to_ps = int(marks[end.number][end.ranks].max())
        assert (path.from_ps, path.to_ps) == (from_ps, to_ps)
        assert_contiguous(path.rows, from_ps, to_ps)
        history = {row.number: row for row in self.world.history}
        for row, after in zip(path.rows, [*path.rows[1:], None], strict=False):
            assert_contiguous(row.parts, row.from_ps, row.to_ps)
            assert after is None or row.from_rank == after.rank
            if row.kind == "compute":
                assert any(
                    row.to_ps == b and row.from_ps == max(a, from_ps) for a, b in computes[row.rank]
                )
            else:
                self.check_operation(row, from_ps)
                self.check_waits_for_others(row)
                there = history[row.number]
                assert (there.collective, there.communicator) == (row.operation, row.communicator)
        for sums in (path.by_kind_ps, path.by_place_ps, path.by_term_ps, path.by_communicator_ps):
            assert sum(sums().values()) == to_ps - from_ps == path.total_ps

    def ports_held_until(self, number):
        """Return the rank and the end of each use of a port, by operations other than one."""
        held = set()
        clocks = self.world.engine.clocks
        for other, entry in clocks._history.entries(clocks._in_flight()):
            crossings = entry.crossings()
            if other != number and crossings is not None:
                for hop, ranks in ((0, crossings.src), (2, crossings.dst)):
                    ends = crossings.until_ps[:, hop].tolist()
                    held |= set(zip(ranks.tolist(), ends, strict=True))
                if crossings.network.shares_ports:
                    held |= self.hosts_held_until(crossings)
        return held

    def hosts_held_until(self, crossings):
        """The same of the work of a host for a message before its NIC, of each kind of message."""
        network, src, dst = crossings.network, crossings.src, crossings.dst
        beyond = network.node_of[src] != network.node_of[dst]
        rate = network.queue_rate[network.ports_out(src, dst)]
        copied = np.floor(crossings.nbytes * 1e12 / rate + 0.5).astype(np.int64)
        path_ps = np.append(network.path_overhead_ps, 0)[network.paths(src, dst)]
        constants = self.world.stack.host_constants
        held = set()
        for seconds in (0.0, constants.message_s, constants.control_s):
            ends = crossings.from_ps[:, 0] + copied + path_ps + round(seconds * 1e12)
            held |= set(zip(src[beyond].tolist(), ends[beyond].tolist(), strict=True))
        return held

    def check_waits_for_others(self, row):
        """A wait in front of a port ends when a transfer of another operation leaves it."""
        for part in row.parts:
            if part.term == "others" and not part.place.startswith("trunk"):
                held = self.ports_held_until(row.number)
                assert {(part.src, part.to_ps), (part.dst, part.to_ps)} & held

    def check_operation(self, row, from_ps):
        for operation in self.operations:
            moments = operation.moments
            done = dict(zip(moments.ranks.tolist(), moments.done_ps.tolist(), strict=True))
            started = dict(zip(moments.ranks.tolist(), moments.started_ps.tolist(), strict=True))
            ends = operation.name == row.operation and done.get(row.rank) == row.to_ps
            if ends and row.from_ps == max(from_ps, started.get(row.from_rank, -1)):
                return
        raise AssertionError(f"no operation ends and starts as {row} says")


def assert_contiguous(parts, from_ps, to_ps):
    """Assert that parts follow one another from ``to_ps`` back to ``from_ps``, none empty."""
    for part in parts:
        assert part.to_ps == to_ps > part.from_ps
        to_ps = part.from_ps
    assert to_ps == from_ps
