"""YAML text into msgspec Structs, strictly, with the place of every mistake.

Promises that what is accepted is what the Struct's JSON Schema accepts, and that everything else is one sentence with
file, line, the key's path and, for an unknown key, the nearest one. Values are read by a grammar of their own: `true`
and `false` are the only truth values, a version such as 2.10 in a text stays as it is written, and a text is one line
unless its annotation says otherwise. Aliases, tags, repeated keys and deep nesting are refused (`bot.yamltext`).

An annotation may carry `Meta(extra={"wanted": ..., "lines": True})`: the words for a value that does not fit its
pattern, and leave to hold several lines.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from msgspec import inspect

from bot.yamltext import Map, Node, Scalar, Sequence, tree
from harness.errors import UserError
from harness.testname import quoted

_T = TypeVar("_T")

MOST_CHARACTERS = 10_000
"""Longest text that a value may be where its annotation sets no limit."""


def decode(text: str, name: str, kind: type[_T]) -> _T:
    """The Struct `kind` that `text` holds; `name` stands for the file in messages. Raises UserError."""
    root = tree(text, name)
    node: Node = root if root is not None else Map([], False, 1, 0, 0, 0, 0)
    found: _T = _Reader(name).value(inspect.type_info(kind), node, "")
    return found


def line(text: str, name: str, keys: Iterable[str]) -> int:
    """The line in which the key stands that `keys` lead to, or the last of them that is there."""
    node: Node | None = tree(text, name)
    found = 1
    for key in keys:
        pairs = node.pairs if isinstance(node, Map) else []
        at = next(((one, value) for one, value in pairs if one.text == key), None)
        if at is None:
            break
        found, node = at[0].line, at[1]
    return found


class _Reader:
    """Reads nodes of one file by type."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._by_type: Mapping[type[inspect.Type], Callable[[Any, Node, str, Mapping[str, Any]], Any]] = {
            inspect.StructType: self._struct,
            inspect.DictType: self._dict,
            inspect.VarTupleType: self._list,
            inspect.StrType: self._text,
            inspect.IntType: self._whole,
            inspect.BoolType: self._truth,
            inspect.LiteralType: self._choice,
            inspect.UnionType: self._optional,
        }

    def value(self, kind: inspect.Type, node: Node, path: str, extra: Mapping[str, Any] | None = None) -> Any:
        """The value of `kind` in a node; `path` is the keys that lead to it."""
        said = dict(extra or {})
        while isinstance(kind, inspect.Metadata):
            said = {**(kind.extra or {}), **said}
            kind = kind.type
        return self._by_type[type(kind)](kind, node, path, said)

    def refuse(self, line: int, problem: str) -> UserError:
        """The error for what is wrong in a line."""
        return UserError(f"{self._name}:{line}: {problem}.")

    def _struct(self, kind: inspect.StructType, node: Node, path: str, said: Mapping[str, Any]) -> Any:
        fields = {field.encode_name: field for field in kind.fields}
        values: dict[str, Any] = {}
        for key, value in self._pairs(node, path):
            field = fields.get(key.text)
            if field is None:
                raise self.refuse(
                    key.line, f"there is no key {quoted(key.text)}{_of(path)}; {_nearest(key.text, fields)}"
                )
            values[field.name] = self.value(field.type, value, _join(path, key.text))
        for name, field in fields.items():
            if field.required and field.name not in values:
                raise self.refuse(node.line, f"the key {name}{_of(path)} is missing; add it")
        return kind.cls(**values)

    def _dict(self, kind: inspect.DictType, node: Node, path: str, said: Mapping[str, Any]) -> Any:
        found: dict[Any, Any] = {}
        for key, value in self._pairs(node, path):
            # A key has no place of its own in the path of a message.
            name = self.value(kind.key_type, key._replace(plain=False), f"a name{_of(path)}")
            found[name] = self.value(kind.value_type, value, _join(path, key.text))
        self._count(kind, len(found), node, path)
        return found

    def _list(self, kind: inspect.VarTupleType, node: Node, path: str, said: Mapping[str, Any]) -> Any:
        if not isinstance(node, Sequence):
            shown = f", such as [{node.text}]" if isinstance(node, Scalar) and node.text.isalnum() else ""
            raise self.refuse(node.line, f"{path} is not a list; write one{shown}")
        self._count(kind, len(node.items), node, path)
        return tuple(self.value(kind.item_type, item, f"{path}[{at}]") for at, item in enumerate(node.items))

    def _text(self, kind: inspect.StrType, node: Node, path: str, said: Mapping[str, Any]) -> str:
        text = self._scalar(node, path).text
        lines = text.replace("\n", " ").replace("\t", " ") if said.get("lines") else text
        fits = lines.isprintable() and len(text) <= (kind.max_length or MOST_CHARACTERS)
        if not fits or len(text) < (kind.min_length or 0) or (kind.pattern and not re.fullmatch(kind.pattern, text)):
            wanted = said.get("wanted", "a text on one line, without control characters")
            raise self.refuse(node.line, f"{path} is {quoted(text)}; write {wanted}")
        return text

    def _whole(self, kind: inspect.IntType, node: Node, path: str, said: Mapping[str, Any]) -> int:
        scalar = self._scalar(node, path)
        number = int(scalar.text) if scalar.plain and re.fullmatch(r"-?[0-9]{1,9}", scalar.text) else None
        least, most = kind.ge or 0, kind.le
        if number is None or number < least or (most is not None and number > most):
            limits = f" of at least {least}" if most is None else f" from {least} to {most}"
            raise self.refuse(node.line, f"{path} is {quoted(scalar.text)}; write a whole number{limits}")
        return number

    def _truth(self, kind: inspect.BoolType, node: Node, path: str, said: Mapping[str, Any]) -> bool:
        scalar = self._scalar(node, path)
        if not scalar.plain or scalar.text not in ("true", "false"):
            raise self.refuse(node.line, f"{path} is {quoted(scalar.text)}; write true or false")
        return scalar.text == "true"

    def _choice(self, kind: inspect.LiteralType, node: Node, path: str, said: Mapping[str, Any]) -> Any:
        scalar = self._scalar(node, path)
        for value in kind.values:
            # A number is one only without quotes, as in the JSON Schema.
            if str(value) == scalar.text and (isinstance(value, str) or scalar.plain):
                return value
        choices = [str(value) for value in kind.values]
        raise self.refuse(node.line, f"{path} is {quoted(scalar.text)}; {_nearest(scalar.text, choices, 'choose')}")

    def _optional(self, kind: inspect.UnionType, node: Node, path: str, said: Mapping[str, Any]) -> Any:
        if isinstance(node, Scalar) and node.plain and node.text in ("null", "~"):
            return None
        (one,) = (other for other in kind.types if not isinstance(other, inspect.NoneType))
        return self.value(one, node, path, said)

    def _pairs(self, node: Node, path: str) -> list[tuple[Scalar, Node]]:
        # A key whose lines are all comments.
        if isinstance(node, Scalar) and node.plain and node.text == "":
            return []
        if not isinstance(node, Map):
            raise self.refuse(node.line, f"{path} is not a mapping; write `key: value` lines below it")
        first: dict[str, int] = {}
        for key, _ in node.pairs:
            if key.text in first:
                raise self.refuse(
                    key.line,
                    f"{quoted(key.text)}{_of(path)} stands a second time, first in line {first[key.text]}; keep one",
                )
            first[key.text] = key.line
        return node.pairs

    def _scalar(self, node: Node, path: str) -> Scalar:
        if not isinstance(node, Scalar):
            raise self.refuse(node.line, f"{path} is not a single value; write it on one line")
        if node.plain and node.text in ("", "~", "null"):
            raise self.refuse(node.line, f"{path} has no value; give one, or remove the key")
        return node

    def _count(self, kind: inspect.DictType | inspect.VarTupleType, count: int, node: Node, path: str) -> None:
        if count < (kind.min_length or 0):
            raise self.refuse(node.line, f"{path} is empty; name at least {kind.min_length}")
        if kind.max_length is not None and count > kind.max_length:
            raise self.refuse(node.line, f"{path} holds {count} entries; at most {kind.max_length} are taken")


def _of(path: str) -> str:
    return f" in {path}" if path else ""


def _join(path: str, key: str) -> str:
    shown = key if re.fullmatch(r"[\w-]{1,64}", key) else quoted(key)
    return f"{path}.{shown}" if path else shown


def _nearest(word: str, known: Iterable[str], verb: str = "known are") -> str:
    every = list(known)
    near = difflib.get_close_matches(word[:50], every, 1)
    return f"did you mean {near[0]}?".rstrip("?") if near else f"{verb} {', '.join(every)}"
