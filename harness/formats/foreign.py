"""What stands in files of other tools, checked: text, JSON, numbers and names.

Promises that whatever comes from outside leaves here as a value of the run format or as a UserError that names the
file and the place. Numbers are strict: no NaN, no infinity, nothing below zero, nothing that a float cannot hold.
Names are data: they are compared and shown, and never become a path.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, NoReturn, TypeVar

from harness.errors import UserError
from harness.testname import quoted

LARGEST = 1e9
"""The largest figure that is taken: a step of thirty years, a peak of 10^9 GB."""

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)

# No brackets, which would end a test's name, no control characters, and nothing that is not shown as one character.
_NAME = re.compile(r"[\w.+:@=()][\w.+:@=(),/ -]{0,199}", re.ASCII)
_WORD = re.compile(r"\w[\w.+-]{0,99}", re.ASCII)
_STATUS = re.compile(r"[A-Za-z0-9_]{1,64}")

_T = TypeVar("_T")


def refuse(where: str, problem: str, advice: str) -> NoReturn:
    """Raise the UserError `where: problem; advice.`; what is quoted in it must have gone through `quoted`."""
    raise UserError(f"{where}: {problem}; {advice}.")


def text(where: str, content: bytes) -> str:
    """The text of a file in UTF-8, without a byte order mark. Raises UserError for other bytes and for NUL."""
    try:
        found = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        refuse(f"{where}, line {line}", "is not UTF-8 text", "give the file as it was written")
    if "\0" in found:
        line = found.count("\n", 0, found.index("\0")) + 1
        refuse(f"{where}, line {line}", "holds a NUL character", "give the file as it was written")
    return found


def document(where: str, content: str) -> Any:
    """The JSON value in `content`. Raises UserError for what is not JSON, and for a key that stands twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return dict(unique(where, pairs))

    try:
        return json.loads(content, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        refuse(where, f"line {error.lineno} is not JSON ({error.msg})", "give the whole file of a run")
    except (RecursionError, ValueError):
        refuse(where, "is not a JSON file of a run", "give the file as it was written")


def unique(where: str, pairs: list[tuple[str, _T]]) -> list[tuple[str, _T]]:
    """The pairs, unless a key stands twice in them: then UserError."""
    if len(pairs) > 1:
        twice = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
        if twice:
            refuse(where, f"{quoted(twice[0])} stands more than once", "keep one of them")
    return pairs


def figure(where: str, value: object) -> float:
    """A number of at least 0 from JSON or from text. Raises UserError for anything else."""
    found: float | None = None
    if isinstance(value, str) and len(value) <= 400 and _NUMBER.fullmatch(value.strip()):
        found = float(value)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        # An int of JSON may be longer than any float.
        found = float(value) if abs(value) <= LARGEST else None
    if found is None or not 0 <= found < LARGEST:
        refuse(where, f"{quoted(value)} is not a figure from 0 to {LARGEST:g}", "give the file as it was written")
    return found


def seconds(where: str, value: object, unit: float = 1.0) -> float:
    """A time in seconds from a figure in `unit`, such as 1e-3 for ms. Raises UserError unless it is above 0."""
    found = figure(where, value) * unit
    if not 0 < found < LARGEST:
        refuse(where, f"{quoted(value)} is not a time that a step can take", "give the file as it was written")
    return found


def whole(where: str, value: object) -> int:
    """A whole number of at least 0. Raises UserError for anything else."""
    found = figure(where, value)
    if found != int(found):
        refuse(where, f"{quoted(value)} is not a whole number", "give the file as it was written")
    return int(found)


def name(where: str, value: object) -> str:
    """The name of a model, which becomes part of a test's name.

    Raises UserError unless it is 1 to 200 ASCII letters, digits and `_.+:@=(),/ -`, none of the last five first.
    """
    if not isinstance(value, str) or not _NAME.fullmatch(value) or value != value.strip():
        refuse(where, f"{quoted(value)} cannot be the name of a test", "rename it in the file, or leave it out")
    return value


def word(where: str, value: object) -> str:
    """A mode, type, device or suite: 1 to 100 ASCII letters, digits and `_.+-`. Raises UserError for anything else."""
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        refuse(where, f"{quoted(value)} is not one word", "rename it in the file, or leave it out")
    return value


def is_word(value: object) -> bool:
    """Whether `word` takes `value`."""
    return isinstance(value, str) and _WORD.fullmatch(value) is not None


def status(where: str, value: object) -> str:
    """The status of an accuracy check. Raises UserError for what is no word of 1 to 64 letters, digits and `_`."""
    if not isinstance(value, str) or not is_status(value):
        refuse(where, f"{quoted(value)} is not a status", "give the file as it was written")
    return value


def is_status(value: object) -> bool:
    """Whether `status` takes `value`."""
    return isinstance(value, str) and _STATUS.fullmatch(value) is not None


def sentence(value: object, longest: int = 300) -> str:
    """Free text of a file as a reason may hold it: printable, on one line, cut at `longest` characters."""
    shown = "".join(one if one.isprintable() else " " for one in str(value)[: 4 * longest])
    return " ".join(shown.split())[:longest]


def as_word(value: str) -> str:
    """Any text as one word for the name of a file: what may not stand in one becomes an underscore."""
    found = re.sub(r"[^A-Za-z0-9_.+-]|\.\.+", "_", value)[:100].lstrip(".-+")
    return found or "_"


def lines(content: str) -> Iterable[tuple[int, str]]:
    """The lines of a text with numbers from 1; a line feed ends one, and a carriage return before it is dropped."""
    return ((number, line.removesuffix("\r")) for number, line in enumerate(content.split("\n"), 1))
