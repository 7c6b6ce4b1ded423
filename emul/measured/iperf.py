"""The JSON of iperf3 (-J)."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from emul.measured.json_text import JsonText
from emul.measured.measurement import STREAM, Log, Measurement

__all__ = ["is_iperf", "read_iperf"]

FULL = 0.9
"""The ramp is over with the first interval that has this part of the median of the later half."""
FEWEST_INTERVALS = 3
"""After the ramp, of which a median is better than the average of the whole test."""


def is_iperf(document: JsonText) -> bool:
    """Say whether ``document`` is one that iperf3 writes."""
    return document.get("error") is not None or (
        isinstance(document.get("start"), dict) and document.get("intervals") is not None
    )


def read_iperf(document: JsonText, path: Path) -> Log:
    """Return the payload rate that a test tells: the median of its intervals after the ramp.

    Where too few intervals are left, it is the average that the receiver had over the whole test.
    """
    error = document.get("error")
    if error is not None:
        raise document.refusal(("error",), error, "a test that has come to its end")
    summed = _sum_key(document)
    average = document.positive("end", summed, "bits_per_second") / 8
    rates, skipped = _after_ramp(_intervals(document))
    rate, samples, what = average, tuple[float, ...](), "the average of the whole test"
    if len(rates) >= FEWEST_INTERVALS:
        rate = median(rates)
        if rate <= 0:
            raise document.refusal(("intervals",), rate, "a rate above 0 in most intervals")
        samples = tuple(rates)
        what = f"the median of {len(rates)} intervals after {skipped} of the ramp"
    notes = [f"{path.name}: rate is {what}", *_also(document, path.name)]
    measured = Measurement(STREAM, 1.0, path.name, size_bytes=rate, samples=samples)
    return Log(path, "iperf3", (measured,), notes=tuple(notes))


def _sum_key(document: JsonText) -> str:
    """Return the key of what the receiver had; of UDP older versions write only ``sum``."""
    for key in ("sum_received", "sum"):
        if document.get("end", key) is not None:
            return key
    raise document.refusal(("end",), document.get("end"), "'sum_received', the end of a test")


def _intervals(document: JsonText) -> list[float]:
    """Return the bytes per second of the whole intervals that iperf3 itself did not omit."""
    sums = [("intervals", i, "sum") for i in range(len(document.items("intervals")))]
    kept = [at for at in sums if document.get(*at, "omitted") is not True]
    lengths_s = [document.number(*at, "seconds", least=0) for at in kept]
    usual_s = median(lengths_s) if lengths_s else 0.0
    rates = [document.number(*at, "bits_per_second", least=0) / 8 for at in kept]
    return [rate for rate, s in zip(rates, lengths_s, strict=True) if s > usual_s / 2]


def _after_ramp(rates: list[float]) -> tuple[list[float], int]:
    """Return the rates after the ramp, and how many are of it."""
    if not rates:
        return [], 0
    full = FULL * median(rates[len(rates) // 2 :])
    begun = next((i for i, rate in enumerate(rates) if rate >= full), 0)
    # The interval in which the full rate is reached began below it.
    first = begun + 1 if begun else 0
    return rates[first:], first


def _also(document: JsonText, name: str) -> list[str]:
    """Return in words what the test says beside the rate."""
    notes = []
    streams = document.get("start", "test_start", "num_streams")
    if isinstance(streams, int) and streams > 1:
        notes.append(f"{name}: the rate is that of {streams} streams together")
    retransmits = document.get("end", "sum_sent", "retransmits")
    if isinstance(retransmits, int) and retransmits > 0:
        notes.append(f"{name}: {retransmits} segments were sent again")
    rtt_us = document.get("end", "streams", 0, "sender", "mean_rtt")
    if isinstance(rtt_us, (int, float)) and rtt_us > 0:
        notes.append(
            f"{name}: mean round trip under load {rtt_us / 1e3:.4g} ms, queues included; not used"
        )
    return notes
