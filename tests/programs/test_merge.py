"""Acts of single ranks become one program: who meets whom, who waits, and who never came."""

import random
from collections import defaultdict, deque
from itertools import chain

import pytest
from drawn_acts import meeting_programs
from hypothesis import given
from hypothesis import strategies as st

from emul.errors import ProgramError
from emul.programs import Compute, Issue, Log, Mark, RankGroup, Recv, Send, Wait
from emul.programs.merge import merge


class Noted:
    """Clocks that note each call as text; ``hands`` are shaken before a message is sent."""

    def __init__(self, hands=True):
        self.hands = hands
        self.calls = []
        self.open = defaultdict(deque)
        self.kinds = defaultdict(list)  # of the calls of each rank

    def note(self, call, ranks):
        assert ranks == sorted(set(ranks))
        self.calls.append(call)
        for rank in ranks:
            self.kinds[rank].append(call.split()[0])

    def compute(self, durations_ps, ranks):
        self.note(f"compute {durations_ps} of {ranks}", ranks)

    def mark(self, name, ranks):
        self.note(f"mark {name} of {ranks}", ranks)

    def arrive(self, ranks):
        self.note(f"arrive {ranks}", ranks)
        return ranks

    def issue(self, call, group, arrivals):
        name = f"{call.shape.collective.name} of {call.shape.width}"
        self.calls.append(f"issue {name} on {group}: {arrivals}")
        assert len({*chain(*arrivals)}) == sum(map(len, arrivals)) == call.shape.world_size
        return name

    def send(self, act, rank):
        self.note(f"send {act.count} from {rank} to {act.to}", [rank])
        return self.meet(act.group, f"{rank} to {act.to}, tag {act.tag}", "send")

    def recv(self, act, rank):
        self.note(f"recv {act.count} from {act.source} to {rank}", [rank])
        return self.meet(act.group, f"{act.source} to {rank}, tag {act.tag}", "recv")

    def meet(self, group, name, end):
        waiting = self.open[group, name]
        if waiting and waiting[0] != end:
            waiting.popleft()
            return name
        waiting.append(end)
        return name if end == "send" and not self.hands else None

    def wait(self, operation, ranks):
        self.calls.append(f"wait for {operation} by {ranks}")


def calls_of(*programs, **more):
    clocks = Noted(**more)
    merge(programs, clocks)
    return clocks.calls


def refused(*programs, places=None):
    with pytest.raises(ProgramError) as error:
        merge(programs, Noted(), places)
    return str(error.value)


SUM = Issue("all_reduce", 5)


def test_ranks_that_act_alike_reach_the_clocks_together():
    program = [Compute(0.5), SUM, Compute(0.25), Wait(), Mark("step")]
    assert calls_of(program, program) == [
        "compute [500000000000, 500000000000] of [0, 1]",
        "arrive [0, 1]",
        "issue all_reduce of 5 on the world: [[0, 1]]",
        "compute [250000000000, 250000000000] of [0, 1]",
        "wait for all_reduce of 5 by [0, 1]",
        "mark step of [0, 1]",
    ]


def test_a_rank_that_comes_later_lets_the_others_wait():
    assert calls_of([SUM, Wait(), Compute(1e-12)], [Compute(1e-12), Compute(2e-12), SUM]) == [
        "compute [1] of [1]",
        "arrive [0]",
        "compute [2] of [1]",
        "arrive [1]",
        "issue all_reduce of 5 on the world: [[0], [1]]",
        "wait for all_reduce of 5 by [0]",
        "compute [1] of [0]",
    ]


def test_communicators_are_told_apart_by_ranks_and_name():
    groups = [RankGroup([0, 1]), RankGroup([0, 1], "second"), RankGroup([0])]
    program = [Issue("all_reduce", i, group=group) for i, group in enumerate(groups, 1)]
    assert [call for call in calls_of(program, program[1::-1]) if call.startswith("issue")] == [
        "issue all_reduce of 2 on group 'second' of ranks 0, 1: [[1], [0]]",
        "issue all_reduce of 1 on group of ranks 0, 1: [[0], [1]]",
        "issue all_reduce of 3 on group of ranks 0: [[0]]",
    ]


def test_the_kth_issue_of_each_rank_is_one_operation():
    first, second = Issue("all_reduce", 1), Issue("all_reduce", 2)
    calls = calls_of([first, second, Wait(0), Wait(1)], [Compute(0.0), first, second])
    assert [call for call in calls if call.startswith(("issue", "wait"))] == [
        "issue all_reduce of 1 on the world: [[0], [1]]",
        "wait for all_reduce of 1 by [0]",
        "issue all_reduce of 2 on the world: [[0], [1]]",
        "wait for all_reduce of 2 by [0]",
    ]


def waits(*acts):
    """The counts of the operations that one rank waits for, in order."""
    calls = calls_of(acts)
    return [int(call.split()[4]) for call in calls if call.startswith("wait")]


def count(number, name=""):
    return Issue("all_reduce", number, name=name)


def test_a_wait_is_for_all_operations_of_its_name_since_the_last():
    assert waits(count(1, "a"), count(2, "b"), count(3, "a"), Wait("a")) == [1, 3]
    assert waits(count(1, "a"), Wait("a"), count(2, "a"), Wait("a"), Wait("a")) == [1, 2]


def test_a_wait_is_for_the_operation_of_its_number():
    assert waits(count(1), count(2), count(3), Wait(0), Wait(-2), Wait(), Wait(1)) == [1, 2, 3]
    assert waits(count(1, "a"), count(2, "a"), Wait(0), Wait("a")) == [1, 2]


@pytest.mark.parametrize(
    ("acts", "message"),
    [
        (
            [Wait()],
            "rank 0, act 0: wait for operation -1: needed one of the 0 that",
        ),
        ([SUM, Wait(1)], "rank 0, act 1: wait for operation 1: needed one of the 1 that"),
        ([SUM, Wait(-2)], "wait for operation -2: needed one of the 1 that"),
        ([SUM, Wait("a")], "rank 0, act 1: wait for 'a': needed the name of an operation of this"),
        ([3], "rank 0, act 0: 3: needed an act"),
        ([None], "rank 0, act 0: None: needed an act"),
        ([Send(0, 1)], "rank 0, act 0: send of 1 float32 to rank 0: needed another rank, from 0"),
        ([Recv(1, 1)], "recv of 1 float32 from rank 1: needed another rank, from 0 to 0"),
        ([Issue("all_reduce", 1, group=RankGroup([1]))], "ranks 1: needed ranks from 0 to 0"),
        ([Issue("broadcast", 1, root=1)], "rank 0, act 0: root 1: needed a rank of the group"),
        ([Issue("all_reduce", (1,))], "rank 0, act 0: all_reduce with counts: it has no block"),
        ([Issue("all_gather", (1, 2))], "rank 0, act 0: all_gather: counts of shape (2,)"),
    ],
)
def test_an_act_that_means_nothing_here_is_refused_with_its_place(acts, message):
    assert message in refused(acts)


def test_counts_that_ranks_cannot_cut_are_refused():
    call = Issue("reduce_scatter", 3)
    assert "rank 0, act 0: reduce_scatter: 3 elements per rank" in refused([call], [call])


def test_a_rank_of_no_group_that_uses_it_is_refused():
    assert "rank 1, act 0: group of ranks 0: needed a group with rank 1, which uses it" in refused(
        [], [Issue("all_reduce", 1, group=RankGroup([0]))]
    )


@pytest.mark.parametrize(
    "other",
    [
        Issue("all_gather", 5),
        Issue("all_reduce", 6),
        Issue("all_reduce", 5, dtype="float16"),
        Issue("all_reduce", 5, op="max"),
        Issue("all_reduce", 5, algorithm="ring"),
    ],
)
def test_ranks_that_call_different_things_are_both_named(other):
    assert refused([SUM], [Compute(0.0), other]) == (
        f"rank 1, act 1: {other}, but rank 0, act 0: all_reduce of 5 float32, operation 0 of the "
        "world: needed the same call of every rank"
    )


@pytest.mark.parametrize("kind", ["root", "shift"])
def test_ranks_with_other_roots_are_both_named(kind):
    name = {"root": "broadcast", "shift": "send_recv"}[kind]
    calls = [Issue(name, 5, **{kind: number}) for number in (0, 2)]
    assert f"{name} of 5 float32, {kind} 2, but rank 0" in refused(*([call] for call in calls))


def test_rows_of_all_to_all_are_put_together():
    seen = []

    class Clocks(Noted):
        def issue(self, call, group, arrivals):
            seen.append(call.shape.table.tolist())

    rows = [(1, 2), (3, 4)]
    merge([[Issue("all_to_all", row)] for row in rows], Clocks())
    merge([[Compute(0.0), Issue("all_to_all", rows[0])], [Issue("all_to_all", rows[1])]], Clocks())
    assert seen == [[[1, 2], [3, 4]]] * 2
    words = refused([Issue("all_to_all", (1, 2))], [Issue("all_to_all", 2)])
    assert "all_to_all of 2 float32, but rank 0, act 0: all_to_all of [1, 2]" in words
    words = refused([Issue("all_to_all", (1, 2))], [Issue("all_to_all", (1, 2), dtype="int8")])
    assert "needed the same call of every rank" in words
    assert "counts of unlike rows" in refused(
        [Issue("all_to_all", (1, 2))], [Issue("all_to_all", (1,))]
    )


def test_messages_meet_by_their_ends_and_tags_in_order():
    sender = [Send(1, 1), Send(1, 2, tag=1), Send(1, 3), Wait(1)]
    receiver = [Recv(0, 2, tag=1), Recv(0, 1), Recv(0, 3), Wait(0)]
    calls = calls_of(sender, receiver)
    assert calls == [
        "send 1 from 0 to 1",
        "recv 2 from 0 to 1",
        "send 2 from 0 to 1",
        "recv 1 from 0 to 1",
        "send 3 from 0 to 1",
        "recv 3 from 0 to 1",
        "wait for 0 to 1, tag 1 by [0, 1]",
    ]


def test_messages_of_different_groups_do_not_meet():
    assert "has no recv" in refused([Send(1, 1)], [Recv(0, 1, group=RankGroup([0, 1], "data"))])


def test_messages_of_two_sizes_name_both_ends():
    assert refused([Send(1, 2)], [Compute(0.0), Recv(0, 2, dtype="int8")]) == (
        "rank 1, act 1: recv of 2 int8 from rank 0, but rank 0, act 0: send of 2 float32 to rank "
        "1: needed the same size of both"
    )
    calls_of([Send(1, 2)], [Recv(0, 8, dtype="int8")])  # as MPI has it, bytes count


def test_a_sender_that_need_not_wait_for_its_receiver_goes_on():
    """Both send first and receive then."""
    programs = [[Send(other, 2, name="s"), Wait("s"), Recv(other, 2), Wait()] for other in (1, 0)]
    assert "no rank can go on" in refused(*programs)
    assert calls_of(*programs, hands=False) == [
        "send 2 from 0 to 1",
        "send 2 from 1 to 0",
        "wait for 0 to 1, tag 0 by [0]",
        "wait for 1 to 0, tag 0 by [1]",
        "recv 2 from 1 to 0",
        "recv 2 from 0 to 1",
        "wait for 1 to 0, tag 0 by [0]",
        "wait for 0 to 1, tag 0 by [1]",
    ]


@pytest.mark.parametrize("hands", [False, True])
def test_a_receiver_waits_for_its_sender(hands):
    calls = calls_of([Compute(0.0), Send(1, 2)], [Recv(0, 2), Wait()], hands=hands)
    assert calls[1:] == [
        "compute [0] of [0]",
        "send 2 from 0 to 1",
        "wait for 0 to 1, tag 0 by [1]",
    ]


def test_a_deadlock_names_who_waits_for_whom_and_where_all_are():
    two = RankGroup([0, 2])
    assert refused(
        [Issue("all_reduce", 5, group=two), Wait()],
        [Recv(2, 7, tag=3), Wait()],
        [Compute(1.0), SUM, Wait()],
        [],
    ) == (
        "no rank can go on, and the acts of 3 are over: "
        "rank 0, act 1 waits for all_reduce of 5 float32, operation 0 of group of ranks 0, 2, to "
        "which rank 2 did not come; "
        "rank 1, act 1 waits for recv of 7 float32 from rank 2, tag 3, for which rank 2 has no "
        "send; "
        "rank 2, act 2 waits for all_reduce of 5 float32, operation 0 of the world, to which ranks "
        "0, 1, 3 did not come"
    )


def test_operations_that_nobody_waits_for_are_missed_too():
    assert refused([SUM, SUM], [SUM], [Send(0, 1)]) == (
        "all acts are over: rank 0, act 0: all_reduce of 5 float32, operation 0 of the world, to "
        "which rank 2 did not come; rank 0, act 1: all_reduce of 5 float32, operation 1 of the "
        "world, to which ranks 1, 2 did not come; rank 2, act 0: send of 1 float32 to rank 0, for "
        "which rank 0 has no recv"
    )


def test_errors_of_a_log_name_file_and_line(tmp_path):
    path = tmp_path / "run.jsonl"
    Log([[SUM], [Compute(1.0), Issue("all_reduce", 6)]]).write(path)
    log = Log.read(path)
    assert refused(*log.acts, places=log.place) == (
        f"{path}, line 4 (rank 1): all_reduce of 6 float32, but {path}, line 2 (rank 0): "
        "all_reduce of 5 float32, operation 0 of the world: needed the same call of every rank"
    )


def test_errors_of_a_program_of_ones_own_are_raised_as_they_are():
    def failing():
        yield SUM
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        merge([failing(), [SUM]], Noted())


class Moments:
    """Clocks of a simple kind: an operation lasts a picosecond a byte, from its last rank on."""

    def __init__(self, ranks):
        self.now = [0] * ranks
        self.marks = []
        self.open = defaultdict(deque)

    def compute(self, durations_ps, ranks):
        for ps, rank in zip(durations_ps, ranks, strict=True):
            self.now[rank] += ps

    def mark(self, name, ranks):
        self.marks += [(name, rank, self.now[rank]) for rank in ranks]

    def arrive(self, ranks):
        return [self.now[rank] for rank in ranks]

    def issue(self, call, group, arrivals):
        return max(map(max, arrivals)) + call.shape.width * call.itemsize

    def send(self, act, rank):
        return self.meet((act.group, rank, act.to, act.tag), "send", self.now[rank], act)

    def recv(self, act, rank):
        return self.meet((act.group, act.source, rank, act.tag), "recv", self.now[rank], act)

    def meet(self, key, end, ps, act):
        if self.open[key] and self.open[key][0][0] != end:
            return max(ps, self.open[key].popleft()[1]) + 4 * act.count
        self.open[key].append((end, ps))
        return None

    def wait(self, operation, ranks):
        for rank in ranks:
            self.now[rank] = max(self.now[rank], operation)


class Reference:
    """The same moments by other means: ranks go on one by one, in any order, as far as they can.

    An operation is known by its members and its number among theirs; its end is known once all of
    them have come.
    """

    def __init__(self, programs, rng):
        self.programs, self.rng = programs, rng
        self.at = [0] * len(programs)
        self.now = [0] * len(programs)
        self.came = defaultdict(dict)
        self.used = [defaultdict(int) for _ in programs]
        self.mine = [[] for _ in programs]
        self.marks = []

    def run(self):
        stuck = 0
        while stuck < 1000:
            rank = self.rng.randrange(len(self.programs))
            stuck = 0 if self.step(rank) else stuck + 1
        assert self.at == [len(program) for program in self.programs]

    def step(self, rank):
        if self.at[rank] == len(self.programs[rank]):
            return False
        act = self.programs[rank][self.at[rank]]
        if isinstance(act, Wait):
            ends = [self.end(key, size) for key, size in self.meant(rank, act.of)]
            if None in ends:
                return False
            self.now[rank] = max([self.now[rank], *ends])
        elif isinstance(act, Compute):
            self.now[rank] += round(act.seconds * 1e12)
        elif isinstance(act, Mark):
            self.marks.append((act.name, rank, self.now[rank]))
        else:
            self.come(rank, act)
        self.at[rank] += 1
        return True

    def come(self, rank, act):
        if isinstance(act, Issue):
            everyone = range(len(self.programs))
            kind = (act.group.name, *(everyone if act.group.ranks is None else act.group.ranks))
            size = len(kind) - 1
        else:
            pair = (rank, act.to) if isinstance(act, Send) else (act.source, rank)
            kind, size = ("message", *pair, act.tag), 2
        key = kind, self.used[rank][kind]
        self.used[rank][kind] += 1
        self.came[key][rank] = self.now[rank] + 4 * act.count
        self.mine[rank].append((act.name, key, size))

    def meant(self, rank, of):
        """Return the operations of a wait; one that is over already changes nothing."""
        if isinstance(of, str):
            return [(key, size) for name, key, size in self.mine[rank] if name == of]
        return [self.mine[rank][of][1:]]

    def end(self, key, size):
        came = self.came[key]
        return max(came.values()) if len(came) == size else None


@given(st.integers(0, 1 << 30))
def test_moments_are_those_of_ranks_that_go_on_in_any_order(seed):
    programs = meeting_programs(seed)
    clocks = Moments(len(programs))
    merge(programs, clocks)
    reference = Reference(programs, random.Random(seed))
    reference.run()
    assert clocks.now == reference.now
    assert sorted(clocks.marks) == sorted(reference.marks)


@given(st.integers(0, 1 << 30))
def test_each_rank_reaches_the_clocks_in_its_own_order(seed):
    programs, clocks = meeting_programs(seed), Noted()
    merge(programs, clocks)
    kinds = {Compute: "compute", Mark: "mark", Issue: "arrive", Send: "send", Recv: "recv"}
    for rank, program in enumerate(programs):
        acts = [act for act in program if not isinstance(act, Wait)]
        assert clocks.kinds[rank] == [kinds[type(act)] for act in acts]
    assert clocks.calls == calls_of(*map(iter, programs))


def test_many_ranks_alike_cost_the_clocks_a_call_for_each_act():
    calls = calls_of(*[[Compute(0.5), SUM, Wait()] * 10] * 100)
    assert len(calls) == 10 * 4
