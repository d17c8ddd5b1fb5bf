"""What is remembered in a text is read again, and whatever else stands there is nothing."""

from __future__ import annotations

import base64
import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import hidden


class Memory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: str
    numbers: tuple[int, ...] = ()


MEMORIES = st.builds(Memory, st.text(st.characters(exclude_categories=("Cs",))), st.tuples(st.integers(-9, 9)))


@given(MEMORIES)
def test_a_memory_is_read_again_from_letters(memory):
    for letters, read in (
        (hidden.packed(memory), hidden.unpacked(hidden.packed(memory), Memory)),
        (hidden.compressed(memory), hidden.decompressed(hidden.compressed(memory), Memory, 10**6)),
    ):
        assert set(letters) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
        assert read == memory


def _letters(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b'{"text": 1}', b'{"text": "a", "more": 1}', b"\xff\xfe", b"[" * 100_000]
)
def test_anything_else_is_nothing(content):
    assert hidden.unpacked(_letters(content), Memory) is None
    assert hidden.decompressed(_letters(content), Memory, 10**6) is None
    assert hidden.decompressed(_letters(zlib.compress(content)), Memory, 10**6) is None


@pytest.mark.parametrize("text", ["!", "A", "=", "ä", "<!-- -->"])
def test_what_is_no_such_letters_is_nothing(text):
    assert hidden.unpacked(text, Memory) is None
    assert hidden.decompressed(text, Memory, 10**6) is None


def test_a_memory_that_unpacks_to_too_much_is_nothing():
    letters = hidden.compressed(Memory("a" * 10**6))
    assert len(letters) < 5000
    assert hidden.decompressed(letters, Memory, 10**5) is None
