"""The reference: what every test is expected to take, kept as YAML that people review.

Promises to read the file that TorchBench published for score V1 as it is (`test_eval[alexnet-cpu-eager]: {norm:
0.00476}`) and our superset of it, and to change such a file without disturbing what it does not change: comments,
order and the bytes of every untouched entry stay. That is why a change is made in place, at the positions that the
YAML parser reports, and not by writing the file anew. For the commands `reference show`, `update` and `diff`, for the
judge, and for the score.

The superset is per test `spread`, `launches` and `threshold`, and a header under `torchwarden`, which cannot be a
test's name. A file may come from anyone, so aliases, tags, deep nesting and very large files are refused, as is all
that is not understood.
"""

from __future__ import annotations

import contextlib
import difflib
import math
import os
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from bot import inputs
from bot.score import weights
from bot.yamltext import Edit, Map, Node, Scalar, applied, put_first, put_last, set_fields, tree, whole_lines
from harness.errors import UserError
from harness.records import Header as RunHeader
from harness.testname import canonical, is_test_name, listed, quoted

MAX_BYTES = 64 * 2**20
"""Largest reference that is read; V1's own, with 245 tests, is 16 kB."""

HEADER_KEY = "torchwarden"

_NEW_FILE = (
    "# Torchwarden reference: seconds of one step by test. Change it by `torchwarden reference update` and a review.\n"
)


class Entry(msgspec.Struct, frozen=True):
    """What is expected of one test."""

    norm: float
    """Seconds of one step."""
    spread: float | None = None
    """Standard deviation of log seconds between launches."""
    launches: int | None = None
    """Number of launches behind `norm` and `spread`."""
    threshold: float | None = None
    """Change that counts as a regression of this test, as a fraction (0.07 is 7 %), instead of the policy's own."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """Where the norms come from. Every field may be unknown."""

    machine: str | None = None
    """The machine's name, for people."""
    fingerprint: str | None = None
    """The machine's fingerprint: norms hold on machines of the same one only."""
    build: str | None = None
    """The pinned reference build that later runs are measured beside."""
    pin: str | None = None
    """How that build is made again anywhere, such as `torch==2.13.0 torchvision==0.28.0`."""
    torch: str | None = None
    """Version of torch in that build."""
    date: str | None = None
    """When the norms were measured, ISO 8601."""
    run_id: str | None = None
    size: str | None = None
    """Size of the suite's inputs."""
    threads: int | None = None
    """Threads that a step ran on."""


class Reference(msgspec.Struct, frozen=True):
    """One reference file. `name` is the file's path, for messages."""

    name: str
    tests: dict[str, Entry]
    header: Header | None = None


class Measured(msgspec.Struct, frozen=True):
    """What a run found out about one test."""

    test: str
    seconds: float
    """Median seconds of one step."""
    spread: float | None
    """Standard deviation of log seconds between launches; None with a single launch."""
    launches: int
    status: str
    """A status of the run format; only `pass` may become a reference."""


class Change(msgspec.Struct, frozen=True):
    """One test's difference between two references."""

    test: str
    kind: Literal["added", "removed", "changed"]
    old: Entry | None
    new: Entry | None
    change: float | None
    """Relative change of the norm (0.08 is 8 % slower); None unless both have the test."""


class Row(msgspec.Struct, frozen=True):
    """One test of a reference as a table shows it."""

    test: str
    entry: Entry
    weight: float
    """The test's share in the score; all rows sum to 1."""


class _Rule(NamedTuple):
    whole: bool
    holds: Callable[[float], bool]
    wanted: str


_ENTRY_RULES: dict[str, _Rule] = {
    "norm": _Rule(False, lambda x: x > 0, "a positive number of seconds"),
    "spread": _Rule(False, lambda x: x >= 0, "a number of at least 0"),
    "launches": _Rule(True, lambda x: x >= 1, "a whole number of at least 1"),
    "threshold": _Rule(False, lambda x: 0 < x < 1, "a fraction above 0 and below 1, for instance 0.07 for 7 %"),
}
_THREADS_RULE = _Rule(True, lambda x: x >= 1, "a whole number of at least 1")


def load(path: Path) -> Reference:
    """The reference in the file `path`.

    Raises UserError, one sentence with file, line and test, for a file that cannot be read, is over 64 MiB, is not
    YAML, uses aliases or tags, is not a mapping of test names, has a key twice or one that is not known, has a norm
    that is not a positive finite number, or holds no test.
    """
    return parse(read_text(path), str(path))


def read_text(path: Path) -> str:
    """The text of a reference file, line ends as they are.

    Raises UserError when it cannot be read, is over 64 MiB or is not UTF-8.
    """
    if not path.is_file():
        raise UserError(f"{path}: is not a file; give the path of a reference YAML.")
    content = inputs.read(
        path,
        MAX_BYTES,
        wanted="give a reference YAML you may read.",
        too_large="no reference is that large, give another file.",
    )
    try:
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: is not UTF-8 text; give a reference YAML.") from error


def parse(text: str, name: str) -> Reference:
    """The reference in `text`; `name` stands for the file in messages. Raises UserError as `load` does."""
    reference = _reference(tree(text, name), name)
    if not reference.tests:
        raise UserError(f"{name}: holds no test; give a reference that `torchwarden reference update` wrote.")
    return reference


def is_pinned(run: RunHeader, stored: Header | None) -> bool:
    """Whether a run's base is the very build that the norms were taken of."""
    pin = stored.pin if stored is not None else None
    base = next((build for build in run.builds if build.name == run.plan.base), None)
    return bool(pin) and base is not None and base.specification == pin


def norms(reference: Reference) -> dict[str, float]:
    """Seconds by test name, as the score takes them."""
    return {test: entry.norm for test, entry in reference.tests.items()}


def rows(reference: Reference, tasks: Mapping[str, tuple[str, str]] | None = None) -> list[Row]:
    """A row per test, in the order of the file. `tasks` as for `bot.score.weights`."""
    share = weights(reference.tests, tasks).combined
    return [Row(test, entry, share[test]) for test, entry in reference.tests.items()]


def entries_from_measured(measured: Iterable[Measured]) -> dict[str, Entry]:
    """Entries for what a run measured, by test name.

    Raises UserError when there is nothing, when a test stands twice, when any status is not `pass` (a reference must
    not be taken from a run that is not sound) or when a figure is out of range.
    """
    every = list(measured)
    if not every:
        raise UserError("The run measured no test, so there is nothing to take a reference from: give another run.")
    failed = [f"{one.test} ({one.status})" for one in every if one.status != "pass"]
    if failed:
        raise UserError(
            f"{len(failed)} of {len(every)} tests of the run did not pass, so it cannot become a reference: "
            f"{listed(failed)}; measure them again or leave them out with --only."
        )
    entries: dict[str, Entry] = {}
    for one in every:
        if one.test in entries:
            raise UserError(f"{quoted(one.test)} stands twice in the run; take the reference from one run at a time.")
        # The norm keeps every digit, so that a run scores 1000 against itself; a spread is known to two at best.
        spread = None if one.spread is None else float(f"{one.spread:.4g}")
        entries[one.test] = Entry(norm=float(one.seconds), spread=spread, launches=int(one.launches))
        _check(one.test, entries[one.test])
    return entries


def updated_text(
    existing: str | None, entries: Mapping[str, Entry], header: Header | None, name: str = "the reference"
) -> str:
    """The text of a reference after `entries` and `header` have gone into `existing` (None for a new file).

    Of a test that is there already, norm, spread and launches are replaced (removed where the new entry has none) and
    a threshold stays unless the new entry has one. New tests follow at the end, sorted. Other tests stay. A header,
    where given, replaces the old one; a first one goes before the first test. All other bytes are as they were; with
    nothing to change so is the text.

    Raises UserError as `load` does for `existing`, for an entry out of range, and for a layout that cannot be changed
    in place.
    """
    for test, entry in entries.items():
        _check(test, entry)
    text = whole_lines(_NEW_FILE if existing is None else existing)
    root = tree(text, name)
    old = _reference(root, name)
    known = {canonical(test): test for test in old.tests}
    tests = dict(old.tests)
    added: dict[str, Entry] = {}
    changed: dict[str, Entry] = {}
    for test, entry in sorted(entries.items()):
        place = known.get(canonical(test))
        if place is None:
            tests[test] = added[test] = entry
            continue
        kept = old.tests[place]
        merged = entry if entry.threshold is not None else msgspec.structs.replace(entry, threshold=kept.threshold)
        if merged != kept:
            tests[place] = changed[place] = merged
    wanted = Reference(name, tests, old.header if header is None else _one_line(header))
    if existing is not None and wanted == old:
        return existing

    edits: list[Edit] = []
    nodes = {key.text: value for key, value in root.pairs} if root else {}
    for test, entry in changed.items():
        edits += set_fields(text, nodes[test], _fields(entry), after="norm")
    new: dict[str, Any] = {test: _fields(entry) for test, entry in added.items()}
    if wanted.header is not None and wanted.header != old.header:
        fields = _fields(wanted.header)
        if HEADER_KEY in nodes:
            edits += set_fields(text, nodes[HEADER_KEY], fields)
        elif root is not None and root.pairs:
            edits.append(put_first(text, root, {HEADER_KEY: fields}))
        else:
            new = {HEADER_KEY: fields, **new}
    if new:
        edits.append(put_last(text, root, new))
    result = applied(text, edits)
    if not _reads_as(result, wanted):
        raise UserError(f"{name}: has a layout that cannot be changed in place; write one `key: value` to a line.")
    return result


def diff(old: Reference, new: Reference) -> list[Change]:
    """What became of each test from `old` to `new`, sorted by name; tests that are equal in both are left out."""
    changes = []
    for test in sorted(old.tests.keys() | new.tests.keys()):
        before, after = old.tests.get(test), new.tests.get(test)
        if before is None:
            changes.append(Change(test, "added", None, after, None))
        elif after is None:
            changes.append(Change(test, "removed", before, None, None))
        elif before != after:
            changes.append(Change(test, "changed", before, after, after.norm / before.norm - 1))
    return changes


def diff_text(old: str, new: str, name: str) -> str:
    """A unified diff of two texts of the file `name`, with one line of context and the test's name behind each `@@`.

    Empty when they are equal. Ends of lines are not compared.
    """
    before, after = old.splitlines(), new.splitlines()
    lines = []
    for line in difflib.unified_diff(before, after, f"a/{name}", f"b/{name}", n=1, lineterm=""):
        place = re.match(r"@@ -(\d+)", line)
        owner = ""
        if place:
            above = before[: int(place.group(1))]
            owner = next((" " + text.rstrip() for text in reversed(above) if text[:1] not in ("", " ", "#")), "")
        lines.append(line + owner)
    return "".join(line + "\n" for line in lines)


def write(path: Path, text: str) -> None:
    """Put `text` into the file `path`, all of it or none: a reader sees the old file or the new one, also after a
    crash.

    An existing file keeps its permissions; a link is followed. Raises UserError when the file cannot be written.
    """
    target = path.resolve()
    if target.exists() and not (target.is_file() and os.access(target, os.W_OK)):
        raise UserError(f"{path}: is not a file that may be written; give another path.")
    spare = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        with spare.open("xb") as file:
            if target.exists():
                spare.chmod(target.stat().st_mode & 0o7777)
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        spare.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror}); give a path in a folder that exists and may be written."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            spare.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    # Not every file system can sync a folder, and by now the new file is in place.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _reference(root: Map | None, name: str) -> Reference:
    tests: dict[str, Entry] = {}
    header = None
    for key, value in _unique(root.pairs if root else [], name, ""):
        if key.text == HEADER_KEY:
            header = _header(value, name)
        elif is_test_name(key.text):
            tests[key.text] = _entry(key, value, name)
        else:
            raise UserError(
                f"{name}:{key.line}: {quoted(key.text)} is not the name of a test; "
                "write test_<eval or train>[<model>-<device>-<mode>]."
            )
    return Reference(name, tests, header)


def _entry(key: Scalar, node: Node, name: str) -> Entry:
    of = f" of {key.text}"
    if not isinstance(node, Map):
        raise UserError(f"{name}:{node.line}: the entry{of} is not a mapping; write `norm: <seconds>` below the name.")
    values: dict[str, Any] = {}
    for field, value in _unique(node.pairs, name, of):
        if field.text not in _ENTRY_RULES:
            raise UserError(
                f"{name}:{field.line}: {quoted(field.text)}{of} is not a known key; use {', '.join(_ENTRY_RULES)}."
            )
        values[field.text] = _number(value, _ENTRY_RULES[field.text], name, f"{field.text}{of}")
    if "norm" not in values:
        raise UserError(f"{name}:{key.line}: {key.text} has no norm; add `norm: <seconds>`.")
    return Entry(**values)


def _header(node: Node, name: str) -> Header:
    of = f" of {HEADER_KEY}"
    if _is_null(node):
        return Header()
    if not isinstance(node, Map):
        raise UserError(
            f"{name}:{node.line}: {HEADER_KEY} is not a mapping; write `machine: <name>` and so on below it."
        )
    values: dict[str, Any] = {}
    for field, value in _unique(node.pairs, name, of):
        if field.text not in Header.__struct_fields__:
            raise UserError(
                f"{name}:{field.line}: {quoted(field.text)}{of} is not a known key; "
                f"use {', '.join(Header.__struct_fields__)}."
            )
        if _is_null(value):
            continue
        if not isinstance(value, Scalar):
            raise UserError(f"{name}:{value.line}: {field.text}{of} is not text; write it on one line.")
        if field.text == "threads":
            values["threads"] = _number(value, _THREADS_RULE, name, f"threads{of}")
        else:
            # Taken as it is written: a version such as 2.10 or a date must not turn into a number.
            values[field.text] = value.text
    return Header(**values)


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.plain and node.text in ("", "~", "null")


def _number(node: Node, rule: _Rule, name: str, what: str) -> float | int:
    # Own grammar: YAML 1.1 takes 1e-5 for text and 1:30 for 90, and 1.2 does not.
    pattern = r"\+?\d{1,9}" if rule.whole else r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?"
    if isinstance(node, Scalar) and node.plain and re.fullmatch(pattern, node.text, re.ASCII):
        number = int(node.text) if rule.whole else float(node.text)
        if math.isfinite(number) and rule.holds(number):
            return number
    shown = "not a single value"
    if isinstance(node, Scalar):
        shown = quoted(node.text) if node.plain else f"the text {quoted(node.text)}"
    raise UserError(f"{name}:{node.line}: {what} is {shown}; write {rule.wanted}.")


def _unique(pairs: list[tuple[Scalar, Node]], name: str, of: str) -> list[tuple[Scalar, Node]]:
    first: dict[str, int] = {}
    for key, _ in pairs:
        if key.text in first:
            raise UserError(
                f"{name}:{key.line}: {quoted(key.text)}{of} stands a second time, "
                f"first in line {first[key.text]}; keep one."
            )
        first[key.text] = key.line
    return pairs


def _reads_as(text: str, wanted: Reference) -> bool:
    try:
        return _reference(tree(text, wanted.name), wanted.name) == wanted
    except UserError:
        return False


def _check(test: str, entry: Entry) -> None:
    if not is_test_name(test):
        raise UserError(f"{quoted(test)} is not the name of a test, so it cannot go into a reference; rename it.")
    for field, value in _fields(entry).items():
        rule = _ENTRY_RULES[field]
        if isinstance(value, bool) or not math.isfinite(value) or not rule.holds(value):
            raise UserError(
                f"{field} of {test} is {value}, which cannot go into a reference; it must be {rule.wanted}."
            )


def _one_line(header: Header) -> Header:
    texts = {field: " ".join(value.split()) for field, value in _fields(header).items() if isinstance(value, str)}
    return msgspec.structs.replace(header, **texts)


def _fields(struct: Entry | Header) -> dict[str, Any]:
    return {field: value for field, value in msgspec.structs.asdict(struct).items() if value is not None}
