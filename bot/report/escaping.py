"""Text from a verdict, made inert before it is shown.

A verdict comes from a job that ran somebody's code: names, reasons and standard error are hostile until shown harmless.
Promises: what `code`, `text` and `block` return holds no tag, HTML comment, link, mention, issue reference or Markdown
of the text's own, no control or direction-changing character, and is no longer than asked for. For the Markdown
reports; `clean` alone is for reports whose own machinery escapes (Jinja's for HTML, rich's Text for terminals).
"""

from __future__ import annotations

import html
import re
import unicodedata

from markupsafe import Markup

NAME_CHARACTERS = 120
LONGEST_WORD = 90
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
ELLIPSIS = "…"
WORD_JOINER = "\N{WORD JOINER}"

# Invisible or ambiguous: control, format (direction marks among them), surrogate, private use, unassigned.
_OPAQUE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_SPACES = frozenset({"Zs", "Zl", "Zp"})
_MARKS = frozenset({"Mn", "Me"})
_MARKS_IN_A_ROW = 2

# What a Markdown code span shows as it is, in a table cell too.
_PLAIN_CODE = re.compile(r"[^`|<>&\\]+")
_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")
# "<" before a space or a digit opens nothing, and our own sentences use it ("q < 0.0001").
_MARKDOWN = re.compile(r"[\\`*_{}\[\]>&|~#!$^@]|<(?![ \d])")
_MENTION = re.compile(r"(?<!\w)@(?=\w)")
_LINK_STARTS = re.compile(r"(?i)(@|#|://|\bwww\.|\bgh-)(?=\S)")


def clean(value: str, limit: int = NAME_CHARACTERS, *, lines: bool = False) -> str:
    """`value` in visible characters, at most `limit` of them; what was cut leaves an ellipsis.

    Invisible characters become one replacement character a run, white space a space (with `lines`, newlines stay), a
    pile of combining marks is cut, and a word nobody could read is shortened in its middle.
    """
    # Every character yields one or none, so much more than `limit` of a huge text needs not be read.
    read = value[: 4 * limit + 64]
    text = read if read.isascii() and read.isprintable() else _without_invisible(read, lines=lines)
    text = text.strip("\n") if lines else " ".join(_short_word(word) for word in text.split())
    if len(text) > limit or len(read) < len(value):
        text = text[: max(limit - 1, 0)].rstrip() + ELLIPSIS
    return text


def _without_invisible(value: str, *, lines: bool) -> str:
    shown: list[str] = []
    marks = 0
    for character in value:
        if character == "\n" and lines:
            shown.append("\n")
            continue
        category = unicodedata.category(character)
        marks = marks + 1 if category in _MARKS else 0
        if category in _SPACES or character in "\t\n\r\v\f":
            shown.append(" ")
        elif category in _OPAQUE:
            if not shown or shown[-1] != REPLACEMENT:
                shown.append(REPLACEMENT)
        elif marks <= _MARKS_IN_A_ROW:
            shown.append(character)
    return "".join(shown)


def _short_word(word: str) -> str:
    if len(word) <= LONGEST_WORD:
        return word
    half = (LONGEST_WORD - 1) // 2
    return word[:half] + ELLIPSIS + word[-half:]


def _entity(match: re.Match[str]) -> str:
    return f"&#{ord(match.group())};"


def code(value: str, limit: int = NAME_CHARACTERS) -> Markup:
    """`value` as inline code: for names, reasons and everything else that is quoted rather than said.

    GitHub makes no mention, reference or link of what stands in code. A word joiner behind `@` says so to whoever only
    looks at the text.
    """
    shown = clean(value, limit)
    if not shown:
        return Markup("(empty)")
    shown = _MENTION.sub("@" + WORD_JOINER, shown)
    if _PLAIN_CODE.fullmatch(shown):
        return Markup(f"`{shown}`")
    return Markup(f"<code>{_PUNCTUATION.sub(_entity, shown)}</code>")


def text(value: str, limit: int = 4000) -> Markup:
    """`value` as running text in which no character means anything to Markdown or GitHub."""
    return Markup(_MARKDOWN.sub(_entity, plain(value, limit)))


def plain(value: str, limit: int = NAME_CHARACTERS) -> str:
    """`value` for a place that knows no Markdown, such as a title, in which no mention, reference or link begins."""
    return _LINK_STARTS.sub(lambda match: match.group()[0] + WORD_JOINER + match.group()[1:], clean(value, limit))


def inert(value: object) -> Markup:
    """Anything a Markdown template shows, as text; what was made inert already stays as it is."""
    return value if isinstance(value, Markup) else text(str(value))


def block(value: str, limit: int = 2000, *, tail: bool = False) -> Markup:
    """`value` as a block of preformatted lines, its first `limit` characters or, with `tail`, its last.

    An HTML block and not a fence: a fence would leave `<!--` in the source, where a search for our marker finds it.
    """
    if tail and len(value) > limit:
        value = ELLIPSIS + value[-limit:]
    shown = clean(value, limit + 1, lines=True)
    # A mention inside <pre> is inert on GitHub; the joiner is for mirrors of a comment that know only its text.
    shown = _MENTION.sub("@" + WORD_JOINER, html.escape(shown, quote=False))
    return Markup(f"<pre>\n{shown}\n</pre>")
