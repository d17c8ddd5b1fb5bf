"""What people type for amounts and lists: `60s`, `7%`, `eval,train`, `1,2`.

Promises one clear sentence for anything else. Durations come out in seconds, percentages as fractions.
"""

from __future__ import annotations

import datetime
import difflib
import math
import re
from collections.abc import Iterable

from harness.errors import UserError

_UNITS = {"": 1.0, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_LONGEST = 7 * 86400.0
_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)"


def duration(text: str, option: str) -> float:
    """Seconds from `90`, `1.5`, `60s`, `500ms`, `2m` or `1h`.

    Raises UserError for anything else, for nothing and less, and for more than a week.
    """
    match = re.fullmatch(rf"({_NUMBER})\s*([a-z]*)", text.strip())
    if match is None or match[2] not in _UNITS:
        raise UserError(f"{option} {text!r} is not a duration; write for instance 60s, 2m or 1.5")
    seconds = float(match[1]) * _UNITS[match[2]]
    if not 0 < seconds <= _LONGEST:
        raise UserError(f"{option} {text!r} is out of range; give more than nothing and at most a week")
    return seconds


def percentage(text: str, option: str) -> float:
    """The fraction that `7%` or `0.5 %` stands for.

    Raises UserError for a number without the sign (0.07 could be meant either way) and for what is not above 0 % and
    below 100 %.
    """
    typed = text.strip()
    match = re.fullmatch(rf"({_NUMBER})\s*%", typed)
    if match is None:
        hint = ""
        without_sign = re.fullmatch(_NUMBER, typed)
        # What strip() takes for space, float() need not.
        if without_sign and 0 < float(typed) < 1:
            hint = f": {100 * float(typed):g}% or {typed}%?"
        raise UserError(f"{option} {text!r} is not a percentage; write it with its sign, for instance 7%{hint}")
    fraction = float(match[1]) / 100
    if not (math.isfinite(fraction) and 0 < fraction < 1):
        raise UserError(f"{option} {text!r} is out of range; give more than 0% and less than 100%")
    return fraction


def words(text: str, option: str) -> tuple[str, ...]:
    """The words of a comma list, each once, in their order. Raises UserError for an empty one."""
    found = tuple(dict.fromkeys(word.strip() for word in text.split(",")))
    if not all(found):
        raise UserError(f"{option} {text!r} has an empty place; write a list such as a,b")
    return found


def cpus(text: str, option: str = "--cpus") -> tuple[int, ...]:
    """CPU numbers from `1,2` or `4-7`, ascending. Raises UserError for anything else."""
    found: set[int] = set()
    for word in words(text, option):
        match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", word)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise UserError(f"{option} {text!r} is not a list of CPUs; write for instance 1,2 or 4-7")
        found |= set(range(int(match[1]), int(match[2] or match[1]) + 1))
    return tuple(sorted(found))


def known(value: str, choices: Iterable[str], word: str) -> str:
    """`value`, if it is one of `choices`. Raises UserError naming those that are near otherwise."""
    every = list(choices)
    if value not in every:
        near = difflib.get_close_matches(value, every, 3) or every
        raise UserError(f"there is no {word} {value!r}; choose {', '.join(near)}")
    return value


def day(text: str, option: str) -> datetime.date:
    """A day written as 2027-01-31. Raises UserError."""
    try:
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            raise ValueError
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise UserError(f"{option} {text!r} is not a day; write it as 2027-01-31") from None
