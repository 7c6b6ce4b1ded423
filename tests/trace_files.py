"""Reads traces back: Chrome's JSON by json, Perfetto's protobuf by the classes of ``perfetto``.

Both give the same: what lies on which track, a track being the names from the top down to it.
"""

import gzip
import json
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise

from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace as TraceMessage
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import TrackEvent

KINDS = TrackEvent.Type


@dataclass
class ReadSlice:
    """A slice: its track, its moments in the unit of the form, and the ids of its arrows."""

    track: tuple
    start: int
    end: int
    name: str
    args: dict
    flow: int | None = None
    begins: bool | None = None
    ends: bool | None = None


@dataclass
class ReadTrace:
    """A trace of a file. Moments are in picoseconds of JSON, in nanoseconds of protobuf."""

    tracks: list = field(default_factory=list)
    slices: list = field(default_factory=list)
    marks: list = field(default_factory=list)  # (track, moment, name, args)
    counts: dict = field(default_factory=lambda: defaultdict(list))  # by track: (moment, value)
    facts: str = ""

    def on(self, *names):
        """The slices whose track has all of ``names`` in its names."""
        return [each for each in self.slices if all(name in each.track for name in names)]

    def below(self, top):
        """The slices of the tracks below the one at the top of this name."""
        return [each for each in self.slices if each.track[0] == top]

    @property
    def flows(self):
        """The slices of each arrow in the order of time."""
        found = defaultdict(list)
        for each in self.slices:
            if each.flow is not None:
                found[each.flow].append(each)
        return {
            flow: sorted(some, key=lambda each: (each.ends, not each.begins))
            for flow, some in found.items()
        }

    def check_nesting(self):
        """No slice of a track begins before the one before it has ended."""
        last = defaultdict(int)
        for each in sorted(self.slices, key=lambda each: (each.start, each.end)):
            assert last[each.track] <= each.start <= each.end, each
            last[each.track] = each.end


def ps_of(us):
    """Microseconds, as the file has them, in picoseconds: a whole number."""
    ps = us * 10**6
    assert ps == int(ps)
    return int(ps)


def read_chrome(path):
    data = path.read_bytes()
    text = gzip.decompress(data) if path.name.endswith(".gz") else data
    document = json.loads(text, parse_float=lambda text: Decimal(text))
    found, names = ReadTrace(facts=json.dumps(document["otherData"])), {}
    for event in document["traceEvents"]:
        if event["ph"] == "M" and event["name"].endswith("_name"):
            names[event["name"], event["tid"]] = event["args"]["name"]
    processes = {tid: name for (kind, tid), name in names.items() if kind == "process_name"}
    for event in document["traceEvents"]:
        process = processes[event["pid"]]
        if event["ph"] == "C":
            value = float(event["args"]["value"])
            found.counts[process, event["name"]].append((ps_of(event["ts"]), value))
        if event["ph"] not in "Xi":
            continue
        track = process, names["thread_name", event["tid"]]
        start = ps_of(event["ts"])
        if event["ph"] == "i":
            found.marks.append((track, start, event["name"], event["args"]))
            continue
        into, out = event.get("flow_in", False), event.get("flow_out", False)
        flow = int(event["bind_id"], 16) if into or out else None
        end = start + ps_of(event["dur"])
        found.slices.append(
            ReadSlice(track, start, end, event["name"], event["args"], flow, not into, not out)
        )
    found.tracks = [(processes[pid],) for pid in processes]
    return found


def read_perfetto(path):
    message = TraceMessage()
    message.ParseFromString(path.read_bytes())
    found, tracks, open_on = ReadTrace(), {}, defaultdict(list)
    for packet in message.packet:
        if packet.HasField("track_descriptor"):
            each = packet.track_descriptor
            above = tracks[each.parent_uuid] if each.HasField("parent_uuid") else ()
            tracks[each.uuid] = (*above, each.name)
            found.facts = found.facts or each.description
            continue
        event, ns = packet.track_event, packet.timestamp
        track = tracks[event.track_uuid]
        args = {each.name: value_of(each) for each in event.debug_annotations}
        if event.type == KINDS.TYPE_COUNTER:
            found.counts[track].append((ns, event.double_counter_value))
        elif event.type == KINDS.TYPE_INSTANT:
            found.marks.append((track, ns, event.name, args))
        elif event.type == KINDS.TYPE_SLICE_BEGIN:
            (flow,) = [*event.flow_ids, *event.terminating_flow_ids] or [None]
            ends = bool(event.terminating_flow_ids)
            open_on[track].append(ReadSlice(track, ns, -1, event.name, args, flow, None, ends))
        else:
            assert event.type == KINDS.TYPE_SLICE_END
            (begun,) = open_on[track]  # one slice at a time on every track
            begun.end = ns
            found.slices.append(open_on[track].pop())
    assert not any(open_on.values())
    found.tracks = list(tracks.values())
    return found


def value_of(annotation):
    return getattr(annotation, annotation.WhichOneof("value"))


def integral(counts, per_s):
    """The sum over time of a track of counts, which ends with zero."""
    assert counts[-1][1] == 0
    return sum(value * (later - moment) / per_s for (moment, value), (later, _) in pairwise(counts))
