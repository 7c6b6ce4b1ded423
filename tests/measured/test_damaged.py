"""A line that is cut or mangled never changes a number without a word."""

import random

import pytest
from measured import logs

from emul.measured import Hints, MeasurementError, read_measurements

SEED = 17
TRIES = 30


def cut(draw, lines, i):
    """The end of a line is lost, but not all that can be seen of it."""
    first = len(lines[i]) - len(lines[i].lstrip())
    lines[i] = lines[i][: draw.randrange(first + 1, max(first + 2, len(lines[i])))]


def cut_in_front(draw, lines, i):
    last = len(lines[i].rstrip())
    lines[i] = lines[i][draw.randrange(last) :]


def letters(draw, lines, i):
    at = draw.randrange(len(lines[i]) + 1)
    lines[i] = lines[i][:at] + draw.choice(["x", "??", "NaN", "#"]) + lines[i][at:]


def joined(draw, lines, i):
    if i + 1 < len(lines):
        lines[i : i + 2] = [lines[i] + lines[i + 1]]


def broken(draw, lines, i):
    at = draw.randrange(len(lines[i]) + 1)
    lines[i : i + 1] = [lines[i][:at], lines[i][at:]]


def message(draw, lines, i):
    at = draw.randrange(len(lines[i]) + 1)
    text = "node7:100:200 [0] NCCL INFO Channel 00/0 : 0[0] -> 1[1] via P2P/IPC"
    lines[i : i + 1] = [lines[i][:at] + text, lines[i][at:]]


CUTS = (cut, cut_in_front)
DAMAGES = [cut, cut_in_front, letters, joined, broken, message]
HELD_BY_OTHERS = {"ping", "ping mac", "ping windows", "iperf", "iperf stream"}
"""Forms whose one number is that of many lines: without one of them it may be another."""


def values(log):
    return [
        (each.kind, each.world_size, each.size_bytes, each.time_s, each.place)
        for each in log.measurements
    ]


CASES = [(form, damage) for form in logs.EVERY for damage in DAMAGES]
CASES = [(form, damage) for form, damage in CASES if damage not in CUTS or "csv" not in form]
"""A CSV has nothing that tells 2e-3 from a 2 whose end is lost, or reduce from all_reduce."""


@pytest.mark.parametrize(("form", "damage"), CASES)
def test_a_damaged_line_is_refused_or_told(form, damage, tmp_path):
    path = tmp_path / "log"
    path.write_text(logs.EVERY[form])
    hints = Hints(world_size=4) if "osu" in form else Hints()
    whole = read_measurements(path, hints)
    for attempt in range(TRIES):
        draw = random.Random(f"{SEED} {form} {damage.__name__} {attempt}")
        lines = logs.EVERY[form].split("\n")
        i = draw.choice([i for i, line in enumerate(lines) if line.strip()])
        damage(draw, lines, i)
        path.write_text("\n".join(lines))
        partial = bool(attempt % 2)
        hints = Hints(world_size=4 if "osu" in form else 0, partial=partial)
        try:
            log = read_measurements(path, hints)
        except MeasurementError:
            continue
        told = set(log.notes) - set(whole.notes)
        context = f"{damage.__name__}, line {i + 1}:\n" + "\n".join(lines[max(0, i - 1) : i + 3])
        assert values(log) == values(whole) or told, context
        if form not in HELD_BY_OTHERS:
            assert set(values(log)) <= set(values(whole)), context
