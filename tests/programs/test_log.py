"""Logs: what is written is read back, and what is no log is refused with file and line."""

import json
import re

import pytest
from drawn_acts import RANKS, acts
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples

from emul.errors import ArgumentError, CapacityError, FileError, ProgramError
from emul.plans import plan_from
from emul.programs import Compute, Issue, Log, Mark, RankGroup, Recv, Send, Wait, write_acts
from emul.reading.bounded_text import read_lines

HEADER = {"emul-log": 1, "world_size": 2, "written_by": "a test"}
LOG = Log(
    [
        [
            Compute(0.5),
            Issue("all_reduce", 5, group=RankGroup([0, 1], "data"), name="b"),
            Wait("b"),
        ],
        [Issue("all_reduce", 5, group=RankGroup([0, 1], "data")), Wait(), Mark("step")],
    ],
    "a test",
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.jsonl"


def written(path, *lines):
    path.write_text(
        "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    )
    return path


@examples(40)
@given(programs=st.lists(st.lists(acts, max_size=6), min_size=RANKS, max_size=RANKS))
def test_a_log_is_read_as_it_was_written(tmp_path_factory, programs):
    folder = tmp_path_factory.mktemp("logs")
    log = Log(programs, "a test")
    log.write(folder / "all.jsonl")
    log.write_by_rank(folder / "ranks")
    assert Log.read(folder / "all.jsonl") == log
    assert Log.read(folder / "ranks") == log
    assert Log.read(*sorted((folder / "ranks").iterdir(), reverse=True)) == log


def test_the_lines_of_a_file_are_few_and_plain(path):
    LOG.write(path)
    assert path.read_text().splitlines() == [
        '{"emul-log":1,"world_size":2,"written_by":"a test"}',
        '{"rank":0,"act":"compute","seconds":0.5}',
        '{"group":1,"ranks":[0,1],"name":"data"}',
        '{"rank":0,"act":"issue","collective":"all_reduce","count":5,"group":1,"name":"b"}',
        '{"rank":0,"act":"wait","of":"b"}',
        '{"rank":1,"act":"issue","collective":"all_reduce","count":5,"group":1}',
        '{"rank":1,"act":"wait"}',
        '{"rank":1,"act":"mark","name":"step"}',
    ]


def test_a_file_by_hand_is_read(path):
    read = Log.read(
        written(
            path,
            {"emul-log": 1, "world_size": 3, "rank": 0},
            "",
            {"act": "issue", "collective": "AllGather", "count": [1, 2, 3], "dtype": "bf16"},
            {"act": "send", "to": 2, "count": 7, "tag": 1, "at_s": 12},
            {"group": 7, "name": "second"},
            {"act": "recv", "source": 1, "count": 7, "group": 7},
        ),
        *(written(path.with_name(f"{r}"), HEADER | {"world_size": 3, "rank": r}) for r in (1, 2)),
    )
    assert read.acts[0] == (
        Issue("all_gather", (1, 2, 3), dtype="bfloat16"),
        Send(2, 7, tag=1, at_s=12),
        Recv(1, 7, group=RankGroup(None, "second")),
    )
    assert read.acts[1:] == ((), ())
    assert read.written_by == "a test"


def test_a_group_is_one_object_in_the_files_of_all_ranks(tmp_path):
    """Or groups of many ranks would be compared rank by rank, at every act."""
    LOG.write_by_rank(tmp_path)
    read = Log.read(tmp_path)
    assert read.acts[0][1].group is read.acts[1][0].group


def test_acts_know_their_lines(path):
    LOG.write(path)
    read = Log.read(path)
    assert read.place(0, 1) == f"{path}, line 4 (rank 0)"
    assert read.place(1, 2) == f"{path}, line 8 (rank 1)"
    assert LOG.place(1, 2) == "rank 1, act 2"


WAIT = {"rank": 0, "act": "wait"}
ISSUE = {"rank": 0, "act": "issue", "collective": "all_reduce", "count": 5}
GROUP = {"group": 1, "ranks": [0, 1]}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([""], "line 1: no JSON (Expecting value): needed an object on one line"),
        (["[1]"], "line 1: [1]: needed an object on one line"),
        ([{"world_size": 2}], "line 1: {'world_size': 2}: needed a log of emul, which begins with"),
        ([HEADER | {"emul-log": 2}], "line 1: emul-log = 2: needed 1, the version that emul reads"),
        ([HEADER | {"emul-log": True}], "line 1: emul-log = True: needed 1"),
        ([HEADER | {"size": 2}], "line 1: 'size': needed one of the keys emul-log, world_size"),
        ([HEADER | {"world_size": 0}], "line 1: world_size = 0: needed a whole number from 1"),
        ([HEADER | {"world_size": 1 << 40}], "line 1: world_size = 1099511627776: needed a whole"),
        ([HEADER | {"written_by": 3}], "line 1: written_by = 3: needed a text"),
        ([HEADER | {"written_by": "a" * 201}], "line 1: written_by = 'aaa"),
        ([HEADER | {"rank": 2}], "line 1: rank = 2: needed a rank from 0 to 1"),
        ([HEADER, '{"rank": 0'], "line 2: no JSON (Expecting ',' delimiter): needed an object"),
        ([HEADER, "[" * 100_000], "line 2: no JSON (no UTF-8, too deep, or too long a number)"),
        ([HEADER, '{"rank": ' + "9" * 5000 + "}"], "line 2: no JSON (no UTF-8, too deep"),
        ([HEADER, {"rank": 0}], "line 2: {'rank': 0}: needed an act, or a group"),
        ([HEADER, {"act": "wait"}], "line 2: rank = None: needed a rank from 0 to 1"),
        ([HEADER, WAIT | {"rank": True}], "line 2: rank = True: needed a rank from 0 to 1"),
        ([HEADER, WAIT | {"rank": 2}], "line 2: rank = 2: needed a rank from 0 to 1"),
        ([HEADER, WAIT | {"act": "sleep"}], "line 2: act = 'sleep': needed one of compute, issue"),
        ([HEADER, WAIT | {"act": []}], "line 2: act = []: needed one of compute"),
        ([HEADER, WAIT | {"off": 1}], "line 2: 'off': needed one of the keys of, at_s"),
        ([HEADER, {"rank": 0, "act": "compute"}], "line 2: compute without seconds: needed"),
        ([HEADER, {"rank": 0, "act": "send"}], "line 2: send without to, count: needed"),
        (
            [HEADER, {"rank": 0, "act": "compute", "seconds": -1}],
            "line 2: seconds -1: needed a fin",
        ),
        ([HEADER, '{"rank":0,"act":"compute","seconds":NaN}'], "line 2: seconds nan: needed a"),
        ([HEADER, ISSUE | {"count": 1.5}], "line 2: count 1.5: needed a whole number"),
        ([HEADER, ISSUE | {"count": [1, None]}], "line 2: count with None: needed a whole number"),
        ([HEADER, ISSUE | {"dtype": {}}], "line 2: unknown dtype {}: needed one of"),
        ([HEADER, ISSUE | {"name": None}], "line 2: name None: needed at most 200 characters"),
        (
            [HEADER, ISSUE | {"group": 1}],
            "line 2: group = 1: needed the number of a group in a line",
        ),
        ([HEADER, ISSUE | {"group": "a"}], "line 2: group = 'a': needed the number of a group"),
        (
            [HEADER, ISSUE | {"algorithm": "a.py:f"}],
            "line 2: algorithm = 'a.py:f': needed the name",
        ),
        (
            [HEADER, ISSUE | {"algorithm": "/a.xml"}],
            "line 2: algorithm = '/a.xml': needed the name",
        ),
        ([HEADER, ISSUE | {"algorithm": 3}], "line 2: algorithm = 3: needed the name"),
        ([HEADER, GROUP, GROUP], "line 3: group = 1: needed a number that no other group"),
        ([HEADER, GROUP | {"group": 0}], "line 2: group = 0: needed a number that no other group"),
        ([HEADER, GROUP | {"ranks": [0, 2]}], "line 2: ranks = [0, 2]: needed ranks from 0 to 1"),
        ([HEADER, GROUP | {"ranks": 1}], "line 2: ranks = 1: needed a list of ranks"),
        ([HEADER, GROUP | {"ranks": []}], "line 2: ranks []: needed at least one, each once"),
        ([HEADER, GROUP | {"ranks": [0, "1"]}], "line 2: ranks with '1': needed a whole number"),
        ([HEADER, GROUP | {"of": 1}], "line 2: 'of': needed one of the keys group, ranks, name"),
        ([HEADER, GROUP | {"group": "a"}], "line 2: group = 'a': needed"),
    ],
)
def test_a_line_that_is_no_part_of_a_log_is_refused(path, lines, message):
    with pytest.raises(ProgramError, match=re.escape(f"{path}, {message}")) as error:
        Log.read(written(path, *lines))
    assert len(str(error.value)) < 1000


def test_bytes_that_are_no_text_are_refused(path):
    path.write_bytes(json.dumps(HEADER).encode() + b'\n{"rank": 0, "act": "\xff"}\n')
    with pytest.raises(ProgramError, match=r"line 2: no JSON \(no UTF-8"):
        Log.read(path)


def test_a_byte_order_mark_and_windows_ends_are_passed_over(path):
    LOG.write(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert Log.read(path) == LOG


def test_a_line_that_is_too_long_is_refused_before_it_is_read(path):
    path.write_text("x" * 100)
    with pytest.raises(ProgramError, match=r"run.jsonl, line 1: needed at most 99 bytes"):
        list(read_lines(path, "a log", 99, ProgramError))
    assert list(read_lines(path, "a log", 100, ProgramError)) == [b"x" * 100]


@pytest.mark.parametrize("name", ["", "missing.jsonl", "nul\0", "/dev/null"])
def test_a_path_without_a_file_is_refused(tmp_path, name):
    with pytest.raises(ProgramError, match=r"(cannot be read \(.*\)|no files that end in .jsonl)"):
        Log.read(tmp_path / name)


def test_no_path_is_refused():
    with pytest.raises(ProgramError, match="no path: no files"):
        Log.read()


def test_ranks_that_are_missing_or_there_twice_are_named(tmp_path):
    three = Log([[], [], []])
    three.write_by_rank(tmp_path)
    (tmp_path / "rank-1.jsonl").rename(tmp_path / "more.jsonl")
    (tmp_path / "rank-2.jsonl").unlink()
    with pytest.raises(ProgramError, match=r"no file of 1 of 3 ranks \(2\): needed one for each"):
        Log.read(tmp_path)
    with pytest.raises(ProgramError, match=r"rank 1 has a file already: .*more.jsonl"):
        Log.read(tmp_path, tmp_path / "more.jsonl")


def test_files_of_unlike_worlds_are_refused(tmp_path):
    write_acts(tmp_path / "0.jsonl", [], rank=0, world_size=2)
    write_acts(tmp_path / "1.jsonl", [], rank=1, world_size=3)
    with pytest.raises(ProgramError, match=r"1.jsonl, line 1: world_size = 3: needed 2, as in"):
        Log.read(tmp_path)


def test_acts_are_written_as_they_come(path):
    """A recorder may write more than fits in memory, and a fault leaves no half of a file."""

    def failing():
        yield Compute(1.0)
        raise RuntimeError("the recorder ends here")

    with pytest.raises(RuntimeError, match="ends here"):
        write_acts(path, failing(), rank=0, world_size=1)
    assert list(path.parent.iterdir()) == []
    write_acts(path, (Compute(1.0) for _ in range(3)), rank=0, world_size=1, by="a test")
    assert Log.read(path) == Log([[Compute(1.0)] * 3], "a test")


def none(n):
    yield []


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (Issue("all_reduce", 1, algorithm=none), "needed the name of an algorithm, and no file"),
        (Issue("all_reduce", 1, algorithm=plan_from(none, None, 1)), "needed the name of an algo"),
        (Issue("all_reduce", 1, algorithm="mine.py:f"), "needed the name of an algorithm"),
        (
            Issue("all_reduce", 1, group=RankGroup([1])),
            "group of ranks 1: needed ranks from 0",
        ),
    ],
)
def test_acts_that_no_file_can_say_are_not_written(path, act, message):
    with pytest.raises(ArgumentError, match=message):
        Log([[act]]).write(path)
    assert not path.exists()


def test_other_things_than_acts_are_no_log():
    with pytest.raises(ArgumentError, match=r"rank 1: 3: needed an act"):
        Log([[], [3]])
    with pytest.raises(ArgumentError, match=r"a log of no rank"):
        Log([])
    with pytest.raises(ArgumentError, match=r"rank 2: needed a whole number from 0 to 1"):
        write_acts("x.jsonl", [], rank=2, world_size=2)


def test_a_folder_that_cannot_be_made_is_refused(path):
    path.write_text("in the way")
    with pytest.raises(FileError, match="cannot be written"):
        LOG.write_by_rank(path / "ranks")


def test_a_log_that_does_not_fit_is_refused_while_it_is_read(path, monkeypatch):
    Log([[Wait()] * 100]).write(path)
    monkeypatch.setattr("emul.programs.log.BYTES_PER_ACT", 1 << 20)
    monkeypatch.setattr("emul.memory.available_bytes", lambda: 1 << 20)
    with pytest.raises(CapacityError, match=r"its first \d+ lines: .* needed"):
        Log.read(path)


def test_a_log_takes_little_memory_beyond_its_acts(path):
    import tracemalloc

    Log([[Compute(i * 1e-6) for i in range(3000)] for _ in range(4)]).write(path)
    tracemalloc.start()
    try:
        log = Log.read(path)
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(map(len, log.acts)) == 12_000
    assert most < 1.2 * kept
