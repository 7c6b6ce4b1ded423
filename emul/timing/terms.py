"""The causes of a collective's time, in the words of reports and in the scheduler's codes."""

from __future__ import annotations

__all__ = ["CODES", "MEANINGS", "TERMS"]

TERMS = ("share", "window", "gap", "loss", "latency", "queue", "outage", "host")
"""The rate of a link shared with others; bytes in flight; spacing; lost packets; the way itself;
others' packets in front; a link that is down; the software of a library and the copies of hosts."""

MEANINGS = {
    "share": "sending",
    "window": "held back by windows",
    "gap": "held back by gaps between slices",
    "loss": "held back by losses",
    "outage": "in outages",
    "queue": "behind others' packets",
    "latency": "under way",
    "jitter": "jitter",
    "overhead": "overhead",
    "host": "of software and copies",
}
"""The meaning of each term of a critical path's segments, in the order in which they are told."""

CODES = {term: code for code, term in enumerate(TERMS)}
