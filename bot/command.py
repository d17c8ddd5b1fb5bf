"""The commands people write in comments: `/perf run torchbench lanes=eager,inductor`.

Promises that a comment becomes exactly one of three things: nothing (it holds no command), a command whose every value
has matched a tight pattern, or a refusal that says what is wrong and how to write it. Nothing is guessed and nothing is
dropped. A command stands on a line of its own, outside of code, quotes and HTML comments, and is plain ASCII but for a
quoted reason; characters that only look right are refused by name. `parse` never raises, and `parse(render(c)) == c`.
"""

from __future__ import annotations

import dataclasses
import datetime
import difflib
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from harness.errors import UserError
from harness.testname import is_test_name, quoted

WORD = "/perf"
"""What every command begins with."""

ALL = "all"
"""What stands for every test of a verdict in `accept`."""

LONGEST_COMMENT = 65_536
"""GitHub's own limit, in characters; nothing longer comes from there."""

LONGEST_LINE = 2_000
LONGEST_REASON = 300
MOST_NAMES = 20
MOST_STARS = 3
"""Most stars in one pattern of a filter: each one more makes the search of a long name slower by its length."""

NAME = r"(?=.{1,28}$)[a-z0-9]+(?:[_-][a-z0-9]+)*"
"""Names of suites and machines: two of them together still name a check and a comment."""

FILTER = r"[A-Za-z0-9_.\[\]*?+-]+"
"""One pattern of a filter."""

_MODE = r"[a-z][a-z0-9_]{0,63}"
_TEST = r"test_(?:eval|train)\[[A-Za-z0-9][A-Za-z0-9_.+-]*-[a-z]+-[a-z0-9_]+\]"
# A part of git's own rules (git-check-ref-format) that needs no quoting anywhere and cannot be read as an option.
_REF = r"(?!.*(?:\.\.|//|/\.|\./|\.lock(?:/|$)|[./]$))[A-Za-z0-9][A-Za-z0-9._/-]*"
_REQUIREMENT = r"torch==[0-9]+(?:\.[0-9]+){1,3}(?:(?:a|b|rc|\.post|\.dev)[0-9]+)?(?:\+[a-z0-9.]+)?"
_NIGHTLY = r"nightly(?::[0-9]{4}-[0-9]{2}-[0-9]{2})?"


@dataclass(frozen=True)
class Refusal:
    """Why a comment's command is not carried out: one sentence, and how it is written. Both are plain text, unescaped
    and in the words of whoever wrote the comment.
    """

    sentence: str
    usage: str


@dataclass(frozen=True)
class Run:
    """Measure the pull request against its base."""

    verb: ClassVar[str] = "run"
    suites: tuple[str, ...] = ()
    """Names of suites in the configuration; none for those that it measures on pull requests."""
    filter: str = ""
    """Patterns of test names, separated by commas; see `only`."""
    lanes: tuple[str, ...] = ()
    """Modes; none for those of the suite."""
    device: str = ""
    base: str = ""
    """A reference of git, a release or a nightly; "" for the merge base."""


@dataclass(frozen=True)
class Rerun:
    """Measure again what was measured last on this pull request."""

    verb: ClassVar[str] = "rerun"


@dataclass(frozen=True)
class Compare:
    """Measure two builds against each other: references of git, releases or nightlies."""

    verb: ClassVar[str] = "compare"
    a: str
    b: str
    suites: tuple[str, ...] = ()
    filter: str = ""
    lanes: tuple[str, ...] = ()
    device: str = ""


@dataclass(frozen=True)
class Bisect:
    """Find the commit that made tests slower, between one that was good and one that is not."""

    verb: ClassVar[str] = "bisect"
    test: str = ""
    good: str = ""
    bad: str = ""


@dataclass(frozen=True)
class Accept:
    """A regression is meant to be: `test` is a name or `ALL`, `until` the last day on which that holds."""

    verb: ClassVar[str] = "accept"
    test: str
    reason: str
    until: datetime.date | None = None


@dataclass(frozen=True)
class Ignore:
    """A test is not to count, on pull requests nor at night."""

    verb: ClassVar[str] = "ignore"
    test: str
    reason: str
    until: datetime.date | None = None


@dataclass(frozen=True)
class Status:
    """Say what is running or waiting."""

    verb: ClassVar[str] = "status"


@dataclass(frozen=True)
class Help:
    """List the commands."""

    verb: ClassVar[str] = "help"


Command = Run | Rerun | Compare | Bisect | Accept | Ignore | Status | Help


@dataclass(frozen=True)
class Kind:
    """What may stand for an argument: `read` turns a text into a value or raises ValueError, `written` back again."""

    wanted: str
    longest: int
    read: Callable[[str], Any]
    written: Callable[[Any], str] = str


@dataclass(frozen=True)
class Argument:
    """One argument of a command; `positional` ones may stand without their key, in their order."""

    key: str
    kind: Kind
    positional: bool = False
    required: bool = False
    summary: str = ""


@dataclass(frozen=True)
class Verb:
    """One command of the grammar."""

    makes: type[Any]
    arguments: tuple[Argument, ...]
    summary: str
    example: str


def _matched(pattern: str) -> Callable[[str], str]:
    compiled = re.compile(pattern, re.ASCII)

    def read(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError
        return text

    return read


def _list_of(pattern: str) -> Callable[[str], tuple[str, ...]]:
    one = _matched(pattern)

    def read(text: str) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(one(word) for word in text.split(",")))
        if len(found) > MOST_NAMES:
            raise ValueError
        return found

    return read


def _filter(text: str) -> str:
    patterns = text.split(",")
    if len(patterns) > MOST_NAMES or any(one.count("*") > MOST_STARS for one in patterns):
        raise ValueError
    for one in patterns:
        _matched(FILTER)(one)
    return text


def _test(text: str) -> str:
    if not is_test_name(_matched(_TEST)(text)):
        raise ValueError
    return text


def _build(text: str) -> str:
    _matched(f"{_REQUIREMENT}|{_NIGHTLY}|{_REF}")(text)
    if text.startswith("nightly:"):
        datetime.date.fromisoformat(text.partition(":")[2])
    return text


def _day(text: str) -> datetime.date:
    # fromisoformat reads 20261231 too, from Python 3.11 on.
    return datetime.date.fromisoformat(_matched(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}")(text))


def _reason(text: str) -> str:
    if text != text.strip() or not any(character.isalnum() for character in text):
        raise ValueError
    return text


def _quoted_reason(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


_SUITES = Kind(f"up to {MOST_NAMES} names such as smoke,torchbench", 1000, _list_of(NAME), ",".join)
_FILTER = Kind(
    f"parts of test names such as resnet*,bert, each with at most {MOST_STARS} stars", 1000, _filter
)  # a regular expression from a comment could keep a runner busy for ever
_LANES = Kind("modes such as eager,inductor", 1000, _list_of(_MODE), ",".join)
_DEVICE = Kind("a device such as cpu or cuda", 16, _matched(r"[a-z]+"))
_BUILD = Kind("a commit, a branch, a tag, torch==2.13.0 or nightly:2026-11-24", 200, _build)
_REFERENCE = Kind("a commit, a branch or a tag", 200, _matched(_REF))
_TESTS = Kind("the whole name of a test such as test_eval[resnet50-cpu-eager]", 200, _test)
_TEST_OR_ALL = Kind(
    f"the whole name of a test such as test_eval[resnet50-cpu-eager], or {ALL}",
    200,
    lambda text: text if text == ALL else _test(text),
)
_REASON = Kind(
    f"a reason in words, in double quotes, of at most {LONGEST_REASON} characters",
    LONGEST_REASON,
    _reason,
    _quoted_reason,
)
_DAY = Kind("a day such as 2026-12-31", 10, _day, datetime.date.isoformat)

_SELECTION = (
    Argument("suites", _SUITES, positional=True, summary="suites of `.github/torchwarden.yml`"),
    Argument("filter", _FILTER, positional=True, summary="only tests whose name holds this; `*` and `?` as in a shell"),
    Argument("lanes", _LANES, summary="modes to measure"),
    Argument("device", _DEVICE, summary="only machines of this device"),
)
_BY_KEY = tuple(dataclasses.replace(one, positional=False) for one in _SELECTION)
_WHY = (
    Argument("reason", _REASON, required=True, summary="why, in double quotes"),
    Argument("until", _DAY, summary="last day on which it holds"),
)

GRAMMAR: dict[str, Verb] = {
    "run": Verb(
        Run,
        (*_SELECTION, Argument("base", _BUILD, summary="what to compare with instead of the merge base")),
        "measure this pull request against its merge base",
        "/perf run torchbench resnet* lanes=eager,inductor",
    ),
    "rerun": Verb(Rerun, (), "measure again what was measured last here", "/perf rerun"),
    "compare": Verb(
        Compare,
        (
            Argument("a", _BUILD, positional=True, required=True, summary="the base"),
            Argument("b", _BUILD, positional=True, required=True, summary="the head"),
            *_BY_KEY,
        ),
        "measure two commits, releases or nightlies against each other",
        "/perf compare torch==2.13.0 nightly suites=smoke",
    ),
    "bisect": Verb(
        Bisect,
        (
            Argument("test", _TESTS, positional=True, summary="the test to follow, instead of all that regressed"),
            Argument("good", _REFERENCE, summary="a commit at which it was fast"),
            Argument("bad", _REFERENCE, summary="a commit at which it is slow"),
        ),
        "find the commit that made it slower",
        "/perf bisect test_eval[resnet50-cpu-eager] good=v2.1 bad=main",
    ),
    "accept": Verb(
        Accept,
        (Argument("test", _TEST_OR_ALL, positional=True, required=True, summary="one test, or all"), *_WHY),
        "take a regression of this commit as meant",
        '/perf accept test_eval[resnet50-cpu-eager] reason="a fix of numerics costs this" until=2026-12-31',
    ),
    "ignore": Verb(
        Ignore,
        (Argument("test", _TESTS, positional=True, required=True, summary="the test"), *_WHY),
        "leave a test out of every verdict",
        '/perf ignore test_train[dcgan-cpu-eager] reason="its data loader waits for the network"',
    ),
    "status": Verb(Status, (), "say what is running or waiting", "/perf status"),
    "help": Verb(Help, (), "list the commands", "/perf help"),
}
"""Every command, in the order of the help."""


def parse(text: str) -> Command | Refusal | None:
    """What the text of a comment asks for: a command, a refusal where it means to be one and is not, None where it
    holds none.

    Never raises.
    """
    if len(text) > LONGEST_COMMENT:
        return None
    lines = [line for line in _lines(text) if _is_command(line)]
    if not lines:
        return None
    if len(lines) > 1:
        return Refusal(f"this comment holds {len(lines)} commands; write one in a comment.", _every_usage())
    try:
        return _read(lines[0])
    except _Refused as refused:
        return Refusal(refused.sentence, refused.usage)


def render(command: Command) -> str:
    """The command in its one canonical form."""
    words, in_order = [WORD, command.verb], True
    for argument in GRAMMAR[command.verb].arguments:
        value = getattr(command, argument.key)
        if value in ("", (), None):
            in_order = in_order and not argument.positional
            continue
        written = argument.kind.written(value)
        words.append(written if argument.positional and in_order else f"{argument.key}={written}")
    return " ".join(words)


def usage(verb: str) -> str:
    """How a command is written, in one line: `/perf accept TEST reason=... [until=...]`."""
    words = [WORD, verb]
    for argument in GRAMMAR[verb].arguments:
        word = argument.key.upper() if argument.positional else f"{argument.key}=..."
        words.append(word if argument.required else f"[{word}]")
    return " ".join(words)


def help_text() -> str:
    """All commands with their arguments and an example of each, as Markdown."""
    lines = [
        "A command stands on a line of its own, one in a comment:",
        "",
        "| command | what it does |",
        "|---|---|",
        *(f"| `{usage(verb)}` | {entry.summary} |" for verb, entry in GRAMMAR.items()),
        "",
        "| argument | what it is |",
        "|---|---|",
    ]
    arguments = {argument.key: argument for entry in GRAMMAR.values() for argument in entry.arguments}
    lines += [f"| `{key}` | {one.summary}: {one.kind.wanted} |" for key, one in arguments.items()]
    lines += ["", "For instance", "", "```text", *(entry.example for entry in GRAMMAR.values()), "```"]
    return "\n".join(lines)


def only(filter: str) -> str:
    """A filter as the regular expression that `torchwarden run --only` takes; "" for an empty one.

    A whole test name stands for itself, everything else for a part of a name.
    """
    alternatives = []
    for one in filter.split(",") if filter else ():
        pattern = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in one)
        alternatives.append(f"^{pattern}$" if is_test_name(one) and "*" not in one and "?" not in one else pattern)
    return "|".join(alternatives)


def argument(verb: str, key: str, text: str) -> Any:
    """The value of one argument of a command, as it is in its dataclass. Raises UserError for what a comment may not
    hold either.
    """
    kind = next(one.kind for one in GRAMMAR[verb].arguments if one.key == key)
    try:
        if len(text) > kind.longest:
            raise ValueError
        return kind.read(text)
    except ValueError:
        raise UserError(f"{key} is {quoted(text)}; write {kind.wanted}") from None


def is_reference(text: str) -> bool:
    """Whether `text` may name a commit, a branch or a tag: a part of git's own rules that needs no quoting."""
    return len(text) <= _REFERENCE.longest and re.fullmatch(_REF, text, re.ASCII) is not None


class _Refused(Exception):
    """A refusal on its way out of the parser."""

    def __init__(self, sentence: str, usage: str) -> None:
        super().__init__(sentence)
        self.sentence, self.usage = sentence, usage


class _Word(NamedTuple):
    """One argument as it was typed; `key` is "" where there is none."""

    key: str
    value: str


_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})")
_BLOCKS = {"<!--": "-->", "<pre": "</pre>", "<script": "</script>", "<style": "</style>", "<textarea": "</textarea>"}


def _lines(text: str) -> Iterator[str]:
    """The lines of a comment that GitHub shows as text: not those in fences and in HTML that hides or quotes."""
    fence, closing = "", ""
    for line in text.split("\n"):
        line = line.removesuffix("\r")
        lowered = line.lower()
        if fence:
            found = _FENCE.match(line)
            if found and found[1].startswith(fence) and not line[found.end() :].strip(" \t"):
                fence = ""
        elif closing:
            if closing in lowered:
                closing = ""
        elif found := _FENCE.match(line):
            fence = found[1]
        elif (
            start := next((one for one in _BLOCKS if re.match(rf" {{0,3}}{one}(?:(?<=-)|[\s>]|$)", lowered)), None)
        ) is not None:
            if _BLOCKS[start] not in lowered[lowered.index(start) + len(start) :]:
                closing = _BLOCKS[start]
        else:
            yield line


_FIRST = re.compile(r" {0,3}([^ \t]+)")
# Letters of other alphabets that look like those of the word; NFKC knows the full-width and mathematical ones.
_LOOKALIKES = str.maketrans("\u2044\u2215\u29f8\u0440\u03c1\u0435\u0454\u0433\u04bb\u0192\u017f", "///ppeerhff")


def _is_command(line: str) -> bool:
    """Whether a line begins with the word of our commands, or with what only looks like it."""
    first = _FIRST.match(line)
    return first is not None and (first[1].lower() == WORD or _looks_like(first[1]))


def _looks_like(word: str) -> bool:
    if word.isascii() and word.isprintable():
        return False
    # Of a long word the beginning is enough; a space that is none may glue the command to what follows.
    start = "".join(" " if unicodedata.category(one)[0] == "Z" else one for one in word[: 4 * len(WORD)])
    visible = "".join(one for one in unicodedata.normalize("NFKC", start) if unicodedata.category(one)[0] not in "CM")
    return (visible.lower().translate(_LOOKALIKES).split(" ") or [""])[0] == WORD


def _read(line: str) -> Command:
    if len(line) > LONGEST_LINE:
        raise _Refused(f"the command is longer than {LONGEST_LINE} characters; shorten it.", _every_usage())
    words = _words(line)
    verb = words[1].value.lower() if len(words) > 1 else Help.verb
    if len(words) > 1 and (words[1].key or verb not in GRAMMAR):
        raise _Refused(f"there is no command {quoted(verb)}{_near(verb, GRAMMAR)}", _every_usage())
    entry = GRAMMAR[verb]
    values: dict[str, Any] = {}
    for word in words[2:]:
        argument = _argument(word, verb, entry.arguments, values)
        if argument.key in values:
            raise _Refused(f"{argument.key} is given twice; keep one.", usage(verb))
        try:
            if len(word.value) > argument.kind.longest:
                raise ValueError
            values[argument.key] = argument.kind.read(word.value)
        except ValueError:
            raise _Refused(
                f"{argument.key} is {quoted(word.value)}; write {argument.kind.wanted}.", usage(verb)
            ) from None
    lacking = [one for one in entry.arguments if one.required and one.key not in values]
    if lacking:
        raise _Refused(f"{verb} needs {lacking[0].key}: {lacking[0].kind.wanted}.", usage(verb))
    command: Command = entry.makes(**values)
    return command


def _argument(word: _Word, verb: str, arguments: tuple[Argument, ...], given: dict[str, Any]) -> Argument:
    """The argument that a word is for."""
    if word.key:
        found = next((one for one in arguments if one.key == word.key), None)
        if found is not None:
            return found
        keys = [one.key for one in arguments]
        valid = f"its keys are {', '.join(keys)}" if keys else "it takes none"
        raise _Refused(f"{verb} has no key {quoted(word.key)}; {valid}{_near(word.key, keys)}", usage(verb))
    free = [one for one in arguments if one.positional and one.key not in given]
    if not free:
        hint = "; put a reason of several words in double quotes" if "reason" in given else ""
        raise _Refused(f"{verb} does not take {quoted(word.value)} here{hint}.", usage(verb))
    # Of two places that are free, a word that cannot be for the first is for the second.
    for one in free if not free[0].required else free[:1]:
        try:
            one.kind.read(word.value)
            return one
        except ValueError:
            continue
    return free[0]


_KEYED = re.compile(r"([A-Za-z_-]+)=(?!=)")
_QUOTES = "\"'`"


def _words(line: str) -> list[_Word]:
    """The words of a command line. Raises _Refused for characters and quotes that are not as they should be."""
    words: list[_Word] = []
    at = 0
    while at < len(line):
        if line[at] in " \t":
            at += 1
            continue
        key = ""
        if words and (keyed := _KEYED.match(line, at)):
            key, at = keyed[1].lower(), keyed.end()
        if at < len(line) and line[at] in _QUOTES:
            value, at = _quotation(line, at)
        else:
            end = next((place for place in range(at, len(line)) if line[place] in " \t"), len(line))
            value, at = line[at:end], end
            for character in value:
                _check(character, allowed=character.isascii() and character.isprintable())
        words.append(_Word(key, value))
    return words


def _quotation(line: str, at: int) -> tuple[str, int]:
    """The text in quotes that begins at `at`, and where it ends. A backslash keeps a double quote and itself."""
    quote, found, place = line[at], [], at + 1
    while place < len(line) and line[place] != quote:
        if quote == '"' and line[place] == "\\" and line[place + 1 : place + 2] in ('"', "\\"):
            place += 1
        _check(line[place], allowed=line[place].isprintable())
        found.append(line[place])
        place += 1
    if place == len(line):
        raise _Refused(f"a quote ({quote}) is opened and never closed; close it.", _every_usage())
    if line[place + 1 : place + 2] not in ("", " ", "\t"):
        raise _Refused("something follows a closing quote at once; put a space behind it.", _every_usage())
    return "".join(found), place + 1


def _check(character: str, *, allowed: bool) -> None:
    if not allowed:
        name = unicodedata.name(character, "a character that is not shown")
        raise _Refused(
            f"the command holds {name} (U+{ord(character):04X}); write it in plain characters, "
            "with others only within a quoted reason.",
            _every_usage(),
        )


def _near(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word[:50], list(known), 1)
    return f"; did you mean {near[0]}?" if near else "."


def _every_usage() -> str:
    return "\n".join(usage(verb) for verb in GRAMMAR)
