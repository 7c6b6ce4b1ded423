"""Prefixes that launchers put before the lines of a log, and their removal, for every format.

srun --label, mpirun --tag-output, kubectl --timestamps, docker compose, quoting in mails and many
others begin each line of a process with the same text, but for the time in it. So the prefix is
not looked up in a list: it is the text before a line that tells the format, and it
is taken off all lines that begin alike. Lines that begin otherwise come from other processes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice

__all__ = ["plain_lines", "streams_of"]

ESCAPE = re.compile(r"\x1b(?:\[[0-9;:?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
"""A colour or another command to a terminal (ECMA-48)."""
UNSEEN = dict.fromkeys(map(ord, "\ufeff\u200b\u200e\u200f"))
"""Characters without a width, such as the mark at the beginning of a UTF-8 file."""

MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
DATE = (
    rf"\d{{4}}[-/.]\d\d[-/.]\d\d|\d\d[-/.]\d\d[-/.]\d{{4}}|(?:{MONTHS})\s+\d{{1,2}}(?:\s+\d{{4}})?"
)
APART = r"(?<![\w.])"
HOUR = (
    APART
    + r"\d{1,2}:\d\d(?::\d\d)?(?:[.,]\d+)?(?:\s?[AP]M)?(?:\s?Z|\s?[+-]\d\d:?\d\d|\s(?:UTC|GMT))?"
)
TIME = re.compile(
    rf"(?:{DATE})(?:[T\s,]\s*{HOUR.removeprefix(APART)})?"
    rf"|(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\s+)|{HOUR}"
    r"|\b[IWEF]\d{4}(?=\s)|\d{9,}(?:[.,]\d+)?|(?<![\d.])\d+\.\d+(?![\d.])(?=[s\])\s]|$)"
)
"""A time of day, of an epoch or since a start: the part of a prefix that differs from line to
line."""
DIGITS = re.compile(r"\d+")
FEWEST_LINES = 2
"""Lines that a prefix must be before: a text before one line alone is no prefix."""
LONGEST_PREFIX = 400
"""Characters, of one prefix behind another."""
MOST_REJECTED = 8
"""Texts before one line alone, after which no further prefix is sought: each costs a search."""


def plain_lines(lines: Sequence[str]) -> list[str]:
    """Return the lines without colours and characters that nobody sees."""
    return [ESCAPE.sub("", line).translate(UNSEEN) for line in lines]


def streams_of(
    lines: Sequence[str], anchors: Sequence[re.Pattern[str]]
) -> list[tuple[str, list[str], list[int]]]:
    """Return the lines of each process: its prefix, its lines, and who else's lines there are.

    Each of ``anchors`` finds where a line that the format is known by begins; the first of them
    that is found tells the prefixes. The lines of a stream are as many as ``lines``, empty where a
    line is that of another. The numbers are those of lines that are of no stream.
    """
    none: dict[str, re.Pattern[str] | None] = {"": None}
    prefixes = next(filter(None, (_prefixes(lines, anchor) for anchor in anchors)), none)
    texts: dict[str, list[str]] = {prefix: [""] * len(lines) for prefix in prefixes}
    strangers: list[int] = []
    for i, line in enumerate(lines):
        for prefix, rest in _rests(line, prefixes):
            texts[prefix][i] = rest
            break
        else:
            strangers.append(i + 1)
    return [(prefix, found, strangers) for prefix, found in texts.items()]


def _prefixes(lines: Sequence[str], anchor: re.Pattern[str]) -> dict[str, re.Pattern[str] | None]:
    """Return the prefixes before ``anchor``, the longest first, each with its pattern."""
    found: dict[str, re.Pattern[str] | None] = {}
    rejected = 0
    for line in lines:
        match = anchor.search(line)
        if match is None or any(rule and rule.match(line) for rule in found.values()):
            continue
        prefix = line[: match.start()]
        sought = 0 < len(prefix.strip()) <= LONGEST_PREFIX and rejected < MOST_REJECTED
        rule = _rule(lines, prefix) if sought else None
        rejected += sought and rule is None
        found[prefix.strip() if rule else ""] = rule
    return dict(sorted(found.items(), key=lambda each: -len(each[0])))


def _rule(lines: Sequence[str], prefix: str) -> re.Pattern[str] | None:
    """Return the beginning of lines with this prefix, None if it is before one line alone."""
    for varying in (TIME, DIGITS):
        rule = _pattern(prefix, varying)
        if len(list(islice(filter(rule.match, lines), FEWEST_LINES))) == FEWEST_LINES:
            return rule
    return None


def _pattern(prefix: str, varying: re.Pattern[str]) -> re.Pattern[str]:
    """Return a pattern of ``prefix`` in which the ``varying`` parts may differ."""
    text, parts, last = prefix.strip(), [], 0
    for match in varying.finditer(text):
        parts += [_literal(text[last : match.start()]), f"(?:{varying.pattern})"]
        last = match.end()
    parts.append(_literal(text[last:]))
    apart = r"(?=\s|$)" if prefix[-1:].isspace() else ""
    return re.compile(rf"\s*{''.join(parts)}{apart}")


def _literal(text: str) -> str:
    return r"\s+".join(re.escape(part) for part in re.split(r"\s+", text))


def _rests(line: str, prefixes: dict[str, re.Pattern[str] | None]) -> Iterator[tuple[str, str]]:
    for prefix, rule in prefixes.items():
        match = rule.match(line) if rule else None
        if match or rule is None:
            yield prefix, line[match.end() :] if match else line
