"""What the bot remembers in a text of its own on GitHub: a struct as letters that mean nothing to HTML or Markdown.

Promises that such letters fit into a hidden marker whatever the struct holds, and that anything else in their place,
which people may have written there, reads as nothing remembered. The caller bounds their length.
"""

from __future__ import annotations

import base64
import zlib
from typing import TypeVar

import msgspec

_T = TypeVar("_T", bound=msgspec.Struct)


def packed(memory: msgspec.Struct) -> str:
    """The memory in letters, digits, +, / and =."""
    return base64.b64encode(msgspec.json.encode(memory)).decode()


def unpacked(text: str, kind: type[_T]) -> _T | None:
    """The memory of a kind in such letters; None where they hold anything else."""
    try:
        return msgspec.json.decode(base64.b64decode(text, validate=True), type=kind)
    # binascii.Error and UnicodeDecodeError are ValueErrors; deep nesting ends as a RecursionError.
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None


def compressed(memory: msgspec.Struct) -> str:
    """As `packed`, but smaller, for memories that grow."""
    return base64.b64encode(zlib.compress(msgspec.json.encode(memory), 9)).decode()


def decompressed(text: str, kind: type[_T], most_bytes: int) -> _T | None:
    """What `compressed` made, if it holds no more than so many bytes; None for anything else."""
    try:
        reader = zlib.decompressobj()
        content = reader.decompress(base64.b64decode(text, validate=True), most_bytes)
        return msgspec.json.decode(content, type=kind) if reader.eof else None
    except (zlib.error, msgspec.MsgspecError, RecursionError, ValueError):
        return None
