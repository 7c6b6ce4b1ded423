"""Acts that hypothesis draws: of any kind, and programs in which all ranks meet."""

import random

from hypothesis import strategies as st

from emul.naming import COLLECTIVES, DTYPES, OPS
from emul.programs import Compute, Issue, Mark, RankGroup, Recv, Send, Wait

RANKS = 6
names = st.text(max_size=12)
moments = st.none() | st.floats(allow_nan=False, allow_infinity=False)
groups = st.builds(
    RankGroup,
    st.none() | st.sets(st.integers(0, RANKS - 1), min_size=1).map(tuple),
    st.sampled_from(["", "data", "ä\ud800\n"]),
)
counts = st.integers(0, 1 << 59)
dtypes = st.sampled_from(sorted(DTYPES))
ends = {
    "dtype": dtypes,
    "tag": st.integers(0, 9),
    "group": groups,
    "name": names,
    "at_s": moments,
}


@st.composite
def issues(draw):
    collective = draw(st.sampled_from(sorted(COLLECTIVES)))
    return Issue(
        collective,
        draw(counts | st.lists(counts, max_size=4).map(tuple)),
        group=draw(groups),
        dtype=draw(dtypes),
        op=draw(st.sampled_from(sorted(OPS))),
        algorithm=draw(st.sampled_from(["auto", "ring", "hierarchical:site=direct,trunk=ring"])),
        root=draw(st.integers(0, 3)),
        shift=draw(st.integers(-3, 3)) if collective == "send_recv" else 1,
        name=draw(names),
        at_s=draw(moments),
    )


acts = st.one_of(
    st.builds(Compute, st.floats(0, 4e6), name=names, at_s=moments),
    issues(),
    st.builds(Send, st.integers(0, RANKS), counts, **ends),
    st.builds(Recv, st.integers(0, RANKS), counts, **ends),
    st.builds(Wait, st.integers(-9, 9) | st.text(min_size=1, max_size=12), at_s=moments),
    st.builds(Mark, st.text(min_size=1, max_size=12), at_s=moments),
)


def meeting_programs(seed, ranks=RANKS, turns=30):
    """Return the acts of ranks that all meet: drawn in one order of all, which can be carried out.

    Collectives and messages in random groups, computing and marks; each rank waits for its
    operations sooner or later, or never, in any order, by name or number.
    """
    drawn = _Drawn(random.Random(seed), ranks)
    for turn in range(turns):
        drawn.compute()
        drawn.operate(turn)
        drawn.wait()
    return drawn.programs


class _Drawn:
    """Programs as they are drawn."""

    def __init__(self, rng, ranks):
        self.rng, self.ranks = rng, range(ranks)
        self.groups = [RankGroup(), RankGroup(self.ranks, "again")]
        for _ in range(4):
            self.groups.append(RankGroup(rng.sample(self.ranks, rng.randint(1, ranks))))
        self.programs = [[] for _ in self.ranks]
        self.issued = [0 for _ in self.ranks]
        self.open = [[] for _ in self.ranks]

    def compute(self):
        for program in self.programs:
            if self.rng.random() < 0.5:
                program.append(Compute(self.rng.randrange(1, 9) * 1e-12))
            if self.rng.random() < 0.1:
                program.append(Mark("step"))

    def operate(self, turn):
        rng, name = self.rng, self.rng.choice(["", "a", f"turn {turn}"])
        count = rng.randrange(1, 5)
        if rng.random() < 0.5:
            group = rng.choice(self.groups)
            call = Issue("all_reduce", count, group=group, algorithm="ring", name=name)
            for rank in self.ranks if group.ranks is None else group.ranks:
                self.issue(rank, call)
        else:
            src, dst = rng.sample(self.ranks, 2)
            tag = rng.randrange(2)
            self.issue(src, Send(dst, count, tag=tag, name=name))
            self.issue(dst, Recv(src, count, tag=tag, name=name))

    def issue(self, rank, act):
        self.programs[rank].append(act)
        self.open[rank].append(act.name or self.issued[rank])
        self.issued[rank] += 1

    def wait(self):
        for program, open_still in zip(self.programs, self.open, strict=True):
            while open_still and self.rng.random() < 0.4:
                of = open_still.pop(self.rng.randrange(len(open_still)))
                program.append(Wait(of))
