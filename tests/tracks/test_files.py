"""The files of traces: both forms say the same, text is text, and a file is whole or not there."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trace_files import read_chrome, read_perfetto

from emul import FileError
from emul.tracks import Count, Mark, Slice, Trace, Track, lanes, write_trace

TRACKS = (
    Track(1, "top"),
    Track(2, "site", 1),
    Track(3, "port", 2),
    Track(4, "rate", 2, unit="B/s"),
)
EVENTS = (
    Slice(3, 0, 1_234_567, "first", {"bytes": 7, "half": 0.5, "told": True, "why": "b"}, 9, True),
    Slice(3, 1_234_567, 1_234_567, "none", {}),
    Slice(3, 1_234_567, 2_000_001, "second", {"below": -1}, 9, False, True),
    Mark(2, 1_500_000, "a moment", {"step": 3}),
    Count(4, 1_000, 2.5e9),
    Count(4, 2_000, 0.0),
)
TEXTS = (
    "<script>alert(1)</script>",
    "\"quoted\" 'twice' \\",
    "北京 ünï \u202e",
    "\x1b[31m\n\0",
    "",
)


def small(text="trace"):
    named = tuple(Track(each.number, each.name + text, each.parent, each.unit) for each in TRACKS)
    return Trace(named, lambda: iter(EVENTS), {"note": text})


@pytest.mark.parametrize("name", ["a.json", "A.JSON.GZ", "some.v2.json.gz"])
def test_chrome_has_every_event_with_all_picoseconds(name, tmp_path):
    write_trace(tmp_path / name, small(""))
    if not name.endswith("json"):
        (tmp_path / name).rename(tmp_path / "x.gz")
    found = read_chrome(tmp_path / (name if name.endswith("json") else "x.gz"))
    port = "top", "site port"
    assert [(each.track, each.start, each.end, each.name) for each in found.slices] == [
        (port, 0, 1_234_567, "first"),
        (port, 1_234_567, 1_234_567, "none"),
        (port, 1_234_567, 2_000_001, "second"),
    ]
    assert found.slices[0].args == {"bytes": 7, "half": 0.5, "told": True, "why": "b"}
    assert [(each.flow, each.begins, each.ends) for each in found.slices] == [
        (9, True, False),
        (None, True, True),
        (9, False, True),
    ]
    assert found.marks == [(("top", "site"), 1_500_000, "a moment", {"step": 3})]
    assert found.counts == {("top", "site rate"): [(1000, 2.5e9), (2000, 0.0)]}


@pytest.mark.parametrize("name", ["a.pftrace", "a.perfetto-trace"])
def test_protobuf_has_every_event_in_nanoseconds_rounded_down(name, tmp_path):
    write_trace(tmp_path / name, small(""))
    found = read_perfetto(tmp_path / name)
    port = "top", "site", "port"
    assert [(each.track, each.start, each.end, each.name) for each in found.slices] == [
        (port, 0, 1234, "first"),
        (port, 1234, 1234, "none"),
        (port, 1234, 2000, "second"),
    ]
    assert found.slices[0].args == {"bytes": 7, "half": 0.5, "told": True, "why": "b"}
    assert found.slices[2].args == {"below": -1}
    assert [(each.flow, each.ends) for each in found.slices] == [
        (9, False),
        (None, False),
        (9, True),
    ]
    assert found.marks == [(("top", "site"), 1500, "a moment", {"step": 3})]
    assert found.counts == {("top", "site", "rate"): [(1, 2.5e9), (2, 0.0)]}
    assert found.facts == "note: "


@pytest.mark.parametrize("text", TEXTS)
def test_names_are_text_in_both_forms(text, tmp_path):
    for name in ("a.json", "a.pftrace"):
        write_trace(tmp_path / name, small(text))
    chrome, perfetto = read_chrome(tmp_path / "a.json"), read_perfetto(tmp_path / "a.pftrace")
    assert {each.track for each in chrome.slices} == {(f"top{text}", f"site{text} port{text}")}
    assert perfetto.tracks[2] == (f"top{text}", f"site{text}", f"port{text}")
    assert json.loads(chrome.facts) == {"note": text}
    assert perfetto.facts == f"note: {text}"


def test_bytes_of_a_file_name_that_are_no_text_are_told_apart(tmp_path):
    for name in ("a.json", "a.pftrace"):
        write_trace(tmp_path / name, small("\udcff"))
    assert read_perfetto(tmp_path / "a.pftrace").tracks[0] == ("top?",)
    assert read_chrome(tmp_path / "a.json").slices[0].track[0] == "top\udcff"


@pytest.mark.parametrize("name", ["a.txt", "json", "a.gz", "a.pftrace.gz", "a"])
def test_another_ending_is_one_clear_error(name, tmp_path):
    with pytest.raises(FileError, match=r"needed a name that ends in \.json or .*\.pftrace or"):
        write_trace(tmp_path / name, small())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.json", "a.json.gz", "a.pftrace"])
def test_an_interrupted_trace_leaves_the_file_as_it_was(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"before")

    def interrupted():
        yield from EVENTS * 800
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_trace(path, Trace(TRACKS, interrupted))
    assert [each.name for each in tmp_path.iterdir()] == [name]
    assert path.read_bytes() == b"before"


@pytest.mark.parametrize("name", ["a.json", "a.pftrace"])
def test_events_are_made_as_they_are_written(name, tmp_path, monkeypatch):
    from emul.tracks import writing

    made, when = [0], []

    def events():
        for _ in range(1_500):
            made[0] += len(EVENTS)
            yield from EVENTS

    ending = name[1:]
    pieces = writing.FORMS[ending]

    def watched(trace):
        for piece in pieces(trace):
            when.append(made[0])
            yield piece

    monkeypatch.setitem(writing.FORMS, ending, watched)
    write_trace(tmp_path / name, Trace(TRACKS, events))
    assert when[-1] == made[0] == 9_000
    assert max(b - a for a, b in pairwise(when)) <= 5000


def test_the_same_trace_is_the_same_packed_file(tmp_path):
    for name in ("a.json.gz", "b.json.gz"):
        write_trace(tmp_path / name, small())
    assert (tmp_path / "a.json.gz").read_bytes() == (tmp_path / "b.json.gz").read_bytes()


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 10)), max_size=30))
def test_lanes_hold_no_two_slices_at_once_and_are_as_few_as_can_be(drawn):
    slices = sorted((start, start + length) for start, length in drawn)
    start, end = (np.array([each[i] for each in slices], dtype=np.int64) for i in range(2))
    lane = lanes(start, end)
    for number in set(lane.tolist()):
        own = [each for each, at in zip(slices, lane, strict=True) if at == number]
        assert all(a[1] <= b[0] for a, b in pairwise(own))
    # A slice of no length holds its lane for a moment, and gives it to the next at that moment.
    at_once = [sum(a <= t < b for a, b in slices) for t in range(42)]
    most = max(at_once, default=0)
    assert lane.max(initial=-1) + 1 <= most + 1
    assert lane.max(initial=-1) + 1 >= most
