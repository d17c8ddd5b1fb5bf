"""YAML text of plain nested mappings: parsed with the place of every value, and changed in place.

Promises two things that a loader cannot. Parsing resolves nothing, so a hostile text can neither expand (aliases) nor
make objects (tags), and every value comes with its line for a message. Changing touches only the characters of what
is changed: comments, order, quotes, indents and line ends of everything else stay as a person wrote them. For files
that people and the bot both edit.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml

from harness.errors import UserError
from harness.testname import quoted

_DEEPEST = 8

# What YAML 1.1 takes for the end of a line.
_LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


class Scalar(NamedTuple):
    """One value or key as it is written. Lines count from 1; offsets are characters of the text."""

    text: str
    plain: bool
    """Whether it stands without quotes."""
    line: int
    column: int
    start: int
    end: int


class Map(NamedTuple):
    """A mapping; keys may repeat here, it is for the caller to judge."""

    pairs: list[tuple[Scalar, Node]]
    flow: bool
    """Whether it is written in braces."""
    line: int
    column: int
    start: int
    end: int
    document_end: int
    """Where more of the document may follow; holds for the outermost mapping."""


class Sequence(NamedTuple):
    """A list."""

    line: int
    start: int
    end: int
    items: list[Node]


Node = Scalar | Map | Sequence


class Edit(NamedTuple):
    """Put `text` in place of the characters from `start` to `end`."""

    start: int
    end: int
    text: str


def tree(text: str, name: str) -> Map | None:
    """The one mapping in `text`, or None when it holds nothing but comments; `name` stands for the file in messages.

    Raises UserError with the line for what is not YAML, not a mapping, a second document, an alias, a tag, or nesting
    over 8 levels.
    """
    # libyaml, where it is there, is several times faster.
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        events: Iterator[Any] = iter(yaml.parse(text, Loader=loader))
        next(events)
        if isinstance(next(events), yaml.StreamEndEvent):
            return None
        root = _node(events, next(events), name, 0)
        end: Any = next(events)
        if not isinstance(next(events), yaml.StreamEndEvent):
            raise UserError(f"{name}:{end.end_mark.line + 1}: starts a second document; keep one in a file.")
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        raise UserError(f"{name}{line}: is not valid YAML ({problem}); mend this line.") from error
    if not isinstance(root, Map):
        raise UserError(f"{name}:{root.line}: is not a mapping; write `key: value` lines.")
    return root._replace(document_end=end.start_mark.index if end.explicit else len(text))


def _node(events: Iterator[Any], event: Any, name: str, depth: int) -> Node:
    line, column = event.start_mark.line + 1, event.start_mark.column
    start, end = event.start_mark.index, _end(event)
    if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
        raise UserError(f"{name}:{line}: uses a YAML anchor or alias; write the values out.")
    if event.tag is not None:
        raise UserError(f"{name}:{line}: uses the YAML tag {quoted(event.tag)}; remove it.")
    if depth > _DEEPEST:
        raise UserError(f"{name}:{line}: is nested more than {_DEEPEST} levels deep; flatten it.")
    if isinstance(event, yaml.ScalarEvent):
        return Scalar(event.value, event.implicit[0], line, column, start, end)
    if isinstance(event, yaml.SequenceStartEvent):
        items: list[Node] = []
        for inner in events:
            if isinstance(inner, yaml.SequenceEndEvent):
                end = _end(inner)
                break
            items.append(_node(events, inner, name, depth + 1))
        return Sequence(line, start, end, items)
    pairs: list[tuple[Scalar, Node]] = []
    for inner in events:
        if isinstance(inner, yaml.MappingEndEvent):
            end = _end(inner)
            break
        key = _node(events, inner, name, depth + 1)
        if not isinstance(key, Scalar):
            raise UserError(f"{name}:{key.line}: has a key that is not text; write `key: value` lines.")
        pairs.append((key, _node(events, next(events), name, depth + 1)))
    return Map(pairs, bool(event.flow_style), line, column, start, end, end)


def _end(event: Any) -> int:
    return int(event.end_mark.index)


def whole_lines(text: str) -> str:
    """`text` with an end to its last line, so that lines may follow."""
    return text if not text or _LINE_END.fullmatch(text[-1]) else text + _newline(text)


def set_fields(text: str, node: Node, wanted: Mapping[str, Any], after: str | None = None) -> list[Edit]:
    """What makes the mapping `node` of `text` hold exactly `wanted` (texts and numbers); equal values are left alone.

    New keys go behind the key `after`, or the last one, and its comment.
    """
    pairs = node.pairs if isinstance(node, Map) else []
    kept = [key.text in wanted for key, _ in pairs]
    if not isinstance(node, Map) or (node.flow and not any(kept)):
        # Nothing of it stays. A value that is not there at all begins right behind its colon.
        return [Edit(node.start, node.end, " " * (node.start == node.end) + _flow(wanted))]
    edits = []
    for at, (key, value) in enumerate(pairs):
        if not kept[at]:
            edits.append(_removal(text, node, at, first=not any(kept[:at])))
        elif not _says(value, wanted[key.text]):
            edits.append(Edit(value.start, value.end, _one(wanted[key.text])))
    present = {key.text: value for key, value in pairs}
    lacking = {field: value for field, value in wanted.items() if field not in present}
    if lacking:
        anchor = (present[after] if after in present else pairs[-1][1]).end
        if node.flow:
            edits.append(Edit(anchor, anchor, "".join(f", {field}: {_one(value)}" for field, value in lacking.items())))
        else:
            edits.append(_inserted(text, _line_end(text, anchor), _block(lacking, node.column)))
    return edits


def put_first(text: str, root: Map, pairs: Mapping[str, Any]) -> Edit:
    """What puts `pairs` before the first pair of `root`, behind the comment at the head of `text`."""
    if root.flow:
        start = root.pairs[0][0].start
        return Edit(start, start, _flow(pairs)[1:-1] + ", ")
    return _inserted(text, root.start, _block(pairs, root.column).lstrip(" ") + " " * root.column)


def put_last(text: str, root: Map | None, pairs: Mapping[str, Any]) -> Edit:
    """What puts `pairs` behind all else in `text`, whose last line must have an end; `root` None means no pair yet."""
    if root is None:
        return _inserted(text, len(text), _block(pairs, 0))
    if root.flow:
        end = root.pairs[-1][1].end if root.pairs else root.start + 1
        return Edit(end, end, (", " if root.pairs else "") + _flow(pairs)[1:-1])
    return _inserted(text, root.document_end, _block(pairs, root.column))


def applied(text: str, edits: list[Edit]) -> str:
    """`text` after `edits`, which must not overlap; those at one place go in the order given."""
    parts = []
    done = 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        parts += [text[done : edit.start], edit.text]
        done = edit.end
    return "".join([*parts, text[done:]])


def _removal(text: str, node: Map, at: int, first: bool) -> Edit:
    """What takes out pair `at`; `first` says that no pair before it stays, so that the comma behind it has to go."""
    key, value = node.pairs[at]
    if not node.flow:
        return Edit(key.start - key.column, _line_end(text, value.end), "")
    if first:
        return Edit(key.start, node.pairs[at + 1][0].start, "")
    return Edit(node.pairs[at - 1][1].end, value.end, "")


def _says(node: Node, value: Any) -> bool:
    if not isinstance(node, Scalar):
        return False
    if isinstance(value, str):
        return node.text == value
    with contextlib.suppress(ValueError):
        return bool(float(node.text) == value)
    return False


def _inserted(text: str, at: int, block: str) -> Edit:
    return Edit(at, at, block.replace("\n", _newline(text)))


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _line_end(text: str, at: int) -> int:
    match = _LINE_END.search(text, at)
    return match.end() if match else len(text)


def _block(pairs: Mapping[str, Any], indent: int) -> str:
    return "".join(f"{' ' * indent}{line}\n" for line in _dumped(pairs, flow=False).splitlines())


def _flow(pairs: Mapping[str, Any]) -> str:
    return _dumped(pairs, flow=True).strip()


def _one(value: Any) -> str:
    return _flow({"x": value})[len("{x: ") : -1]


def _dumped(pairs: Mapping[str, Any], flow: bool) -> str:
    # PyYAML writes 1.0e-05: YAML 1.1 readers, V1's own among them, take that for a number and 1e-05 for text.
    return str(
        yaml.safe_dump(dict(pairs), default_flow_style=flow, sort_keys=False, allow_unicode=True, width=math.inf)
    )
