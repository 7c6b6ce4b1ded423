"""From the tables of a trunk's trace, hours and outages to how it changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from emul.errors import ArgumentError
from emul.links import Changes, Diurnal, Link, Outages, State
from emul.links.changes import BUSIEST_HOUR
from emul.reading.toml_table import TomlTable
from emul.reading.values import Range
from emul.topology.formats.mahimahi import mahimahi_states
from emul.topology.formats.traces import COLUMNS, recorded_rows

__all__ = ["changes_of", "outages_of"]

SECONDS = Range(0, 1e9, "s")
LASTING = Range(1e-6, 1e9, "s")
PERIOD = Range(1e-3, 1e9, "s")
HOURS = Range(1e-9, 1e6, "hours")
PART = Range(0, 1, "of the rate")
LOAD = Range(0, 1, "of the rate", below=True)
LOSS = Range(0, 1, "", below=True)
EXTRA_DELAY = Range(0, 1e8, "us")
BIN = Range(0.001, 3.6e6, "ms")

MOST_ROWS = 20_000
"""Of a trace, or of a schedule of outages, that stands in the topology itself."""

ROW = "a list of [from_s, rate_factor, extra_delay_us, loss, up], the last three as needed"
FILE = (
    'rows, { file = "x.csv" }, { file = "x", columns = ["from_s", "rate_mbit_per_s"] } or '
    '{ mahimahi = "x", bin_ms = 100 }'
)


def changes_of(table: TomlTable, link: Link, folder: Path | None) -> Changes:
    """Return how the trunk of ``table``, whose link is ``link``, changes.

    Files are looked for from ``folder``, the folder of the topology; without one there are none.
    """
    trace, repeat_s = _trace(table, link, folder)
    for loss in {state.loss for state in trace if state.loss is not None}:
        try:
            replace(link.transport, loss=loss)
        except ArgumentError as error:
            raise table.converted_key(ArgumentError(f"trace: {error}")) from None
    try:
        return Changes(trace, repeat_s, _diurnal(table), outages_of(table))
    except ArgumentError as error:
        raise table.converted_key(error) from None


def _trace(table: TomlTable, link: Link, folder: Path | None) -> tuple[tuple[State, ...], float]:
    repeat_s = table.number("repeat_s", PERIOD, 0.0)
    if "trace" not in table.content:
        if repeat_s:
            raise table.refusal("repeat_s", table.content["repeat_s"], "a trace to repeat")
        return (), 0.0
    given = table.content["trace"]
    if not isinstance(given, dict):
        if not isinstance(given, list):
            raise table.refusal("trace", given, FILE)
        rows = table.rows("trace", given, MOST_ROWS, ROW)
        return tuple(_state(table, f"trace[{i}]", row) for i, row in enumerate(rows)), repeat_s
    source = table.table("trace")
    source.check_keys(("file", "columns", "mahimahi", "bin_ms"))
    if ("file" in given) == ("mahimahi" in given) or ("columns" in given and "file" not in given):
        raise table.refusal("trace", given, FILE)
    if "file" in given:
        path = _path(source, "file", folder)
        csv = TomlTable({}, str(path), "")
        recorded = recorded_rows(path, link.rate_bytes_per_s, _columns(source))
        return tuple(_state(csv, *row) for row in recorded), repeat_s
    if repeat_s:
        raise table.refusal("repeat_s", repeat_s, "none, for a Mahimahi trace repeats itself")
    bin_ms = source.number("bin_ms", BIN, 100.0)
    path = _path(source, "mahimahi", folder)
    return mahimahi_states(path, bin_ms, link.rate_bytes_per_s)


def _columns(source: TomlTable) -> list[str]:
    """Return the names of the columns of a trace, if its table gives them."""
    given = source.content.get("columns", [])
    needed = f"a list of names, each one of {', '.join(COLUMNS)} (to be passed over)"
    if not isinstance(given, list):
        raise source.refusal("columns", given, needed)
    for i, name in enumerate(given):
        if name not in COLUMNS:
            raise source.refusal(f"columns[{i}]", name, needed)
    return given


def _path(source: TomlTable, key: str, folder: Path | None) -> Path:
    name = source.text(key)
    if folder is None:
        raise source.refusal(key, name, "rows, for what comes with emul has no files of its own")
    return folder / name


def _state(table: TomlTable, at: str, row: list[object]) -> State:
    """Return the state of a row found ``at`` a place of ``table``."""
    if not 2 <= len(row) <= 5:
        raise table.refusal(at, row, ROW)
    up = row[4] if len(row) > 4 else True
    if not isinstance(up, bool):
        raise table.refusal(f"{at}[4]", up, "true or false")
    loss = row[3] if len(row) > 3 else None
    return State(
        from_s=table.real(f"{at}[0]", row[0], SECONDS),
        rate_factor=table.real(f"{at}[1]", row[1], PART),
        extra_delay_s=table.real(f"{at}[2]", row[2] if len(row) > 2 else 0.0, EXTRA_DELAY) / 1e6,
        loss=None if loss is None else table.real(f"{at}[3]", loss, LOSS),
        up=up,
    )


def _diurnal(table: TomlTable) -> Diurnal | None:
    if "diurnal" not in table.content:
        return None
    day = table.table("diurnal")
    day.check_keys(("least_load", "most_load", "busiest_hour"))
    try:
        return Diurnal(
            day.number("least_load", LOAD),
            day.number("most_load", LOAD),
            day.number("busiest_hour", Range(0, 24, "hours"), BUSIEST_HOUR),
        )
    except ArgumentError as error:
        raise day.converted(error) from None


def outages_of(table: TomlTable) -> Outages | None:
    """Return the outages of a trunk or a conduit, None where it has none."""
    if "outages" not in table.content:
        return None
    down = table.table("outages")
    down.check_keys(
        (
            "schedule",
            "between_failures_hours",
            "between_failures_s",
            "repair_hours",
            "repair_s",
        )
    )
    if not down.content:
        raise table.refusal("outages", {}, "a schedule, or between_failures_s and repair_s")
    try:
        return Outages(
            _schedule(down),
            _lasting_s(down, "between_failures"),
            _lasting_s(down, "repair"),
        )
    except ArgumentError as error:
        raise down.converted(error) from None


def _schedule(down: TomlTable) -> tuple[tuple[float, float], ...]:
    if "schedule" not in down.content:
        return ()
    needed = "a list of [from_s, seconds]"
    rows = down.rows("schedule", down.content["schedule"], MOST_ROWS, needed)
    for i, row in enumerate(rows):
        if len(row) != 2:
            raise down.refusal(f"schedule[{i}]", row, needed)
    return tuple(
        (
            down.real(f"schedule[{i}][0]", from_s, SECONDS),
            down.real(f"schedule[{i}][1]", lasting_s, LASTING),
        )
        for i, (from_s, lasting_s) in enumerate(rows)
    )


def _lasting_s(down: TomlTable, what: str) -> float:
    hours, seconds = f"{what}_hours", f"{what}_s"
    if hours in down.content and seconds in down.content:
        raise down.refusal(seconds, down.content[seconds], f"either {seconds} or {hours}")
    if hours in down.content:
        return down.number(hours, HOURS) * 3600
    return down.number(seconds, LASTING, 0.0)
