"""What stands before the lines of a log changes nothing of what is read."""

import random
import re

import pytest
from measured import logs

from emul.measured import Hints, read_measurements
from emul.measured.prefixes import streams_of

SEED = 17


def stamp(i):
    return f"2026-01-12T10:{i // 60 % 60:02}:{i % 60:02}.{(i * 7919) % 10**9:09}Z"


PREFIXES = {
    "srun --label": lambda i, rank: f"{rank}: ",
    "srun --label, aligned": lambda i, rank: f" {rank}: ",
    "kubectl --timestamps": lambda i, rank: f"{stamp(i)} ",
    "kubectl --prefix": lambda i, rank: f"[pod/job-{rank}/main] ",
    "docker compose": lambda i, rank: f"worker-{rank}  | ",
    "docker swarm": lambda i, rank: f"job_worker.{rank}.x1y2z3@node{rank}    | ",
    "mail": lambda i, rank: "> ",
    "mail, twice": lambda i, rank: ">> ",
    "mpirun --tag-output": lambda i, rank: f"[1,{rank}]<stdout>:",
    "mpirun --timestamp-output": lambda i, rank: (
        f"Mon Jan 12 10:{i // 60 % 60:02}:{i % 60:02} 2026<stdout>:"
    ),
    "Hydra -prepend-rank": lambda i, rank: f"[{rank}] ",
    "SkyPilot": lambda i, rank: (
        f"(worker{rank}, rank={rank}, pid=12{rank}4, ip=10.0.0.{rank + 1}) "
    ),
    "Ray": lambda i, rank: f"(Trainer pid=77{rank}, ip=10.0.0.{rank + 1}) ",
    "torchrun": lambda i, rank: f"[default{rank}]:",
    "pdsh": lambda i, rank: f"node{rank + 10}: ",
    "GitHub Actions": lambda i, rank: f"2026-01-12T10:{i // 60 % 60:02}:{i % 60:02}.{i:07}Z ",
    "syslog": lambda i, rank: f"Jan 12 10:{i // 60 % 60:02}:{i % 60:02} node{rank} job[41{rank}]: ",
    "klog": lambda i, rank: f"I0112 10:{i // 60 % 60:02}:{i % 60:02}.{i:06}       1 log.go:22] ",
    "hours": lambda i, rank: f"[10:{i // 60 % 60:02}:{i % 60:02}.{i:03}] ",
    "seconds since the start": lambda i, rank: f"[{i * 0.25 + 9:9.3f}] ",
    "epoch": lambda i, rank: f"17000{i:05}.{i:06} ",
    "Python logging": lambda i, rank: (
        f"2026-01-12 10:{i // 60 % 60:02}:{i % 60:02},{i:03} INFO rank{rank} "
    ),
    "no space": lambda i, rank: f"worker{rank}|",
    "colours": lambda i, rank: f"\x1b[36m(head, rank={rank}, pid=38)\x1b[0m ",
    "ansible": lambda i, rank: "    ",
}


def put_before(text, prefix, rank=0, trimmed=False):
    lines = [prefix(i, rank) + line for i, line in enumerate(text.rstrip("\n").split("\n"))]
    return "\n".join([*(line.rstrip() if trimmed else line for line in lines), ""])


def measured(folder, text, encoding="utf-8"):
    path = folder / "log"
    path.write_bytes(text.encode(encoding))
    return read_measurements(path, Hints(world_size=4)).measurements


def of_another(prefix, number):
    """Lines of rank 1, as they come among those of rank 0."""
    return [
        f"{prefix(number, 1)}alpha:1:{number} [1] NCCL INFO Channel {number} : 1[1] -> 0[0]",
        f"{prefix(number, 1)}warming up",
    ]


@pytest.mark.parametrize("form", logs.EVERY)
@pytest.mark.parametrize("launcher", PREFIXES)
def test_a_prefix_on_all_lines_changes_nothing(launcher, form, tmp_path):
    text, prefix = logs.EVERY[form], PREFIXES[launcher]
    expected = measured(tmp_path, text)
    assert measured(tmp_path, put_before(text, prefix)) == expected
    assert measured(tmp_path, put_before(text, prefix, trimmed=True)) == expected


@pytest.mark.parametrize("form", logs.EVERY)
def test_one_prefix_behind_another_and_lines_of_another_rank(form, tmp_path):
    draw = random.Random(SEED)
    text = logs.EVERY[form]
    expected = measured(tmp_path, text)
    apart = [name for name, prefix in PREFIXES.items() if prefix(0, 0) != prefix(0, 1)]
    for _ in range(30):
        first, second = PREFIXES[draw.choice(list(PREFIXES))], PREFIXES[draw.choice(apart)]

        def both(i, rank, first=first, second=second):
            return first(i, rank) + second(i, rank)

        lines = put_before(text, both).split("\n")
        for number in range(draw.randrange(4)):
            at = draw.randrange(len(lines))
            lines[at:at] = of_another(both, number)
        assert measured(tmp_path, "\n".join(lines)) == expected, lines[0]


@pytest.mark.parametrize("form", logs.EVERY)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_ends_of_lines_change_nothing(form, encoding, end, tmp_path):
    text = logs.EVERY[form]
    assert measured(tmp_path, text.replace("\n", end), encoding) == measured(tmp_path, text)


def test_a_prefix_that_is_taken_off_is_told(tmp_path):
    path = tmp_path / "log"
    path.write_text(put_before(logs.EVERY["nccl"], PREFIXES["docker compose"]))
    assert (
        "log: the prefix 'worker-0  |' of the lines is taken off" in read_measurements(path).notes
    )


def test_two_processes_of_their_own_prefix_are_two_logs(tmp_path):
    one = put_before(logs.ping_log([1.0, 2.0, 3.0]), PREFIXES["pdsh"], 0).split("\n")
    two = put_before(logs.ping_log([5.0, 6.0, 7.0]), PREFIXES["pdsh"], 1).split("\n")
    mixed = "\n".join(line for pair in zip(one, two, strict=True) for line in pair)
    assert [each.time_s for each in measured(tmp_path, mixed)] == pytest.approx([1e-3, 3e-3])


def test_a_result_behind_another_prefix_is_told(tmp_path):
    path = tmp_path / "log"
    lines = put_before(logs.EVERY["nccl"], PREFIXES["srun --label"]).split("\n")
    row = next(i for i, line in enumerate(lines) if "65536" in line)
    lines[row] = lines[row].replace("0:", "0;", 1)
    path.write_text("\n".join(lines))
    log = read_measurements(path)
    assert len(log.measurements) == 2 * len(logs.TIMES) - 2
    assert any(f"left out line {row + 1} (results" in note for note in log.notes)


def test_a_prefix_that_another_begins_with_takes_none_of_its_lines():
    lines = [f"{prefix}64 bytes from {i}" for i in range(3) for prefix in ("a | b | ", "a | ")]
    found = streams_of(lines, [re.compile("64 bytes")])
    assert {prefix: [text.strip() for text in texts if text] for prefix, texts, _ in found} == {
        "a | b |": [f"64 bytes from {i}" for i in range(3)],
        "a |": [f"64 bytes from {i}" for i in range(3)],
    }


def test_a_text_before_one_line_alone_is_no_prefix():
    lines = ["glued BEGIN", "one", "two"]
    assert streams_of(lines, [re.compile("BEGIN")]) == [("", lines, [])]


def test_lines_of_a_rank_whose_name_begins_alike_are_not_taken(tmp_path):
    text = logs.EVERY["osu"]
    lines = [f"node1 {line}" for line in text.rstrip("\n").split("\n")]
    row = next(i for i, line in enumerate(lines) if line.startswith("node1 64"))
    lines.insert(row, "node10 32        99.00")
    assert measured(tmp_path, "\n".join([*lines, ""])) == measured(tmp_path, text)


@pytest.mark.parametrize("form", logs.EVERY)
def test_colours_and_marks_within_lines_change_nothing(form, tmp_path):
    text = logs.EVERY[form]
    red = re.sub(r"\d+\.\d+", "\x1b[1;31m\\g<0>\x1b[0m", text)
    marked = "".join(f"\ufeff{line}" for line in text.splitlines(keepends=True))
    assert measured(tmp_path, red) == measured(tmp_path, marked) == measured(tmp_path, text)


def test_a_line_that_is_too_long_for_any_log_is_told(tmp_path):
    path = tmp_path / "log"
    path.write_text(logs.EVERY["nccl"].replace("# Out", f"{'1 ' * 100_000}\n# Out"))
    log = read_measurements(path)
    assert len(log.measurements) == 2 * len(logs.TIMES)
    assert any("left out line 17 (more than 2000 characters)" in note for note in log.notes)
