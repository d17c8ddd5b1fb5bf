"""The keys of the configuration, as Markdown: made from the structs, so that the documentation says what they do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

from bot.config import Config


def markdown() -> str:
    """A section per mapping with a table of its keys, in the order of the file."""
    root = inspect.type_info(Config)
    assert isinstance(root, inspect.StructType)
    return "\n".join(_sections(root, "")).rstrip() + "\n"


def _sections(kind: inspect.StructType, path: str) -> Iterator[str]:
    title = f"`{path}`" if path else "The file"
    yield from (
        f"### {title}",
        "",
        _summary(kind.cls),
        "",
        "| key | value | default | what it says |",
        "|---|---|---|---|",
    )
    below: list[tuple[inspect.StructType, str]] = []
    for field in kind.fields:
        plain, said = _plain(field.type)
        inner = _struct_in(plain)
        where = f"{path}.{field.encode_name}" if path else field.encode_name
        if inner is not None:
            below.append((inner[0], where + inner[1]))
        value = _value(field.type).replace("|", r"\|")
        yield f"| `{field.encode_name}` | {value} | {_default(field)} | {said['description']} |"
    yield ""
    for inner_kind, where in below:
        yield from _sections(inner_kind, where)


def _summary(kind: type[Any]) -> str:
    return " ".join((kind.__doc__ or "").split())


def _plain(kind: inspect.Type) -> tuple[inspect.Type, dict[str, Any]]:
    """The type without its annotations, and what they say; of an optional one, the other than None."""
    said: dict[str, Any] = {}
    while isinstance(kind, inspect.Metadata | inspect.UnionType):
        if isinstance(kind, inspect.Metadata):
            said = {**(kind.extra or {}), **(kind.extra_json_schema or {}), **said}
            kind = kind.type
        else:
            (kind,) = (one for one in kind.types if not isinstance(one, inspect.NoneType))
    return kind, said


def _struct_in(kind: inspect.Type) -> tuple[inspect.StructType, str] | None:
    """The struct that a value is or holds, and how its place is written behind the key."""
    if isinstance(kind, inspect.StructType):
        return kind, ""
    held = {inspect.DictType: ("value_type", ".<name>"), inspect.VarTupleType: ("item_type", "[]")}.get(type(kind))
    if held is None:
        return None
    plain, _ = _plain(getattr(kind, held[0]))
    return (plain, held[1]) if isinstance(plain, inspect.StructType) else None


def _value(kind: inspect.Type) -> str:
    """What a value looks like, in words."""
    plain, said = _plain(kind)
    if "wanted" in said:
        return str(said["wanted"])
    if isinstance(plain, inspect.LiteralType):
        return " or ".join(f"`{value}`" for value in plain.values)
    if isinstance(plain, inspect.VarTupleType):
        return "a list" if _struct_in(plain) else f"a list: {_value(plain.item_type)}"
    if isinstance(plain, inspect.DictType):
        return (
            "a mapping by name"
            if _struct_in(plain)
            else f"a mapping of {_value(plain.key_type)} to {_value(plain.value_type)}"
        )
    if isinstance(plain, inspect.IntType):
        return "a whole number"
    return {inspect.BoolType: "`true` or `false`", inspect.StructType: "a mapping", inspect.StrType: "a text"}[
        type(plain)
    ]


def _default(field: inspect.Field) -> str:
    if field.required:
        return "(needed)"
    value = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    if value is None or isinstance(value, msgspec.Struct) or value in ((), {}):
        return ""
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"
