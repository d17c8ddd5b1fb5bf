from __future__ import annotations

import datetime
import pathlib
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.command import (
    ALL,
    FILTER,
    GRAMMAR,
    Accept,
    Bisect,
    Command,
    Compare,
    Help,
    Ignore,
    Refusal,
    Rerun,
    Run,
    Status,
    help_text,
    only,
    parse,
    render,
    usage,
)

TEST = "test_eval[resnet50-cpu-eager]"
DAY = datetime.date(2026, 12, 31)

COMMANDS: list[tuple[str, Command]] = [
    ("/perf", Help()),
    ("/perf help", Help()),
    ("/perf run", Run()),
    ("/PERF Run", Run()),
    ("   /perf   run  \t ", Run()),
    ("Thanks!\r\n\r\n/perf run\r\n", Run()),
    ("> did you measure it?\n\n/perf run", Run()),
    ("```\n/perf rerun\n```\n/perf run", Run()),
    ("````md\n```\n/perf rerun\n```\n````\n/perf run", Run()),
    ("~~~\n```\n/perf rerun\n~~~\n/perf run", Run()),
    ("<!-- /perf rerun -->\n/perf run", Run()),
    ("<prefix>\n/perf run", Run()),
    ("`/perf rerun` is what I mean, see\n/perf run", Run()),
    ("/perf run smoke", Run(suites=("smoke",))),
    ("/perf run smoke,torchbench", Run(suites=("smoke", "torchbench"))),
    ("/perf run smoke,smoke", Run(suites=("smoke",))),
    ("/perf run suites=smoke", Run(suites=("smoke",))),
    ("/perf run smoke resnet", Run(suites=("smoke",), filter="resnet")),
    ("/perf run smoke resnet*,bert", Run(suites=("smoke",), filter="resnet*,bert")),
    (f"/perf run {TEST}", Run(filter=TEST)),
    (f"/perf run `{TEST}`", Run(filter=TEST)),
    ("/perf run ResNet*", Run(filter="ResNet*")),
    ("/perf run filter=resnet", Run(filter="resnet")),
    ("/perf run filter=resnet smoke", Run(suites=("smoke",), filter="resnet")),
    ("/perf run lanes=eager,inductor_bf16", Run(lanes=("eager", "inductor_bf16"))),
    ('/perf run Lanes="eager,jit"', Run(lanes=("eager", "jit"))),
    ("/perf run device=cuda base=main", Run(device="cuda", base="main")),
    ("/perf run base=torch==2.13.0", Run(base="torch==2.13.0")),
    ("/perf run base=nightly:2026-11-24", Run(base="nightly:2026-11-24")),
    ("/perf run base=release/2.13", Run(base="release/2.13")),
    ("/perf run base=de0fac2e4500dabe0009e67214ff5f5447ce83dd", Run(base="de0fac2e4500dabe0009e67214ff5f5447ce83dd")),
    ("/perf rerun", Rerun()),
    ("/perf compare v1.0 main", Compare("v1.0", "main")),
    (
        "/perf compare torch==2.13.0 nightly suites=smoke filter=bert lanes=jit device=cpu",
        Compare("torch==2.13.0", "nightly", ("smoke",), "bert", ("jit",), "cpu"),
    ),
    ("/perf compare b=main a=v1.0", Compare("v1.0", "main")),
    (
        "/perf compare torch==2.14.1+cpu torch==2.15.0.dev20261124+cpu",
        Compare("torch==2.14.1+cpu", "torch==2.15.0.dev20261124+cpu"),
    ),
    ("/perf bisect", Bisect()),
    (f"/perf bisect {TEST} good=v1.0 bad=HEAD", Bisect(TEST, "v1.0", "HEAD")),
    (f'/perf accept {TEST} reason="wanted, see #12"', Accept(TEST, "wanted, see #12")),
    ('/perf accept all reason="it\'s fine" until=2026-12-31', Accept(ALL, "it's fine", DAY)),
    ("/perf accept all reason='one \"word\"'", Accept(ALL, 'one "word"')),
    (r'/perf accept all reason="C:\\new \"x\" \n"', Accept(ALL, r'C:\new "x" \n')),
    ("/perf accept all reason=noise", Accept(ALL, "noise")),
    ('/perf accept reason="für später – 数値" all', Accept(ALL, "für später – 数値")),
    ('/perf accept all reason="until=2027-01-01 lanes=x"', Accept(ALL, "until=2027-01-01 lanes=x")),
    (f'/perf ignore {TEST} reason="waits for the network"', Ignore(TEST, "waits for the network")),
    ("/perf status", Status()),
]

SILENT = [
    "",
    "Nothing here.",
    "/performance run",
    "/perf-run",
    "/perfrun",
    "/perf: run",
    "/perf.",
    "please /perf run",
    "> /perf run",
    ">/perf run",
    "    /perf run",
    "\t/perf run",
    "- /perf run",
    "`/perf run`",
    "```\n/perf run\n```",
    "```\n/perf run",
    "~~~ sh\n/perf run\n~~~",
    "<!-- write\n/perf run\nto measure -->",
    "<pre>\n/perf run\n</pre>",
    "//perf run",
    "/ perf run",
    "\\/perf run",
    "@bot /perf run",
    "/perf run" + " " * 70_000,
]

REFUSED: list[tuple[str, str]] = [
    ("/perf run\n/perf rerun", "holds 2 commands"),
    ("/perf run\n\ntext\n\n/perf run", "holds 2 commands"),
    ("/perf ran", "did you mean run?"),
    ("/perf please run", "there is no command 'please'"),
    ("/perf run=smoke", "there is no command"),
    ("/perf suites=smoke run", "there is no command 'smoke'"),
    ("/perf run lane=eager", "its keys are suites, filter, lanes, device, base; did you mean lanes?"),
    ("/perf run frobnicate=1", "run has no key 'frobnicate'; its keys are suites, filter"),
    ("/perf rerun now", "does not take 'now'"),
    ("/perf rerun lanes=eager", "rerun has no key 'lanes'; it takes none"),
    ("/perf status all", "does not take 'all'"),
    ("/perf run smoke bert gpt", "does not take 'gpt'"),
    ("/perf run suites=smoke suites=timm", "suites is given twice"),
    ("/perf run suites=smoke,,timm", "suites is 'smoke,,timm'; write"),
    ("/perf run suites=../etc", "suites is '../etc'"),
    ("/perf run suites=my_suite.py", "suites is 'my_suite.py'"),
    ("/perf run smoke (a+)+$", "filter is '(a+)+$'"),
    ("/perf run smoke *a*b*c*d", "at most 3 stars"),
    ("/perf run smoke $(reboot)", "filter is '$(reboot)'"),
    ("/perf run smoke ${{secrets.TOKEN}}", "filter is"),
    ("/perf run lanes=os:system", "lanes is 'os:system'"),
    ("/perf run lanes=eager@head", "lanes is"),
    ("/perf run device=cuda:0", "device is 'cuda:0'"),
    ("/perf run device=", "device is ''"),
    ("/perf run base=--upload-pack=x", "base is '--upload-pack=x'"),
    ("/perf run base=../../etc/passwd", "base is"),
    ("/perf run base=a..b", "base is"),
    ("/perf run base=main.lock", "base is"),
    ("/perf run base=refs//x", "base is"),
    ("/perf run base=main/", "base is"),
    ("/perf run base=HEAD^{/x}", "base is"),
    ("/perf run base=main;id", "base is"),
    ("/perf run base=" + "a" * 201, "base is"),
    ("/perf run base=torch==2.13.0;os_name", "base is"),
    ("/perf run base=torch@https://evil.example/x.whl", "base is"),
    ("/perf run base=nightly:2026-02-30", "base is"),
    ("/perf compare main", "compare needs b"),
    ("/perf compare", "compare needs a"),
    ("/perf compare main v1 v2", "does not take 'v2'"),
    ("/perf bisect resnet50", "test is 'resnet50'; write the whole name of a test"),
    ("/perf bisect good=nightly:2026-11-24", "good is"),
    ("/perf accept", "accept needs test"),
    (f"/perf accept {TEST}", "accept needs reason"),
    ('/perf accept all reason=""', "reason is ''"),
    ('/perf accept all reason="..."', "reason is '...'"),
    ("/perf accept all reason=known slow path", "put a reason of several words in double quotes"),
    ('/perf accept all reason="never closed', "never closed"),
    ('/perf accept all reason="a"until=2026-12-31', "put a space behind it"),
    (f'/perf accept all reason="{"x" * 301}"', "at most 300 characters"),
    ('/perf accept all reason="x y" until=tomorrow', "write a day such as"),
    ('/perf accept all reason="x y" until=20261231', "until is '20261231'"),
    ('/perf accept all reason="x y" until=2026-02-30', "until is"),
    ("/perf accept test_eval[a/b-cpu-eager] reason=x", "test is"),
    ("/perf accept TEST_eval[a-cpu-eager] reason=x", "test is"),
    ("/perf ignore all reason=x", "test is 'all'"),
    ("/perf accept all reason=“so and so”", "LEFT DOUBLE QUOTATION MARK"),
    ('/perf accept all reason="a\u202eb"', "RIGHT-TO-LEFT OVERRIDE"),
    ('/perf accept all reason="a\x1b[31mb"', "U+001B"),
    ('/perf accept all reason="a\u00a0b"', "NO-BREAK SPACE"),
    ("/perf run\u00a0smoke", "NO-BREAK SPACE"),
    ("/perf\u00a0run", "NO-BREAK SPACE"),
    ("/p\u0435rf run", "CYRILLIC SMALL LETTER IE"),
    ("／ｐｅｒｆ run", "FULLWIDTH SOLIDUS"),
    ("/pe\u200brf run", "ZERO WIDTH SPACE"),
    ("\u200b/perf run", "ZERO WIDTH SPACE"),
    ("/perf run sm\u043eke", "CYRILLIC SMALL LETTER O"),
    ("/perf run sm\u0000oke", "U+0000"),
    ("/perf run smoke\u2028rm", "LINE SEPARATOR"),
    ("/perf run \ud800", "U+D800"),
    ("/perf run " + "x" * 3000, "longer than 2000"),
    ("/perf run\x0bsmoke", "not shown (U+000B)"),
]


@pytest.mark.parametrize(("text", "command"), COMMANDS, ids=lambda value: repr(value)[:60])
def test_a_command_is_read(text: str, command: Command) -> None:
    assert parse(text) == command


@pytest.mark.parametrize("text", SILENT, ids=lambda value: repr(value)[:60])
def test_a_comment_without_a_command_is_none(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(("text", "words"), REFUSED, ids=lambda value: repr(value)[:60])
def test_a_mistake_is_one_sentence_with_the_usage(text: str, words: str) -> None:
    found = parse(text)
    assert isinstance(found, Refusal)
    assert words in found.sentence
    assert found.usage.startswith("/perf ")
    assert found.sentence[-1] in ".?" and "\n" not in found.sentence
    # It goes into a comment and a log, both of which are UTF-8.
    assert len(found.sentence.encode()) < 600


def test_the_tables_are_as_large_as_promised() -> None:
    assert len({text for text, *_ in (*COMMANDS, *REFUSED)} | set(SILENT)) >= 60


def test_examples_of_the_help_are_commands() -> None:
    for verb, entry in GRAMMAR.items():
        found = parse(entry.example)
        assert type(found) is entry.makes, verb
        assert render(found) == entry.example


def test_the_help_names_every_command_and_argument() -> None:
    text = help_text()
    assert parse(text) is None, "the bot must not answer itself"
    for verb, entry in GRAMMAR.items():
        assert f"`{usage(verb)}`" in text
        assert entry.makes.verb == verb
        assert entry.makes.__doc__
        for argument in entry.arguments:
            assert f"| `{argument.key}` |" in text


def test_the_documentation_has_the_help() -> None:
    assert help_text() in (pathlib.Path(__file__).parents[2] / "docs" / "config.md").read_text()


def test_usage_says_what_is_needed() -> None:
    assert usage("accept") == "/perf accept TEST reason=... [until=...]"
    assert usage("run") == "/perf run [SUITES] [FILTER] [lanes=...] [device=...] [base=...]"


@pytest.mark.parametrize(
    ("filter", "name", "found"),
    [
        ("resnet", TEST, True),
        ("resnet50", "test_eval[resnet18-cpu-eager]", False),
        ("res*eager", TEST, True),
        ("bert,resnet", TEST, True),
        ("resnet5?", TEST, True),
        ("resnet?50", TEST, False),
        (TEST, TEST, True),
        (TEST, "test_eval[resnet50-cpu-eager]x", False),
        ("test_eval[a.c-cpu-eager]", "test_eval[abc-cpu-eager]", False),
        ("[resnet", TEST, True),
        ("eval[res*-cuda-", TEST, False),
        ("", TEST, True),
    ],
)
def test_a_filter_selects_as_in_a_shell(filter: str, name: str, found: bool) -> None:
    assert (re.search(only(filter), name) is not None) == found


def test_the_worst_filter_is_still_quick() -> None:
    pattern = only(",".join(["a*a*a*b"] * 20))
    began = time.process_time()
    re.search(pattern, "a" * 80)
    # Far from exact: without the limit on stars this takes for ever.
    assert time.process_time() - began < 10


NAMES = st.from_regex(r"[a-z0-9]{1,9}([_-][a-z0-9]{1,8}){0,2}", fullmatch=True)
MODES = st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)
REFERENCES = st.from_regex(r"[A-Za-z0-9]([._/-]?[A-Za-z0-9]){0,30}", fullmatch=True).filter(
    lambda text: ".lock" not in text and not text.startswith("nightly")
)
BUILDS = REFERENCES | st.sampled_from(["torch==2.13.0", "nightly", "nightly:2026-11-24", "torch==2.14.1+cpu"])
TESTS = st.from_regex(
    r"test_(eval|train)\[[A-Za-z0-9][A-Za-z0-9_.+-]{0,20}-(cpu|cuda)-[a-z0-9_]{1,20}\]", fullmatch=True
)
FILTERS = st.lists(
    st.from_regex(FILTER, fullmatch=True).filter(lambda one: len(one) < 40 and one.count("*") <= 3),
    min_size=1,
    max_size=5,
).map(",".join)
REASONS = (
    st.text(min_size=1, max_size=300)
    .map(lambda text: "".join(one for one in text if one.isprintable()).strip())
    .filter(lambda text: any(one.isalnum() for one in text))
)
DAYS = st.none() | st.dates(datetime.date(2000, 1, 1), datetime.date(2099, 12, 31))


def _some(strategy: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(strategy, max_size=5, unique=True).map(tuple)


def _or_none(strategy: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.just("") | strategy


SELECTION: dict[str, Any] = {
    "suites": _some(NAMES),
    "filter": _or_none(FILTERS),
    "lanes": _some(MODES),
    "device": st.sampled_from(["", "cpu", "cuda"]),
}
EVERY_COMMAND: st.SearchStrategy[Command] = st.one_of(
    st.builds(Run, **SELECTION, base=_or_none(BUILDS)),
    st.builds(Rerun),
    st.builds(Compare, BUILDS, BUILDS, **SELECTION),
    st.builds(Bisect, _or_none(TESTS), _or_none(REFERENCES), _or_none(REFERENCES)),
    st.builds(Accept, TESTS | st.just(ALL), REASONS, DAYS),
    st.builds(Ignore, TESTS, REASONS, DAYS),
    st.builds(Status),
    st.builds(Help),
)


@given(EVERY_COMMAND)
def test_a_command_that_is_rendered_reads_as_itself(command: Command) -> None:
    text = render(command)
    assert "\n" not in text
    assert parse(text) == command
    assert parse(f"Before.\r\n\r\n{text}\r\n\r\nAfter.") == command


@given(
    st.text()
    | st.lists(st.sampled_from([*"/perf \t\n`'\"=,[]<>!-~\\\u200b\u0435", "/perf ", "run ", "reason=", "```"])).map(
        "".join
    )
)
def test_parsing_never_raises(text: str) -> None:
    for tried in (text, f"/perf {text}", f"/perf run {text}", f"/perf accept all reason={text}"):
        found = parse(tried)
        if isinstance(found, Refusal):
            found.sentence.encode()
        elif found is not None:
            assert parse(render(found)) == found
