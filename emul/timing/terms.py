"""The causes of a collective's time, in the words of reports and in the scheduler's codes."""

from __future__ import annotations

__all__ = ["CODES", "TERMS"]

TERMS = ("share", "window", "gap", "loss", "latency", "queue", "outage")
"""The rate of a link shared with others; bytes in flight; spacing; lost packets; the way itself;
others' packets in front; a link that is down."""

CODES = {term: code for code, term in enumerate(TERMS)}
