"""The page of ``emul calibrate``: the numbers of a link, and how sure they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from emul.drawing.scales import binary_ticks, decimal_ticks, even_ticks
from emul.measured import Measurement, Parameter
from emul.report.calibration_words import (
    NOT_CALIBRATED,
    CalibrationResult,
    file_line,
    fit_words,
)
from emul.report.html.cells import microseconds
from emul.report.html.chart import ChartAxis, Series, chart
from emul.report.html.page import (
    Assumption,
    Assumptions,
    Figure,
    Origin,
    Page,
    Section,
    Table,
    Words,
    table,
)
from emul.units import counted, format_bytes, format_time

__all__ = ["calibration_page"]

MEASURED = "measured"
COLORS = (1, 2, 3, 4, 5, 6, 9)
"""Of kinds of measurements that are drawn with a curve each; more are not told apart."""

NAMES = {
    "base_us": "the base of a call",
    "latency_us": "the latency",
    "overhead_us": "the overhead",
    "rate_gbit_per_s": "the rate",
}

UNKNOWN = "-"


def calibration_page(result: CalibrationResult, origin: Origin) -> Page:
    """Return the page of a calibration."""
    number, files = len(_measurements_of(result)), len(result.taken)
    of = f"{counted(number, 'measurement')} in {counted(files, 'file')}"
    return Page(
        f"How fast is the {result.link} link, by {of}, and how sure is that?",
        _answer(result),
        tuple(_sections(result)),
        origin,
    )


def _measurements_of(result: CalibrationResult) -> list[Measurement]:
    """Return all measurements, in the order of the fit."""
    return [each for log in result.taken for each in log.measurements]


def _answer(result: CalibrationResult) -> str:
    """Return the measured numbers, with how well the fit matches, in one sentence."""
    measured = [each for each in result.parameters if each.status == MEASURED]
    if not result.calibration.measured_anything:
        return f"Nothing of the {result.link} link was measured; all of its numbers are assumed."
    numbers = ", ".join(_told(each) for each in measured)
    assumed = [NAMES[e.name] for e in result.parameters if e.status != MEASURED]
    said = f"Measured are {numbers}; {fit_words(result.calibration)}"
    return f"{said}; not measured: {', '.join(assumed)}." if assumed else f"{said}."


def _told(each: Parameter) -> str:
    """Return a number and how far its interval reaches, or the interval where that has no end."""
    spread = _spread(each)
    sure = f"±{spread}" if spread != UNKNOWN else each.interval or "no interval is known"
    return f"{NAMES[each.name]} {each.value:.4g} {each.unit} ({sure})"


def _sections(result: CalibrationResult) -> Iterator[Section]:
    sized = [each for each in _fits(result) if each.measurement.size_bytes > 0]
    if sized:
        yield _over_size(sized)
        yield _residuals(sized)
    yield _parameters(result)
    if result.warnings:
        yield Words("Warnings", tuple(f"{_sentence(each)}" for each in result.warnings))
    yield _measurements(result)
    read = [file_line(log, rows) for log, rows in result.taken.items()]
    notes = [note for log in result.taken for note in log.notes]
    yield Words("Files", tuple(map(_sentence, [*read, *dict.fromkeys(notes)])))
    yield _assumptions(result)


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


@dataclass(frozen=True, slots=True)
class _Fit:
    """A measurement and its seconds by the fit."""

    measurement: Measurement
    fitted_s: float

    @property
    def error(self) -> float:
        """Fitted over measured, less one."""
        return self.fitted_s / self.measurement.time_s - 1

    @property
    def kind(self) -> str:
        """The kind of measurement, of which a curve has one."""
        each = self.measurement
        return ", ".join(part for part in (each.taken_as, each.algorithm) if part)


def _fits(result: CalibrationResult) -> list[_Fit]:
    fitted_s = result.calibration.fitted_s
    return [_Fit(*each) for each in zip(_measurements_of(result), fitted_s, strict=True)]


def _by_kind(fits: Sequence[_Fit]) -> dict[str, list[_Fit]]:
    """Return the fits of each kind in the order of sizes; of many kinds the last holds the rest."""
    kinds = list(dict.fromkeys(each.kind for each in fits))
    own = kinds if len(kinds) <= len(COLORS) else kinds[: len(COLORS) - 1]
    groups: dict[str, list[_Fit]] = {}
    for each in sorted(fits, key=lambda each: each.measurement.size_bytes):
        groups.setdefault(each.kind if each.kind in own else "others", []).append(each)
    return groups


def _over_size(fits: Sequence[_Fit]) -> Figure:
    """Return the measured times and the curves of the fit over the size."""
    series = []
    for color, (kind, group) in zip(COLORS, _by_kind(fits).items(), strict=False):
        curve = {each.measurement.size_bytes: each.fitted_s for each in group}
        if kind != "others":
            series.append(Series("", tuple(curve.items()), "dashed", color))
        points = tuple((each.measurement.size_bytes, each.measurement.time_s) for each in group)
        series.append(Series(kind, points, "dots", color))
    return Figure(
        "Measured times and the fit",
        chart(
            ChartAxis("size", format_bytes, binary_ticks),
            ChartAxis("time", format_time, decimal_ticks),
            series,
        ),
        f"{len(fits)} measurements of {len(_by_kind(fits))} kinds, with the curve of the fit.",
        "Points are measured, dashed curves are the fit. Both axes are logarithmic.",
    )


def _residuals(fits: Sequence[_Fit]) -> Figure:
    """Return the errors of the fit over the size, with the line of no error."""
    series = [
        Series(kind, tuple((e.measurement.size_bytes, e.error) for e in group), "dots", color)
        for color, (kind, group) in zip(COLORS, _by_kind(fits).items(), strict=False)
    ]
    sizes = [each.measurement.size_bytes for each in fits]
    series.append(Series("", ((min(sizes), 0.0), (max(sizes), 0.0)), "dotted", 8))
    worst = max(fits, key=lambda each: abs(each.error))
    return Figure(
        "Errors of the fit",
        chart(
            ChartAxis("size", format_bytes, binary_ticks),
            ChartAxis("error of the fit", _percent, even_ticks, is_log=False),
            series,
        ),
        f"The fit is off most, by {worst.error:+.1%}, at "
        f"{format_bytes(worst.measurement.size_bytes)} ({worst.kind}).",
        "Fitted over measured time, less one. Points without a pattern are noise; a bow or a step "
        "says that the link has another form than the fit.",
    )


def _percent(part: float) -> str:
    return f"{part * 100:+.4g}%" if part else "0%"


def _parameters(result: CalibrationResult) -> Table:
    rows = [
        (each.name, f"{each.value:.6g}", each.unit, each.interval or "-", _spread(each),
         each.status, each.source)
        for each in result.parameters
    ]  # fmt: skip
    columns = ("parameter", "value", "unit", "interval", "to either side", "known how", "from")
    return table(
        f"Numbers of the {result.link} link", columns, rows,
        texts=("parameter", "unit", "interval", "known how", "from"),
    )  # fmt: skip


def _spread(each: Parameter) -> str:
    """Return how far the interval reaches from the value, at the farther end."""
    if each.low is None or each.high is None or not each.value:
        return UNKNOWN
    return f"{max(each.high - each.value, each.value - each.low) / each.value:.2%}"


def _measurements(result: CalibrationResult) -> Table:
    rows = [
        (each.measurement.source, each.kind, f"{each.measurement.size_bytes:,.0f}",
         microseconds(each.measurement.time_s), microseconds(each.fitted_s),
         f"{each.error:+.2%}")
        for each in _fits(result)
    ]  # fmt: skip
    columns = ("file", "measured", "size (B)", "time (us)", "by the fit (us)", "error")
    return table("All measurements", columns, rows, texts=("file", "measured"))


def _assumptions(result: CalibrationResult) -> Assumptions:
    assumed = tuple(
        Assumption(each.name, f"{each.value:.6g} {each.unit}", each.status, each.source)
        for each in result.parameters
        if each.status != MEASURED
    )
    algorithms = [
        f"{log.path}: {rows.what}: {rows.algorithm}, {rows.algorithm_from}."
        for log, taken in result.taken.items()
        for rows in taken
        if rows.algorithm
    ]
    remarks = [
        "A collective is fitted as base + steps x (latency + overhead) + factor x size / rate, "
        "with steps and factor of its closed form.",
        NOT_CALIBRATED,
        *algorithms,
    ]
    placed = ((f"{result.link} link", assumed),) if assumed else ()
    return Assumptions("Assumptions", tuple(remarks), placed)
