"""The JSON of iperf3 (-J)."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from emul.measured.measurement import STREAM, Log, Measurement
from emul.reading.json_text import JsonText
from emul.units import format_rate

__all__ = ["is_iperf", "read_iperf"]

FULL = 0.9
"""The ramp is over with the first interval that has this part of the median of the later half."""
FEWEST_INTERVALS = 3
"""After the ramp, of which a median is better than the average of the whole test."""
ALIKE = 0.01
LEAST_UDP_LOSS = 0.05
"""Of UDP packets, from which on the link was full and not only lossy: a choice of ours."""


def is_iperf(document: JsonText) -> bool:
    """Say whether ``document`` is one that iperf3 writes."""
    return document.get("error") is not None or (
        isinstance(document.get("start"), dict) and document.get("intervals") is not None
    )


def read_iperf(document: JsonText, path: Path) -> Log:
    """Return the payload rate that a test tells: of TCP the median of its intervals after the ramp.

    Where too few intervals are left, it is the average that the receiver had over the whole test.
    Of UDP it is always that average, for the sender sends at the rate that it was told to.
    """
    error = document.get("error")
    if error is not None:
        raise document.refusal(("error",), error, "a test that has come to its end")
    protocol = str(document.get("start", "test_start", "protocol") or "TCP").upper()
    summed = _sum_key(document)
    average = document.positive("end", summed, "bits_per_second") / 8
    rates, skipped = _after_ramp(_intervals(document))
    rate, samples, what = average, tuple[float, ...](), "the average of the whole test"
    notes: list[str] = []
    if protocol == "UDP":
        rate = _received_of_udp(document, summed, average, notes)
        what = "the average of what the receiver had"
    elif len(rates) >= FEWEST_INTERVALS:
        rate = median(rates)
        if rate <= 0:
            raise document.refusal(("intervals",), rate, "a rate above 0 in most intervals")
        samples = tuple(rates)
        what = f"the median of {len(rates)} intervals after {skipped} of the ramp"
    notes = [f"rate is {what}", *notes, *_other_direction(document), *_also(document)]
    how = f"{protocol} {_direction(document)}"
    measured = Measurement(STREAM, 1.0, path.name, rate, how=how, samples=samples)
    return Log(path, "iperf3", (measured,), notes=tuple(f"{path.name}: {each}" for each in notes))


def _direction(document: JsonText) -> str:
    reverse = document.get("start", "test_start", "reverse")
    direction = "from server to client" if reverse else "from client to server"
    streams = document.get("start", "test_start", "num_streams")
    many = isinstance(streams, int) and streams > 1
    return f"{direction}, {streams} streams together" if many else direction


def _received_of_udp(document: JsonText, summed: str, average: float, notes: list[str]) -> float:
    """Return the bytes per second that came of a UDP test, which must have filled the link.

    Versions before 3.7 write one sum, whose rate is the rate of the sender.
    """
    packets = document.number("end", summed, "packets", least=1)
    lost = document.number("end", summed, "lost_packets", least=0)
    if lost >= packets:
        raise document.refusal(("end", summed, "lost_packets"), lost, f"fewer than {packets:.0f}")
    share = lost / packets
    if share < LEAST_UDP_LOSS:
        raise document.place(("end", summed)).complaint(
            f"iperf3 over UDP, of which {share:.2%} was lost: the rate is the one that it was told "
            "to send at (-b), not that of the link: needed TCP, or UDP of which "
            f"{LEAST_UDP_LOSS:.0%} or more is lost"
        )
    notes.append(
        f"UDP: {lost:.0f} of {packets:.0f} packets were lost, which is {share:.2%}; the rate of "
        "the sender is not used"
    )
    return average if summed == "sum_received" else average * (1 - share)


def _sum_key(document: JsonText) -> str:
    """Return the key of the bytes that the receiver had; of UDP older versions write only
    ``sum``."""
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
    rates = [_rate(document, at) for at in kept]
    return [rate for rate, s in zip(rates, lengths_s, strict=True) if s > usual_s / 2]


def _rate(document: JsonText, at: tuple[str | int, ...]) -> float:
    """Return the bytes per second of an interval, which must be those that it counts."""
    rate = document.number(*at, "bits_per_second", least=0) / 8
    if document.get(*at, "bytes") is not None:
        counted = document.number(*at, "bytes", least=0)
        expected = rate * document.number(*at, "seconds", least=0)
        if abs(counted - expected) > ALIKE * max(counted, expected):
            raise document.refusal(
                (*at, "bits_per_second"), rate * 8, f"that of {counted:g} bytes in its seconds"
            )
    return rate


def _after_ramp(rates: list[float]) -> tuple[list[float], int]:
    """Return the rates after the ramp, and how many are of it."""
    if not rates:
        return [], 0
    full = FULL * median(rates[len(rates) // 2 :])
    begun = next((i for i, rate in enumerate(rates) if rate >= full), 0)
    # The interval in which the full rate is reached began below it.
    first = begun + 1 if begun else 0
    return rates[first:], first


def _other_direction(document: JsonText) -> list[str]:
    """Return in words the traffic in the other direction at the same time (--bidir)."""
    for key in ("sum_received_bidir_reverse", "sum_bidir_reverse"):
        if document.get("end", key) is not None:
            other = document.number("end", key, "bits_per_second", least=0) / 8
            return [
                f"both ways were loaded at once (--bidir): {format_rate(other)} went the other way "
                "in that time, which is not used"
            ]
    if document.get("start", "test_start", "bidir"):
        return ["both ways were loaded at once (--bidir); the other way is not used"]
    return []


def _also(document: JsonText) -> list[str]:
    """Return in words the figures of the test beside the rate."""
    notes = []
    streams = document.get("start", "test_start", "num_streams")
    if isinstance(streams, int) and streams > 1:
        notes.append(f"the rate is that of {streams} streams together")
    retransmits = document.get("end", "sum_sent", "retransmits")
    if isinstance(retransmits, int) and retransmits > 0:
        notes.append(f"{retransmits} segments were sent again")
    rtt_us = document.get("end", "streams", 0, "sender", "mean_rtt")
    if isinstance(rtt_us, (int, float)) and rtt_us > 0:
        notes.append(f"mean round trip under load {rtt_us / 1e3:.4g} ms, queues included; not used")
    return notes
